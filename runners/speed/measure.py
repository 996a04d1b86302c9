"""A model under load: how its answers are had, and what is kept of what was measured."""

from __future__ import annotations

import datetime
import functools
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

from flagbench import BadInput
from flagbench.models.contract import Encoder, Remarked, Scorer
from flagbench.models.device import peak_memory, watch_peak
from flagbench.models.loading.tokenizer_model import tokenizer_model
from flagbench.models.served.encoder import ServedEncoder
from flagbench.models.served.resolve import ServedModel
from flagbench.models.served.scorer import ServedScorer
from flagbench.models.served.settings import ServedSettings
from flagbench.models.servers.concurrent import Stop
from flagbench.models.servers.exchange import Reply
from flagbench.results.speed import Level, Memory, Speed
from flagbench.runners.progress import Progress
from flagbench.runners.run.environment import describe
from flagbench.runners.run.plan import Plan
from flagbench.runners.speed.levels import Call, Settings, Target, measured, prepared, window_of
from flagbench.runners.speed.workload import Part, Workload, collect, workload_of


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
    progress.task("measuring")
    progress.stage("counting tokens", 1)
    tokens, adapter = _tokens(plan), _loaded(plan, progress)
    try:
        cut = adapter.info.tokens if isinstance(adapter, ServedEncoder | ServedScorer) else None
        workload = workload_of(found, model.spec, settings.role, tokens, cut)
        after(workload, None)
        target = _target(adapter, workload, settings)
        ready = [prepared(target, settings, *each) for each in settings.levels]
        watch_peak(target.device)
        levels = measured(target, settings, ready, progress)
        for each in levels:
            after(workload, each)
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
        seconds=window_of(settings, here=not served)[1],
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
