"""Intervals of scores and averages: against formulas, and as often right as they say."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.stats

from flagbench.results.averages import Slice, alike, weights
from flagbench.results.figures import PERCENT
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.shares import wilson
from flagbench.results.uncertainty import Shown, legend, measured, merged, of_average, of_task
from flagbench.results.values import Values
from tests.unit.results.test_runs import made_task


def _values(*parts: Any, clusters: Any = None) -> Values:
    """Of one metric, a part a subset."""
    named = {f"s{at}": {"m": {str(n): float(v) for n, v in enumerate(part)}} for at, part in enumerate(parts)}
    return Values("A", {"test": named}, {"test": {"s0": clusters}} if clusters else {})


def _record(*parts: Any, clusters: Any = None, **more: Any) -> TaskRecord:
    values = _values(*parts, clusters=clusters)
    scores = values.means("m")
    record = replace(made_task("A", 0.5)[0], scores=scores, **more)
    return replace(record, interval=measured(values, "m", scores, "ndcg_at_10"))


_GRADED = np.random.default_rng(1).choice([0, 0.4, 0.6, 1], size=50)


def test_a_mean_has_student_s_interval() -> None:
    found = of_task(_record(_GRADED))
    theirs = scipy.stats.ttest_1samp(_GRADED, 0).confidence_interval()
    assert found is not None
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-5)
    assert (found.error, found.freedom) == (pytest.approx(scipy.stats.sem(_GRADED)), pytest.approx(49))


def test_right_or_wrong_has_wilson_s_also_where_all_are_right() -> None:
    for right in (0, 1, 40, 50):
        found = of_task(_record([1] * right + [0] * (50 - right)))
        assert found is not None
        assert (found.low, found.high) == wilson(right, 50)
        assert found.error > 0


def test_a_score_s_ends_are_possible_scores() -> None:
    found = of_task(_record([1, 1, 1, 1, 1, 0.9]))
    assert found is not None
    assert found.high == 1
    assert found.low < 0.96


@pytest.mark.parametrize("parts", [[[0.5]], [[0.5] * 9], [[0.1, 0.9], [0.5]], [[0.1, 0.9], []]])
def test_what_shows_no_spread_has_no_interval(parts: list[list[float]]) -> None:
    scores = {"test": {f"s{at}": 0.5 for at in range(len(parts))}}
    assert measured(_values(*parts), "m", scores, "ndcg_at_10") is None


def test_subsets_are_strata() -> None:
    other = np.random.default_rng(2).random(8)
    found = of_task(_record(_GRADED, other))
    squares = [_GRADED.var(ddof=1) / 50 / 4, other.var(ddof=1) / 8 / 4]
    freedom = sum(squares) ** 2 / (squares[0] ** 2 / 49 + squares[1] ** 2 / 7)
    assert found is not None
    assert found.error == pytest.approx(math.sqrt(sum(squares)))
    assert found.freedom == pytest.approx(freedom)
    half = scipy.stats.t.ppf(0.975, freedom) * math.sqrt(sum(squares))
    score = (_GRADED.mean() + other.mean()) / 2
    assert found.ends == pytest.approx((score - half, score + half), rel=1e-4)


def test_clusters_widen_it() -> None:
    rng = np.random.default_rng(3)
    values = np.repeat(rng.random(20), 5)
    one = of_task(_record(values))
    other = of_task(_record(values, clusters={str(n): f"video {n // 5}" for n in range(100)}))
    assert one is not None
    assert other is not None
    assert other.error == pytest.approx(scipy.stats.sem(values[::5]))  # items of a cluster say nothing new here
    assert other.error > 2 * one.error


def test_right_or_wrong_in_clusters_that_are_all_right_counts_the_clusters() -> None:
    found = _record([1] * 40, clusters={str(n): str(n // 4) for n in range(40)}).interval
    assert found is not None
    assert found["parts"]["test"]["s0"] == {
        "error": pytest.approx((1 - wilson(10, 10)[0]) / 2 / 1.96, rel=1e-4),
        "items": 40,
        "clusters": 10,
    }


# Averages.


def test_an_average_s_tasks_are_strata() -> None:
    other = np.random.default_rng(2).random(8)
    one, two = _record(_GRADED), replace(_record(other), name="B")
    of = weights({"Avg": ["A", "B", "B", "B"]}, "Avg")
    found = of_average(of, 0.5, [one, two])
    assert found is not None
    error = math.hypot(0.25 * float(scipy.stats.sem(_GRADED)), 0.75 * float(scipy.stats.sem(other)))
    assert found.error == pytest.approx(error)
    assert (found.low + found.high) / 2 == pytest.approx(0.5)


def test_an_average_s_ends_are_possible_averages() -> None:
    high, right = _record([1, 1, 1, 1, 1, 0.9]), replace(_record([1] * 9 + [0]), name="B")
    found = of_average(alike(["A", "B"]), 0.99, [high, right])
    assert found is not None
    assert (found.high, found.low < 0.97) == (1, True)


def test_the_mean_of_one_task_has_its_interval() -> None:
    right = _record([1.0] * 46 + [0.0] * 2)  # Wilson's, which is not symmetric
    assert of_average(alike(["A"]), right.score, [right, replace(right, name="B")]) == of_task(right)
    assert of_average(alike(["C"]), right.score, [right]) is None


def test_a_part_of_a_task_counts_with_its_own_error() -> None:
    other = np.random.default_rng(2).random(8)
    found = of_average(alike([Slice("A", frozenset({("test", "s1")}))]), 0.5, [_record(_GRADED, other)])
    assert found is not None
    assert found.error == pytest.approx(scipy.stats.sem(other))


def test_an_average_with_an_unknown_part_has_none() -> None:
    old = replace(_record(_GRADED), name="B", interval=None)
    assert of_average(alike(["A", "B"]), 0.5, [_record(_GRADED), old]) is None
    assert of_average(alike(["A", "C"]), 0.5, [_record(_GRADED)]) is None
    assert of_average(alike(["A"]), None, [_record(_GRADED)]) is None


def test_of_a_sample_it_is_that_of_all_of_the_data() -> None:
    sample = {"profile": "quick", "items": 50, "of": 100, "error": 0.03}
    drawn = _record(_GRADED, sample=sample)
    found, score = of_task(drawn), drawn.score
    assert found is not None
    assert score is not None
    assert (found.low, found.high) == pytest.approx((score - 0.03, score + 0.03))
    assert of_task(replace(drawn, sample=sample | {"error": None})) is None
    mean = of_average(alike(["A", "B"]), 0.5, [drawn, replace(_record(_GRADED), name="B")])
    assert mean is not None
    assert mean.ends == pytest.approx((0.485, 0.515))  # B is over all of its data


# The line below tables.


def test_what_stands_behind_scores_is_said_and_samples_where_there_are_some() -> None:
    alike, apart = (PERCENT, 0.5, (0.4, 0.6)), (PERCENT, 0.9583, (0.8602, 0.9885))
    unknown: Shown = (PERCENT, 0.5, None)
    assert legend([unknown, (PERCENT, None, (0.4, 0.6))], samples=True) == []
    assert legend([unknown, alike], samples=False) == ["±: 95% confidence interval over the items of the tasks"]
    assert legend([apart], samples=False) == ["-/+: 95% confidence interval over the items of the tasks"]
    assert legend([apart, alike], samples=True) == [
        "± and -/+: 95% confidence interval over the items of the tasks (of a sample: for all of its data)"
    ]


# The record.


def test_splits_that_did_not_run_again_keep_their_part() -> None:
    whole = _record(_GRADED, _GRADED[:20])
    first, second = ({"test": {name: whole.scores["test"][name]}} for name in ("s0", "s1"))
    assert whole.interval is not None
    parts = whole.interval["parts"]["test"]
    before = replace(_record(_GRADED), scores=first)
    again = replace(
        whole, scores={"dev": second["test"]}, interval={"low": 0, "high": 1, "parts": {"dev": {"s1": parts["s1"]}}}
    )
    after = replace(again, scores={**first, **again.scores})
    found = merged(before, after)
    assert found is not None
    assert found["parts"] == {"test": {"s0": parts["s0"]}, "dev": {"s1": parts["s1"]}}
    assert (found["low"], found["high"]) == pytest.approx((whole.interval["low"], whole.interval["high"]))
    assert merged(replace(before, interval=None), after) is None


def test_a_record_keeps_it_and_refuses_one_that_is_of_another_score() -> None:
    record = _record(_GRADED)
    run = RunRecord("b", "o/m", "r", {}, (), {}, {"A": record})
    assert RunRecord.from_json(run.to_json()).tasks["A"].interval == record.interval
    assert record.interval is not None
    other = replace(record, interval={**record.interval, "high": record.interval["low"]})
    with pytest.raises(ValueError, match="the interval of task A does not hold its score"):
        RunRecord.from_json(replace(run, tasks={"A": other}).to_json())
