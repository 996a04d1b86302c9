"""The result of a run, and of one whose tasks were all finished before: that needs neither model nor engine."""

from __future__ import annotations

from dataclasses import dataclass

from flagbench.results.record import RunRecord, TaskRecord
from flagbench.runners.progress import Progress
from flagbench.runners.run.plan import Plan, Step


@dataclass(frozen=True)
class Finished:
    """Result of a run.

    Attributes:
        records: One for each task of the plan, in order, skipped ones as they were.
        exit_code: 0; 2 when a task's data was bad; else 1 when a task failed.
    """

    records: tuple[TaskRecord, ...]
    exit_code: int


def unfinished(plan: Plan) -> list[Step]:
    """The steps of a plan that will run."""
    return [step for step in plan.steps if step.state != "finished"]


def finished_before(plan: Plan, progress: Progress) -> Finished | None:
    """The result of a plan whose tasks are all finished, as they are recorded; None where one of them will run.

    Args:
        plan: What to do.
        progress: The progress to report to.
    """
    earlier = plan.earlier
    if earlier is None or unfinished(plan):
        return None
    return Finished(tuple(skip(step, earlier, progress) for step in plan.steps), 0)


def skip(step: Step, record: RunRecord, progress: Progress) -> TaskRecord:
    """The recorded result of a finished task, with a line that says so."""
    progress.line(f"{step.task.name}: finished before with the same settings, skipped")
    return record.tasks[step.task.name]
