"""From a run to the point that trackers get of it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from flagbench.results.averages import Averages, Cell, Weights, shares, weights
from flagbench.results.model_name import layer_in_name, own_name
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.runs import Run, shared_metric
from flagbench.results.table import rows
from flagbench.runners.trackers.point import Point

_OF_STEP = re.compile(r"(.+)/checkpoint-([0-9]{1,15})")
_NO_SETTINGS = {"name", "revision", "licence"}


def point_of(run: Run, averages: Averages, names: Collection[str] | None = None) -> Point:
    """The point of a run.

    Args:
        run: It.
        averages: Of its benchmark.
        names: Of the tasks that count; None for all.

    Raises:
        BadInput: A file of values per query is damaged.
    """
    record = run.record
    records = [its for name, its in record.tasks.items() if names is None or name in names]
    tasks, means = rows(records, averages)
    scores = {row.label: row.score for row in (*tasks, *means) if row.score is not None}
    errors = {its.name: error for its in records if (error := _error(run, its)) is not None}
    for label in averages:
        of = weights(averages, label)
        if label in scores and of.keys() <= errors.keys():
            its = [_error_in(of, task, run, errors[task]) for task in of]
            if None not in its:
                # Tasks have items of their own, so that their errors are independent of one another.
                errors[label] = math.hypot(*(error for error in its if error is not None))
    series, step = _series_of(record)
    return Point(
        series=series,
        step=step,
        model=record.model,
        revision=record.revision,
        benchmark=record.benchmark,
        scores=scores,
        errors=errors,
        settings=dict(_settings(record.spec)) | dict(_settings(record.reranker or {}, "reranker.")),
        record=record.to_json(),
    )


def _series_of(record: RunRecord) -> tuple[str, int]:
    """The training run of a checkpoint with what else is in its name, as ``--dims`` and rerankers are, and its step."""
    own = own_name({"name": record.model, **record.spec}, layer=layer_in_name(record.evidence))
    match = _OF_STEP.fullmatch(own)
    if match is None or not record.model.startswith(own):
        return record.model, 0
    return match[1] + record.model.removeprefix(own), int(match[2])


def _error_in(of: Weights, task: str, run: Run, error: float) -> float | None:
    """What the standard error of a task, or of the parts of it that count, adds to that of an average."""
    record = run.record.tasks[task]
    counted = shares(of, task, record.scores)
    its = error if counted is None else _error(run, record, counted)
    return None if its is None else of[task] * its


def _error(run: Run, record: TaskRecord, of: Mapping[Cell, float] | None = None) -> float | None:
    """The standard error of a task's score, from the values of its items; None where these do not make it.

    It is that of a part of the task where ``of`` has the shares of its splits and subsets.
    """
    if record.status != "success":
        return None
    values = run.values(record.name)
    metric = shared_metric((record, record), (values, values)) if values else None
    if values is None or metric is None:
        return None
    its = list(values.of(metric, of).values())
    if len(its) < 2:
        return None
    mean = math.fsum(its) / len(its)
    return math.sqrt(math.fsum((each - mean) ** 2 for each in its) / (len(its) - 1) / len(its))


def _settings(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if not before and key in _NO_SETTINGS:  # they differ from step to step
            continue
        if value not in (None, "", [], {}):
            yield f"{before}{key}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
