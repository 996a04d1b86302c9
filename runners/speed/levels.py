"""What is measured level by level: warm-up, repeats of all levels in turn, and the figures of each with intervals."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from flagbench import BadInput, ModelFault
from flagbench.models.servers.concurrent import Stop
from flagbench.results.intervals import Clusters, student_interval
from flagbench.results.speed import Estimate, Level
from flagbench.results.statistics import pooled_quantiles
from flagbench.runners.progress import Progress
from flagbench.runners.speed.load import MOST_AT_ONCE, Answer, Load, Stretch, run

_WARM_UP, _LEAD = 0.1, 0.1
"""Shares of the time of a level, and of each of its repeats, that do not count."""

_SHARES = (0.5, 0.9, 0.99)


@dataclass(frozen=True)
class Settings:
    """What is asked for.

    Attributes:
        concurrency: Requests at the same time, a level each; of a model in this process, texts of one call.
        rates: Requests a second, a level each, in the place of these; empty for a closed loop.
        batch: Texts of a request to a server.
        seconds: Of all levels together.
        repeats: Of each level.
        role: Of the texts; ``all`` for any.
        seed: Of the draw of texts, of their order, of arrivals, and of the intervals.
    """

    concurrency: tuple[int, ...] = (1, 8, 32)
    rates: tuple[float, ...] = ()
    batch: int = 1
    seconds: float = 60.0
    repeats: int = 5
    role: str = "all"
    seed: int = 0

    @property
    def levels(self) -> list[tuple[int, float | None]]:
        """Concurrency and rate of each level."""
        if self.rates:
            return [(MOST_AT_ONCE, rate) for rate in self.rates]
        return [(each, None) for each in self.concurrency]


@dataclass(frozen=True)
class Call:
    """A request that is ready to be sent.

    Attributes:
        texts: Texts, or pairs, in it.
        units: Tokens, or characters, of them.
        send: Sends it, and says when its last byte came; None where it was given up.
    """

    texts: int
    units: int
    send: Callable[[Stop], float | None]


@dataclass(frozen=True)
class Target:
    """A model that answers.

    Attributes:
        calls: Makes the requests of so many texts.
        usage: Counts of what was sent: ``asked`` and ``requests``, which is more where some were sent again.
        device: Where it runs; empty where that is a server.
        here: Whether it runs in this process, one call at a time.
    """

    calls: Callable[[int], list[Call]]
    usage: Counter[str]
    device: str
    here: bool


def window_of(settings: Settings, *, here: bool) -> tuple[float, float, float]:
    """Seconds of the warm-up of a level, of each repeat as far as it counts, and of what comes before that in it.

    One call after the other needs no time until as many as usual are on their way.
    """
    level = settings.seconds / len(settings.levels)
    repeat = level * (1 - _WARM_UP) / settings.repeats
    lead = 0.0 if here and not settings.rates else repeat * _LEAD
    return level * _WARM_UP, repeat - lead, lead


@dataclass(frozen=True)
class Prepared:
    """A level that can be measured, as its model is warm.

    Attributes:
        concurrency: Of requests.
        rate: Of an open loop.
        size: Texts of a request.
        stretch: Measures for so many seconds after some that do not count, with a seed.
    """

    concurrency: int
    rate: float | None
    size: int
    stretch: Callable[[float, float, int], Stretch]


def prepared(target: Target, settings: Settings, concurrency: int, rate: float | None) -> Prepared:
    """Warm up for a level, and see that its time will do.

    Raises:
        BadInput: A repeat would be over before a request is.
        ModelFault: The model answers nothing.
    """
    # A model in this process has one call at a time: what comes at the same time is one batch to it.
    size = concurrency if target.here and rate is None else settings.batch
    calls = itertools.cycle(target.calls(size))
    warm_up, seconds, _ = window_of(settings, here=target.here)

    def stretch(seconds: float, lead: float, seed: int) -> Stretch:
        load = Load(concurrency, rate, lead, seconds, seed=seed, here=target.here)
        return run(calls, lambda call, stop: call.send(stop), load)

    first = stretch(warm_up, 0.0, settings.seed)
    if first.answers and all(each.failure for each in first.answers):
        raise ModelFault(f"the model answers no request of the warm-up: {first.answers[0].failure}")
    longest = max(first.latencies, default=0.0)
    if longest > seconds and not target.here:
        needed = math.ceil(settings.seconds * 2 * longest / seconds)
        raise BadInput(
            f"{_at(concurrency, rate)} a request takes up to {longest:.2g} s, and a repeat {seconds:.2g} s: give "
            f"--seconds {needed}, fewer --repeats or fewer levels"
        )
    return Prepared(concurrency, rate, size, stretch)


@dataclass(frozen=True)
class _Repeat:
    """A repeat of a level.

    Attributes:
        stretch: What was measured.
        retries: Requests that were sent again.
        busy: Seconds of processors that this process took.
        seconds: That it took.
    """

    stretch: Stretch
    retries: int
    busy: float
    seconds: float


def measured(target: Target, settings: Settings, levels: Sequence[Prepared], progress: Progress) -> list[Level]:
    """Measure all levels, a repeat of each in turn, so that what changes on the machine meanwhile is in all of them.

    Every other round goes backwards: a steady drift is in all alike then.

    Raises:
        ModelFault: The model answers nothing any more, or too seldom.
    """
    repeats: list[list[_Repeat]] = [[] for _ in levels]
    progress.stage("repeats", settings.repeats * len(levels))
    for number in range(settings.repeats):
        for place in sorted(range(len(levels)), reverse=bool(number % 2)):
            repeats[place].append(_repeat(target, settings, levels[place], number))
            progress.advance(1)
        answers = [answer for its in repeats for answer in its[-1].stretch.answers]
        if answers and all(each.failure for each in answers):
            raise ModelFault(f"the model answers nothing any more: {answers[-1].failure}")
    return [_summary(its, level, settings.seed) for its, level in zip(repeats, levels, strict=True)]


def _repeat(target: Target, settings: Settings, level: Prepared, number: int) -> _Repeat:
    _, seconds, lead = window_of(settings, here=target.here)
    before, busy, began = Counter(target.usage), time.process_time(), time.monotonic()
    stretch = level.stretch(seconds, lead, settings.seed + 1 + number)
    sent = target.usage - before
    retries = max(0, sent["requests"] - sent["asked"])
    return _Repeat(stretch, retries, time.process_time() - busy, time.monotonic() - began)


def _at(concurrency: int, rate: float | None) -> str:
    return f"at {rate:g} requests a second" if rate is not None else f"with {concurrency} at the same time"


def _summary(repeats: Sequence[_Repeat], level: Prepared, seed: int) -> Level:
    stretches = [each.stretch for each in repeats]
    counted = [answer for each in stretches for answer in each.counted]
    failures = [answer.failure for answer in counted if answer.failure]
    latencies = [its for each in stretches if (its := each.latencies)]
    if len(latencies) < 2:
        why = f" ({failures[0]})" if failures else ": allow more --seconds"
        raise ModelFault(
            f"{_at(level.concurrency, level.rate)}, {len(latencies)} of {len(stretches)} repeats have an answer, and "
            f"an interval takes two{why}"
        )
    p50, p90, p99 = (_estimate(*each) for each in pooled_quantiles(latencies, _SHARES, seed=seed))
    return Level(
        concurrency=level.concurrency,
        batch=level.size,
        rate=level.rate,
        requests=len(counted) - len(failures),
        failed=len(failures),
        retries=sum(each.retries for each in repeats),
        p50=p50,
        p90=p90,
        p99=p99,
        texts_per_second=throughput(stretches, lambda answer: answer.texts),
        units_per_second=throughput(stretches, lambda answer: answer.units),
        processors=sum(each.busy for each in repeats) / sum(each.seconds for each in repeats),
        failure=failures[0] if failures else "",
    )


def throughput(stretches: Sequence[Stretch], amount: Callable[[Answer], int]) -> Estimate:
    """Amount a second with Student's interval over repeats.

    Where whole requests were counted each count is off by up to one half, also where all happen to be equal: so much is
    the least that the repeats are held to vary by.

    Args:
        stretches: The repeats, two or more.
        amount: Of an answer.
    """
    its = Clusters.of([each.per_second(amount) for each in stretches])
    rounding = fmean(each.step(amount) for each in stretches) / 2 / math.sqrt(len(its))
    return _estimate(its.mean, *student_interval(its.mean, max(its.error or 0.0, rounding), len(its) - 1))


def _estimate(value: float, low: float, high: float) -> Estimate:
    """An estimate whose interval has it: that of few repeats may lie beside it."""
    return Estimate(value, min(max(low, 0.0), value), max(high, value))
