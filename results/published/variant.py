"""What makes a run one of another model than the published one of its name: a point of a series, or a mixture."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from flagbench import printable
from flagbench.results.kinds import RANKED
from flagbench.results.record import RunRecord

OTHER_SETTINGS = "other settings than those of published scores"


def variant(record: RunRecord, tasks: Collection[str] | None = None) -> str:
    """What of a run no published model has, in words with the flags that asked for it; empty for nothing.

    Args:
        record: The run.
        tasks: Names of the tasks that count; None for all. Where none of them is in the run, its model counts.
    """
    chosen = [its for name, its in record.tasks.items() if tasks is None or name in tasks]
    specs = [(its.settings.get("model"), its.kind) for its in chosen] or [(record.spec, "")]
    found = dict.fromkeys(words for spec, kind in specs if isinstance(spec, Mapping) for words in _words(spec, kind))
    return "; ".join(found)


def _words(spec: Mapping[str, Any], kind: str) -> Iterator[str]:
    if kept := part_of(spec):
        yield kept
    if sources := sources_of(spec):
        yield f"weights that are a mixture of {printable(' and '.join(sources)):.120}"
    if spec.get("query_mix") and kind in RANKED:
        yield "queries that are mixed (--query-mix)"


def part_of(spec: Mapping[str, Any]) -> str:
    """What is kept of a model's vectors, in words; empty for all, as floats.

    Args:
        spec: Settings of a model, as results have them.
    """
    view = spec.get("view")
    if not isinstance(view, Mapping):
        return ""
    dims, vectors = view.get("dims"), view.get("vectors")
    parts = [] if dims in (None, 0, "full") else [f"the first {printable(dims):.20} numbers of each vector (--dims)"]
    parts += [] if vectors in (None, "fp32") else [f"vectors of {printable(vectors):.20} values (--vectors)"]
    return " and ".join(parts)


def sources_of(spec: Mapping[str, Any]) -> list[str]:
    """The names of the models whose weights a mixture is the sum of; none of any other model.

    Args:
        spec: Settings of a model, as results have them.
    """
    mixture = spec.get("mixture")
    pairs = mixture if isinstance(mixture, list | tuple) else ()
    names = [str(pair[1]).split("@", 1)[0] for pair in pairs if isinstance(pair, list | tuple) and len(pair) == 2]
    return list(dict.fromkeys(names))
