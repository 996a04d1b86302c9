"""How often intervals of scores hold the truth: simulated models and benchmarks, of which the true score is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench.results.averages import alike
from flagbench.results.influence import spearman_values
from flagbench.results.intervals import student
from flagbench.results.paired import Differences, Paired, Strata
from flagbench.results.record import TaskRecord
from flagbench.results.statistics import PERMUTATIONS, RESAMPLES
from flagbench.results.uncertainty import measured, of_average, of_task
from flagbench.results.values import Values

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator], "Drawn"]


@dataclass(frozen=True)
class Drawn:
    """Values of the items of a task, and maybe their clusters."""

    values: Floats
    clusters: list[str] | None = None


def _record(name: str, drawn: Drawn) -> TaskRecord:
    by_id = {str(number): float(value) for number, value in enumerate(drawn.values)}
    clusters = {"test": {"default": dict(zip(by_id, drawn.clusters, strict=True))}} if drawn.clusters else {}
    scores = {"test": {"default": float(np.mean(drawn.values))}}
    values = Values(name, {"test": {"default": {"m": by_id}}}, clusters)
    return TaskRecord(name, "k", "success", {}, "", scores, interval=measured(values, "m", scores, "m"))


def _ndcg(rng: np.random.Generator, n: int = 300) -> Drawn:
    """One relevant passage a query: at rank 1 for many, beyond 10 for many."""
    rank = np.floor(np.exp(1.2 * rng.normal(size=n) + 0.8 * rng.normal(size=n)))
    return Drawn(np.where(rank < 10, 1 / np.log2(rank + 2), 0.0))


def _spearman(rng: np.random.Generator, n: int = 300) -> Drawn:
    """Normal similarities and grades in six steps."""
    grade = rng.normal(size=n)
    return Drawn(spearman_values(np.clip(np.round(grade + 2.5), 0, 5), 0.8 * grade + 0.6 * rng.normal(size=n)))


def _clustered(rng: np.random.Generator) -> Drawn:
    """60 videos with 2 to 8 questions each, that are right or wrong and depend on the video."""
    sizes = rng.integers(2, 9, size=60)
    names = np.repeat(np.arange(60), sizes)
    chance = 1 / (1 + np.exp(-(0.5 + 1.2 * rng.normal(size=60))))
    return Drawn((rng.random(len(names)) < chance[names]).astype(float), names.astype(str).tolist())


_TASKS: dict[str, Draw] = {
    "mean": lambda rng: Drawn(rng.gamma(2, 0.1, size=100)),
    "ndcg": _ndcg,
    "spearman": _spearman,
    "accuracy": lambda rng: Drawn((rng.random(200) < 0.9).astype(float)),
    "clusters": _clustered,
}


def _truth(draw: Draw) -> float:
    """The score over very many items: those of 3,000 tasks."""
    rng = np.random.default_rng(99)
    drawn = [draw(rng).values for _ in range(3_000)]
    if draw is _spearman:
        return float(_spearman(rng, 1_000_000).values.mean())
    return float(np.concatenate(drawn).mean())


def _held(draw: Draw, draws: int) -> float:
    rng, truth, held = np.random.default_rng(1), _truth(draw), 0
    for _ in range(draws):
        found = of_task(_record("A", draw(rng)))
        held += found is not None and found.low <= truth <= found.high
    return held / draws


def _average(rng: np.random.Generator) -> list[Drawn]:
    """12 tasks of 40 to 315 items."""
    sizes = enumerate(range(40, 340, 25))
    return [_ndcg(rng, n) if at % 2 else Drawn(rng.gamma(1 + at, 0.05, size=n)) for at, n in sizes]


def _held_average(draws: int) -> float:
    rng, held = np.random.default_rng(1), 0
    ndcg = _truth(_ndcg)
    truth = float(np.mean([ndcg if at % 2 else (1 + at) * 0.05 for at in range(12)]))
    names = [str(at) for at in range(12)]
    for _ in range(draws):
        records = [_record(name, its) for name, its in zip(names, _average(rng), strict=True)]
        score = float(np.mean([record.score for record in records if record.score is not None]))
        found = of_average(alike(names), score, records)
        held += found is not None and found.low <= truth <= found.high
    return held / draws


@pytest.mark.slow
@pytest.mark.parametrize("name", _TASKS)
def test_a_score_s_interval_holds_the_truth_in_95_of_100_draws(name: str) -> None:
    held = _held(_TASKS[name], 2_000)
    print(f"{name}: {100 * held:.2f}%")
    assert held == pytest.approx(0.95, abs=0.015)


@pytest.mark.slow
def test_an_average_s_interval_holds_the_truth_in_95_of_100_draws() -> None:
    held = _held_average(2_000)
    print(f"average of 12 tasks: {100 * held:.2f}%")
    assert held == pytest.approx(0.95, abs=0.015)


def _pairs(rng: np.random.Generator, pairs: int) -> Iterator[tuple[int, list[Differences]]]:
    """Pairs of equal models over 12 tasks of 30 to 140 items, each with its number.

    Sign patterns and resamples do not depend on the values, so that 100 pairs share theirs, and a product of matrices
    makes them of all of these at once: one pair by itself takes a fifth of a second of drawing.
    """
    sizes = range(30, 150, 10)
    for begin in range(0, pairs, 100):
        tasks = [_equal(rng, n, min(100, pairs - begin)) for n in sizes]
        for at, of_pair in enumerate(zip(*tasks, strict=True), begin):
            yield at, list(of_pair)


def _equal(rng: np.random.Generator, n: int, pairs: int) -> Iterator[Differences]:
    """Pairs of equal models on one task, with the same signs and the same resamples of items."""
    hardness = rng.random((n, pairs))  # of an item, for both models alike
    one, other = (np.clip(hardness + rng.normal(0, 0.2, size=(n, pairs)), 0, 1) for _ in range(2))
    change = (other - one) / n
    signs = rng.integers(2, size=(PERMUTATIONS, n), dtype=np.int8) * 2.0 - 1
    drawn = rng.integers(n, size=(RESAMPLES, n)) + n * np.arange(RESAMPLES)[:, None]
    times = np.bincount(drawn.ravel(), minlength=RESAMPLES * n).reshape(RESAMPLES, n).astype(np.float64)
    for before, after, flipped, resampled in zip(
        one.T, other.T, (signs @ change).T.copy(), (times @ change).T.copy(), strict=True
    ):
        its = Differences(before, after, seed=n)
        its.flipped, its.resampled = flipped, resampled
        yield its


def _of_average(tasks: Sequence[Differences]) -> Paired:
    strata = Strata()
    for its in tasks:
        strata.add(its, 1 / len(tasks))
    return strata.result()


@pytest.mark.slow
def test_the_interval_of_a_difference_of_averages_holds_the_truth_and_its_test_seldom_alarms() -> None:
    """2,000 pairs; the first 20 are drawn by themselves as well, and have the same p but for the noise of draws."""
    held = alarms = 0
    for pair, tasks in _pairs(np.random.default_rng(1), 2_000):
        found = _of_average(tasks)
        assert (found.interval, found.exact) == ("BCa", False)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0 <= found.high
        alarms += found.p <= 0.05
        if pair < 20:
            for its in tasks:
                del its.flipped, its.resampled  # made anew when they are asked for
            alone = _of_average(tasks)
            assert alone.p == pytest.approx(found.p, abs=4 * 0.5 * (2 / PERMUTATIONS) ** 0.5)
            assert (alone.low, alone.high) == pytest.approx((found.low, found.high), abs=0.1 * (found.high - found.low))
    print(f"difference of averages: {held / 20:.2f}%, false alarms {alarms / 20:.2f}%")
    assert held / 2_000 == pytest.approx(0.95, abs=0.015)
    assert alarms / 2_000 <= 0.05 + 1.645 * (0.05 * 0.95 / 2_000) ** 0.5


def test_a_mean_s_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """The same of 300 draws, whose noise is 1.3 points, and that without Student's quantile too few items hold it."""
    assert _held(lambda rng: Drawn(rng.normal(0.5, 0.1, size=12)), 300) == pytest.approx(0.95, abs=0.03)
    assert student(11) > 2.2
