"""The mark of scores that published ones do not compare with, with the words for it of all that FlagBench prints."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from flagbench.results.compare.compare import Comparison
from flagbench.results.data_state import DataState
from flagbench.results.figures import of_one_scale
from flagbench.results.record import TaskRecord
from flagbench.results.runs import Run

MARK = "*"
"""As tables of a terminal have it behind such a score (``results/table.py``)."""


def marked_tasks(run: Run) -> frozenset[str]:
    """The tasks of a run whose scores are marked."""
    return frozenset(name for name, record in run.record.tasks.items() if is_marked(record))


def is_marked(record: TaskRecord | None) -> bool:
    """Tell whether the score of a task is marked; one without a score is not."""
    return record is not None and bool(record.scores) and DataState.of(record.data).marked


def marked_states(runs: Iterable[Run]) -> tuple[str, ...]:
    """The states of data behind all marks of some runs, in lower case as the words of a page name them; the worst
    first.
    """
    found = {DataState.of(record.data) for run in runs for record in run.record.tasks.values() if is_marked(record)}
    return tuple(state.name.lower() for state in DataState if state in found)


def tasks_behind(comparison: Comparison, label: str) -> list[str]:
    """The tasks that an average of a comparison is over.

    Args:
        comparison: The runs.
        label: Of the average: of a task type, or of all tasks.
    """
    shared = [line for line in comparison.lines if all(cell.whole is not None for cell in line.cells)]
    kind = label.removesuffix(" mean")
    of_kind = [line for line in shared if line.kind == kind] if kind != label else []
    return [line.task for line in of_one_scale(of_kind or shared, lambda line: line.main_score)]


def is_any_marked(marked: Collection[str], tasks: Iterable[str]) -> bool:
    """Tell whether a mean over some tasks is marked, as the score of one of them is."""
    return any(task in marked for task in tasks)
