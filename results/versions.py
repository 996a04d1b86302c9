"""Which version of mteb scored: scores of two versions differ where it computes a metric in another way."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Mapping
from typing import Any

from flagbench.results.record import RunRecord

_TIES = (2, 21, 8)
"""Since then, thresholds of pair classification do not split equal scores (``abstasks/pair_classification.py``)."""

_PAIRS = "PairClassification"


def mteb_of(record: RunRecord, among: Container[str] | None = None) -> str:
    """The versions of mteb that were installed when the tasks of a run were evaluated, joined by ``+``; empty where
    none is recorded.

    Args:
        record: Of the run.
        among: Names of the tasks to look at; None for all.
    """
    scored = [
        name for name, task in record.tasks.items() if task.status != "error" and (among is None or name in among)
    ]
    environments = [record.environment_of(name) for name in scored] or [record.environment]
    found = {version for each in environments if isinstance(version := _versions(each).get("mteb"), str)}
    return "+".join(sorted(found, key=_numbers))


def _versions(environment: Mapping[str, Any]) -> Mapping[str, Any]:
    versions = environment.get("versions")
    return versions if isinstance(versions, Mapping) else {}


def mteb_differs(first: RunRecord, second: RunRecord) -> str:
    """The line on unlike versions of mteb for the tasks that both runs have; empty where they are alike, or one is not
    known.
    """
    shared = first.tasks.keys() & second.tasks.keys()
    one, other = (mteb_of(record, shared) for record in (first, second))
    if not shared or not one or not other or one == other:
        return ""
    kinds = {record.tasks[name].kind for record in (first, second) for name in shared}
    return f"versions of mteb differ: {one} and {other}" + (f"; {line}" if (line := ties(one, other, kinds)) else "")


def ties(one: str, other: str, kinds: Collection[str]) -> str:
    """The line on a metric that changed between versions; empty where none of these types has it.

    Args:
        one: Version of mteb, or several joined by ``+``.
        other: Likewise.
        kinds: Types of tasks.
    """
    before = [any(_numbers(each) < _TIES for each in its.split("+")) for its in (one, other)]
    if _PAIRS not in kinds or before[0] == before[1]:
        return ""
    since = ".".join(map(str, _TIES))
    return f"since mteb {since} the thresholds of pair classification do not split equal scores"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"[0-9]+", version)[:3]))
