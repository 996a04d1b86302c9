"""The paired test, the interval and the correction, against enumeration, scipy and simulation."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.stats

from flagbench.results import statistics
from flagbench.results.intervals import Clusters
from flagbench.results.statistics import (
    bootstrap_means,
    holm,
    interval_of,
    pooled_quantiles,
    resampled_means,
    sign_flip_test,
)


def _enumerated(differences: list[int]) -> Fraction:
    """The p-value by its definition, over all sign patterns, in whole numbers."""
    observed = abs(sum(differences))
    patterns = list(itertools.product((1, -1), repeat=len(differences)))
    as_far = sum(
        abs(sum(sign * each for sign, each in zip(signs, differences, strict=True))) >= observed for signs in patterns
    )
    return Fraction(as_far, len(patterns))


def _counted(differences: list[int]) -> float:
    """The same of many: how many patterns there are of each sum."""
    sums = {0: 1}
    for difference in differences:
        added: dict[int, int] = {}
        for total, patterns in sums.items():
            for at in (total + difference, total - difference):
                added[at] = added.get(at, 0) + patterns
        sums = added
    observed = abs(sum(differences))
    return float(Fraction(sum(many for at, many in sums.items() if abs(at) >= observed), 2 ** len(differences)))


def _all_resamples(differences: list[int], share: float) -> float:
    """The quantile of the mean over all ways to draw as many differences with replacement."""
    row = np.array([differences.count(each) for each in range(max(differences) + 1)]) / len(differences)
    sums = np.ones(1)
    for _ in differences:
        sums = np.convolve(sums, row)
    below = np.cumsum(sums)
    at = int(np.searchsorted(below, share))
    assert min(abs(share - below[at]), abs(share - below[at - 1])) > 0.007  # so that 9,999 of them find the same
    return at / len(differences)


def _steps(values: list[float]) -> list[float]:
    """Holm's procedure as he words it: each p-value times how many are left, never below an earlier one."""
    adjusted = [0.0] * len(values)
    left, highest = sorted(range(len(values)), key=values.__getitem__), 0.0
    while left:
        highest = max(highest, min(1.0, values[left[0]] * len(left)))
        adjusted[left.pop(0)] = highest
    return adjusted


def _interval(differences: Any, *, level: float = 0.95, resamples: int = 9_999, seed: Any = 0) -> tuple[float, float]:
    """The percentiles of resampled means."""
    return interval_of(resampled_means(Clusters.of(differences), resamples=resamples, seed=seed), level=level)


# The test.


@pytest.mark.parametrize("seed", range(8))
def test_few_differences_are_tested_exactly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    differences = rng.integers(-3, 5, size=10).tolist()
    test = sign_flip_test(differences)
    assert test.exact
    assert test.p == float(_enumerated(differences))
    assert test.permutations == 2 ** sum(each != 0 for each in differences)


def test_fractions_that_are_equal_but_for_rounding_count_as_equal() -> None:
    differences = [0.1, 0.2, -0.3, 0.1, 0.1, -0.2]  # in floats 0.1 + 0.2 is more than 0.3
    assert sign_flip_test(differences).p == float(_enumerated([1, 2, -3, 1, 1, -2]))


def test_exact_p_is_scipy_s() -> None:
    differences = np.random.default_rng(3).normal(0.4, 1, size=11)
    theirs = scipy.stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert sign_flip_test(differences).p == pytest.approx(theirs.pvalue)


def test_drawn_p_is_near_the_exact_one(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(5).normal(0.35, 1, size=16)
    exact = sign_flip_test(differences)
    monkeypatch.setattr(statistics, "EXACT_UP_TO", 0)
    drawn = sign_flip_test(differences, permutations=20_000, seed=1)
    assert exact.exact
    assert not drawn.exact
    assert drawn.permutations == 20_000
    assert drawn.p == pytest.approx(exact.p, abs=4 * (exact.p / 20_000) ** 0.5)


@pytest.mark.parametrize("draw", [1, 5, 7])
def test_drawn_p_of_many_differences_is_that_of_all_patterns(draw: int) -> None:
    """Of whole numbers the sums of all 2^60 patterns can be counted, one difference after the other."""
    differences = np.random.default_rng(draw).integers(-8, 11, size=60)
    exact = _counted(differences.tolist())
    noise = (exact * (1 - exact) / 100_000) ** 0.5
    drawn = sign_flip_test(differences, permutations=100_000, seed=2).p
    assert 0.001 < exact < 0.9
    assert drawn == pytest.approx(exact, abs=4 * noise)


def test_p_is_never_zero_and_alike_from_both_sides() -> None:
    differences = np.random.default_rng(9).uniform(0.5, 1, size=200)
    test = sign_flip_test(differences, permutations=999)
    assert test.p == 1 / 1_000
    assert sign_flip_test(-differences, permutations=999).p == test.p


@pytest.mark.parametrize("differences", [[0.0], [0.0] * 30, [1.0], [0.5, -0.5]])
def test_nothing_is_significant_without_a_difference_that_says_so(differences: list[float]) -> None:
    assert sign_flip_test(differences).p == 1


_FIRST = np.random.default_rng(11).normal(0.1, 1, size=60)


@pytest.mark.parametrize(
    "of",
    [
        lambda seed: sign_flip_test(_FIRST, seed=seed).p,
        lambda seed: _interval(_FIRST, seed=seed),
    ],
    ids=["sign flips", "resamples"],
)
def test_the_same_seed_gives_the_same_and_another_one_does_not(of: Callable[[Any], Any]) -> None:
    found = [of(seed) for seed in (4, 4, 5, (4, 1), (4, 2))]
    assert found[0] == found[1]
    assert len(set(found)) == 4


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "_BLOCK", 1 << 14)
    differences = np.random.default_rng(13).normal(size=2_000)
    tracemalloc.start()
    try:
        sign_flip_test(differences, permutations=2_000)
        _interval(differences, resamples=2_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 << 20  # all at once would be 32 MB


@pytest.mark.parametrize("bad", [[], [[1.0]], [1.0, float("nan")], [float("inf")]])
def test_what_is_no_row_of_numbers_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match=r"finite|needed"):
        sign_flip_test(bad)


# The interval.


def test_interval_is_scipy_s() -> None:
    """The noise of an end is about 0.0006 here."""
    differences = np.random.default_rng(17).exponential(1, size=80) - 0.8
    theirs = scipy.stats.bootstrap(
        (differences,), np.mean, method="percentile", n_resamples=199_999, batch=9_999, rng=np.random.default_rng(1)
    ).confidence_interval
    ours = _interval(differences, resamples=199_999, seed=3)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.003)


@pytest.mark.parametrize("seed", range(3))
def test_interval_is_that_of_all_resamples(seed: int) -> None:
    """Means of whole numbers are steps: a share of resamples that ends within a step gives its very number."""
    differences = [0] * 9 + [1] * 4 + [2]
    ends = tuple(_all_resamples(differences, share) for share in (0.025, 0.975))
    assert _interval(differences, seed=seed) == ends


@pytest.mark.parametrize("items", [1, 2, 50, 3000])
def test_means_of_several_systems_are_over_one_draw(items: int) -> None:
    """Their own intervals, and that of a difference, are the percentiles of their own resamples."""
    rows = np.random.default_rng(items).normal(size=(3, items))
    means = bootstrap_means(rows, seed=(1, 2))
    for row, its in zip(rows, means, strict=True):
        assert interval_of(its) == pytest.approx(_interval(row, seed=(1, 2)), abs=1e-12)
    expected = _interval(rows[2] - rows[0], seed=(1, 2))
    assert interval_of(means[2] - means[0]) == pytest.approx(expected, abs=1e-12)


def test_means_over_resampled_clusters_are_those_of_their_items() -> None:
    rng = np.random.default_rng(5)
    names = rng.integers(12, size=90)
    clusters = [Clusters.of(rng.normal(size=90), names) for _ in range(2)]
    means = bootstrap_means([its.totals for its in clusters], sizes=clusters[0].sizes, seed=(1, 2))
    for its, found in zip(clusters, means, strict=True):
        assert found == pytest.approx(resampled_means(its, seed=(1, 2)), abs=1e-12)


@pytest.mark.parametrize("bad", [[], [[]], [0.5], [[0.5], [float("nan")]], [[float("inf"), 1.0]]])
def test_what_are_no_rows_of_numbers_is_refused(bad: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"rows of one or more are needed|not finite"):
        bootstrap_means(bad)


def test_interval_of_two_queries_is_that_of_all_resamples() -> None:
    # The means of the four resamples are 0, 1/2 (twice) and 1: a quarter of them at either end.
    assert _interval([0.0, 1.0]) == (0, 1)
    assert _interval([0.0, 1.0], level=0.4) == (0.5, 0.5)


def test_interval_of_equal_differences_is_a_point() -> None:
    assert _interval([0.25] * 7) == (0.25, 0.25)


def test_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(19)
    held = 0
    for seed in range(200):
        low, high = _interval(rng.normal(0.3, 1, size=60), resamples=500, seed=seed)
        held += low <= 0.3 <= high
    assert 0.90 <= held / 200 <= 0.99


# Many tests.


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]).tolist() == [1, 1]
    assert holm([]).tolist() == []


@pytest.mark.parametrize("seed", range(5))
def test_holm_by_its_steps(seed: int) -> None:
    values = np.random.default_rng(seed).uniform(0, 0.2, size=12).round(2).tolist()
    assert holm(values).tolist() == pytest.approx(_steps(values))


def test_false_alarms_are_as_rare_as_promised() -> None:
    """200 pairs of systems that are equally good on 5 tasks: any task found significant is a false alarm."""
    rng = np.random.default_rng(23)
    alarms = 0
    for pair in range(200):
        p_values = []
        for task in range(5):
            hardness = rng.uniform(0, 1, size=40)  # of a query, for both systems alike
            one, other = (np.clip(hardness + rng.normal(0, 0.2, size=40), 0, 1) for _ in range(2))
            p_values.append(sign_flip_test(other - one, permutations=499, seed=(pair, task)).p)
        alarms += bool((holm(p_values) <= 0.05).any())
    assert alarms / 200 <= 0.05 + 1.645 * (0.05 * 0.95 / 200) ** 0.5


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(29)
    found = 0
    for pair in range(50):
        p_values = [sign_flip_test(rng.normal(0.15, 0.25, 80), permutations=499, seed=pair).p for _ in range(5)]
        found += bool((holm(p_values) <= 0.05).all())
    assert found >= 45


def test_quantiles_of_groups_are_those_of_all_their_values() -> None:
    rng = np.random.default_rng(5)
    groups = [rng.lognormal(size=size) for size in (40, 70, 55)]
    shares = [0.5, 0.9, 0.99]
    found = pooled_quantiles(groups, shares, seed=1)
    assert [value for value, *_ in found] == pytest.approx(np.quantile(np.concatenate(groups), shares))
    every = [
        np.quantile(np.concatenate([groups[each] for each in drawn]), shares)
        for drawn in itertools.product(range(3), repeat=3)
    ]
    low, high = np.quantile(every, [0.025, 0.975], axis=0, method="inverted_cdf")
    for at, (_, *ends) in enumerate(found):
        assert ends == pytest.approx([low[at], high[at]])


def test_the_interval_of_two_groups_reaches_from_one_to_the_other() -> None:
    assert pooled_quantiles([[1.0, 1.0, 1.0], [3.0, 3.0, 3.0]], [0.5]) == [(2.0, 1.0, 3.0)]


@pytest.mark.parametrize("groups", [[], [[]], [[1.0], []], [[float("nan")]]])
def test_quantiles_of_nothing_are_refused(groups: list[list[float]]) -> None:
    with pytest.raises(ValueError, match=r"no values|a row of one or more|not finite"):
        pooled_quantiles(groups, [0.5])
