"""Two systems on the same items: of one task, of clusters, and of the average of several tasks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats

from flagbench.results import paired as module
from flagbench.results.paired import Differences, Paired, Strata, draw_together, paired
from flagbench.results.statistics import sign_flip_test

_FIRST = np.random.default_rng(11).normal(0.1, 1, size=60)


def _average(tasks: list[np.ndarray], weights: list[float] | None = None) -> Paired:
    strata = Strata()
    for at, (its, weight) in enumerate(zip(tasks, weights or [1 / len(tasks)] * len(tasks), strict=True)):
        strata.add(Differences(np.zeros(len(its)), its, seed=(3, at)), weight)
    return strata.result()


def test_counts_and_signs() -> None:
    result = paired([0.0, 0.5, 1.0, 0.25], [1.0, 0.5, 0.5, 0.75])
    assert (result.better, result.same, result.worse, result.queries) == (2, 1, 1, 4)
    assert (result.clusters, result.moving) == (4, 3)
    assert result.difference == pytest.approx(0.25)


def test_a_task_s_test_is_that_of_its_differences() -> None:
    found, test = paired(np.zeros(60), _FIRST, seed=6), sign_flip_test(_FIRST, seed=6)
    assert (found.p, found.permutations, found.exact) == (test.p, 19_999, False)


def test_a_task_s_interval_is_scipy_s_bca() -> None:
    """The noise of an end is about 0.004 here."""
    found = paired(np.zeros(60), _FIRST, seed=6)
    theirs = scipy.stats.bootstrap(
        (_FIRST,), np.mean, method="BCa", n_resamples=50_000, batch=9_999, rng=np.random.default_rng(1)
    ).confidence_interval
    assert found.interval == "BCa"
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)
    assert found.error == pytest.approx(scipy.stats.sem(_FIRST))


def test_the_interval_of_few_items_is_student_s() -> None:
    few = _FIRST[:12]
    found, theirs = paired(np.zeros(12), few), scipy.stats.ttest_1samp(few, 0).confidence_interval()
    assert found.interval == "Student"
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-4)


def test_a_single_query_has_no_interval() -> None:
    found = paired([0.5], [0.75])
    assert (found.low, found.high, found.error, found.interval, found.p) == (None, None, None, "", 1)


@pytest.mark.parametrize("n", [4, 40])
def test_equal_differences_have_an_interval_without_width(n: int) -> None:
    found = paired([0.0] * n, [0.25] * n)
    assert (found.low, found.high, found.error) == (0.25, 0.25, 0)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ([1.0], [1.0, 2.0], "cannot be paired"),
        ([], [], "one or more"),
        ([[1.0]], [[1.0]], "one or more"),
        ([1.0], [float("nan")], "not finite"),
    ],
)
def test_what_cannot_be_paired_is_refused(first: list[float], second: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        paired(first, second)


# Clusters.


def test_the_signs_of_a_cluster_flip_together() -> None:
    names = ["a", "a", "b", "c", "c", "c", "d"]
    differences = np.array([1.0, 1.0, 0.5, 1.0, -0.25, 0.25, -0.5])
    totals = [2.0, 0.5, 1.0, -0.5]
    patterns = list(itertools.product((1, -1), repeat=4))
    expected = sum(abs(sum(s * t for s, t in zip(signs, totals, strict=True))) >= 3.0 for signs in patterns) / 16
    found = paired(np.zeros(7), differences, clusters=names)
    assert (found.p, found.exact, found.permutations, found.clusters, found.queries) == (expected, True, 16, 4, 7)


def test_clusters_alarm_as_seldom_as_promised_where_items_alone_would_not() -> None:
    rng, alarms, blind = np.random.default_rng(17), 0, 0
    names = np.repeat(np.arange(25), 5).tolist()
    for _ in range(100):
        change = np.repeat(rng.normal(size=25), 5) + 0.5 * rng.normal(size=125)
        alarms += paired(np.zeros(125), change, clusters=names).p <= 0.05
        blind += sign_flip_test(change, permutations=399).p <= 0.05
    assert alarms <= 0.05 * 100 + 1.645 * (0.05 * 0.95 * 100) ** 0.5
    assert blind > 0.2 * 100


# Averages.


def test_an_average_of_few_items_is_tested_over_all_patterns() -> None:
    tasks = [np.array([0.5, -0.25, 1.0]), np.array([0.25, 0.75])]
    terms = [*(tasks[0] / 3 / 2), *(tasks[1] / 2 / 2)]
    observed = abs(sum(terms))
    patterns = list(itertools.product((1, -1), repeat=5))
    far = [abs(sum(s * t for s, t in zip(signs, terms, strict=True))) >= observed - 1e-12 for signs in patterns]
    found = _average(tasks)
    assert found.difference == pytest.approx(sum(terms))
    assert (found.p, found.exact, found.queries) == (sum(far) / 32, True, 5)


def test_drawn_patterns_of_an_average_find_about_the_exact_p(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(19)
    tasks = [rng.normal(0.5, 1, size=6), rng.normal(0.2, 1, size=9)]
    exact = _average(tasks)
    monkeypatch.setattr(module, "EXACT_UP_TO", 0)
    drawn = _average(tasks)
    assert exact.exact
    assert not drawn.exact
    assert drawn.p == pytest.approx(exact.p, abs=4 * (exact.p / 20_000) ** 0.5)


def test_an_average_s_weights_count() -> None:
    rng = np.random.default_rng(23)
    tasks = [rng.normal(1, 1, size=40), rng.normal(-3, 1, size=40)]
    found = _average(tasks, [0.9, 0.1])
    assert found.difference == pytest.approx(0.9 * tasks[0].mean() + 0.1 * tasks[1].mean())
    squares = [0.81 * tasks[0].var(ddof=1) / 40, 0.01 * tasks[1].var(ddof=1) / 40]
    assert found.error == pytest.approx(sum(squares) ** 0.5)


def test_an_average_of_one_task_is_that_task() -> None:
    assert _average([_FIRST]) == paired(np.zeros(60), _FIRST, seed=(3, 0))


def test_the_interval_of_an_average_is_near_scipy_s() -> None:
    """The noise of an end is about 0.002 here."""
    rng = np.random.default_rng(29)
    one, other = rng.exponential(size=50), rng.normal(size=120)
    found = _average([one, other])

    def mean(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return (a.mean(axis=axis) + b.mean(axis=axis)) / 2

    theirs = scipy.stats.bootstrap(
        (one, other), mean, method="BCa", n_resamples=20_000, batch=5_000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.012)
    few = _average([one, other[:10]])
    assert few.interval == "Student"  # a bootstrap of ten is too narrow


def test_equal_models_alarm_as_seldom_as_promised_on_an_average() -> None:
    """Tasks of other sizes and spreads each; the noise is that of 100 pairs. ``test_coverage.py`` has 2,000."""
    rng, alarms = np.random.default_rng(31), 0
    for _ in range(100):
        found = _average([spread * rng.standard_t(5, size=n) for n, spread in ((5, 1), (6, 2), (7, 4), (8, 3))])
        assert not found.exact
        alarms += found.p <= 0.05
    assert 1 <= alarms <= 0.05 * 100 + 1.645 * (0.05 * 0.95 * 100) ** 0.5


# Many pairs at once.


def test_pairs_that_are_drawn_together_find_what_each_finds_alone() -> None:
    """To the last bit: of one seed or several, with ties, clusters and few items among them."""
    rng = np.random.default_rng(31)
    rows = [rng.normal(0.1, 1, size=90) for _ in range(5)]
    rows += [np.where(np.arange(90) < left, 0.0, row) for row, left in zip(rows, (40, 40, 60, 80, 89), strict=True)]
    kinds: list[tuple[np.ndarray, list[int] | None, int | tuple[int, int]]] = [(row, None, (3, 1)) for row in rows]
    kinds += [(row, list(range(45)) * 2, (3, 1)) for row in rows[:2]]
    kinds += [(row, [0] * 46 + list(range(1, 45)), (3, 1)) for row in rows[:2]]
    kinds += [(row[:12], None, 4) for row in rows[:2]] + [(rows[0], None, (3, 2)), (np.zeros(90), None, (3, 1))]
    several = [Differences(np.zeros(len(row)), row, clusters=names, seed=seed) for row, names, seed in kinds]
    draw_together(several)
    assert sum("flipped" in vars(its) for its in several) > 10
    assert sum("resampled" in vars(its) for its in several) > 10
    for its, (row, names, seed) in zip(several, kinds, strict=True):
        strata = Strata()
        strata.add(its)
        assert strata.result() == paired(np.zeros(len(row)), row, clusters=names, seed=seed)


def test_the_draws_are_those_of_one_generator_a_pair() -> None:
    """As they were made when each pair was drawn by itself: results that are kept stay what they are."""
    rows = [_FIRST, _FIRST[::-1] + 0.25]
    several = [Differences(np.zeros(60), row, seed=(3, 1)) for row in rows]
    draw_together(several)
    drawn = np.random.default_rng((3, 1)).integers(60, size=(9_999, 60))
    bits = np.frombuffer(np.random.default_rng((3, 1)).bytes(19_999 * 8), dtype=np.uint8).reshape(19_999, 8)
    signs = 2.0 * np.unpackbits(bits, axis=1, count=60) - 1
    for its, row in zip(several, rows, strict=True):
        assert np.array_equal(its.resampled, row[drawn].mean(axis=1))
        assert its.flipped == pytest.approx(signs @ row / 60, abs=1e-12)
