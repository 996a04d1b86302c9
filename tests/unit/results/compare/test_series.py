"""Checkpoints one after the other: the best one, and the test of a weighted mean over tasks against brute force."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.results.compare.series import placed, scale_over, weights_over
from tests.unit.results.compare.test_compare import runs_of, with_values
from tests.unit.results.test_runs import made_task

_IDS = [f"q{number}" for number in range(5)]


def _by_hand(first: dict[str, list[int]], best: dict[str, list[int]], of: dict[str, float]) -> tuple[float, float]:
    """Difference of the weighted means, and its p-value over all patterns of signs."""
    parts = [
        of[task] * (b - a) / 100 / len(first[task]) for task in of for a, b in zip(first[task], best[task], strict=True)
    ]
    sums = [
        sum(sign * part for sign, part in zip(signs, parts, strict=True))
        for signs in itertools.product((1, -1), repeat=len(parts))
    ]
    return sum(parts), sum(abs(each) >= abs(sum(parts)) - 1e-12 for each in sums) / len(sums)


def test_the_best_is_tested_in_the_weighted_mean(tmp_path: Path) -> None:
    of = {"A": 0.25, "B": 0.75}
    values = {
        "one": {"A": [10, 20, 30, 40, 50], "B": [5, 15, 25]},
        "two": {"A": [90, 80, 70, 60, 50], "B": [50, 60, 70]},
        "three": {"A": [80, 90, 75, 65, 40], "B": [30, 80, 72]},
    }

    def task(name: str, numbers: list[int]) -> Any:
        return with_values(name, numbers, _IDS[: len(numbers)])

    runs = runs_of(tmp_path, **{run: [task(*each) for each in its.items()] for run, its in values.items()})
    names = [run.label.removeprefix("org/") for run in runs]
    found = dict(zip(names, placed(runs, of), strict=True))
    scores = {name: 0.25 * sum(its["A"]) / 500 + 0.75 * sum(its["B"]) / 300 for name, its in values.items()}
    assert {name: each.score for name, each in found.items()} == pytest.approx(scores)
    best = max(scores, key=lambda name: scores[name])
    assert [name for name, each in found.items() if each.best] == [best]
    others = {name: _by_hand(values[name], values[best], of) for name in values if name != best}
    small, large = sorted(p for _, p in others.values())
    for name, (difference, p) in others.items():
        paired = found[name].paired
        assert paired is not None
        assert (paired.difference, paired.p) == (pytest.approx(difference), pytest.approx(p))
        holm = 2 * small if p == small else max(large, 2 * small)
        assert found[name].adjusted == pytest.approx(min(1.0, holm))
        assert found[name].worse == (found[name].adjusted <= 0.05)
    assert found["one"].worse


def test_of_equal_ones_the_first_is_the_best(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, one=[with_values("A", [1] * 12)], two=[with_values("A", [3] * 12)])
    again = [runs[0], runs[1], runs[1]]
    assert [each.best for each in placed(again, {"A": 1.0})] == [False, True, False]
    assert [each.worse for each in placed(again, {"A": 1.0})] == [True, False, False]
    assert [each.paired for each in placed(again, {"A": 1.0}, tests=False)] == [None] * 3


def test_what_has_no_score_or_other_data_has_no_test_and_says_why(tmp_path: Path) -> None:
    runs = runs_of(
        tmp_path,
        a=[with_values("A", [50] * 12)],
        b=[with_values("A", [40] * 12, of={"main_score": "map"})],
        c=[made_task("A", None, status="error", error="no memory")],
        d=[made_task("A", 0.2)],
        e=[with_values("B", [40] * 12)],
    )
    found = placed(runs, {"A": 1.0})
    assert [each.score for each in found] == pytest.approx([0.5, 0.4, None, 0.2, None])
    assert [each.worse for each in found] == [False, None, None, None, None]
    assert found[1].untested == "A: main score map against ndcg_at_10"
    assert found[3].untested == "A: it leaves no values per item"
    assert found[2].lacking == "A without a score over all of its data" == found[4].lacking
    assert [each.best for each in placed(runs[2:3], {"A": 1.0})] == [False]


def test_weights_are_the_benchmarks_where_it_has_a_mean_over_these_tasks() -> None:
    averages = {"one": ("A",), "two": ("B", "C"), "all": ("one", "two"), "flat": ("A", "B")}
    assert weights_over(["C", "A", "B"], averages) == {"A": 0.5, "B": 0.25, "C": 0.25}
    assert weights_over(["A", "C"], averages) == {"A": 0.5, "C": 0.5}


def test_scores_of_several_units_have_no_mean() -> None:
    records = [
        made_task(name, of={"main_score": metric})[0] for name, metric in (("A", "map"), ("B", "log_likelihood"))
    ]
    assert scale_over(records[1:]).unit == "nats"
    with pytest.raises(BadInput, match="--metric-task"):
        scale_over(records)
