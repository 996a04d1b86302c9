"""Scores as a table: each task, the mean of each type, and the average as the leaderboard takes it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flagbench import counted, first_few
from flagbench.results.averages import Averages, average, weights
from flagbench.results.compare.settings import settings_mixed
from flagbench.results.data_state import DataState
from flagbench.results.figures import PERCENT, Scale, joint_scale, scale_of
from flagbench.results.record import TaskRecord

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
        error: Half the width of the 95% interval that drawing a sample adds to it; None where nothing was drawn, or it
            is not known.
        scale: How score and error are shown.
    """

    label: str
    kind: str
    score: float | None
    comparable: bool
    note: str = ""
    error: float | None = None
    scale: Scale = PERCENT


def rows(records: Sequence[TaskRecord], averages: Averages) -> tuple[list[Row], list[Row]]:
    """The lines of a run: its tasks, and the averages.

    An average is blank when one of its tasks has no score, or one of a part of its data alone, or when tasks of it ran
    with different settings or have scores of different units.

    Args:
        records: Tasks that ran.
        averages: Of the benchmark.
    """
    tasks = [_task_row(record) for record in records]
    whole = {record.name for record in records if record.status == "success"}
    by_name = {row.label: row for row in tasks if row.label in whole}
    drawn = {record.name for record in records if record.sample}
    states = {record.name: DataState.of(record.data) for record in records}
    metrics = {record.name: record.main_score for record in records}
    means = []
    for label in averages:
        of = weights(averages, label)
        scale = joint_scale(metrics[name] for name in of if name in metrics)
        if scale is None:
            means.append(Row(label, "", None, False, "its tasks have scores of different units"))
            continue
        mean = replace(_mean(label, of, by_name, drawn, states), scale=scale)
        if mixed := settings_mixed(record for record in records if record.name in of):
            mean = replace(mean, score=None, error=None, note="; ".join(filter(None, (mean.note, mixed))))
        means.append(mean)
    return tasks, means


def _task_row(record: TaskRecord) -> Row:
    if record.status == "error":
        return Row(record.name, record.kind, None, False, f"failed: {record.error}")
    state = DataState.of(record.data)
    note = state.words if state.marked else ""
    error = None
    if record.sample:
        note = f"{record.sample['items']:,} of {record.sample['of']:,} items: not comparable"
        error = record.sample["error"]
    comparable = not state.marked and record.status == "success"
    note = "; ".join(filter(None, (note, record.note)))
    return Row(record.name, record.kind, record.score, comparable, note, error, scale_of(record.main_score))


def _mean(
    label: str, of: Mapping[str, float], by_name: Mapping[str, Row], drawn: Set[str], states: Mapping[str, DataState]
) -> Row:
    present = [by_name[name] for name in of if name in by_name and by_name[name].score is not None]
    comparable = all(row.comparable for row in present)
    if len(present) < len(of):
        return Row(label, "", None, comparable, f"{len(present)} of {counted(len(of), 'task')}")
    note = "" if comparable else DataState.worst(states[row.label] for row in present).words
    score = average(of, {row.label: row.score for row in present if row.score is not None})
    sampled = [row for row in present if row.label in drawn]
    known = [of[row.label] * row.error for row in sampled if row.error is not None]
    # Tasks are drawn from independently of one another; one of an unknown error leaves that of the mean unknown.
    error = math.hypot(*known) if known and len(known) == len(sampled) else None
    return Row(label, "", score, comparable, note, error)


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


def render(title: str, columns: Mapping[str, tuple[Sequence[Row], Sequence[Row]]]) -> Table:
    """A Rich table of one run or of several side by side. Scores are in percent where they have no unit behind them;
    ``*`` marks what is not comparable.

    Behind a score that is of a sample stands how far it may be from that of all, after a ``±``.

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
