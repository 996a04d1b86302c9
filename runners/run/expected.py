"""How long a task may take, by the speed that finished runs of the same model had on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from flagbench import BadInput
from flagbench.files import user_path
from flagbench.results.page.facts import speed
from flagbench.results.record import MACHINE, RunRecord
from flagbench.results.runs import Run
from flagbench.results.store import RunStore
from flagbench.runners.request import PROFILES
from flagbench.runners.run.environment import describe
from flagbench.runners.run.plan import Plan


@dataclass(frozen=True)
class Measured:
    """The speed of a model in a finished run.

    Attributes:
        per_second: Texts encoded, or questions answered, in a second.
        unit: Which of the two.
        source: The run.json that has the figures.
    """

    per_second: float
    unit: str
    source: Path


def measured(plan: Plan) -> Measured | None:
    """The speed of the plan's model, by what a run of it on this machine recorded; None where none did.

    Looked for in the results folder of the plan, and in those of its profiles. Of a model with a reranker none is
    known: records have no count of the pairs.
    """
    if plan.reranker:
        return None
    here = describe(plan.devices)
    for store, record in _records(plan):
        tasks = {
            name: task
            for name, task in record.tasks.items()
            if all(record.environment_of(name).get(key) == here[key] for key in MACHINE)
        }
        found = speed(Run(store.folder, replace(record, tasks=tasks), record.model))
        if found:
            unit = "texts" if found.unit == "texts" else "questions"
            return Measured(found.per_second, unit, store.run_file)
    return None


def _records(plan: Plan) -> Iterator[tuple[RunStore, RunRecord]]:
    if plan.earlier:
        yield plan.store, plan.earlier
    output = user_path(plan.request.output)
    for profile in PROFILES:
        folder = output if profile == "full" else output / profile
        if profile == plan.request.profile:
            continue
        store = RunStore(folder, plan.name, plan.store.folder.name)
        try:
            record = store.read()
        except BadInput:  # of another run, which this one has no part in
            continue
        if record:
            yield store, record
