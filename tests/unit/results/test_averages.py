"""Averages of averages, recomputed by hand."""

from __future__ import annotations

import pytest

from flagbench.results.averages import (
    Member,
    Slice,
    Weights,
    alike,
    average,
    in_parts,
    lacking,
    scores_in,
    shares,
    tasks_of,
    weights,
)

AVERAGES = {
    "twelve": ["a1", "a2", "a3"],
    "one kind": ["twelve", "b"],
    "other kind": ["c"],
    "types": ["one kind", "other kind"],
    "tasks": ["twelve", "b", "c"],
}
SCORES = {"a1": 0.1, "a2": 0.2, "a3": 0.6, "b": 0.5, "c": 0.9}


@pytest.mark.parametrize(
    ("label", "wanted"),
    [
        ("twelve", 0.3),
        ("one kind", (0.3 + 0.5) / 2),
        ("types", ((0.3 + 0.5) / 2 + 0.9) / 2),
        ("tasks", (0.3 + 0.5 + 0.9) / 3),
    ],
)
def test_an_average_counts_as_one_in_another(label: str, wanted: float) -> None:
    of = weights(AVERAGES, label)
    assert sum(of.values()) == pytest.approx(1)
    assert average(of, SCORES | {"more": 1.0}) == pytest.approx(wanted)


def test_tasks_of_averages() -> None:
    assert tasks_of(AVERAGES)["types"] == ("a1", "a2", "a3", "b", "c")
    assert alike(["a", "b", "a"]) == {"a": 0.5, "b": 0.5}
    assert alike([]) == {}


ENGLISH = Slice("s", frozenset({("test", "en")}))
OTHERS = Slice("s", frozenset({("test", "de"), ("test", "fr"), ("dev", "de")}))
IN_PARTS: dict[str, list[Member]] = {"eng": [ENGLISH, "w"], "multi": [OTHERS], "types": ["eng", "multi"]}
OF_S = {"test": {"en": 0.8, "de": 0.1, "fr": 0.3}, "dev": {"en": 0.0, "de": 0.2}}


def test_a_part_of_a_task_counts_as_one_number() -> None:
    scores = {"s": OF_S, "w": {"test": {"default": 0.5, "more": 0.7}}, "z": {}}
    by_hand = {"eng": (0.8 + 0.6) / 2, "multi": 0.2, "types": ((0.8 + 0.6) / 2 + 0.2) / 2}
    for label, wanted in by_hand.items():
        of = weights(IN_PARTS, label)
        found = scores_in(of, scores)
        assert average(of, found) == pytest.approx(wanted, abs=1e-12)
        assert lacking(of, found) == []
    assert weights(IN_PARTS, "types").members == {ENGLISH: 0.25, "w": 0.25, OTHERS: 0.5}
    assert dict(weights(IN_PARTS, "types")) == {"s": 0.75, "w": 0.25}
    assert tasks_of(IN_PARTS) == {"eng": ("s", "w"), "multi": ("s",), "types": ("s", "w")}
    assert in_parts(IN_PARTS) == {"s"}
    assert in_parts(AVERAGES) == set()


def test_a_part_that_lacks_a_score_has_none() -> None:
    of = weights(IN_PARTS, "types")
    for scores in ({"test": OF_S["test"]}, {"test": {"default": 0.5}}, {}):
        found = scores_in(of, {"s": scores, "w": {"test": {"default": 0.5}}})
        assert OTHERS not in found
        assert lacking(of, found) == ["s"]
    assert scores_in(weights(IN_PARTS, "eng"), {"s": {"test": {"en": 0.4}}}) == {ENGLISH: 0.4}


def test_shares_of_the_parts_of_a_task_by_hand() -> None:
    cells = {("test", "en"): 0.25, ("test", "de"): 0.5 / 3, ("test", "fr"): 0.5 / 3, ("dev", "de"): 0.5 / 3}
    types = weights(IN_PARTS, "types")
    assert shares(types, "s", OF_S) == pytest.approx({cell: weight / 0.75 for cell, weight in cells.items()})
    assert shares(types, "w", {"test": {"default": 0.5}}) is None
    both = alike(["s", ENGLISH])
    by_hand = {(split, subset): 0.1 for split, its in OF_S.items() for subset in its}
    assert shares(both, "s", OF_S) == pytest.approx(by_hand | {("test", "en"): 0.6})


def test_weights_that_differ_in_their_parts_differ() -> None:
    assert alike([ENGLISH]) != alike([OTHERS])
    assert alike([ENGLISH]) != alike(["s"])
    assert alike([ENGLISH, OTHERS]) == Weights({ENGLISH: 0.5, OTHERS: 0.5})
