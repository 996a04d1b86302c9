"""A run that asks nothing and writes nothing: what each task of a plan would ask of the model."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from flagbench import BadInput
from flagbench.models.contract import Adapter
from flagbench.models.device import joint_device
from flagbench.models.loading.deferred import Deferred
from flagbench.runners.benchmark import Benchmark
from flagbench.runners.generation.demand import Demand
from flagbench.runners.generation.journal import Journal
from flagbench.runners.progress import Progress
from flagbench.runners.run.finished import unfinished
from flagbench.runners.run.plan import Plan, Step


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


def _no_weights() -> Adapter:
    raise BadInput("a dry run loads no weights and asks nothing")
