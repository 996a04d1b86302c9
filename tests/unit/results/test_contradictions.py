"""Values per query that do not make the score beside them, or are of none of it: nothing is believed on their word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from flagbench.results.contradictions import contradicted
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
