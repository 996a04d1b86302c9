"""Averages of averages, recomputed by hand."""

from __future__ import annotations

import pytest

from flagbench.results.averages import alike, average, tasks_of, weights

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
