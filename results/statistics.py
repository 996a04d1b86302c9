"""What significance is told by: sign flips, resamples, and the correction for many tests.

What goes in are differences of two systems, item by item, or the values of one. ``paired.py`` makes a verdict of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flagbench.results.intervals import LEVEL, Clusters

PERMUTATIONS = 19_999
"""Sign patterns drawn; with the observed one among them the smallest p-value is 1 / 20,000."""

RESAMPLES = 9_999

EXACT_UP_TO = 16
"""With as many differences, or fewer, all sign patterns (65,536) are looked at instead of some."""

_BLOCK = 1 << 20
"""Numbers in memory at a time."""

_NEAR = 1 << 16
"""Numbers that stay near the processor while several rows are summed over them."""

ROUNDING = 1e-12
"""Sums that are this near in relation to their terms are equal: the order of addition alone moves them apart."""

Seed = int | Sequence[int]


@dataclass(frozen=True)
class SignFlip:
    """Result of a sign-flip test.

    Attributes:
        p: Two-sided p-value.
        permutations: Sign patterns looked at.
        exact: Whether these are all there are.
    """

    p: float
    permutations: int
    exact: bool


def sign_flip_test(differences: ArrayLike, *, permutations: int = PERMUTATIONS, seed: Seed = 0) -> SignFlip:
    """Two-sided paired randomisation test of the mean difference (Fisher's; for retrieval: Smucker et al., CIKM 2007).

    If the systems are alike, each difference is as likely with the other sign. The p-value is the share of sign
    patterns with a sum as far from 0 as the observed one, or farther. Where the patterns are drawn, the observed one
    counts as one more (Phipson and Smyth, 2010), so that the p-value is never 0 and the test never too bold.

    Args:
        differences: ``[n]``.
        permutations: Patterns drawn where there are too many for all.
        seed: Of the draws.

    Raises:
        ValueError: There is no difference given, or one is not finite.
    """
    given = _checked(differences)
    moving = given[given != 0]  # a difference of 0 has no sign to flip
    far = abs(moving.sum()) - ROUNDING * np.abs(moving).sum()
    if len(moving) <= EXACT_UP_TO:
        sums = np.zeros(1)
        for difference in moving:
            sums = np.concatenate([sums + difference, sums - difference])
        return SignFlip(float((np.abs(sums) >= far).mean()), len(sums), True)
    as_far = int((np.abs(flipped_sums(moving, permutations=permutations, seed=seed)) >= far).sum())
    return SignFlip((1 + as_far) / (1 + permutations), permutations, False)


def flipped_sums(
    values: NDArray[np.float64], *, permutations: int = PERMUTATIONS, seed: Seed = 0
) -> NDArray[np.float64]:
    """Sums of values of which each has its sign or the other one, as it is drawn.

    Args:
        values: ``float64[n]``, or ``float64[n, rows]`` for several rows with the same patterns.
        permutations: Patterns drawn.
        seed: Of the draws.

    Returns:
        ``float64[permutations]``, or ``float64[permutations, rows]``.
    """
    sums = np.zeros((permutations, *values.shape[1:]))
    whole = values.sum(axis=0)
    for at, plus in sign_patterns(len(values), permutations=permutations, seed=seed):
        sums[at] = 2 * (plus @ values) - whole
    return sums


def sign_patterns(
    n: int, *, permutations: int = PERMUTATIONS, seed: Seed = 0
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """The patterns of signs that a seed draws for so many values, a block in memory at a time.

    Args:
        n: Values; of none there is no block.
        permutations: Patterns drawn.
        seed: Of the draws.

    Yields:
        Where the block is, and ``float64[block, n]``: 1 where a value has its sign, 0 where it has the other one.
    """
    rng = np.random.default_rng(seed)
    width = -(-n // 8)
    rows = max(1, _BLOCK // max(1, n))
    for begin in range(0, permutations if n else 0, rows):
        count = min(rows, permutations - begin)
        drawn = np.frombuffer(rng.bytes(count * width), dtype=np.uint8).reshape(count, width)
        yield slice(begin, begin + count), np.unpackbits(drawn, axis=1, count=n).astype(np.float64)


def resampled_means(of: Clusters, *, resamples: int = RESAMPLES, seed: Seed = 0) -> NDArray[np.float64]:
    """Means over resampled items, or over the items of resampled clusters (Efron, 1979).

    Args:
        of: The items, one or more.
        resamples: How many.
        seed: Of the draws.

    Returns:
        ``float64[resamples]``.
    """
    found: NDArray[np.float64] = resampled_together([of], resamples=resamples, seed=seed)[0]
    return found


def resampled_together(
    several: Sequence[Clusters], *, resamples: int = RESAMPLES, seed: Seed = 0
) -> NDArray[np.float64]:
    """The same of several rows of items with as many clusters, whose draws are the same: each as it is alone.

    Args:
        several: One or more.
        resamples: How many.
        seed: Of the draws.

    Returns:
        ``float64[len(several), resamples]``.
    """
    rng = np.random.default_rng(seed)
    c = len(several[0])
    rows, near = max(1, _BLOCK // c), max(1, _NEAR // c)
    means = np.empty((len(several), resamples))
    for begin in range(0, resamples, rows):
        drawn = rng.integers(c, size=(min(rows, resamples - begin), c))
        for part in range(0, len(drawn), near):
            its = drawn[part : part + near]
            at = slice(begin + part, begin + part + len(its))
            for row, of in enumerate(several):
                items = c if of.items == c else of.sizes.take(its).sum(axis=1)
                means[row, at] = of.totals.take(its).sum(axis=1) / items
    return means


def smallest_p(items: int, *, permutations: int = PERMUTATIONS) -> float:
    """The least p-value that ``sign_flip_test`` can give: where all differences have one sign, two patterns are as far.

    Args:
        items: Differences that are not 0.
        permutations: See ``sign_flip_test``.
    """
    return min(1.0, 2.0 ** (1 - items)) if items <= EXACT_UP_TO else 1 / (1 + permutations)


def bootstrap_means(
    values: ArrayLike, *, sizes: ArrayLike | None = None, resamples: int = RESAMPLES, seed: Seed = 0
) -> NDArray[np.float64]:
    """Means of several systems over the same resampled queries, or the queries of resampled clusters.

    As every system has the queries of one draw, the differences of its means to another's are the means of resampled
    differences.

    Args:
        values: ``[systems, n]``, in the same order of queries; with ``sizes`` their sums in each cluster.
        sizes: ``[n]``, the number of queries in each cluster; None where each query is one of its own.
        resamples: How many draws.
        seed: Of the draws.

    Returns:
        ``float64[systems, resamples]``.

    Raises:
        ValueError: There is no value given, or one is not finite.
    """
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 2 or not given.size:
        raise ValueError(f"values of shape {given.shape}: rows of one or more are needed")
    if not np.isfinite(given).all():
        raise ValueError("a value is not finite")
    systems, n = given.shape
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // n)
    means = np.empty((systems, resamples))
    for begin in range(0, resamples, rows):
        count = min(rows, resamples - begin)
        drawn = rng.integers(n, size=(count, n)) + n * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n).astype(np.float64)
        queries = n if sizes is None else times @ np.asarray(sizes, dtype=np.float64)
        means[:, begin : begin + count] = given @ times.T / queries
    return means


def pooled_quantiles(
    groups: Sequence[ArrayLike], shares: Sequence[float], *, resamples: int = 999, seed: Seed = 0
) -> list[tuple[float, float, float]]:
    """Quantiles of the values of several groups together, with percentile intervals over resampled groups.

    Values of one group depend on one another (requests of one stretch of time), so that whole groups are drawn, not
    values: the cluster bootstrap (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8).
    With few groups such an interval is rather too narrow than too wide.

    Args:
        groups: Values of each, one or more.
        shares: Of the values that are below, 0 to 1.
        resamples: How many draws of as many groups as there are.
        seed: Of the draws.

    Returns:
        For each share the quantile, interpolated as numpy does by default, and both ends of its interval.

    Raises:
        ValueError: There is no group, one has no values, or one that is not finite.
    """
    given = [_checked(group) for group in groups]
    if not given:
        raise ValueError("no values are given")
    drawn = np.sort(np.random.default_rng(seed).integers(len(given), size=(resamples, len(given))), axis=1)
    which, times = np.unique(drawn, axis=0, return_counts=True)
    found = np.array([np.quantile(np.concatenate([given[each] for each in row]), shares) for row in which])
    whole = np.quantile(np.concatenate(given), shares)
    return [(float(value), *interval_of(np.repeat(found[:, at], times))) for at, value in enumerate(whole)]


def interval_of(means: NDArray[np.float64], *, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of resampled means.

    Args:
        means: ``[resamples]``.
        level: Share of them within it.
    """
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """P-values adjusted for being many (Holm, 1979): those below a level are significant at it, all together.

    Args:
        p_values: ``[n]``, 0 to 1.

    Returns:
        ``float64[n]``, in the same order.
    """
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    raised = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1))
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted


def _checked(differences: ArrayLike) -> NDArray[np.float64]:
    given = np.asarray(differences, dtype=np.float64)
    if given.ndim != 1 or not len(given):
        raise ValueError(f"differences of {given.shape} values: a row of one or more is needed")
    if not np.isfinite(given).all():
        raise ValueError("a difference is not finite")
    return given
