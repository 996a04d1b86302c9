"""The best of some settings, and the smallest that is not significantly worse than it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flagbench import counted
from flagbench.results.compare.compare import ALPHA, EQUAL
from flagbench.results.series.flips import sign_flip_ps
from flagbench.results.series.scores import Scores
from flagbench.results.statistics import holm, interval_of, smallest_p

_TOGETHER = 32
"""Runs whose draws are in memory at once: 5 MB."""


@dataclass(frozen=True)
class Against:
    """A run against the best one, over the items of both.

    Attributes:
        difference: Of its score to the best one's.
        low: Lower end of the interval of the difference.
        high: Upper end.
        p: Two-sided p-value of sign flips.
        adjusted: The same after Holm's correction for all runs that are held against this best one.
        worse: Whether it is significantly worse.
    """

    difference: float
    low: float
    high: float
    p: float
    adjusted: float
    worse: bool


@dataclass(frozen=True)
class Choice:
    """What is chosen of some runs.

    Attributes:
        best: Place of the run with the highest score, the smallest of equal ones; None without scores.
        smallest: Place of the first run, in the order of the settings, that is not significantly worse; None where
            that is inconclusive.
        why: Why it is; empty where it is not.
        tests: Of each other run that could be tested, by its place.
        too_few: Why none of these tests could find a difference; empty where one could.
    """

    best: int | None
    smallest: int | None
    why: str
    tests: Mapping[int, Against]
    too_few: str = ""


Means = Mapping[int, NDArray[np.float64]]
"""Scores over resampled items, ``float64[resamples]``, by place of the run: of those whose values are known."""


def choose(scores: Scores, order: Sequence[int], means: Means) -> Choice:
    """Choose among runs.

    Every run but the best is tested against it, by sign flips over the items that they share; Holm's correction is for
    these tests together.

    Args:
        scores: Theirs.
        order: Places of the runs, the smallest setting first; those without a score are passed over.
        means: See ``Scores.means``.
    """
    scored = [at for at in order if at in scores.scores]
    if len(scored) < 2:
        return Choice(scored[0] if scored else None, None, "fewer than two settings have a score", {})
    most = max(scores.scores[at] for at in scored)
    best = next(at for at in scored if scores.scores[at] >= most - EQUAL)
    others = [at for at in scored if at != best and at in means] if best in means else []
    tests = _tests(scores, best, others, means)
    too_few = ""
    if tests and smallest_p(scores.clusters) * len(tests) > ALPHA:
        items = counted(scores.items, "item")
        too_few = f"over {items} no difference of {counted(len(tests), 'test')} could be significant"
    smallest, why = _smallest(scores, scored, best, tests, too_few)
    return Choice(best, smallest, why, tests, too_few)


def _tests(scores: Scores, best: int, others: Sequence[int], means: Means) -> dict[int, Against]:
    if not others:
        return {}
    ps: list[float] = []
    for begin in range(0, len(others), _TOGETHER):
        ps += sign_flip_ps(scores.differences(best, others[begin : begin + _TOGETHER]))
    tests: dict[int, Against] = {}
    for at, p, adjusted in zip(others, ps, holm(ps).tolist(), strict=True):
        delta = scores.scores[at] - scores.scores[best]
        low, high = interval_of(means[at] - means[best])
        tests[at] = Against(delta, low, high, p, adjusted, adjusted <= ALPHA and delta < -EQUAL)
    return tests


def _smallest(
    scores: Scores, scored: Sequence[int], best: int, tests: Mapping[int, Against], too_few: str
) -> tuple[int | None, str]:
    """The first run that is not significantly worse than the best, unless one before it is not known to be worse."""
    if scored[0] == best:
        return best, ""
    if too_few:
        return None, too_few
    for at in scored:
        if at == best:
            return at, ""
        if at not in tests:
            return None, scores.untested(at, best)
        if not tests[at].worse:
            return at, ""
    return best, ""
