"""Instructions of the published runs by task: LLM-Embedder has its own for each, and BGE one before all queries.

So does ``TASK_CONFIG`` of FlagEmbedding's ``research/llm_embedder/src/retrieval/data.py``. models.toml has the texts: a
family for each of LLM-Embedder's tasks, of which a run needs all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.registry import registry
from flagbench.suites.llm_embedder.registry import rows

if TYPE_CHECKING:
    from flagbench.models.loading.resolve import Model

_OWN = "llm-embedder-"
_BGE = "bge-en"


def of_any_family(model: str, overrides: Overrides) -> Overrides:
    """Overrides with a family where the model fits the six of LLM-Embedder and none is named: all tasks get their own.

    Args:
        model: As the user named it.
        overrides: What was said of it.
    """
    families = registry().ask.get(model, ())
    if overrides.family or not families or not all(each.startswith(_OWN) for each in families):
        return overrides
    return replace(overrides, family=families[0])


def with_instructions(model: Model, overrides: Overrides) -> Model:
    """A model with the instructions of the published runs, where it is LLM-Embedder or BGE; any other as it is.

    Args:
        model: Found.
        overrides: What was said of it: an instruction that a user gives stays.
    """
    given = {"query": overrides.query_instruction, "passage": overrides.passage_instruction}
    prompts = [
        (f"{name}-{role}", text) for name, role, text in _published(model.spec.family) if given.get(role) is None
    ]
    if not prompts:
        return model
    roles = dict.fromkeys(selector.rpartition("-")[2] for selector, _ in prompts)
    line = f"instructions: as published for each task, before {' and '.join(roles)} texts"
    changed = replace(model.spec, prompts=(*prompts, *model.spec.prompts))
    return replace(model, spec=changed, evidence=(*model.evidence, line))


def _published(family: str) -> Iterator[tuple[str, str, str]]:
    """Task, role and text of each instruction of the published runs with models of a family."""
    families = registry().families
    for row in rows():
        if family.startswith(_OWN):
            for each in families[row.instruction]["instructions"]:
                yield from ((row.name, role, each["text"]) for role in each["before"])
        elif family == _BGE:
            yield row.name, "query", families[_BGE]["instructions"][0]["text"]
