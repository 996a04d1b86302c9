"""Loads on a model, by a clock of the test's own, and in threads."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from flagbench.models.servers.concurrent import Stop
from flagbench.runners.speed.load import Clock, Load, Stretch, run


@dataclass(frozen=True)
class One:
    """A request of one text."""

    texts: int = 1
    units: int = 10


class Hands:
    """A clock that goes on only where somebody waits or works."""

    def __init__(self) -> None:
        self.time = 1_000.0
        self.clock = Clock(lambda: self.time, self.wait)

    def wait(self, seconds: float) -> None:
        self.time += seconds

    def working(self, times: Sequence[float]) -> Callable[[One, Stop], float]:
        """A model that takes so long for one request after the other."""
        left = iter(times)

        def send(_: One, __: Stop) -> float:
            self.wait(next(left))
            return self.time

        return send


def loaded(times: Sequence[float], load: Load) -> Stretch:
    hands = Hands()
    return run(itertools.repeat(One()), hands.working(times), load, hands.clock)


def test_a_closed_loop_sends_when_the_answer_has_come() -> None:
    times = [1.0, 2.0, 3.0, 4.0, 5.0]
    stretch = loaded(times, Load(1, None, 0.0, 14.0, here=True))
    assert stretch.latencies == pytest.approx(times)  # the last begins at 10 and ends at 15
    assert stretch.per_second(lambda each: each.texts) == pytest.approx(5 / 15)
    assert stretch.per_second(lambda each: each.units) == pytest.approx(50 / 15)


def test_a_call_that_takes_longer_than_its_time_is_measured_whole() -> None:
    stretch = loaded([30.0], Load(1, None, 0.0, 2.0, here=True))
    assert stretch.latencies == [30.0]
    assert stretch.per_second(lambda each: each.texts) == pytest.approx(1 / 30)


def test_what_is_sent_before_it_counts_has_no_latency_and_what_ends_later_counts() -> None:
    stretch = loaded([1.0] * 20, Load(1, None, 2.5, 7.0, here=True))
    assert len(stretch.answers) == 10
    assert len(stretch.latencies) == 7  # those that begin at 3 to 9
    assert stretch.per_second(lambda each: each.texts) == pytest.approx(1)  # half of the one that ends at 3


def test_an_open_loop_counts_from_when_a_request_was_due() -> None:
    """Lindley's recursion: a request waits for the one before it, if that ends later than it is due."""
    chance = random.Random(3)
    times = [chance.uniform(0.05, 0.3) for _ in range(500)]
    load = Load(1, 5.0, 0.0, 60.0, grace=1e9, seed=11, here=True)
    stretch = loaded(times, load)
    gaps = random.Random(11)
    due, free, expected = 0.0, 0.0, []
    for each in times:
        due += gaps.expovariate(5.0)
        if due >= 60.0:
            break
        free = max(due, free) + each
        expected.append(free - due)
    assert len(expected) > 200
    assert stretch.latencies == pytest.approx(expected)


def test_an_open_loop_shows_the_queue_that_a_closed_one_hides() -> None:
    """A server that answers in 10 ms and stops once for 5 s: of a closed loop one request has seen it."""
    times = [0.01] * 500 + [5.0] + [0.01] * 5_000
    closed = loaded(times, Load(1, None, 0.0, 15.0, here=True)).latencies
    opened = loaded(times, Load(1, 50.0, 0.0, 30.0, here=True)).latencies
    assert sum(each > 0.1 for each in closed) == 1
    assert np.quantile(closed, 0.99) == pytest.approx(0.01)
    assert np.quantile(opened, 0.99) > 4
    assert sum(each > 0.1 for each in opened) > 200


def test_a_request_that_fails_has_no_latency_and_is_counted() -> None:
    hands = Hands()
    ticks = itertools.count()

    def send(_: One, __: Stop) -> float:
        hands.wait(1.0)
        if next(ticks) % 3 == 0:
            raise ValueError("no such luck")
        return hands.time

    stretch = run(itertools.repeat(One()), send, Load(1, None, 0.0, 9.0, here=True), hands.clock)
    assert [each.failure for each in stretch.counted if each.failure] == ["no such luck"] * 3
    assert len(stretch.latencies) == 6
    assert stretch.per_second(lambda each: each.texts) == pytest.approx(6 / 9)


def test_what_is_due_and_was_never_sent_is_no_answer() -> None:
    """At ten times the rate that the model can answer, those that wait when time is over do not vanish."""
    stretch = loaded([1.0] * 100, Load(1, 10.0, 0.0, 10.0, grace=5.0, here=True))
    failed = [each.failure for each in stretch.counted if each.failure]
    assert len(failed) + len(stretch.latencies) == len(stretch.counted)
    assert 12 <= len(stretch.latencies) <= 16
    assert len(failed) > 50
    assert failed[0] == "no answer came in the 5 s after the measurement"


def test_many_at_a_time() -> None:
    most, now, lock = 0, 0, threading.Lock()

    def send(_: One, __: Stop) -> float:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        return time.monotonic()

    stretch = run(itertools.repeat(One()), send, Load(4, None, 0.0, 0.2))
    assert most == 4
    assert min(stretch.latencies) >= 0.02
    assert len(stretch.latencies) > 8


@pytest.mark.parametrize("rate", [None, 20.0])
def test_what_does_not_end_is_given_up(rate: float | None) -> None:
    def send(_: One, stop: Stop) -> float | None:
        stop.wait(30)
        return None

    begun = time.monotonic()
    stretch = run(itertools.repeat(One()), send, Load(3, rate, 0.0, 0.2, grace=0.1))
    assert time.monotonic() - begun < 10
    assert stretch.answers
    assert {each.failure for each in stretch.answers} == {"no answer came in the 0.1 s after the measurement"}
