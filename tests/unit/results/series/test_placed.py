"""Checkpoints one after the other: the best one, and the test of a weighted mean over tasks against brute force."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.results.averages import Weights
from flagbench.results.runs import find_all
from flagbench.results.series.curves import draw
from flagbench.results.series.placed import placed, scale_over, weights_over
from tests.unit.results.compare.test_compare import runs_of, with_values
from tests.unit.results.test_runs import made_task
from tests.unit.series_runs import draws, series_run, spec_of

ALONE = Weights({"A": 1.0})

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
    found = dict(zip(names, placed(runs, Weights(of)), strict=True))
    scores = {name: 0.25 * sum(its["A"]) / 500 + 0.75 * sum(its["B"]) / 300 for name, its in values.items()}
    assert {name: each.score for name, each in found.items()} == pytest.approx(scores)
    best = max(scores, key=lambda name: scores[name])
    assert [name for name, each in found.items() if each.best] == [best]
    others = {name: _by_hand(values[name], values[best], of) for name in values if name != best}
    small, large = sorted(p for _, p in others.values())
    for name, (difference, p) in others.items():
        test = found[name].against
        assert test is not None
        assert (test.difference, test.p) == (pytest.approx(-difference), pytest.approx(p))
        holm = 2 * small if p == small else max(large, 2 * small)
        assert test.adjusted == pytest.approx(min(1.0, holm))
        assert found[name].worse == (test.adjusted <= 0.05)
    assert found["one"].worse


def test_of_equal_ones_the_first_is_the_best(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, one=[with_values("A", [1] * 12)], two=[with_values("A", [3] * 12)])
    again = [runs[0], runs[1], runs[1]]
    assert [each.best for each in placed(again, ALONE)] == [False, True, False]
    assert [each.worse for each in placed(again, ALONE)] == [True, False, False]
    assert [each.against for each in placed(again, ALONE, tests=False)] == [None] * 3


def test_what_has_no_score_or_other_data_has_no_test_and_says_why(tmp_path: Path) -> None:
    runs = runs_of(
        tmp_path,
        a=[with_values("A", [50] * 12)],
        b=[with_values("A", [90] * 12, of={"main_score": "map"})],
        c=[made_task("A", None, status="error", error="no memory")],
        d=[made_task("A", 0.2)],
        e=[with_values("B", [40] * 12)],
        f=[with_values("A", [30] * 12)],
    )
    found = placed(runs, ALONE)
    assert [each.score for each in found] == [0.5, None, None, 0.2, None, pytest.approx(0.3)]
    assert [each.worse for each in found] == [False, None, None, None, None, True]
    assert found[1].lacking == "not comparable: main score ndcg_at_10 against map"
    assert found[3].inconclusive == "no values per item are kept"
    assert found[2].lacking == "failed: no memory"
    assert found[4].lacking == "not run"
    mean = placed(runs, Weights({"A": 0.5, "B": 0.5}))
    assert [each.lacking for each in mean] == ["lacks B", "lacks A, B", "lacks A, B", "lacks B", "lacks A", "lacks B"]
    assert [(each.best, each.lacking) for each in placed(runs[2:3], ALONE)] == [(False, "lacks A")]


def test_few_items_are_inconclusive(tmp_path: Path) -> None:
    """Of four items no sign pattern has a p-value of less than 1 in 8."""
    runs = runs_of(tmp_path, one=[with_values("A", [1] * 4, _IDS[:4])], two=[with_values("A", [90] * 4, _IDS[:4])])
    one, two = placed(runs, ALONE)
    assert (two.best, one.worse) == (True, None)
    assert one.inconclusive == "over 4 items no difference of 1 test could be significant"


@pytest.mark.parametrize("tasks", [["A"], ["A", "B"]])
def test_it_says_what_the_curve_of_the_same_runs_says(tmp_path: Path, tasks: list[str]) -> None:
    """``flagbench watch`` against ``flagbench compare`` and the page: best, p-values, and who is not worse."""
    means = {100: (0.40, 0.50), 200: (0.62, 0.55), 300: (0.638, 0.556), 400: (0.58, 0.53), 500: (0.64, 0.555)}
    for step, each in means.items():
        values = {task: draws(mean, 60, at, 0.02) for at, (task, mean) in enumerate(zip("AB", each, strict=True))}
        name = f"ft/checkpoint-{step}"
        series_run(tmp_path, name, spec_of(name=name, revision="main"), {task: values[task] for task in tasks})
    runs = sorted(find_all([tmp_path]), key=lambda run: int(run.record.model.rsplit("-", 1)[1]))
    found = placed(runs, weights_over(tasks, {}))
    (curves,) = draw(runs, {}, apart=lambda _: False).curves
    (curve,) = curves.measures[0].curves
    assert curves.series.axis.key == "step"
    assert [each.score for each in found] == [point.score for point in curve.points]
    assert [each.best for each in found] == [at == curve.best for at in range(5)]
    assert [each.against for each in found] == [point.against for point in curve.points]
    as_good = [at for at, each in enumerate(found) if each.worse is False]
    assert as_good[0] == curve.smallest
    assert 0 not in as_good
    assert len(as_good) > 1


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
