"""Levels in turn, and throughput with its interval, against loads whose truth is known."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from flagbench import ModelFault
from flagbench.results.speed import Estimate
from flagbench.runners.progress import Silent
from flagbench.runners.speed.levels import Prepared, Settings, Target, measured, throughput
from flagbench.runners.speed.load import Answer, Stretch

CHANCE = np.random.default_rng(17)
REPEATS = 5


def texts_of(answer: Answer) -> int:
    return answer.texts


def answers_of(times: Iterator[float], until: float, texts: Callable[[], int] = lambda: 1) -> list[Answer]:
    """Of one client that sends when its answer has come."""
    found, now = [], 0.0
    while now < until:
        then = now + next(times)
        found.append(Answer(now, then, texts(), 0))
        now = then
    return found


def closed(clients: int, mean: float, window: float) -> Stretch:
    """Clients whose requests take a time of a gamma distribution, and have more texts the longer they take."""
    lead = 3 * mean

    def client() -> list[Answer]:
        times = CHANCE.gamma(4.0, mean / 4, size=4 * int((lead + window) / mean) + 20)
        given = iter(1 + np.round(4 * times / mean))
        return answers_of(iter(times), lead + window, lambda: int(next(given)))

    return Stretch(lead, lead + window, tuple(each for _ in range(clients) for each in client()))


def opened(rate: float, window: float) -> Stretch:
    """Requests at random times, each answered at once."""
    due = np.cumsum(CHANCE.exponential(1 / rate, size=int(3 * rate * window) + 20))
    return Stretch(1.0, 1.0 + window, tuple(Answer(each, each + 1e-3, 1, 0) for each in due), closed=False)


def shares(made: Callable[[], Stretch], truth: float) -> tuple[float, float, float]:
    """Of many measurements: the mean over the truth, and how many intervals have it and are of no width."""
    found = [throughput([made() for _ in range(REPEATS)], texts_of) for _ in range(400)]
    held = [each.low <= truth <= each.high for each in found]
    return float(np.mean([each.value for each in found]) / truth), float(np.mean(held)), sum(map(_flat, found))


def _flat(each: Estimate) -> bool:
    return not each.low < each.high


@pytest.mark.parametrize(("clients", "mean", "window"), [(1, 0.25, 1.0), (1, 0.4, 1.0), (8, 0.3, 1.0), (4, 0.8, 1.0)])
def test_few_requests_of_a_closed_loop_have_an_honest_interval(clients: int, mean: float, window: float) -> None:
    """Two to thirty requests a repeat, of which whole ones would often be as many in each."""
    texts = 1 + np.mean(np.round(4 * CHANCE.gamma(4.0, 1 / 4, size=400_000)))
    ratio, held, flat = shares(lambda: closed(clients, mean, window), clients * texts / mean)
    assert ratio == pytest.approx(1, abs=0.015)
    assert held > 0.9
    assert flat == 0


@pytest.mark.parametrize(("rate", "window"), [(4.0, 1.0), (1.0, 2.0), (30.0, 1.0)])
def test_so_have_those_of_an_open_one(rate: float, window: float) -> None:
    ratio, held, flat = shares(lambda: opened(rate, window), rate)
    assert ratio == pytest.approx(1, abs=0.03)
    assert held > 0.9
    assert flat == 0


def test_counts_that_happen_to_be_equal_are_not_certain() -> None:
    """One request in 0.3 s, of which five stretches of 1 s see three each: 3.33 are within."""
    answers = tuple(Answer(each, each, 1, 0) for each in np.arange(0.15, 2, 0.3))
    made = [Stretch(0, 1, answers, closed=False) for _ in range(REPEATS)]
    found = throughput(made, texts_of)
    assert found.value == 3
    assert found.low < 3 < 1 / 0.3 < found.high


def test_a_server_that_answers_many_at_once_is_measured_whole() -> None:
    """32 clients that all have their answer after 0.7 s: a second begins and ends anywhere in that."""
    for start in (0.0, 0.1, 0.65):
        answers = [each for _ in range(32) for each in answers_of(itertools.repeat(0.7), start + 2)]
        assert Stretch(start, start + 1, tuple(answers)).per_second(texts_of) == pytest.approx(32 / 0.7)


def target() -> Target:
    return Target(lambda _: [], Counter(), "", here=False)


def levels(stretch: Callable[[int, int], Stretch], count: int) -> list[Prepared]:
    return [Prepared(place, None, 1, lambda _, __, seed, place=place: stretch(place, seed)) for place in range(count)]


def test_repeats_of_levels_take_turns_so_that_a_drift_is_in_all_alike() -> None:
    """Each stretch takes a hundredth longer than the one before: one level after the other would differ by 4%."""
    order, took = list[tuple[int, int]](), itertools.count()

    def stretch(place: int, seed: int) -> Stretch:
        order.append((place, seed))
        time = 1 + next(took) / 100
        return Stretch(0, 60, tuple(answers_of(itertools.repeat(time), 60)))

    found = measured(target(), Settings(concurrency=(1, 2, 3), repeats=4), levels(stretch, 3), Silent())
    assert [place for place, _ in order] == [0, 1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0]
    assert [seed for _, seed in order] == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert [level.texts_per_second.value for level in found] == pytest.approx([1 / 1.055] * 3, rel=0.002)


def test_a_model_that_answers_nothing_any_more_is_not_waited_for() -> None:
    seen: list[int] = []

    def stretch(place: int, seed: int) -> Stretch:
        seen.append(seed)
        failure = "it is gone" if seed > 1 else ""
        return Stretch(0, 1, tuple(Answer(0.1 * each, 0.1 * each + 0.1, 1, 1, failure) for each in range(10)))

    with pytest.raises(ModelFault, match="answers nothing any more: it is gone"):
        measured(target(), Settings(concurrency=(1, 2), repeats=5), levels(stretch, 2), Silent())
    assert seen == [1, 1, 2, 2]


def test_requests_that_were_sent_again_are_counted_level_by_level() -> None:
    usage: Counter[str] = Counter()

    def stretch(place: int, _: int) -> Stretch:
        usage.update(asked=2, requests=2 + place)
        return Stretch(0, 1, (Answer(0.0, 0.5, 1, 1), Answer(0.5, 1.0, 1, 1)))

    one = Target(lambda _: [], usage, "", here=False)
    found = measured(one, Settings(concurrency=(1, 2), repeats=3), levels(stretch, 2), Silent())
    assert [level.retries for level in found] == [0, 3]
    assert _figures([level.texts_per_second for level in found]) == [(2.0, 2.0, 2.0)] * 2


def _figures(estimates: Sequence[Estimate]) -> list[tuple[float, float, float]]:
    return [(each.value, each.low, each.high) for each in estimates]
