"""What the engine asks of LLM-Embedder's tasks: which there are, and which instructions a model gets."""

from __future__ import annotations

from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.registry import registry
from flagbench.models.loading.resolve import Model
from flagbench.runners.request import RunRequest
from flagbench.suites.llm_embedder import reader_evaluation
from flagbench.suites.llm_embedder.benchmark import LLM_EMBEDDER
from flagbench.suites.llm_embedder.instructions import of_any_family
from flagbench.suites.llm_embedder.options import LlmEmbedderOptions
from flagbench.suites.llm_embedder.registry import row_of
from tests.filled import write_filled_bert
from tests.unit.suites.llm_embedder.scripted_reader import ScriptedReader

# research/llm_embedder/src/retrieval/data.py of FlagEmbedding, TASK_CONFIG
TOOL = (
    "Transform this user request for fetching helpful tool descriptions: ",
    "Transform this tool description for retrieval: ",
)
CONVSEARCH = (
    "Encode this query and context for searching relevant passages: ",
    "Encode this passage for retrieval: ",
)
QA = ("Represent this query for retrieving relevant documents: ", "Represent this document for retrieval: ")


def model(folder: Path, overrides: Overrides) -> Model:
    request = RunRequest(str(folder), "llm-embedder", overrides=overrides)
    return LLM_EMBEDDER.model(request, lambda: True)


def instructions(found: Model, name: str) -> tuple[str, str]:
    task = row_of(name).task
    return found.spec.instruction(name, task.kind, "query"), found.spec.instruction(name, task.kind, "passage")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_filled_bert(tmp_path_factory.mktemp("bert"))


def test_llm_embedder_gets_the_instructions_of_each_task(checkpoint: Path) -> None:
    found = model(checkpoint, Overrides(family="llm-embedder-chat"))
    assert instructions(found, "ToolBench") == TOOL
    assert instructions(found, "QReCC") == CONVSEARCH
    assert instructions(found, "NQRetrieval") == QA
    assert found.evidence[-1] == "instructions: as published for each task, before query and passage texts"


def test_an_instruction_of_the_user_stays(checkpoint: Path) -> None:
    found = model(checkpoint, Overrides(family="llm-embedder-qa", query_instruction="ask: "))
    assert instructions(found, "ToolBench") == ("ask: ", TOOL[1])
    assert "before passage texts" in found.evidence[-1]


def test_bge_gets_its_own_before_all_queries_and_others_keep_theirs(checkpoint: Path) -> None:
    found = model(checkpoint, Overrides(family="bge-en"))
    assert instructions(found, "QReCC") == ("Represent this sentence for searching relevant passages: ", "")
    assert found.evidence[-1] == "instructions: as published for each task, before query texts"
    found = model(checkpoint, Overrides(family="bge-zh"))
    assert found.spec.prompts == registry().models["BAAI/bge-small-zh"].prompts


def test_the_published_model_needs_no_family_here() -> None:
    assert of_any_family("BAAI/llm-embedder", Overrides()).family == "llm-embedder-qa"
    assert of_any_family("BAAI/llm-embedder", Overrides(family="bge-en")).family == "bge-en"
    assert of_any_family("BAAI/bge-base-en", Overrides()).family is None


def test_groups_and_names_choose_tasks() -> None:
    request = RunRequest("m", "llm-embedder")
    assert [task.name for task in LLM_EMBEDDER.select(request)] == ["ToolBench", "QReCC", "NQRetrieval"]
    named = replace(request, tasks=("toolbench",))
    assert [task.name for task in LLM_EMBEDDER.select(named)] == ["ToolBench"]
    with pytest.raises(BadInput, match="unknown group 'x'"):
        LLM_EMBEDDER.select(replace(request, options=LlmEmbedderOptions(groups=("x",))))
    with pytest.raises(BadInput, match="drop one"):
        LLM_EMBEDDER.select(replace(named, options=LlmEmbedderOptions(groups=("retrieval",))))


def test_lists_say_what_is_published() -> None:
    listing = LLM_EMBEDDER.listing(LLM_EMBEDDER.tasks())
    found = {row[0]: row[-1] for row in listing.rows}
    assert found == {
        **dict.fromkeys(("ToolBench", "QReCC", "LRLM", "MSC", "ICL", "MMLU"), "yes"),
        "NQRetrieval": "no",
        **dict.fromkeys(("PopQA", "NQ"), "unverified"),
    }
    assert "PopQA: the published value depends on solved examples that were drawn without a seed" in listing.closing


def test_published_perplexities_are_log_likelihoods_here() -> None:
    table = LLM_EMBEDDER.published()
    assert table is not None
    ours = table.models["BAAI/llm-embedder"]
    assert ours.score("LRLM") == pytest.approx(-log(6.0972))
    assert ours.score("MSC") == pytest.approx(-log(13.4832))
    assert ours.score("ToolBench") == 0.8645
    assert ours.score("ICL") == 0.6288
    assert "PopQA" not in table.kinds
    assert table.groups == {"retrieval": ["ToolBench", "QReCC"], "reader": ["LRLM", "MSC", "ICL", "MMLU"]}
    assert table.metrics == {name: row_of(name).main_score for name in table.kinds}


@pytest.mark.parametrize(
    ("tasks", "options", "said"),
    [
        (("PopQA",), {}, "PopQA needs a language model that reads what is retrieved: name one with --reader"),
        (("LRLM", "MSC"), {}, "LRLM, MSC need a language model"),
        (("ToolBench",), {"reader": "a/b"}, "--reader is for tasks that need a reader, and ToolBench need none"),
        (("ToolBench",), {"seed": 3}, "--seed is for tasks that need a reader"),
        (("QReCC",), {"knowledge": "none"}, "--knowledge is for tasks that need a reader"),
    ],
)
def test_a_reader_is_named_where_one_is_needed(
    checkpoint: Path, tasks: tuple[str, ...], options: dict[str, Any], said: str
) -> None:
    request = RunRequest(str(checkpoint), "llm-embedder", tasks=tasks, options=LlmEmbedderOptions(**options))
    with pytest.raises(BadInput, match=said):
        LLM_EMBEDDER.model(request, lambda: True)


def test_a_reader_is_a_setting_of_tasks_that_it_reads_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_evaluation, "find_reader", lambda *_: ScriptedReader())
    request = RunRequest("m", "llm-embedder", options=LlmEmbedderOptions(reader="team/reader", seed=4))
    options = LLM_EMBEDDER.option_settings(request)
    assert options["reader"]["name"] == "team/reader"
    assert (options["seed"], options["knowledge"]) == (4, "model")
    assert LLM_EMBEDDER.task_options(row_of("PopQA").task, options) == options
    assert LLM_EMBEDDER.task_options(row_of("MSC").task, options).keys() == {"reader", "knowledge"}
    assert LLM_EMBEDDER.task_options(row_of("ToolBench").task, options) == {}
