"""Intervals, against scipy's and simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from scipy.stats._resampling import BootstrapResult

from flagbench.results.intervals import Clusters, bca_interval, student, welch
from flagbench.results.statistics import resampled_means


@pytest.mark.parametrize("freedom", [1, 2, 3, 4.5, 9, 29, 30.5, 99.5, 201, 1_000, 1e6])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_student_s_quantile_is_scipy_s(freedom: float, level: float) -> None:
    assert student(freedom, level) == pytest.approx(scipy.stats.t.ppf((1 + level) / 2, freedom), rel=2e-5)


def test_infinite_freedom_is_the_normal_s() -> None:
    assert student(float("inf")) == pytest.approx(1.959964, abs=1e-6)


def test_welch_s_freedom_is_that_of_scipy_s_test() -> None:
    rng = np.random.default_rng(3)
    one, other = rng.normal(size=12), rng.normal(0, 3, size=40)
    theirs = scipy.stats.ttest_ind(one, other, equal_var=False).df
    squares = [float(each.var(ddof=1)) / len(each) for each in (one, other)]
    assert welch(squares, [11, 39]) == pytest.approx(theirs)


# Clusters.


def test_items_of_their_own_have_the_textbook_s_error() -> None:
    values = np.random.default_rng(5).exponential(size=50)
    of = Clusters.of(values)
    assert of.error == pytest.approx(scipy.stats.sem(values))
    assert (len(of), of.items, of.mean) == (50, 50, pytest.approx(values.mean()))


def test_an_item_s_name_for_a_cluster_changes_nothing() -> None:
    values = np.random.default_rng(5).exponential(size=50)
    one, other = Clusters.of(values), Clusters.of(values, [str(number) for number in range(50)])
    assert other.error == pytest.approx(one.error)
    assert other.jackknife == pytest.approx(one.jackknife)


def test_the_error_of_clusters_is_that_of_a_ratio() -> None:
    """Of totals to sizes, by its definition: Cochran (1977), 6.13, without the finite population's factor."""
    rng = np.random.default_rng(7)
    names = rng.integers(0, 12, size=70)
    values = rng.normal(size=70) + names / 6
    totals = np.array([values[names == name].sum() for name in range(12)])
    sizes = np.array([(names == name).sum() for name in range(12)])
    ratio = totals.sum() / sizes.sum()
    expected = np.sqrt(((totals - ratio * sizes) ** 2).sum() / 11 / 12) / sizes.mean()
    assert Clusters.of(values, names.tolist()).error == pytest.approx(expected)


def test_the_jackknife_leaves_each_cluster_out() -> None:
    names = np.array([0, 0, 1, 2, 2, 2, 3])
    values = np.array([1.0, 2.0, 4.0, 0.0, 1.0, 0.5, 3.0])
    without = np.array([values[names != name].mean() for name in range(4)])
    assert Clusters.of(values, names.tolist()).jackknife == pytest.approx(3 * (without.mean() - without))


def test_one_cluster_shows_no_spread() -> None:
    assert Clusters.of([1.0, 2.0, 5.0], ["a", "a", "a"]).error is None


# BCa.


def _scipy_s(samples: tuple[np.ndarray, ...], statistic: object, resampled: np.ndarray) -> tuple[float, float]:
    """Its interval of resamples that are given."""
    given = BootstrapResult(confidence_interval=None, bootstrap_distribution=resampled, standard_error=None)  # type: ignore[arg-type]
    found = scipy.stats.bootstrap(
        samples, statistic, method="BCa", n_resamples=0, bootstrap_result=given, vectorized=True
    ).confidence_interval
    return float(found.low), float(found.high)


@pytest.mark.parametrize("n", [30, 200, 1_500])
@pytest.mark.parametrize("kind", ["skewed", "right or wrong", "graded"])
def test_bca_is_scipy_s_of_the_same_resamples(n: int, kind: str) -> None:
    rng = np.random.default_rng(n)
    values = {
        "skewed": rng.exponential(size=n),
        "right or wrong": (rng.random(n) < 0.8).astype(float),
        "graded": rng.choice([0, 0.38, 0.63, 1], size=n),
    }[kind]
    of = Clusters.of(values)
    resampled = resampled_means(of, seed=1)
    ours = bca_interval(of.mean, resampled, [of.jackknife])
    assert ours == pytest.approx(_scipy_s((values,), np.mean, resampled), abs=1e-12)


def test_bca_of_several_strata_is_scipy_s() -> None:
    rng = np.random.default_rng(11)
    one, other = rng.exponential(size=40), rng.normal(size=90)
    parts = Clusters.of(one), Clusters.of(other)
    resampled = sum(
        weight * resampled_means(of, seed=at) for at, (weight, of) in enumerate(zip((0.3, 0.7), parts, strict=True))
    )
    ours = bca_interval(
        0.3 * one.mean() + 0.7 * other.mean(), resampled, [0.3 * parts[0].jackknife, 0.7 * parts[1].jackknife]
    )

    def mean(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return 0.3 * a.mean(axis=axis) + 0.7 * b.mean(axis=axis)

    assert ours == pytest.approx(_scipy_s((one, other), mean, resampled), abs=1e-12)


def test_bca_of_clusters_is_near_scipy_s_of_a_ratio() -> None:
    """scipy resamples clusters as pairs of total and size; the noise of an end is about 0.002 here."""
    rng = np.random.default_rng(13)
    names = np.repeat(np.arange(60), rng.integers(1, 9, size=60))
    values = rng.exponential(size=len(names)) + rng.normal(size=60)[names]
    of = Clusters.of(values, names.tolist())

    def ratio(totals: np.ndarray, sizes: np.ndarray, axis: int = -1) -> np.ndarray:
        return totals.sum(axis=axis) / sizes.sum(axis=axis)

    theirs = scipy.stats.bootstrap(
        (of.totals, of.sizes), ratio, paired=True, method="BCa", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    ours = bca_interval(of.mean, resampled_means(of, resamples=20_000, seed=2), [of.jackknife])
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.012)


def test_bca_of_what_does_not_vary_is_a_point() -> None:
    of = Clusters.of([0.25] * 40)
    assert bca_interval(0.25, resampled_means(of), [of.jackknife]) == (0.25, 0.25)
