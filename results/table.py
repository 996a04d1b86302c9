"""Scores as a table: each task, the mean of each type, and the average as the leaderboard takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flagbench import counted, first_few
from flagbench.results.averages import Averages, Weights, average, lacking, weights, whole_scores
from flagbench.results.compare.settings import settings_mixed
from flagbench.results.data_state import DataState
from flagbench.results.figures import PERCENT, Scale, joint_scale, scale_of
from flagbench.results.record import TaskRecord
from flagbench.results.uncertainty import PLUS_MINUS, Uncertainty, of_average, of_task

if TYPE_CHECKING:
    from rich.table import Table


_NAMED = 8
"""Blank averages that are named."""


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        label: Task, type or average.
        kind: Task type; empty for means.
        score: As it is recorded; None is blank.
        comparable: Whether the data behind it is the official data.
        note: Note on this number.
        error: How far the farther end of its 95% interval is: of a sample that of the score over all of the data, else
            that for other items of the same kind. None where it is not known.
        scale: How score and error are shown.
        ends: Of that interval.
    """

    label: str
    kind: str
    score: float | None
    comparable: bool
    note: str = ""
    error: float | None = None
    scale: Scale = PERCENT
    ends: tuple[float, float] | None = None


def rows(records: Sequence[TaskRecord], averages: Averages) -> tuple[list[Row], list[Row]]:
    """The lines of a run: its tasks, and the averages.

    An average is blank when one of its tasks has no score, or one of a part of its data alone, or when tasks of it ran
    with different settings or have scores of different units.

    Args:
        records: Tasks that ran.
        averages: Of the benchmark.
    """
    tasks = [_task_row(record) for record in records]
    metrics = {record.name: record.main_score for record in records}
    means = []
    for label in averages:
        of = weights(averages, label)
        scale = joint_scale(metrics[name] for name in of if name in metrics)
        if scale is None:
            means.append(Row(label, "", None, False, "its tasks have scores of different units"))
            continue
        mean = replace(_mean(label, of, records), scale=scale)
        if mixed := settings_mixed(record for record in records if record.name in of):
            mean = replace(mean, score=None, error=None, ends=None, note="; ".join(filter(None, (mean.note, mixed))))
        means.append(mean)
    return tasks, means


def _task_row(record: TaskRecord) -> Row:
    if record.status == "error":
        return Row(record.name, record.kind, None, False, f"failed: {record.error}")
    state = DataState.of(record.data)
    note = state.words if state.marked else ""
    if record.sample:
        note = f"{record.sample['items']:,} of {record.sample['of']:,} items: not comparable"
    comparable = not state.marked and record.status == "success"
    note = "; ".join(filter(None, (note, record.note)))
    row = Row(record.name, record.kind, record.score, comparable, note, scale=scale_of(record.main_score))
    return _with_ends(row, of_task(record))


def _with_ends(row: Row, found: Uncertainty | None) -> Row:
    """A row with the interval of its score."""
    if found is None or row.score is None:
        return row
    return replace(row, error=found.half(row.score), ends=(found.low, found.high))


def _mean(label: str, of: Weights, records: Sequence[TaskRecord]) -> Row:
    scores = whole_scores(of, records)
    absent = lacking(of, scores)
    present = [record for record in records if record.name in of and record.name not in absent]
    comparable = all(_task_row(record).comparable for record in present)
    if absent:
        return Row(label, "", None, comparable, f"{len(of) - len(absent)} of {counted(len(of), 'task')}")
    note = "" if comparable else DataState.worst(DataState.of(record.data) for record in present).words
    score = average(of, scores)
    return _with_ends(Row(label, "", score, comparable, note), of_average(of, score, present))


def blanks(columns: Mapping[str, tuple[Sequence[Row], Sequence[Row]]]) -> list[str]:
    """Why averages of runs side by side are blank, a line for those that lack alike. A single run's table has notes.

    Args:
        columns: See ``render``.
    """
    runs_of: dict[str, list[str]] = {}
    for label, (_, means) in columns.items() if len(columns) > 1 else ():
        if why := first_few((f"{row.label} ({row.note})" for row in means if row.score is None), _NAMED):
            runs_of.setdefault(why, []).append(label)
    return [
        f"{'' if len(labels) == len(columns) else f'{first_few(labels)}: '}blank means: {why}"
        for why, labels in runs_of.items()
    ]


def plus_minus(columns: Mapping[str, tuple[Sequence[Row], Sequence[Row]]]) -> list[str]:
    """The line that says what stands behind a ±, where something does.

    Args:
        columns: See ``render``.
    """
    return [PLUS_MINUS] if any(row.ends for parts in columns.values() for its in parts for row in its) else []


def render(title: str, columns: Mapping[str, tuple[Sequence[Row], Sequence[Row]]]) -> Table:
    """A Rich table of one run or of several side by side. Scores are in percent where they have no unit behind them;
    ``*`` marks what is not comparable.

    Behind a score stands its 95% interval, after a ``±``: see ``Row``.

    Args:
        title: Heading.
        columns: ``rows`` of each run, by the run's label. Notes are shown for a single run only.
    """
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left", title_style="bold")
    table.add_column("task")
    table.add_column("type")
    for label in columns:
        table.add_column(escape(label), justify="right")
    single = len(columns) == 1
    if single:
        table.add_column("note")
    for part in (0, 1):
        labels = dict.fromkeys(row.label for parts in columns.values() for row in parts[part])
        for label in labels:
            found = [next((row for row in parts[part] if row.label == label), None) for parts in columns.values()]
            cells = [cell(row) for row in found]
            kind = next(row.kind for row in found if row)
            first = found[0]
            table.add_row(
                escape(label), escape(kind), *cells, *([escape(first.note) if first else ""] if single else [])
            )
        if part == 0:
            table.add_section()
    return table


def cell(row: Row | None) -> str:
    """A score in a table; empty where there is none."""
    if row is None or row.score is None:
        return ""
    error = "" if row.error is None else f" ± {row.scale.figure(row.error)}"
    return f"{row.scale.figure(row.score)}{'' if row.comparable else '*'}{error}"
