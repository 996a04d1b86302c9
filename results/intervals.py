"""Intervals of means over items, from the items' values: Student's, Wilson's and the bootstrap's BCa.

A score that is no mean has values all the same, whose mean it is and whose spread is its own: see ``influence.py``.
Where items come in clusters (questions of one video, queries of one document) the clusters are what was drawn.
Which interval is taken where, and how often each holds the truth, is in docs/adr/0029-intervals.md.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95

_NORMAL = NormalDist()
_STEPS = 20_001
_NEARLY_NORMAL = 30


@dataclass(frozen=True, eq=False)
class Clusters:
    """Values of items, summed by cluster.

    Attributes:
        totals: ``float64[c]``, the sum of each cluster's values.
        sizes: ``float64[c]``, the number of its items.
        items: How many there are in all.
        mean: Of the items.
    """

    totals: NDArray[np.float64]
    sizes: NDArray[np.float64]
    items: int
    mean: float

    @classmethod
    def of(cls, values: ArrayLike, names: Sequence[Hashable] | None = None) -> Clusters:
        """Sum values by cluster.

        Args:
            values: ``[n]``, one or more.
            names: Cluster of each item, in step; None where each is one of its own.
        """
        given = np.asarray(values, dtype=np.float64)
        if names is None:
            return cls(given, np.ones(len(given)), len(given), float(given.mean()))
        places: dict[Hashable, int] = {}
        group = np.array([places.setdefault(name, len(places)) for name in names])
        totals = np.bincount(group, weights=given)
        return cls(totals.astype(np.float64), np.bincount(group).astype(np.float64), len(given), float(given.mean()))

    def __len__(self) -> int:
        return len(self.totals)

    @property
    def influences(self) -> NDArray[np.float64]:
        """``float64[c]``: the first order of what each cluster adds to the mean. They sum to 0."""
        found: NDArray[np.float64] = (self.totals - self.mean * self.sizes) / self.items
        return found

    @property
    def error(self) -> float | None:
        """Standard error of the mean; None of one cluster, which shows no spread.

        ``c / (c - 1)`` times the sum of the squared influences, and the root of that: of clusters of one item each it
        is the standard deviation over the root of n, of others the linearised variance of a ratio (Cochran, Sampling
        Techniques, 1977, section 6.3).
        """
        c = len(self)
        return math.sqrt(c / (c - 1) * float((self.influences**2).sum())) if c > 1 else None

    @property
    def jackknife(self) -> NDArray[np.float64]:
        """``float64[c]``: ``(c - 1)`` times how far the mean without a cluster is below the mean of such means."""
        if len(self) < 2:
            return np.zeros(len(self))
        without = (self.totals.sum() - self.totals) / (self.items - self.sizes)
        found: NDArray[np.float64] = (len(self) - 1) * (without.mean() - without)
        return found


@lru_cache(maxsize=512)
def student(freedom: float, level: float = LEVEL) -> float:
    """Standard errors on each side of a two-sided interval by Student's t.

    Args:
        freedom: Degrees of freedom, 1 or more, whole or not.
        level: Of the interval.

    Returns:
        1.96 for many degrees of freedom; right to five digits or more.
    """
    z = _NORMAL.inv_cdf((1 + level) / 2)
    if freedom > _NEARLY_NORMAL:  # Fisher and Cornish's expansion: Abramowitz and Stegun, 26.7.5
        terms = (
            z,
            (z**3 + z) / 4,
            (5 * z**5 + 16 * z**3 + 3 * z) / 96,
            (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
            (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
        )
        return sum(term / freedom**power for power, term in enumerate(terms))
    # With t = sqrt(freedom) tan(angle) the density is that of cos(angle) ^ (freedom - 1), whose integral is smooth.
    angles = np.linspace(0, math.pi / 2, _STEPS)
    heights = np.cos(angles) ** (freedom - 1)
    areas = np.concatenate([[0.0], np.cumsum(heights[1:] + heights[:-1])])
    return math.sqrt(freedom) * math.tan(float(np.interp(level, areas / areas[-1], angles)))


def student_interval(estimate: float, error: float, freedom: float) -> tuple[float, float]:
    """The ends of Student's 95% interval of an estimate.

    Args:
        estimate: It.
        error: Its standard error.
        freedom: Degrees of freedom of that; infinite of one without any spread.
    """
    half = student(freedom) * error
    return estimate - half, estimate + half


def welch(squares: Sequence[float], freedoms: Sequence[float]) -> float:
    """Degrees of freedom of a sum of independent estimates (Welch, 1947).

    Args:
        squares: Of each one's standard error, with its weight.
        freedoms: Degrees of freedom of each.

    Returns:
        Infinity where nothing varies.
    """
    least = sum(square * square / freedom for square, freedom in zip(squares, freedoms, strict=True) if square)
    return sum(squares) ** 2 / least if least else math.inf


def bca_interval(
    estimate: float, resampled: NDArray[np.float64], jackknifed: Sequence[NDArray[np.float64]], *, level: float = LEVEL
) -> tuple[float, float]:
    """Bias-corrected and accelerated interval (Efron, 1987).

    Args:
        estimate: Of all items.
        resampled: ``float64[resamples]``, the same of resampled items.
        jackknifed: ``Clusters.jackknife`` of each stratum that was resampled by itself, times its weight.
        level: Of the interval.

    Returns:
        The quantiles of ``resampled`` that ``scipy.stats.bootstrap`` would take; the estimate twice where nothing
        varies.
    """
    cubes = sum(float((its**3).sum()) / len(its) ** 3 for its in jackknifed)
    squares = sum(float((its**2).sum()) / len(its) ** 2 for its in jackknifed)
    below = float((resampled < estimate).sum() + (resampled <= estimate).sum()) / (2 * len(resampled))
    if not squares or not 0 < below < 1:
        return estimate, estimate
    bias, acceleration = _NORMAL.inv_cdf(below), cubes / squares**1.5 / 6

    def share(tail: float) -> float:
        moved = bias + _NORMAL.inv_cdf(tail)
        return _NORMAL.cdf(bias + moved / (1 - acceleration * moved))

    low, high = np.quantile(resampled, [share((1 - level) / 2), share((1 + level) / 2)])
    return float(low), float(high)
