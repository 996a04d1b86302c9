"""Scores and intervals of a task that the values per query beside them do not make: nothing is believed on its word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flagbench import BadInput, in_one_line
from flagbench.results.record import TaskRecord
from flagbench.results.runs import Run
from flagbench.results.shapes import ROUNDED as _ROUNDED
from flagbench.results.uncertainty import measured
from flagbench.results.values import Values

_NEAR = 0.01
"""Share of its width by which the ends of an interval may be elsewhere: sums are added in other orders."""


def contradictions(run: Run, tasks: Iterable[str]) -> Iterator[str]:
    """A line for each task whose score, or its interval, is not that of the values per query beside it.

    A run.json that was copied away has none beside it.

    Args:
        run: A finished run.
        tasks: Names of some of its tasks.
    """
    for task in tasks:
        there = run.kept is not None or (run.folder / Values.file(task)).is_file()
        try:
            said = contradiction(run, task) if there else ""
        except BadInput as error:
            said = in_one_line(error)
        if said:
            yield f"flagbench: {task}: {said}"


def contradiction(run: Run, task: str) -> str:
    """Say how a task's scores are not those of the values per query beside them, or else its interval; empty where
    nothing contradicts them.

    A task that left no values is believed, and so is a split or subset that they are not of, as they are of those that
    ran last. Values that are of none of its scores are no proof of them.

    Raises:
        BadInput: The file of values is gone or damaged.
    """
    return contradicted(run.record.tasks[task], run.values(task))


def contradicted(record: TaskRecord, values: Values | None) -> str:
    """The same of a record and the values beside it, where they are read already."""
    if values is None or record.score is None:
        return ""
    main = record.settings.get("task", {}).get("main_score")
    metrics = [main] if main in values.metrics else values.metrics
    said = [_unlike(values, metric, record) for metric in metrics]
    if not said:
        return "there are no values per query, though the record names a file of them"
    return _unlike_interval(values, metrics[said.index("")], record) if "" in said else said[0]


def _unlike_interval(values: Values, metric: str, record: TaskRecord) -> str:
    """How the interval is not that of the values; empty where it is, or where there are not those of all parts."""
    kept = record.interval
    made = measured(values, metric, record.scores, record.main_score) if kept else None
    if kept is None or made is None:
        return ""
    ends = [(each["low"], each["high"]) for each in (kept, made)]
    errors = [
        [part["error"] for _, by_subset in sorted(each["parts"].items()) for _, part in sorted(by_subset.items())]
        for each in (kept, made)
    ]
    within = _ROUNDED + _NEAR * (ends[1][1] - ends[1][0])
    alike = len(errors[0]) == len(errors[1]) and all(
        abs(one - other) <= within for first, second in (ends, errors) for one, other in zip(first, second, strict=True)
    )
    return "" if alike else "its 95% interval is not that of its values per query"


def _unlike(values: Values, metric: str, record: TaskRecord) -> str:
    """How the values of a metric do not make the scores of the parts that they are of; empty where they do."""
    means = values.means(metric)
    scores = [
        (split, subset, score)
        for split, by_subset in record.scores.items()
        for subset, score in by_subset.items()
        if subset in values.parts.get(split, ())
    ]
    if not scores:
        return "the values per query beside its score are of other splits or subsets"
    for split, subset, score in scores:
        mean = means.get(split, {}).get(subset)
        if mean is None:
            return f"the values per query beside the score of {split} are none"
        if abs(mean - score) > _ROUNDED:
            return f"the score of {split} is {score:.6g}, and the mean of its values per query is {mean:.6g}"
    return ""
