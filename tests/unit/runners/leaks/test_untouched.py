"""Scores without what is in the training data, against scipy and means taken by hand."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from flagbench.runners.leaks.untouched import compared, permuted, render, spread, verdicts
from flagbench.runners.terminal import console


def drawn(seed: int, touched: int, others: int, gain: float) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.beta(2, 2, touched) + gain, rng.beta(2, 3, others)])
    order = rng.permutation(touched + others)
    return values[order], (np.arange(touched + others) < touched)[order]


def test_one_cell_against_scipy() -> None:
    values, is_touched = drawn(1, 60, 300, 0.1)
    found = compared("T", {("test", "default"): (values, is_touched)})
    test = stats.ttest_ind(values[is_touched], values[~is_touched], equal_var=False)
    interval = test.confidence_interval(0.95)
    assert (found.items, found.touched) == (360, 60)
    assert found.score == pytest.approx(values.mean())
    assert found.on_touched == pytest.approx(values[is_touched].mean())
    assert found.on_untouched == pytest.approx(values[~is_touched].mean())
    assert found.p == pytest.approx(test.pvalue, abs=0.002)
    assert (found.difference_low, found.difference_high) == pytest.approx((interval.low, interval.high), abs=0.005)
    others = values[~is_touched]
    theirs = stats.t.interval(0.95, 299, others.mean(), stats.sem(others))
    assert (found.low, found.high) == pytest.approx(theirs)


def test_p_is_the_share_of_choices_that_differ_as_much() -> None:
    rng = np.random.default_rng(7)
    for values in (rng.random(11), rng.integers(0, 2, 11).astype(float), np.repeat(rng.random(4), 3)[:11]):
        chosen = [values[list(each)] for each in combinations(range(11), 4)]
        gaps = np.array([each.mean() - (values.sum() - each.sum()) / 7 for each in chosen])
        share = (np.abs(gaps) >= abs(gaps[0]) - 1e-9).mean()
        assert permuted([(values[:4], values[4:])]) == pytest.approx(share, abs=0.012)


def test_p_of_many_values_and_several_samples() -> None:
    rng = np.random.default_rng(8)
    pairs = [(rng.random(70) + 0.06, rng.random(40)), (rng.random(30) + 0.06, rng.random(90))]
    gap = np.mean([one.mean() - other.mean() for one, other in pairs])
    error = np.sqrt(sum(np.concatenate(pair).var(ddof=1) * (1 / len(pair[0]) + 1 / len(pair[1])) for pair in pairs)) / 2
    assert permuted(pairs) == pytest.approx(2 * stats.norm.sf(abs(gap) / error), abs=0.01)


def test_few_right_answers_are_no_proof() -> None:
    """Welch's test has p < 1e-8 here: three right answers have no variance."""
    values = np.concatenate([np.ones(3), np.arange(200) % 10 < 7]).astype(float)
    found = compared("T", {("test", "default"): (values, np.arange(203) < 3)})
    assert found.p == pytest.approx(stats.hypergeom.pmf(3, 203, 143, 3) + stats.hypergeom.cdf(1, 203, 143, 3), abs=0.02)
    assert found.difference_low is not None
    assert found.difference_low < 0 < found.difference_high  # type: ignore[operator]
    assert "no task" in verdicts([replace(found, adjusted=found.p)])[0]


def test_all_right_against_all_wrong_is_told() -> None:
    found = compared("T", {("test", "default"): (np.repeat([1.0, 0.0], 20), np.arange(40) < 20)})
    assert found.p is not None
    assert found.p < 0.001
    assert verdicts([replace(found, adjusted=found.p)])[0].startswith("T: 100.0 points better")


@pytest.mark.parametrize("count", [1, 2])
def test_interval_of_few_items_is_that_of_a_score(count: int) -> None:
    right = compared("T", {("test", "default"): (np.ones(count), np.zeros(count, bool))}, "accuracy")
    theirs = stats.binomtest(count, count).proportion_ci(0.95, "wilson")
    assert (right.low, right.high) == pytest.approx((theirs.low, theirs.high))
    graded = compared("T", {("test", "default"): (np.linspace(0.2, 0.4, count), np.zeros(count, bool))}, "ndcg_at_10")
    assert (graded.low is None) == (count == 1)


def test_score_of_several_cells_is_the_mean_of_their_means() -> None:
    cells = {("test", "a"): drawn(2, 10, 30, 0.0), ("test", "b"): drawn(3, 50, 500, 0.2)}
    found = compared("T", cells)
    apart = [values[~is_touched].mean() for values, is_touched in cells.values()]
    assert found.on_untouched == pytest.approx(np.mean(apart))
    assert found.score == pytest.approx(np.mean([values.mean() for values, _ in cells.values()]))
    gains = [values[is_touched].mean() - values[~is_touched].mean() for values, is_touched in cells.values()]
    assert found.difference == pytest.approx(np.mean(gains))


@pytest.mark.parametrize(("touched", "shares"), [(25, (0.4, 0.4)), (3, (0.4, 0.4)), (3, None)])
def test_false_alarms_are_no_more_than_the_level_says(touched: int, shares: tuple[float, float] | None) -> None:
    alarms = beside = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        values = rng.beta(*shares, 120) if shares else (rng.random(120) < 0.9).astype(float)
        pair = (values[:touched], values[touched:])
        alarms += permuted([pair], permutations=199) <= 0.05
        difference, half = spread([pair])
        beside += abs(difference) > half
    assert alarms / 300 < 0.08
    assert beside / 300 < 0.11


@pytest.mark.parametrize("touched", [0, 1, 19, 20])
def test_too_few_for_a_test(touched: int) -> None:
    values = np.linspace(0, 1, 20)
    found = compared("T", {("test", "default"): (values, np.arange(20) < touched)})
    assert found.p is None
    assert (found.on_touched is None) == (touched == 0)
    assert (found.on_untouched is None) == (touched == 20)


def test_values_that_are_all_alike() -> None:
    found = compared("T", {("test", "default"): (np.ones(8), np.arange(8) < 4)})
    assert (found.difference, found.p) == (0.0, None)
    assert verdicts([found]) == []


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_narrow_terminal_gets_several_tables_and_whole_words(width: int) -> None:
    values, is_touched = drawn(1, 60, 300, 0.1)
    out = console(file=io.StringIO(), width=width, text=True)
    out.print(render([compared("ThuNewsClusteringS2S", {("test", "default"): (values, is_touched)})], "org/m"))
    lines = str(out.file.getvalue()).splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= width
    names = [line for line in lines if "ThuNewsClusteringS2S" in line]
    assert len(names) == sum(line.startswith("┃ task") for line in lines)
    assert (len(names) == 1) == (width == 140)
    assert any("untouched" in line for line in lines)
