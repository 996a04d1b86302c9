"""A run that asks nothing and writes nothing: what each task of a plan would ask of the model."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import cast

from flagbench import BadInput
from flagbench.models.contract import Adapter, Scorer
from flagbench.models.device import joint_device
from flagbench.models.loading.deferred import Deferred
from flagbench.models.loading.resolve import Model
from flagbench.models.served.requests import MOST_TEXTS
from flagbench.models.served.resolve import ServedModel
from flagbench.runners.benchmark import Benchmark, EvaluatedModel
from flagbench.runners.encoding.cache import EmbeddingCache
from flagbench.runners.encoding.counting import Counting, CountingCache, Sent
from flagbench.runners.generation.demand import Demand
from flagbench.runners.generation.journal import Journal
from flagbench.runners.progress import Progress
from flagbench.runners.run.finished import unfinished
from flagbench.runners.run.plan import Plan, Step
from flagbench.runners.store.store import Store


def check_counts(benchmark: Benchmark) -> None:
    """See that a benchmark knows what it asks of a model.

    Raises:
        BadInput: It does not.
    """
    if type(benchmark).demand is Benchmark.demand:
        raise BadInput(
            f"--dry-run counts prompts, and {benchmark.name} does not count what it asks of a model: "
            f"flagbench validate MODEL --benchmark {benchmark.name} shows what a run takes"
        )


def demands(plan: Plan, progress: Progress) -> Iterator[tuple[Step, Demand]]:
    """Count what the tasks without a result would ask of the model, one task after the other.

    The tokenizer of the model is read, and no weights.

    Args:
        plan: Of the run.
        progress: The progress to report to.

    Raises:
        BadInput: A task's data, or the tokenizer, cannot be used.
    """
    request = plan.request
    tokens = functools.partial(plan.model.tokens, trust_remote_code=request.trust_remote_code)
    adapter = Deferred(plan.model.spec, joint_device(plan.devices), _no_weights, tokens)
    for step in unfinished(plan):
        progress.task(step.task.name)
        loaded = plan.benchmark.load(step.task, plan.snapshots, request)
        path, digest = plan.store.journal(step.task.name, step.settings, step.former_settings)
        answered = frozenset() if request.overwrite else Journal.answered(path, digest)
        yield step, plan.benchmark.demand(loaded, adapter, answered, progress)


def is_served(plan: Plan) -> bool:
    """Whether an embedder or a reranker of a plan is behind a server."""
    return any(isinstance(model, ServedModel) for model in (plan.model, plan.reranker))


def sent_by(plan: Plan, progress: Progress) -> Iterator[tuple[Step, Sent]]:
    """Count what the tasks without a result would send to the servers of a plan, one task after the other.

    Each task is scored with stand-ins for the models, whose scores are thrown away; so what is sent after what came
    before, such as the pairs of a reranker, is of the right number, and about the right length.

    Args:
        plan: Of the run.
        progress: The progress to report to.

    Raises:
        BadInput: A task's data, or the tokenizer, cannot be used.
    """
    request = plan.request
    store = Store(request.store, cap_bytes=None, warn=progress.line) if request.store else None
    cache = CountingCache(EmbeddingCache(store, half=request.store_fp16)) if store else None
    models = [(model, _counting(model, plan, cache)) for model in filter(None, (plan.model, plan.reranker))]
    for step in unfinished(plan):
        progress.task(step.task.name)
        loaded = plan.benchmark.load(step.task, plan.snapshots, request)
        reranker = cast("Scorer", models[1][1]) if len(models) > 1 else None
        evaluated = EvaluatedModel(cast("Adapter", models[0][1]), reranker, request.rerank_top_k, cache)
        plan.benchmark.evaluate(loaded, evaluated, progress, None)
        total = Sent()
        for model, counting in models:
            if isinstance(model, ServedModel):
                total.add(counting.sent)
            counting.sent = Sent()
        yield step, total


def _counting(model: Model, plan: Plan, cache: CountingCache | None) -> Counting:
    """The stand-in for a model.

    Raises:
        BadInput: There is none for a model of its kind.
    """
    if model.spec.ability not in ("encode", "score"):
        raise BadInput(f"--dry-run counts what vectors and scores take, and {model.spec.name} gives neither: drop it")
    if not isinstance(model, ServedModel):
        return Counting(model.spec, cache, MOST_TEXTS, None)
    tokens = model.tokens(trust_remote_code=plan.request.trust_remote_code) if model.counted else None
    texts = plan.request.batch_size or model.connection.texts or MOST_TEXTS
    return Counting(model.spec, cache, texts, tokens)


def _no_weights() -> Adapter:
    raise BadInput("a dry run loads no weights and asks nothing")
