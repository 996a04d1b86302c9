"""A model under load: how its answers are had, what is measured level by level, and what is kept of it."""

from __future__ import annotations

import datetime
import functools
import itertools
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from flagbench import BadInput, ModelFault
from flagbench.models.contract import Encoder, Remarked, Scorer
from flagbench.models.device import peak_memory, watch_peak
from flagbench.models.loading.tokenizer_model import tokenizer_model
from flagbench.models.served.encoder import ServedEncoder
from flagbench.models.served.resolve import ServedModel
from flagbench.models.served.scorer import ServedScorer
from flagbench.models.served.settings import ServedSettings
from flagbench.models.servers.concurrent import Stop
from flagbench.models.servers.exchange import Reply
from flagbench.results.intervals import Clusters, student_interval
from flagbench.results.speed import Estimate, Level, Memory, Speed
from flagbench.results.statistics import pooled_quantiles
from flagbench.runners.progress import Progress
from flagbench.runners.run.environment import describe
from flagbench.runners.run.plan import Plan
from flagbench.runners.speed.load import MOST_AT_ONCE, Load, Stretch, run
from flagbench.runners.speed.workload import Part, Workload, collect, workload_of

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


def measure(
    plan: Plan, settings: Settings, progress: Progress, after: Callable[[Workload, Level | None], None]
) -> Speed:
    """Measure the model of a plan.

    Args:
        plan: Of a run of the tasks whose texts are sent.
        settings: What is asked for.
        progress: The progress to report to.
        after: Called when the texts are known, and with each level when it was measured.

    Raises:
        BadInput: There are no such texts, or the model cannot be loaded.
        ModelFault: It answers nothing, or too seldom to be measured.
    """
    model, other_load = plan.model, _other_load()
    found = collect(plan, progress, role=settings.role, seed=settings.seed)
    served = isinstance(model, ServedModel)
    progress.stage("counting tokens", 1)
    tokens, adapter = _tokens(plan), _loaded(plan, progress)
    try:
        cut = adapter.info.tokens if isinstance(adapter, ServedEncoder | ServedScorer) else None
        workload = workload_of(found, model.spec, settings.role, tokens, cut)
        after(workload, None)
        target = _target(adapter, workload, settings)
        prepared = [_prepared(target, settings, *each) for each in settings.levels]
        watch_peak(target.device)
        levels = []
        for each in prepared:
            levels.append(_level(target, settings, each))
            after(workload, levels[-1])
        host, gpu = (None, None) if served else peak_memory(target.device)
    finally:
        if isinstance(adapter, ServedEncoder | ServedScorer):
            adapter.close()
    return Speed(
        model=model.spec.name,
        revision=model.spec.revision,
        spec=model.spec.as_dict(),
        benchmark=plan.benchmark.name,
        tasks=tuple(step.task.name for step in plan.steps),
        data=_data(plan),
        texts=workload.texts,
        loop="open" if settings.rates else "closed",
        seconds=_window(settings, here=not served)[1],
        repeats=settings.repeats,
        levels=tuple(levels),
        memory=Memory(host, gpu),
        served=served,
        environment=describe(plan.devices),
        other_load=other_load,
        finished=datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
        url=model.spec.own_as(ServedSettings).url if served else "",
    )


def _data(plan: Plan) -> Literal["mini", "hub", "folder"]:
    return "mini" if plan.request.mini else "folder" if plan.request.data else "hub"


def _other_load() -> float | None:
    """Load of each processor in the last minute; None where that is not known."""
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except OSError:
        return None


def _tokens(plan: Plan) -> Any:
    """What counts the tokens of the model; None where nothing does."""
    model, trusted = plan.model, plan.request.trust_remote_code
    if isinstance(model, ServedModel):
        return model.tokens(trust_remote_code=trusted) if model.counted else None
    if model.checkpoint is None:
        return None
    try:
        return tokenizer_model(str(model.checkpoint.tokenizer_folder)).tokens(trust_remote_code=trusted)
    except BadInput:  # of a kind that is not read alone: lengths are of characters then
        return None


def _loaded(plan: Plan, progress: Progress) -> Any:
    request = plan.request
    progress.stage(f"loading {plan.model.spec.name}", 1)
    adapter: Any = plan.model.load(
        device=plan.devices[0],
        batch_size=request.batch_size,
        trust_remote_code=request.trust_remote_code,
        allow_pickle=request.allow_pickle,
        backend=request.backend,
    )
    if isinstance(adapter, Remarked) and adapter.odd:
        progress.line(f"warning: {adapter.odd}")
    return adapter


def _target(adapter: Any, workload: Workload, settings: Settings) -> Target:
    if isinstance(adapter, ServedEncoder | ServedScorer):
        made = functools.partial(_served_calls, adapter, workload, settings.seed)
        return Target(made, adapter.client.usage, "", here=False)
    return Target(functools.partial(_own_calls, adapter, workload, settings.seed), Counter(), adapter.device, here=True)


def _served_calls(adapter: ServedEncoder | ServedScorer, workload: Workload, seed: int, size: int) -> list[Call]:
    """Requests to a server, whose bodies are made before their time counts."""

    def call(part: Part) -> Call:
        made: tuple[str, bytes, Callable[[Reply], object]]
        if isinstance(adapter, ServedScorer):
            made = adapter.request(part.instruction + str(part.query), part.texts)
        else:
            made = adapter.request([part.instruction + text for text in part.texts])
        path, body, read = made

        def send(stop: Stop) -> float | None:
            adapter.client.count(asked=1)

            def at_last_byte(reply: Reply) -> float:
                read(reply)  # what is no usable answer is none here either
                return reply.arrived

            return adapter.client.post(path, body, at_last_byte, stop)

        return Call(len(part.texts), sum(part.units), send)

    return list(map(call, workload.requests(size, seed)))


def _own_calls(adapter: Any, workload: Workload, seed: int, size: int) -> list[Call]:
    """Calls of a model in this process, from the texts to vectors or scores in memory."""

    def ended(work: Callable[[], Any], _: Stop) -> float:
        work()
        return time.monotonic()

    def embed(part: Part) -> Call:
        encoder, texts = cast("Encoder", adapter), list(part.texts)
        work = functools.partial(
            encoder.encode, texts, role=part.role, instruction=part.instruction, parts=adapter.spec.parts
        )
        return Call(len(texts), sum(part.units), functools.partial(ended, work))

    def score(parts: Sequence[Part]) -> Call:
        scorer, pairs = cast("Scorer", adapter), [(str(each.query), each.texts[0]) for each in parts]
        work = functools.partial(scorer.score, pairs, instruction=parts[0].instruction)
        return Call(len(pairs), sum(each.units[0] for each in parts), functools.partial(ended, work))

    if adapter.spec.ability == "score":
        return list(map(score, workload.joined(size, seed)))
    return list(map(embed, workload.requests(size, seed)))


def _window(settings: Settings, *, here: bool) -> tuple[float, float, float]:
    """Seconds of the warm-up of a level, of each repeat as far as it counts, and of what comes before that in it.

    One call after the other needs no time until as many as usual are on their way.
    """
    level = settings.seconds / len(settings.levels)
    repeat = level * (1 - _WARM_UP) / settings.repeats
    lead = 0.0 if here and not settings.rates else repeat * _LEAD
    return level * _WARM_UP, repeat - lead, lead


@dataclass(frozen=True)
class _Prepared:
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


def _prepared(target: Target, settings: Settings, concurrency: int, rate: float | None) -> _Prepared:
    """Warm up for a level, and see that its time will do.

    Raises:
        BadInput: A repeat would be over before a request is.
        ModelFault: The model answers nothing.
    """
    # A model in this process has one call at a time: what comes at the same time is one batch to it.
    size = concurrency if target.here and rate is None else settings.batch
    calls = itertools.cycle(target.calls(size))
    warm_up, seconds, _ = _window(settings, here=target.here)

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
    return _Prepared(concurrency, rate, size, stretch)


def _level(target: Target, settings: Settings, level: _Prepared) -> Level:
    """Measure one level.

    Raises:
        ModelFault: The model answers too seldom.
    """
    _, seconds, lead = _window(settings, here=target.here)
    before, busy, began = Counter(target.usage), time.process_time(), time.monotonic()
    stretches = [level.stretch(seconds, lead, settings.seed + 1 + number) for number in range(settings.repeats)]
    share = (time.process_time() - busy) / (time.monotonic() - began)
    sent = target.usage - before
    return _summary(stretches, level, max(0, sent["requests"] - sent["asked"]), share, settings.seed)


def _at(concurrency: int, rate: float | None) -> str:
    return f"at {rate:g} requests a second" if rate is not None else f"with {concurrency} at the same time"


def _summary(stretches: Sequence[Stretch], level: _Prepared, retries: int, share: float, seed: int) -> Level:
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

    def rate_of(amount: Callable[[Any], int]) -> Estimate:
        values = [each.per_second(amount) for each in stretches]
        its = Clusters.of(values)
        return _estimate(its.mean, *student_interval(its.mean, its.error or 0.0, max(1, len(its) - 1)))

    return Level(
        concurrency=level.concurrency,
        batch=level.size,
        rate=level.rate,
        requests=len(counted) - len(failures),
        failed=len(failures),
        retries=retries,
        p50=p50,
        p90=p90,
        p99=p99,
        texts_per_second=rate_of(lambda answer: answer.texts),
        units_per_second=rate_of(lambda answer: answer.units),
        processors=share,
        failure=failures[0] if failures else "",
    )


def _estimate(value: float, low: float, high: float) -> Estimate:
    """An estimate whose interval has it: that of few repeats may lie beside it."""
    return Estimate(value, min(max(low, 0.0), value), max(high, value))
