"""Means that are published without the scores that they are of: a run's own are made of its tasks, and stand beside
these as if each were a task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from flagbench import first_few
from flagbench.results.averages import Member, Weights, average
from flagbench.results.compare.settings import settings_mixed
from flagbench.results.data_state import DataState
from flagbench.results.record import RunRecord, TaskRecord

if TYPE_CHECKING:
    from flagbench.results.published.scores import PublishedTable

KIND = "mean"
"""The type of means, where tasks have theirs."""


@dataclass(frozen=True)
class PublishedMean:
    """What a published mean is of.

    Attributes:
        weights: Of its tasks, which add up to 1.
        split: Of the tasks' scores; where it is a protocol, whose rules they are by.
        subset: Of the split; empty for all of its subsets, whose mean a task's score is.
    """

    weights: Weights
    split: str
    subset: str = ""


def with_means(record: RunRecord, table: PublishedTable) -> RunRecord:
    """A run with the means of a table, each of which it has all tasks of.

    What keeps one of the tasks from being compared keeps the mean from it: a failure, a part of the data, other data
    than the official one.

    Args:
        record: The run.
        table: The published scores, whose tasks have other names than its means.
    """
    made = {
        label: _mean(label, mean, [record.tasks[name] for name in mean.weights], record)
        for label, mean in table.means.items()
        if all(name in record.tasks for name in mean.weights)
    }
    return replace(record, tasks={**record.tasks, **made}) if made else record


def _mean(label: str, mean: PublishedMean, tasks: Sequence[TaskRecord], record: RunRecord) -> TaskRecord:
    """A mean of a run as a task."""
    settings = {**tasks[0].settings, "task": {}}
    failed = [task.name for task in tasks if task.status == "error"]
    mixed = settings_mixed(tasks, record.spec)
    if failed or mixed:
        why = f"no score of {first_few(failed)}" if failed else f"between its tasks: {mixed}"
        return TaskRecord(label, KIND, "error", settings, "", error=why)
    found = {task.name: _score(task, mean) for task in tasks}
    known: dict[Member, float] = {name: score for name, score in found.items() if score is not None}
    return TaskRecord(
        label,
        KIND,
        "partial" if any(task.status == "partial" for task in tasks) else "success",
        settings,
        "",
        scores={mean.split: {"default": average(mean.weights, known)}} if len(known) == len(found) else {},
        data=_data(tasks),
        later_error=next((task.later_error for task in tasks if task.later_error), ""),
    )


def _score(task: TaskRecord, mean: PublishedMean) -> float | None:
    """The score of a task that counts in a mean; None without one."""
    by_subset = task.scores.get(mean.split, {})
    if mean.subset:
        return by_subset.get(mean.subset)
    return fmean(by_subset.values()) if by_subset else None


def _data(tasks: Sequence[TaskRecord]) -> dict[str, Any]:
    """How the data of tasks stands to the official data: as the worst of theirs, with all differences."""
    state = DataState.worst(DataState.of(task.data) for task in tasks)
    lines = [f"{task.name}: {line}" for task in tasks for line in task.data.get("differences") or ()]
    return {"status": str(state), "differences": lines}
