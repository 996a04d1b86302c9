"""Load on a model: requests one after the other, many at a time, or as they come, and how long each takes.

In a closed loop so many clients send, and each sends again when its answer has come: a slow answer holds back what
would have come meanwhile. In an open loop requests come at a rate, whatever has been answered, and the latency of each
counts from when it should have been sent, also where it had to wait here. A closed loop hides that wait ("coordinated
omission": Tene, "How NOT to Measure Latency", 2013; Schroeder et al., "Open Versus Closed: A Cautionary Tale", NSDI
2006).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from flagbench.models.servers.concurrent import Stop

MOST_AT_ONCE = 256
"""Requests of an open loop that may be on their way; of more, the others wait here, and their wait counts."""


class Sized(Protocol):
    """A request: how much is in it."""

    @property
    def texts(self) -> int:
        """Texts, or pairs."""
        ...

    @property
    def units(self) -> int:
        """Tokens, or characters, of them all."""
        ...


R = TypeVar("R", bound=Sized)


@dataclass(frozen=True)
class Clock:
    """Seconds that rise, and a wait."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


CLOCK = Clock()


@dataclass(frozen=True)
class Load:
    """How requests come.

    Attributes:
        concurrency: Requests on their way at the same time; of an open loop, at most.
        rate: Requests a second, at random times with exponential gaps (a Poisson process); None for a closed loop.
        lead: Seconds at its beginning that do not count.
        seconds: Seconds that count.
        grace: Seconds that requests have to end after these; then they are given up, and what still waits is not sent.
        seed: Of the times of an open loop.
        here: One request at a time, in the caller's thread, which cannot be given up: that of a model in this process.
    """

    concurrency: int
    rate: float | None
    lead: float
    seconds: float
    grace: float = 30.0
    seed: int = 0
    here: bool = False


@dataclass(frozen=True)
class Answer:
    """What became of a request.

    Attributes:
        begun: When it was sent, or should have been.
        ended: When its last byte came.
        texts: In it.
        units: In it.
        failure: Why there is no answer; empty where there is one.
    """

    begun: float
    ended: float
    texts: int
    units: int
    failure: str = ""


@dataclass(frozen=True)
class Stretch:
    """What was measured in one stretch of time.

    Attributes:
        start: When it began to count.
        end: When it ceased to count.
        answers: To all requests that were sent, also before it counted.
        closed: Whether each was sent when the one before it had its answer.
    """

    start: float
    end: float
    answers: tuple[Answer, ...]
    closed: bool = True

    @property
    def counted(self) -> list[Answer]:
        """The answers whose request was sent, or should have been, while it counted."""
        return [each for each in self.answers if self.start <= each.begun < self.end]

    @property
    def latencies(self) -> list[float]:
        """Seconds of each counted request that ended well."""
        return [each.ended - each.begun for each in self.counted if not each.failure]

    def per_second(self, amount: Callable[[Answer], int]) -> float:
        """Amount of what ended well while it counted, in a second.

        Of a closed loop a request that was on its way when it began or ceased to count has a share, that of its time:
        whole ones are so few in a short stretch that their number is often the same in each, whatever the model does,
        and where a server answers many at once it is off by as many. In an open loop, where a request's time has its
        wait in it, whole requests count.

        Args:
            amount: Of an answer.
        """
        share = self._share if self.closed else self._whole
        return sum(amount(each) * share(each) for each in self.answers if not each.failure) / (self.end - self.start)

    def step(self, amount: Callable[[Answer], int]) -> float:
        """What one request more or less makes of ``per_second`` where whole ones count, on average; else 0."""
        ended = [amount(each) for each in self.answers if not each.failure]
        return 0.0 if self.closed or not ended else sum(ended) / len(ended) / (self.end - self.start)

    def _share(self, answer: Answer) -> float:
        took = answer.ended - answer.begun
        counted = min(answer.ended, self.end) - max(answer.begun, self.start)
        return max(0.0, counted) / took if took > 0 else self._whole(answer)

    def _whole(self, answer: Answer) -> float:
        return float(self.start <= answer.ended <= self.end)


class _Turns(Generic[R]):
    """Hands out requests, each with the time at which it is to be sent; one thread at a time."""

    def __init__(self, requests: Iterator[R], load: Load, start: float) -> None:
        self._requests, self._load = requests, load
        self._end = start + load.lead + load.seconds
        self._next = start
        self._gaps = random.Random(load.seed)
        self._lock = threading.Lock()

    def take(self, now: Callable[[], float]) -> tuple[R, float | None] | None:
        """The next request, and when to send it: None for at once. None where the time is over."""
        with self._lock:
            if self._load.rate is None:
                return (next(self._requests), None) if now() < self._end else None
            self._next += self._gaps.expovariate(self._load.rate)
            return (next(self._requests), self._next) if self._next < self._end else None


def run(requests: Iterator[R], send: Callable[[R, Stop], float | None], load: Load, clock: Clock = CLOCK) -> Stretch:
    """Send requests for some time.

    Args:
        requests: Without an end.
        send: Sends one and waits for its answer; it says when the last byte came, None where it was given up. What it
            raises is a failed request.
        load: How many, when, and how long.
        clock: What time is.
    """
    start = clock.now()
    turns, answers, stop = _Turns(requests, load, start), list[Answer](), Stop()
    end = start + load.lead + load.seconds

    def work() -> None:
        while (turn := turns.take(clock.now)) is not None:
            request, due = turn
            if due is not None and (left := due - clock.now()) > 0:
                clock.sleep(left)
            begun = clock.now() if due is None else due
            failure = f"no answer came in the {load.grace:g} s after the measurement"
            ended: float | None = None
            if not stop.is_set() and clock.now() < end + load.grace:
                try:
                    ended = send(request, stop)
                except Exception as error:
                    failure = str(error) or type(error).__name__
            failure = failure if ended is None else ""
            answers.append(
                Answer(begun, clock.now() if ended is None else ended, request.texts, request.units, failure)
            )

    if load.here:
        work()
    else:
        many = load.concurrency if load.rate is None else _workers(load)
        _in_threads(work, many, stop, lambda: end + load.grace - clock.now())
    if load.here and load.rate is None:
        # It is busy all the time: up to the end of its last call there is no moment that is not of one of them.
        end = max([end, *(each.ended for each in answers)])
    return Stretch(start + load.lead, end, tuple(answers), load.rate is None)


def _workers(load: Load) -> int:
    """Threads of an open loop: as many as may be on their way, or as there are requests at all."""
    assert load.rate is not None
    return max(1, min(load.concurrency, round(2 * load.rate * (load.lead + load.seconds)) + 1))


def _in_threads(work: Callable[[], None], many: int, stop: Stop, left: Callable[[], float]) -> None:
    """Work in threads until they end; what has not ended when no time is left is given up."""
    # Daemons: an interpreter that is interrupted must not wait for a server.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(many)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join(max(0.0, left()))
    finally:
        stop.give_up()
    for thread in threads:
        thread.join()
