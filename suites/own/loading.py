"""Data sets of the user as mteb's task objects. Imported when rows are read: mteb comes with it."""

from __future__ import annotations

from typing import Any

from flagbench.runners.mteb.made import made
from flagbench.runners.task import Task
from flagbench.suites.own.layouts import DataSet
from flagbench.suites.own.reading import read
from flagbench.suites.own.values import Report


def made_task(task: Task, data: DataSet, report: Report) -> Any:
    """mteb's object of a data set, with its rows.

    Args:
        task: Its task.
        data: The data set.
        report: Takes each fault of a row.
    """
    splits = read(data, report)
    settings: dict[str, Any] = {}
    if data.kind == "Classification":
        settings["samples_per_label"] = data.said.samples_per_label
    if data.kind == "STS":
        scores = [score for rows in splits.values() for score in rows.column("score").to_pylist()]  # type: ignore[union-attr]
        settings |= {"min_score": min(scores), "max_score": max(scores)}
    return made(task, splits, data.said.language, **settings)
