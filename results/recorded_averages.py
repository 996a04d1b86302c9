"""Averages that the data of a run decides, and no benchmark alone: those over the data sets of a folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flagbench import printable
from flagbench.results.record import TaskRecord

Recorded = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Names of the tasks of each average, by benchmark and by its label."""


def recorded_averages(records: Iterable[TaskRecord]) -> Recorded:
    """The averages that some tasks record.

    Of several averages with one label, each has the names of its tasks in its label.
    """
    found: dict[tuple[str, str], dict[tuple[str, ...], None]] = {}
    for record in records:
        if record.average:
            key = (record.average["benchmark"], record.average["label"])
            found.setdefault(key, {})[tuple(record.average["tasks"])] = None
    averages: dict[str, dict[str, tuple[str, ...]]] = {}
    for (benchmark, label), each in found.items():
        for tasks in each:
            name = label if len(each) == 1 else f"{label} of {', '.join(map(printable, tasks))}"
            averages.setdefault(benchmark, {})[name] = tasks
    return averages


def home_of(record: TaskRecord, averages: Recorded) -> tuple[str, str] | None:
    """Benchmark and label of the average that a task records; None where it records none.

    Args:
        record: The task.
        averages: Those that it and others record.
    """
    if not record.average:
        return None
    benchmark, tasks = record.average["benchmark"], tuple(record.average["tasks"])
    return benchmark, next(label for label, its in averages[benchmark].items() if its == tasks)
