"""Scores without what is in the training data, against scipy and means taken by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from flagbench.runners.leaks.untouched import compared, verdicts, welch


def drawn(seed: int, touched: int, others: int, gain: float) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.beta(2, 2, touched) + gain, rng.beta(2, 3, others)])
    order = rng.permutation(touched + others)
    return values[order], (np.arange(touched + others) < touched)[order]


def test_one_cell_is_welchs_test() -> None:
    values, is_touched = drawn(1, 60, 300, 0.1)
    found = compared("T", {("test", "default"): (values, is_touched)})
    test = stats.ttest_ind(values[is_touched], values[~is_touched], equal_var=False)
    interval = test.confidence_interval(0.95)
    assert (found.items, found.touched) == (360, 60)
    assert found.score == pytest.approx(values.mean())
    assert found.on_touched == pytest.approx(values[is_touched].mean())
    assert found.on_untouched == pytest.approx(values[~is_touched].mean())
    assert found.p == pytest.approx(test.pvalue)
    assert (found.difference_low, found.difference_high) == pytest.approx((interval.low, interval.high))
    spread = values[~is_touched].std() / 300**0.5
    assert found.low == pytest.approx(values[~is_touched].mean() - 1.96 * spread, abs=0.1 * spread)
    assert found.high == pytest.approx(values[~is_touched].mean() + 1.96 * spread, abs=0.1 * spread)


def test_score_of_several_cells_is_the_mean_of_their_means() -> None:
    cells = {("test", "a"): drawn(2, 10, 30, 0.0), ("test", "b"): drawn(3, 50, 500, 0.2)}
    found = compared("T", cells)
    apart = [values[~is_touched].mean() for values, is_touched in cells.values()]
    assert found.on_untouched == pytest.approx(np.mean(apart))
    assert found.score == pytest.approx(np.mean([values.mean() for values, _ in cells.values()]))
    gains = [values[is_touched].mean() - values[~is_touched].mean() for values, is_touched in cells.values()]
    assert found.difference == pytest.approx(np.mean(gains))


def test_false_alarms_are_as_many_as_the_level_says() -> None:
    alarms = 0
    for seed in range(2_000):
        values = np.random.default_rng(seed).beta(0.4, 0.4, 120)
        p = welch([(values[:25], values[25:])])[2]
        assert p is not None
        alarms += p < 0.05
    assert 0.035 < alarms / 2_000 < 0.065


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
