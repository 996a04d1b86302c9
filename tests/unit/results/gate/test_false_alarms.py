"""How often equal models seem to differ, and a real drop is seen: simulated pairs of models, and the paired test."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench.results.influence import average_precision_values, best_accuracy_values, spearman_values
from flagbench.results.statistics import sign_flip_test

Floats = NDArray[np.float64]
Pair = Callable[[np.random.Generator, float], tuple[Floats, Floats]]

PAIRS = 200
LEVEL = 0.05
PERMUTATIONS = 399


def _similarities(n: int, share: float, kind: Callable[[Floats, Floats], Floats]) -> Pair:
    """Two models that score pairs of texts with a binary gold label.

    Each adds noise to the truth: half of it is one and the same for both models, as texts are hard for all.

    Args:
        n: Pairs of texts.
        share: Of positives.
        kind: What makes values of gold and scores.
    """

    def draw(rng: np.random.Generator, worse: float) -> tuple[Floats, Floats]:
        gold = (rng.random(n) < share).astype(np.float64)
        shared = rng.normal(size=n)
        before, after = (
            np.round(signal * gold + np.sqrt(0.5) * shared + np.sqrt(0.5) * rng.normal(size=n), 3)
            for signal in (1.9, 1.9 - worse)
        )
        return kind(gold, before), kind(gold, after)

    return draw


def _retrieval(rng: np.random.Generator, worse: float) -> tuple[Floats, Floats]:
    """nDCG of two models on 1,000 queries with one relevant passage each: many zeros, many ones, few steps between."""
    hard = rng.normal(size=1_000)
    ranks = (np.floor(np.exp(1.2 * hard + rng.normal(size=1_000) + each)) for each in (0.0, worse))
    before, after = (np.where(rank < 10, 1 / np.log2(rank + 2), 0.0) for rank in ranks)
    return before, after


_LCQMC = _similarities(12_500, 0.5, spearman_values)
_EQUAL: dict[str, Pair] = {
    "STS of LCQMC's size": _LCQMC,
    "average precision": _similarities(4_000, 0.3, average_precision_values),
    "average precision with few positives": _similarities(4_000, 0.02, average_precision_values),
    "best accuracy": _similarities(2_000, 0.5, best_accuracy_values),
    "nDCG@10": _retrieval,
}


def _alarms(pair: Pair, worse: float) -> tuple[int, Floats]:
    """How many of the simulated drops are significant, and the differences of the scores."""
    alarms, differences = 0, []
    for seed in range(PAIRS):
        before, after = pair(np.random.default_rng(seed), worse)
        change = after - before
        differences.append(change.mean())
        if change.mean() < 0:
            alarms += sign_flip_test(change, permutations=PERMUTATIONS, seed=seed).p <= LEVEL
    return alarms, np.array(differences)


@pytest.mark.parametrize("name", _EQUAL)
def test_equal_models_seldom_alarm(name: str) -> None:
    alarms, _ = _alarms(_EQUAL[name], 0.0)
    assert alarms <= LEVEL * PAIRS
    assert alarms  # never to alarm is no merit: about half of the level is expected


def test_a_drop_of_two_points_is_caught() -> None:
    alarms, differences = _alarms(_LCQMC, 0.0932)
    assert -0.021 < differences.mean() < -0.019
    assert alarms >= 0.95 * PAIRS
