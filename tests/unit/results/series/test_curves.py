"""Points along an axis: scores, intervals and the choice by naive computation, and gaps that are never dropped."""

from __future__ import annotations

import itertools
import json
import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from flagbench.results.averages import Averages, Slice, Weights, weights
from flagbench.results.compare.compare import compare
from flagbench.results.figures import PERCENT
from flagbench.results.runs import Run, find_all
from flagbench.results.series.curves import Curve, Drawn, Measure, Point, draw
from flagbench.results.statistics import RESAMPLES
from flagbench.results.values import Values
from tests.unit.series_runs import dims_run, draws, series_run, spec_of

_ALPHA = 0.05
_BLOCK = 1 << 20


def drawn_of(output: Path, **options: Any) -> Drawn:
    return draw(find_all([output]), options.pop("means", {}), apart=options.pop("apart", lambda _: False), **options)


def measure_of(drawn: Drawn, label: str) -> Measure:
    (curves,) = drawn.curves
    return next(measure for measure in curves.measures if measure.label == label)


def curve_of(output: Path, label: str = "A", **options: Any) -> Curve:
    (curve,) = measure_of(drawn_of(output, **options), label).curves
    return curve


def lengths(output: Path, values: Sequence[Mapping[str, Sequence[float] | None]], **options: Any) -> None:
    """Runs of one model with max lengths of 10, 20 and so on."""
    for at, each in enumerate(values, 1):
        spec = spec_of(query_max_length=10 * at, passage_max_length=10 * at)
        series_run(output, f"org/m{at:03}", spec, each, **options)


@pytest.mark.parametrize("clustered", [False, True])
def test_a_difference_has_the_p_of_the_runs_side_by_side(tmp_path: Path, clustered: bool) -> None:
    """On tasks and their average, whatever their items: one difference had two p-values, on either side of 0.05."""
    for dims, lost in ((64, 0.011), (128, 0.0), (None, 0.009)):
        dims_run(tmp_path, dims, "fp32", {"A": 0.6 - lost, "B": 0.5 - lost}, kinds={"B": "STS"})
    runs = sorted(find_all([tmp_path]), key=lambda run: run.label != "org/model-dims128")
    runs = [replace(run, kept={task: _values(run, task, clustered) for task in ("A", "B")}) for run in runs]
    comparison = compare(runs)
    beside = {line.task: [cell.test for cell in line.cells] for line in comparison.lines}
    beside |= {each.label: [*each.tests] for each in comparison.averages}
    drawn = draw(runs, {}, apart=lambda _: False)
    for label in ("A", "B", "average"):
        (curve,) = measure_of(drawn, label).curves
        found = {point.run: point.against for point in curve.points}
        assert found.pop(0) is None, "the first run is the best"
        for at, test in enumerate(beside[label][1:], 1):
            assert test is not None
            assert (test.paired.clusters < test.paired.queries) is clustered
            against = found.pop(at)
            assert against is not None
            assert (against.p, against.difference) == (test.paired.p, pytest.approx(test.paired.difference))
        assert not found


def _values(run: Run, task: str, clustered: bool) -> Values:
    """The values of a task, of which each five are of one document."""
    its = run.values(task)
    assert its is not None
    ((split, by_subset),) = its.parts.items()
    ((subset, part),) = by_subset.items()
    (items,) = part.values()
    documents = {id_: f"document {at // 5}" for at, id_ in enumerate(items)}
    return replace(its, clusters={split: {subset: documents}}) if clustered else its


def naive_p(first: Sequence[int], second: Sequence[int]) -> Fraction:
    """Share of all signs of the differences with a sum as far from 0."""
    gains = [b - a for a, b in zip(first, second, strict=True)]
    patterns = list(itertools.product((1, -1), repeat=len(gains)))
    far = sum(abs(sum(s * g for s, g in zip(signs, gains, strict=True))) >= abs(sum(gains)) for signs in patterns)
    return Fraction(far, len(patterns))


def naive_holm(ps: Sequence[Fraction]) -> list[Fraction]:
    """Each p times how many are left, never less than one before it."""
    adjusted, least = [Fraction(0)] * len(ps), Fraction(0)
    for left, (at, p) in enumerate(sorted(enumerate(ps), key=lambda each: each[1])):
        least = max(least, min(Fraction(1), p * (len(ps) - left)))
        adjusted[at] = least
    return adjusted


def naive_interval(rows: Sequence[tuple[float, Sequence[float]]], seeds: Sequence[tuple[int, int]]) -> list[float]:
    """Ends of the interval of a weighted mean of means, over resampled items of each task."""
    means = np.zeros(RESAMPLES)
    for (weight, values), seed in zip(rows, seeds, strict=True):
        rng, given = np.random.default_rng(seed), np.array(values)
        block = max(1, _BLOCK // len(given))
        drawn: list[float] = []
        while len(drawn) < RESAMPLES:
            count = min(block, RESAMPLES - len(drawn))
            drawn += [float(given[ids].mean()) for ids in rng.integers(len(given), size=(count, len(given)))]
        means += weight * np.array(drawn)
    return [float(end) for end in np.quantile(means, [0.025, 0.975])]


@pytest.mark.parametrize("seed", range(6))
def test_the_choice_is_that_of_a_naive_computation(tmp_path: Path, seed: int) -> None:
    """Twelve items in hundredths, five points: every sign pattern, and Holm's correction by its definition."""
    drawn = random.Random(seed)
    hard = [drawn.randrange(20, 60) for _ in range(12)]
    points = [[value + drawn.randrange(0, 6 + 5 * at) for value in hard] for at in range(5)]
    drawn.shuffle(points)
    lengths(tmp_path, [{"A": [value / 100 for value in values]} for values in points])
    curve = curve_of(tmp_path)
    best = max(range(5), key=lambda at: sum(points[at]))
    others = [at for at in range(5) if at != best]
    adjusted = dict(zip(others, naive_holm([naive_p(points[best], points[at]) for at in others]), strict=True))
    smallest = next(at for at in range(5) if at == best or adjusted[at] > _ALPHA)
    assert (curve.best, curve.smallest, curve.why) == (best, smallest, "")
    for at in others:
        test = curve.points[at].against
        assert test is not None
        assert test.adjusted == pytest.approx(float(adjusted[at]), abs=1e-12)
        assert test.worse == (adjusted[at] <= _ALPHA)
        assert test.difference == pytest.approx((sum(points[at]) - sum(points[best])) / 1200)
    assert curve.points[best].against is None


def test_intervals_are_those_of_a_naive_computation(tmp_path: Path) -> None:
    values = {"A": draws(0.5, 30, 1), "B": draws(0.7, 12, 2)}
    better = {"A": draws(0.6, 30, 1), "B": draws(0.65, 12, 2)}
    lengths(tmp_path, [values, better])
    drawn = drawn_of(tmp_path, seed=7)
    seeds = {task: (7, zlib.crc32(task.encode())) for task in values}
    for task in values:
        (curve,) = measure_of(drawn, task).curves
        for point, its in zip(curve.points, (values, better), strict=True):
            assert [point.low, point.high] == pytest.approx(naive_interval([(1.0, its[task])], [seeds[task]]))
            assert (point.items, point.score) == (len(its[task]), pytest.approx(fmean(its[task])))
    (curve,) = measure_of(drawn, "average").curves
    halves = [[(0.5, its[task]) for task in values] for its in (values, better)]
    for point, rows in zip(curve.points, halves, strict=True):
        assert [point.low, point.high] == pytest.approx(naive_interval(rows, list(seeds.values())))
        assert point.score == pytest.approx(fmean(fmean(each) for _, each in rows))
    (test,) = (point.against for point in curve.points if point.against)
    differences = [
        (0.5, [b - a for a, b in zip(better[task], values[task], strict=True)])
        for task in values  # of the first point to the second, which is the best
    ]
    assert curve.best == 1
    assert [test.low, test.high] == pytest.approx(naive_interval(differences, list(seeds.values())))


def test_the_test_of_an_average_is_over_the_items_of_all_its_tasks(tmp_path: Path) -> None:
    """Eight items in two tasks, each worth as much as its task is over its items."""
    first = {"A": [10, 20, 30, 40, 50], "B": [60, 70, 80]}
    second = {"A": [14, 22, 36, 41, 53], "B": [63, 69, 88]}
    runs = [{task: [value / 100 for value in values] for task, values in each.items()} for each in (first, second)]
    lengths(tmp_path, runs)
    (test,) = (point.against for point in curve_of(tmp_path, "average").points if point.against)
    scaled = [[3 * value for value in each["A"]] + [5 * value for value in each["B"]] for each in (first, second)]
    assert test.p == float(naive_p(*scaled))


# How many points there are.


def test_two_points_are_a_curve(tmp_path: Path) -> None:
    lengths(tmp_path, [{"A": draws(0.4, 100, 1)}, {"A": draws(0.6, 100, 1)}])
    curve = curve_of(tmp_path)
    assert [point.value for point in curve.points] == [10, 20]
    assert (curve.best, curve.smallest) == (1, 1)


def test_one_run_has_no_curve(tmp_path: Path) -> None:
    lengths(tmp_path, [{"A": draws(0.4, 20, 1)}])
    assert drawn_of(tmp_path).curves == ()


def test_two_hundred_points(tmp_path: Path) -> None:
    """Scores rise to the 121st point and stay there: those far below are worse after a correction for 199 tests."""
    means = [0.3 + 0.3 * min(at, 120) / 120 for at in range(200)]
    for at, mean in enumerate(means):
        series_run(tmp_path, f"run/checkpoint-{at}", spec_of(revision=f"{at:016x}"), {"A": draws(mean, 60, 1)})
    curve = curve_of(tmp_path)
    assert [point.value for point in curve.points] == list(range(200))
    assert curve.best is not None
    assert curve.smallest is not None
    assert curve.best > 100
    assert 60 < curve.smallest <= curve.best
    assert all(point.against and point.against.worse for point in curve.points[: curve.smallest])


def test_equal_scores_are_best_where_the_setting_is_smallest(tmp_path: Path) -> None:
    values = draws(0.5, 40, 1)
    lengths(tmp_path, [{"A": values}] * 3)
    curve = curve_of(tmp_path)
    assert (curve.best, curve.smallest) == (0, 0)
    assert [point.against.p if point.against else None for point in curve.points] == [None, 1.0, 1.0]


# What is not known.


def test_points_without_a_score_are_gaps_with_their_reason(tmp_path: Path) -> None:
    values = draws(0.5, 20, 1)
    both: dict[str, Sequence[float] | None] = {"A": values, "B": values}
    lengths(tmp_path, [both, {"A": None, "B": values}, {"B": values}, both, both, both])
    spec = spec_of(query_max_length=70, passage_max_length=70)
    series_run(tmp_path, "org/m7", spec, both, changed={"A": {"status": "partial"}})
    drawn = drawn_of(tmp_path)
    gaps = [point.gap for point in measure_of(drawn, "A").curves[0].points]
    assert gaps == ["", "failed: out of memory", "not run", "", "", "", "over a part of its data"]
    assert [point.gap for point in measure_of(drawn, "B").curves[0].points] == [""] * 7
    average = measure_of(drawn, "average").curves[0]
    assert [point.gap for point in average.points] == ["", "lacks A", "lacks A", "", "", "", "lacks A"]
    assert [point.value for point in average.points] == [10, 20, 30, 40, 50, 60, 70]


def test_a_task_that_few_points_have_takes_no_average_from_the_others(tmp_path: Path) -> None:
    values = draws(0.5, 20, 1)
    lengths(tmp_path, [{"A": values, "B": values, "C": values}, {"A": values, "B": values}, {"A": values, "B": values}])
    drawn = drawn_of(tmp_path)
    average = measure_of(drawn, "average")
    assert (average.tasks, [point.gap for point in average.curves[0].points]) == (2, ["", "", ""])
    assert [point.gap for point in measure_of(drawn, "C").curves[0].points] == ["", "not run", "not run"]


def test_settings_that_no_run_has_are_gaps(tmp_path: Path) -> None:
    for dims, vectors in ((64, "int8"), (128, "int8"), (128, "fp32"), (None, "fp32")):
        dims_run(tmp_path, dims, vectors, {"A": 0.5})
    measure = measure_of(drawn_of(tmp_path), "A")
    found = {curve.other: [point.gap for point in curve.points] for curve in measure.curves}
    none = "no run has these settings"
    assert found == {"int8": ["", "", none], "fp32": [none, "", ""]}


def test_points_over_other_data_are_gaps_whichever_comes_first(tmp_path: Path) -> None:
    values = draws(0.5, 20, 1)
    lengths(tmp_path / "a", [{"A": values}] * 3)
    odd = {"A": {"data": {"status": "official", "content": {"test": {"rows": 7, "digest": "0" * 32}}}}}
    known = {"A": {"data": {"status": "official", "content": {"test": {"rows": 8, "digest": "1" * 32}}}}}
    for at, (length, changed) in enumerate(((5, odd), (60, known), (70, known), (80, known), (90, known))):
        spec = spec_of(query_max_length=length, passage_max_length=length)
        series_run(tmp_path / "b", f"org/x{at}", spec, {"A": values}, changed=changed)
    curve = curve_of(tmp_path / "b")
    assert [point.score is None for point in curve.points] == [True, False, False, False, False]
    assert curve.points[0].gap == (
        "not comparable: the content of the data in test: 8 rows 11111111… against 7 rows 00000000…"
    )


def test_points_over_other_queries_are_gaps(tmp_path: Path) -> None:
    lengths(tmp_path, [{"A": draws(0.5, 20, 1)}, {"A": draws(0.5, 21, 1)}, {"A": draws(0.6, 20, 1)}])
    gaps = [point.gap for point in curve_of(tmp_path).points]
    assert gaps == ["", "not comparable: 20 queries against 21, 20 of them shared", ""]


def test_without_values_scores_are_drawn_and_nothing_is_chosen(tmp_path: Path) -> None:
    lengths(tmp_path, [{"A": draws(mean, 20, 1)} for mean in (0.4, 0.5, 0.6)], kept=False)
    curve = curve_of(tmp_path)
    assert [(point.low, point.against) for point in curve.points] == [(None, None)] * 3
    assert (curve.best, curve.smallest, curve.why) == (2, None, "no values per item are kept")


def test_a_smaller_point_without_values_leaves_the_choice_open(tmp_path: Path) -> None:
    lengths(tmp_path, [{"A": draws(0.3, 60, 1)}], kept=False)
    for at, mean in enumerate((0.59, 0.6), 2):
        spec = spec_of(query_max_length=10 * at, passage_max_length=10 * at)
        series_run(tmp_path, f"org/m{at:03}", spec, {"A": draws(mean, 60, 1)})
    curve = curve_of(tmp_path)
    assert (curve.best, curve.smallest, curve.why) == (2, None, "no values per item are kept")
    assert curve.points[1].against is not None


def test_too_few_items_leave_the_choice_open(tmp_path: Path) -> None:
    """Of five items no p is below 2 / 32, so that nothing could be significant."""
    lengths(tmp_path, [{"A": [0.1] * 5}, {"A": [0.9] * 5}])
    curve = curve_of(tmp_path)
    assert (curve.best, curve.smallest) == (1, None)
    assert curve.why == "over 5 items no difference of 1 test could be significant"
    lengths(tmp_path / "six", [{"A": [0.1] * 6}, {"A": [0.9] * 6}])
    assert curve_of(tmp_path / "six").smallest == 1


def test_unread_values_leave_scores_alone(tmp_path: Path) -> None:
    lengths(tmp_path, [{"A": draws(0.4, 20, 1)}, {"A": draws(0.6, 20, 1)}])
    curve = curve_of(tmp_path, by_query=False)
    assert [(point.low, point.items) for point in curve.points] == [(None, None)] * 2
    assert (curve.best, curve.smallest) == (1, None)


# Averages.


def test_averages_are_of_types_and_of_benchmarks(tmp_path: Path) -> None:
    means = {"A": 0.4, "B": 0.5, "C": 0.7, "D": 0.8}
    kinds = {"C": "STS", "D": "STS"}
    values = {task: draws(mean, 20, 1) for task, mean in means.items()}
    lengths(tmp_path, [values, values], kinds=kinds)
    of = {"A": 0.5, "C": 0.25, "D": 0.25}
    means_of = {"Bench Avg": Weights(of), "Absent": Weights({"A": 0.5, "Z": 0.5})}
    drawn = drawn_of(tmp_path, means=means_of)
    labels = [measure.label for measure in drawn.curves[0].measures]
    assert labels == ["average", "Bench Avg", "Retrieval mean", "STS mean", "A", "B", "C", "D"]
    scores = {task: fmean(each) for task, each in values.items()}
    point = measure_of(drawn, "Bench Avg").curves[0].points[0]
    assert point.score == pytest.approx(sum(weight * scores[task] for task, weight in of.items()))


def test_an_average_of_several_main_scores_has_none_of_them(tmp_path: Path) -> None:
    values = {task: draws(0.5, 20, at) for at, task in enumerate("AB")}
    for metrics, wanted in ((("ndcg_at_10", "map"), ""), (("map", "map"), "map")):
        output = tmp_path / (wanted or "several")
        changed = {
            task: {"settings": {"model": spec_of(), "task": {"name": task, "main_score": metric}}}
            for task, metric in zip("AB", metrics, strict=True)
        }
        for length in (8, 16):
            spec = spec_of(query_max_length=length)
            its = {task: {"settings": {**each["settings"], "model": spec}} for task, each in changed.items()}
            series_run(output, f"org/m{length}", spec, values, changed=its)
        measure = measure_of(drawn_of(output, by_query=False), "average")
        assert (measure.metric, measure.scale) == (wanted, PERCENT)


def test_points_of_one_size_have_no_smallest_size(tmp_path: Path) -> None:
    recorded = {"dimensions": 8, "precision": "fp32", "bytes_per_million": 32 * 10**6}
    values = {"A": draws(0.5, 20, 1)}
    lengths(tmp_path, [values, values], changed={"A": {"vectors": recorded}})
    measure = measure_of(drawn_of(tmp_path), "A")
    assert [point.size for curve in measure.curves for point in curve.points] == [32e6, 32e6]
    assert measure.cheapest is None


def test_no_average_is_over_data_that_is_apart(tmp_path: Path) -> None:
    values = {task: draws(0.5, 20, 1) for task in ("A", "B")}
    lengths(tmp_path, [values, values])
    labels = [measure.label for measure in drawn_of(tmp_path, apart=lambda _: True).curves[0].measures]
    assert labels == ["A", "B"]


# Bytes.


def points_of(measure: Measure) -> dict[Any, Point]:
    return {(point.value, curve.other): point for curve in measure.curves for point in curve.points}


def test_the_fewest_bytes_that_are_not_worse(tmp_path: Path) -> None:
    losses = {"fp32": 0.0, "int8": 0.001, "binary": 0.2}
    for vectors, loss in losses.items():
        for dims, lost in ((64, 0.15), (None, 0.0)):
            dims_run(tmp_path, dims, vectors, {"A": 0.6 - loss - lost})
    measure = measure_of(drawn_of(tmp_path), "A")
    sizes = {key: point.size for key, point in points_of(measure).items()}
    assert sizes[64, "binary"] == 8e6
    assert sizes["full", "fp32"] == 4 * 384e6
    assert measure.cheapest is not None
    assert measure.cheapest.smallest is not None
    number, place = measure.cheapest.smallest
    curve = measure.curves[number]
    assert (curve.points[place].value, curve.other) == ("full", "int8")


def test_bytes_that_are_not_recorded_are_not_compared(tmp_path: Path) -> None:
    lengths(tmp_path, [{"A": draws(0.4, 20, 1)}, {"A": draws(0.6, 20, 1)}])
    assert measure_of(drawn_of(tmp_path), "A").cheapest is None


# Averages of parts of tasks.

_PARTS = {"A": {"en": draws(0.5, 8, 1), "de": draws(0.3, 5, 2), "fr": draws(0.6, 3, 3)}, "B": {"default": [0.2, 0.6]}}


def _in_subsets(output: Path, name: str, length: int, more: float) -> None:
    """A run whose task A has three subsets; German alone gets better by ``more``."""
    spec = spec_of(query_max_length=length, passage_max_length=length)
    better = {"en": 0.0, "de": more, "fr": 0.0, "default": 0.0}
    parts = {
        task: {subset: [value + better[subset] for value in values] for subset, values in its.items()}
        for task, its in _PARTS.items()
    }
    scores = {task: {"dev": {subset: fmean(values) for subset, values in its.items()}} for task, its in parts.items()}
    folder = series_run(
        output, name, spec, {"A": [0.0], "B": [0.0]}, changed={t: {"scores": scores[t]} for t in scores}
    )
    for task, its in parts.items():
        by_id = {
            subset: {"ndcg_at_10": {f"q{at}": value for at, value in enumerate(values)}}
            for subset, values in its.items()
        }
        (folder / Values.file(task)).write_text(Values(task, {"dev": by_id}).to_json(), encoding="utf-8")
    record = folder / "flagbench" / "run.json"
    document = json.loads(record.read_text(encoding="utf-8"))
    for task in document["tasks"].values():
        task["file_digests"] = {}
    record.write_text(json.dumps(document), encoding="utf-8")


def test_an_average_of_parts_is_scored_and_tested_over_their_items_alone(tmp_path: Path) -> None:
    """English is not in ``Others``: its items move neither the score, nor the interval, nor the test."""
    for at, more in enumerate((0.0, 0.05, 0.15), 1):
        _in_subsets(tmp_path, f"org/m{at}", 10 * at, more)
    german, french = (Slice("A", frozenset({("dev", subset)})) for subset in ("de", "fr"))
    averages: Averages = {"Others": [german, french, "B"], "German": [german]}
    means = {label: weights(averages, label) for label in averages}
    drawn = drawn_of(tmp_path, means=means, seed=3)
    third, (first, second, last) = 1 / 3, curve_of(tmp_path, "Others", means=means, seed=3).points
    de, fr = (_PARTS["A"][subset] for subset in ("de", "fr"))
    for point, more in ((first, 0.0), (second, 0.05), (last, 0.15)):
        assert point.score == pytest.approx(fmean([fmean(de) + more, fmean(fr), 0.4]))
    assert first.items == 10
    both = [value * third * 8 / 5 * 1.5 for value in de] + [value * third * 8 / 3 * 1.5 for value in fr]
    seeds = [(3, zlib.crc32(task.encode())) for task in ("A", "B")]
    assert [first.low, first.high] == pytest.approx(
        naive_interval([(2 * third, both), (third, _PARTS["B"]["default"])], seeds)
    )
    assert first.against is not None
    assert first.against.p == 2 / 2**5  # five items differ, each by as much
    assert first.against.difference == pytest.approx(-0.15 / 3)
    (of_german,) = measure_of(drawn, "German").curves
    assert [point.items for point in of_german.points] == [5, 5, 5]
    assert of_german.points[2].score == pytest.approx(fmean(de) + 0.15)


def test_an_average_of_parts_without_values_or_scores_of_them(tmp_path: Path) -> None:
    values = {"A": draws(0.5, 12, 1), "B": draws(0.6, 12, 2)}
    lengths(tmp_path, [values, values], kept=False)
    there, absent = (Slice("A", frozenset({("dev", subset)})) for subset in ("default", "xx"))
    averages: Averages = {"There": [there, "B"], "Absent": [absent, "B"]}
    drawn = drawn_of(tmp_path, means={label: weights(averages, label) for label in averages})
    (curve,) = measure_of(drawn, "There").curves
    assert [point.score for point in curve.points] == pytest.approx([(fmean(values["A"]) + fmean(values["B"])) / 2] * 2)
    assert (curve.smallest, curve.points[1].low) == (0, None)  # equal scores: the smallest is the best
    assert "Absent" not in {measure.label for curves in drawn.curves for measure in curves.measures}
