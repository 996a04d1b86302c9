"""Two systems on the same items: the difference of their scores, its interval, and whether chance explains it.

One task is a stratum, an average has several: the difference is the weighted mean of theirs, signs are flipped and
items resampled within each task by itself, and nothing is drawn twice for that.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flagbench.results.intervals import Clusters, bca_interval, student_interval, welch
from flagbench.results.statistics import (
    EXACT_UP_TO,
    PERMUTATIONS,
    ROUNDING,
    Seed,
    SignFlip,
    flipped_sums,
    resampled_means,
    resampled_together,
    sign_flip_test,
    smallest_p,
)

_BCA_FROM = 30
"""Clusters. A bootstrap of fewer is too narrow: it has the spread of the items, not that of what they are from."""


@dataclass(frozen=True)
class Paired:
    """Two systems on the same queries.

    Attributes:
        queries: How many.
        difference: Mean of the second system's values minus the first's.
        low: Lower end of the interval of ``difference``; None of a single query or cluster, which shows no spread.
        high: Upper end.
        p: See SignFlip.
        permutations: See SignFlip.
        exact: See SignFlip.
        better: Queries on which the second is better.
        same: Queries on which they are equal.
        worse: Queries on which it is worse.
        clusters: Clusters of these; as many as queries where each is one of its own.
        moving: Clusters with a difference in sum.
        error: Standard error of ``difference``; None where there is no interval.
        freedom: Degrees of freedom of that; None where there is no interval, or no spread.
        interval: How the interval was made; empty without one.
        smallest_p: The least p that a test over as many moving clusters can give.
    """

    queries: int
    difference: float
    low: float | None
    high: float | None
    p: float
    permutations: int
    exact: bool
    better: int
    same: int
    worse: int
    clusters: int
    moving: int
    error: float | None
    freedom: float | None
    interval: Literal["BCa", "Student", ""]
    smallest_p: float


class Differences:
    """Differences of two systems on one task, with the draws of its test and of its interval, which are made once.

    Args:
        first: ``[n]`` values, one an item.
        second: ``[n]`` values of the same items, in the same order.
        clusters: Cluster of each item; None where each is one of its own.
        seed: Of the draws.

    Raises:
        ValueError: They are not as many, none, or not all finite.
    """

    def __init__(
        self, first: ArrayLike, second: ArrayLike, *, clusters: Sequence[Hashable] | None = None, seed: Seed = 0
    ) -> None:
        before, after = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
        if before.shape != after.shape:
            raise ValueError(f"{before.shape} values cannot be paired with {after.shape}")
        if before.ndim != 1 or not len(before):
            raise ValueError(f"differences of {before.shape} values: a row of one or more is needed")
        given = after - before
        if not np.isfinite(given).all():
            raise ValueError("a difference is not finite")
        self.seed = seed
        self.of = Clusters.of(given, clusters)
        self.better, self.worse = int((given > 0).sum()), int((given < 0).sum())

    @cached_property
    def moving(self) -> NDArray[np.float64]:
        """Sums of the clusters that have one, over the number of items: what adds to the mean difference."""
        totals = self.of.totals
        found: NDArray[np.float64] = totals[totals != 0] / self.of.items
        return found

    @cached_property
    def flipped(self) -> NDArray[np.float64]:
        """``float64[PERMUTATIONS]``: mean differences with the signs of clusters flipped as they are drawn."""
        return flipped_sums(self.moving, seed=self.seed)

    @cached_property
    def resampled(self) -> NDArray[np.float64]:
        """``float64[RESAMPLES]``: mean differences of resampled clusters."""
        return resampled_means(self.of, seed=self.seed)


def draw_together(several: Sequence[Differences]) -> None:
    """Make the draws of several differences, which are the same wherever as many clusters have the same seed.

    What each finds is what it finds alone; drawing it once takes the most of its time off.

    Args:
        several: Whose draws are kept until they are gone: ``float64[PERMUTATIONS + RESAMPLES]`` of each.
    """
    flip_together(several)
    resamples = defaultdict[Hashable, list[Differences]](list)
    for its in several:
        if len(its.of) >= _BCA_FROM:
            resamples[_seed_of(its), len(its.of)].append(its)
    for alike in resamples.values():
        if len(alike) > 1:
            means = resampled_together([its.of for its in alike], seed=alike[0].seed)
            for its, resampled in zip(alike, means, strict=True):
                its.resampled = resampled


def flip_together(several: Sequence[Differences]) -> None:
    """The same of the draws of signs alone.

    Args:
        several: See ``draw_together``.
    """
    flips = defaultdict[Hashable, list[Differences]](list)
    for its in several:
        flips[_seed_of(its), len(its.moving)].append(its)
    for alike in flips.values():
        if len(alike) > 1:
            sums = flipped_sums(np.stack([its.moving for its in alike], axis=1), seed=alike[0].seed)
            for its, flipped in zip(alike, np.ascontiguousarray(sums.T), strict=True):
                its.flipped = flipped


def _seed_of(its: Differences) -> Hashable:
    return its.seed if isinstance(its.seed, int) else tuple(its.seed)


class Flips:
    """The sign-flip test of the weighted sum of the differences of several tasks, added one by one and not kept."""

    def __init__(self) -> None:
        self.difference = 0.0
        self.moving = 0
        self._size = 0.0
        self._flipped: NDArray[np.float64] | float = 0.0
        self._few: list[NDArray[np.float64]] = []

    def add(self, its: Differences, weight: float = 1.0) -> None:
        """Add a task.

        Args:
            its: Its differences.
            weight: Of the task.
        """
        moving = weight * its.moving
        self.difference += weight * its.of.mean
        self._size += float(np.abs(moving).sum())
        self.moving += len(moving)
        if self.moving <= EXACT_UP_TO:
            self._few.append(moving)
        self._flipped = self._flipped + weight * its.flipped

    def test(self) -> SignFlip:
        """The test of the sum: of few clusters over all patterns, else with the patterns drawn."""
        if self.moving <= EXACT_UP_TO:
            return sign_flip_test(np.concatenate([*self._few, np.zeros(1)]))
        far = abs(self.difference) - ROUNDING * self._size
        as_far = int((np.abs(self._flipped) >= far).sum())
        return SignFlip((1 + as_far) / (1 + PERMUTATIONS), PERMUTATIONS, False)


class Strata:
    """The weighted sum of the differences of several tasks, which are added one by one and not kept."""

    def __init__(self) -> None:
        self._items = self._better = self._worse = self._clusters = 0
        self._flips = Flips()
        self._resampled: NDArray[np.float64] | float = 0.0
        self._jackknifed: list[NDArray[np.float64]] = []
        self._squares: list[float] = []
        self._freedoms: list[float] = []
        self._fewest: float = math.inf

    def add(self, its: Differences, weight: float = 1.0) -> None:
        """Add a task.

        Args:
            its: Its differences.
            weight: Of the task.
        """
        of = its.of
        self._items += of.items
        self._better, self._worse = self._better + its.better, self._worse + its.worse
        self._clusters += len(of)
        self._flips.add(its, weight)
        self._fewest = min(self._fewest, len(of))
        if self._fewest >= _BCA_FROM:
            self._resampled = self._resampled + weight * its.resampled
            self._jackknifed.append(weight * of.jackknife)
        if (error := of.error) is not None:
            self._squares.append((weight * error) ** 2)
            self._freedoms.append(len(of) - 1)

    def result(self) -> Paired:
        """The verdict on what was added: one task or more."""
        test, difference, freedom, error = self._flips.test(), self._flips.difference, None, None
        low: float | None = None
        high: float | None = None
        name: Literal["BCa", "Student", ""] = ""
        if self._fewest > 1:
            error, freedom = math.sqrt(sum(self._squares)), welch(self._squares, self._freedoms)
            if self._fewest >= _BCA_FROM and isinstance(self._resampled, np.ndarray):
                name, (low, high) = "BCa", bca_interval(difference, self._resampled, self._jackknifed)
            else:
                name, (low, high) = "Student", student_interval(difference, error, freedom)
        return Paired(
            queries=self._items,
            difference=difference,
            low=low,
            high=high,
            p=test.p,
            permutations=test.permutations,
            exact=test.exact,
            better=self._better,
            same=self._items - self._better - self._worse,
            worse=self._worse,
            clusters=self._clusters,
            moving=self._flips.moving,
            error=error,
            freedom=freedom if freedom is not None and math.isfinite(freedom) else None,
            interval=name,
            smallest_p=smallest_p(self._flips.moving),
        )


def paired(
    first: ArrayLike, second: ArrayLike, *, clusters: Sequence[Hashable] | None = None, seed: Seed = 0
) -> Paired:
    """Compare two systems on one task.

    Args:
        first, second, clusters, seed: See ``Differences``.

    Raises:
        ValueError: See ``Differences``.
    """
    strata = Strata()
    strata.add(Differences(first, second, clusters=clusters, seed=seed))
    return strata.result()
