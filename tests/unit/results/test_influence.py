"""Values of items behind scores that are no means: against naive recomputations, their peers and a bootstrap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

from flagbench.results.influence import average_precision_values, best_accuracy_values, spearman_values

Floats = NDArray[np.float64]
Statistic = Callable[[Floats, Floats], float]


def _pairs(seed: int, n: int, *, binary: bool) -> tuple[Floats, Floats]:
    """Gold and scores that agree somewhat, with ties in both."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    gold = (truth > 0.2).astype(np.float64) if binary else np.clip(np.round(4 * truth + 10), 0, 20) / 4
    return gold, np.round(0.6 * truth + rng.normal(0, 0.7, size=n), 1)


def _spearman(gold: Floats, scores: Floats) -> float:
    return float(spearmanr(gold, scores)[0])


def _precision(gold: Floats, scores: Floats) -> float:
    return float(average_precision_score(gold, scores))


def _best_accuracy(gold: Floats, scores: Floats) -> float:
    """As mteb words it: row by row down the ranking, a threshold only between different scores."""
    rows = sorted(zip(scores, gold, strict=True), key=lambda row: row[0], reverse=True)
    best = 0.0
    for place in range(1, len(rows)):
        if rows[place - 1][0] != rows[place][0]:
            right = sum(label == 1 for _, label in rows[:place]) + sum(label == 0 for _, label in rows[place:])
            best = max(best, right / len(rows))
    return best


def _weighted_spearman(gold: Floats, scores: Floats, weights: Floats) -> float:
    """Spearman's correlation of a distribution with these weights, by its definition, in quadratic time."""
    shares = [
        ((numbers[:, None] < numbers[None, :]) + 0.5 * (numbers[:, None] == numbers[None, :])).T @ weights
        for numbers in (gold, scores)
    ]
    centred = [each - weights @ each for each in shares]
    moments = [[float(weights @ (one * other)) for other in centred] for one in centred]
    return float(moments[0][1] / np.sqrt(moments[0][0] * moments[1][1]))


def _without_each(statistic: Statistic, gold: Floats, scores: Floats) -> Floats:
    return np.array([statistic(np.delete(gold, item), np.delete(scores, item)) for item in range(len(gold))])


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_spearman_is_the_derivative_in_each_item_s_weight(seed: int, binary: bool) -> None:
    gold, scores = _pairs(seed, 150, binary=binary)
    score, step = _spearman(gold, scores), 1e-6
    even = np.full(len(gold), 1 / len(gold))
    assert _weighted_spearman(gold, scores, even) == pytest.approx(score, abs=1e-12)
    slopes = [
        (_weighted_spearman(gold, scores, (1 - step) * even + step * one) - score) / step for one in np.eye(len(gold))
    ]
    values = spearman_values(gold, scores)
    assert values.mean() == pytest.approx(score, abs=1e-12)
    assert values - score == pytest.approx(np.array(slopes), abs=5e-5)


@pytest.mark.parametrize("binary", [False, True])
def test_spearman_is_near_leave_one_out(binary: bool) -> None:
    gold, scores = _pairs(5, 200, binary=binary)
    without = _without_each(_spearman, gold, scores)
    jackknife = _spearman(gold, scores) + (len(gold) - 1) * (without.mean() - without)
    values = spearman_values(gold, scores)
    assert np.corrcoef(values, jackknife)[0, 1] > 0.999
    assert np.abs(values - jackknife).max() < 0.05 * np.ptp(values)


def test_spearman_of_constants_is_no_number() -> None:
    assert np.isnan(spearman_values([1, 1, 1], [1, 2, 3])).all()


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_leave_one_out_itself(seed: int) -> None:
    gold, scores = _pairs(seed, 200, binary=True)
    without = _without_each(_precision, gold, scores)
    expected = _precision(gold, scores) + (len(gold) - 1) * (without.mean() - without)
    values = average_precision_values(gold, scores)
    assert values == pytest.approx(expected, abs=1e-9)
    assert values.mean() == pytest.approx(_precision(gold, scores), abs=1e-12)


@pytest.mark.parametrize("scores", [[3.0, 2.0, 1.0, 0.0], [0.0, 1.0, 2.0, 3.0], [1.0, 1.0, 1.0, 1.0]])
@pytest.mark.parametrize("gold", [[1, 0, 0, 1], [1, 1, 0, 0], [1, 1, 1, 1]])
def test_average_precision_at_the_ends(gold: list[int], scores: list[float]) -> None:
    labels, found = np.array(gold, dtype=np.float64), np.array(scores)
    without = _without_each(_precision, labels, found)
    expected = _precision(labels, found) + 3 * (without.mean() - without)
    assert average_precision_values(labels, found) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_best_accuracy_is_mteb_s(seed: int) -> None:
    gold, scores = _pairs(seed, 120, binary=True)
    assert best_accuracy_values(gold, scores).mean() == pytest.approx(_best_accuracy(gold, scores), abs=1e-12)


def test_best_accuracy_at_the_ends() -> None:
    assert best_accuracy_values([1, 0], [1.0, 1.0]).tolist() == [0, 0]  # no threshold: mteb's is 0 too
    assert best_accuracy_values([1, 0, 1], [3.0, 2.0, 1.0]).tolist() == [1, 1, 0]
    assert best_accuracy_values([1, 1, 1], [3.0, 2.0, 1.0]).tolist() == [1, 1, 0]  # none lies below all


@pytest.mark.parametrize(
    ("statistic", "values_of", "binary"),
    [
        (_spearman, spearman_values, False),
        (_spearman, spearman_values, True),
        (_precision, average_precision_values, True),
    ],
)
def test_their_spread_is_the_score_s_standard_error(
    statistic: Statistic, values_of: Callable[[Floats, Floats], Floats], binary: bool
) -> None:
    """As the jackknife has it, which leaves each item out in turn: nothing is drawn, so the bound can be close."""
    gold, scores = _pairs(11, 400, binary=binary)
    without, n = _without_each(statistic, gold, scores), len(gold)
    jackknife = np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum())
    assert values_of(gold, scores).std() / np.sqrt(n) == pytest.approx(jackknife, rel=0.006)


def test_the_spread_of_the_best_accuracy_is_a_share_s_standard_error() -> None:
    gold, scores = _pairs(11, 400, binary=True)
    share = _best_accuracy(gold, scores)
    error = best_accuracy_values(gold, scores).std() / 20
    assert error == pytest.approx(np.sqrt(share * (1 - share) / 400), rel=1e-9)
