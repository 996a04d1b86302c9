"""Which version of mteb scored: scores of two versions differ where it computes a metric in another way."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from flagbench.results.record import RunRecord

_TIES = (2, 21, 8)
"""Since then, thresholds of pair classification do not split equal scores (``abstasks/pair_classification.py``)."""

_PAIRS = "PairClassification"


def mteb_of(record: RunRecord) -> str:
    """The version of mteb that was installed when the run was last evaluated; empty where that is not recorded."""
    versions = record.environment.get("versions")
    version = versions.get("mteb") if isinstance(versions, Mapping) else None
    return version if isinstance(version, str) else ""


def mteb_differs(first: RunRecord, second: RunRecord) -> str:
    """The line on runs with unlike versions of mteb; empty where they are alike, or one is not known."""
    one, other = mteb_of(first), mteb_of(second)
    if not one or not other or one == other:
        return ""
    kinds = {task.kind for record in (first, second) for task in record.tasks.values()}
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
