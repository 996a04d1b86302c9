"""Values per query that do not make the score beside them, or are of none of it: nothing is believed on their word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from flagbench.results.contradictions import contradicted
from flagbench.results.record import PartInterval, TaskRecord
from flagbench.results.values import Values
from tests.unit.results.test_runs import made_task

_HALF = {"q1": 0.25, "q2": 0.75}
_OTHER = "the values per query beside its score are of other splits or subsets"


@pytest.mark.parametrize(
    ("scores", "parts", "said"),
    [
        (0.5, {"dev": {"default": {"ndcg_at_10": _HALF}}}, ""),
        (0.500009, {"dev": {"default": {"ndcg_at_10": _HALF}}}, ""),  # a score may have five decimals
        (
            0.50002,
            {"dev": {"default": {"ndcg_at_10": _HALF}}},
            "the score of dev is 0.50002, and the mean of its values per query is 0.5",
        ),
        # A benchmark may call the metric otherwise by query; one of them has to make the score.
        (0.5, {"dev": {"default": {"recall": {"q1": 1.0}, "gain": _HALF}}}, ""),
        (
            0.5,
            {"dev": {"default": {"ndcg_at_10": {"q1": 1.0}, "gain": _HALF}}},
            "the score of dev is 0.5, and the mean of its values per query is 1",
        ),
        (0.9, {}, "there are no values per query, though the record names a file of them"),
        (0.9, {"dev": {}}, "there are no values per query, though the record names a file of them"),
        (0.9, {"dev": {"default": {}}}, "there are no values per query, though the record names a file of them"),
        (0.9, {"dev": {"default": {"ndcg_at_10": {}}}}, "the values per query beside the score of dev are none"),
        (0.5, {"test": {"default": {"ndcg_at_10": _HALF}}}, _OTHER),
        (0.5, {"dev": {"zh": {"ndcg_at_10": _HALF}}}, _OTHER),
        # Of a split that did not run again there are none, and its score stands.
        ({"dev": {"default": 0.5}, "test": {"default": 0.9}}, {"dev": {"default": {"ndcg_at_10": _HALF}}}, ""),
        (
            {"dev": {"default": 0.5}, "test": {"default": 0.9}},
            {"dev": {"default": {"ndcg_at_10": _HALF}}, "test": {"default": {"ndcg_at_10": _HALF}}},
            "the score of test is 0.9, and the mean of its values per query is 0.5",
        ),
        ({}, {}, ""),  # labels are private
    ],
)
def test_what_values_say_of_the_score_beside_them(scores: Any, parts: Mapping[str, Any], said: str) -> None:
    record, _ = made_task("A", scores)
    assert contradicted(record, Values("A", parts)) == said
    assert contradicted(record, None) == ""


def _with_interval(*, low: float, error: float, parts: int = 1) -> TaskRecord:
    """A record of the mean of ``_HALF``, whose own interval is Student's with one degree of freedom."""
    record, _ = made_task("A", 0.5)
    each: PartInterval = {"error": error, "items": 2, "clusters": 2}
    by_split = {f"dev{at or ''}": {"default": each} for at in range(parts)}
    return replace(record, interval={"low": low, "high": 1.0, "parts": by_split})


def test_an_interval_is_that_of_the_values_beside_it() -> None:
    values = Values("A", {"dev": {"default": {"ndcg_at_10": _HALF}}})  # their standard error is 0.25, and t is 12.7
    assert contradicted(_with_interval(low=0.0, error=0.25), values) == ""
    assert contradicted(_with_interval(low=0.001, error=0.2501), values) == ""  # the order of additions
    other = "its 95% interval is not that of its values per query"
    for wrong in (
        _with_interval(low=0.4, error=0.25),
        _with_interval(low=0.0, error=0.01),
        _with_interval(low=0.0, error=0.25, parts=2),
    ):
        assert contradicted(wrong, values) == other
        assert contradicted(wrong, None) == ""
        assert contradicted(replace(wrong, interval=None), values) == ""
    whole = replace(_with_interval(low=0.4, error=0.1), scores={"dev": {"default": 0.5}, "test": {"default": 0.6}})
    assert contradicted(whole, values) == ""  # a split that did not run again has no values
