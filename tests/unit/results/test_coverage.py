"""How often intervals of scores hold the truth: simulated models and benchmarks, of which the true score is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench.results.averages import alike
from flagbench.results.influence import spearman_values
from flagbench.results.intervals import student
from flagbench.results.paired import Differences, Strata
from flagbench.results.record import TaskRecord
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


@pytest.mark.slow
def test_the_interval_of_a_difference_of_averages_holds_the_truth_and_its_test_seldom_alarms() -> None:
    """400 pairs of equal models over 12 tasks, whose bootstrap is over each task by itself."""
    rng, held, alarms = np.random.default_rng(1), 0, 0
    for pair in range(400):
        strata = Strata()
        for at in range(12):
            shared = rng.random(30 + 10 * at)
            one, other = (np.clip(shared + rng.normal(0, 0.2, size=len(shared)), 0, 1) for _ in range(2))
            strata.add(Differences(one, other, seed=(pair, at)), 1 / 12)
        found = strata.result()
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0 <= found.high
        alarms += found.p <= 0.05
    print(f"difference of averages: {held / 4:.1f}%, false alarms {alarms / 4:.1f}%")
    assert held / 400 == pytest.approx(0.95, abs=0.03)  # of a fifth of the draws
    assert alarms / 400 <= 0.05 + 1.645 * (0.05 * 0.95 / 400) ** 0.5


def test_a_mean_s_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """The same of 300 draws, whose noise is 1.3 points, and that without Student's quantile too few items hold it."""
    assert _held(lambda rng: Drawn(rng.normal(0.5, 0.1, size=12)), 300) == pytest.approx(0.95, abs=0.03)
    assert student(11) > 2.2
