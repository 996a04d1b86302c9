"""Scores as a table: each task, the mean of each type, and the average as the leaderboard takes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flagbench import counted, first_few
from flagbench.results.averages import Averages, Weights, average, lacking, weights, whole_scores
from flagbench.results.compare.settings import settings_mixed
from flagbench.results.data_state import DataState
from flagbench.results.figures import PERCENT, Ends, Scale, joint_scale, scale_of
from flagbench.results.fitting import folded, widths
from flagbench.results.record import TaskRecord
from flagbench.results.uncertainty import legend, of_average, of_task

if TYPE_CHECKING:
    from rich.console import JustifyMethod
    from rich.table import Table


_NAMED = 8
"""Incomplete averages that are named."""

_LEAST = (16, 14, 12, 12)
"""Columns of a terminal that the task, its type, the name of a run and notes take at least."""


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        label: Task, type or average.
        kind: Task type; empty for means.
        score: As it is recorded; None is blank.
        comparable: Whether the data behind it is the official data.
        note: Note on this number.
        scale: How score and interval are shown.
        empty: A mean of which no task has a score.
        ends: Of its 95% interval: of a sample that of the score over all of the data, else that for other items of the
            same kind. None where it is not known.
        sampled: Whether it is of a sample.
    """

    label: str
    kind: str
    score: float | None
    comparable: bool
    note: str = ""
    scale: Scale = PERCENT
    empty: bool = field(default=False, compare=False)
    ends: Ends | None = None
    sampled: bool = False

    @property
    def error(self) -> float | None:
        """How far the farther end of its interval is from the score; None where that is not known."""
        return (
            None
            if self.score is None or self.ends is None
            else max(self.score - self.ends[0], self.ends[1] - self.score)
        )


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
            mean = replace(mean, score=None, ends=None, note="; ".join(filter(None, (mean.note, mixed))))
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
    found = of_task(record)
    return Row(
        record.name,
        record.kind,
        record.score,
        comparable,
        note,
        scale=scale_of(record.main_score),
        ends=found.ends if found else None,
        sampled=bool(record.sample),
    )


def _mean(label: str, of: Weights, records: Sequence[TaskRecord]) -> Row:
    scores = whole_scores(of, records)
    absent = lacking(of, scores)
    present = [record for record in records if record.name in of and record.name not in absent]
    comparable = all(_task_row(record).comparable for record in present)
    if absent:
        note = f"{len(of) - len(absent)} of {counted(len(of), 'task')}"
        return Row(label, "", None, comparable, note, empty=len(absent) == len(of))
    note = "" if comparable else DataState.worst(DataState.of(record.data) for record in present).words
    score = average(of, scores)
    found = of_average(of, score, present)
    return Row(label, "", score, comparable, note, ends=found.ends if found else None)


def scored_means(columns: Mapping[str, tuple[Sequence[Row], Sequence[Row]]]) -> list[str]:
    """The averages that any of several runs has a score for: the others are not in tables.

    Args:
        columns: See ``render``.
    """
    every = (row for _, means in columns.values() for row in means)
    return list(dict.fromkeys(row.label for row in every if row.score is not None))


def incomplete(columns: Mapping[str, tuple[Sequence[Row], Sequence[Row]]]) -> list[str]:
    """Why averages have no score, a line for the runs that lack alike; those of which no task ran are not named.

    Args:
        columns: See ``render``.
    """
    runs_of: dict[str, list[str]] = {}
    for label, (_, means) in columns.items():
        lacking = (f"{row.label} ({row.note})" for row in means if row.score is None and not row.empty)
        if why := first_few(lacking, _NAMED):
            runs_of.setdefault(why, []).append(label)
    return [
        f"{'' if len(labels) == len(columns) else f'{first_few(labels)}: '}incomplete means: {why}"
        for why, labels in runs_of.items()
    ]


def intervals(parts: Iterable[tuple[Sequence[Row], Sequence[Row]]]) -> list[str]:
    """The line that says what stands behind scores, where something does.

    Args:
        parts: ``rows`` of each run.
    """
    every = [row for tasks, means in parts for row in (*tasks, *means)]
    return legend([(row.scale, row.score, row.ends) for row in every], samples=any(row.sampled for row in every))


def render(title: str, columns: Mapping[str, tuple[Sequence[Row], Sequence[Row]]], width: int | None = None) -> Table:
    """A Rich table of one run or of several side by side. Scores are in percent where they have no unit behind them;
    ``*`` marks what is not comparable.

    Behind a score stands its 95% interval: see ``intervals``. Averages without a score are left out: ``incomplete``
    names them.

    Args:
        title: Heading.
        columns: ``rows`` of each run, by the run's label. Notes are shown for a single run only.
        width: Columns of the terminal, for one run: notes and the run's name are folded before tasks are; None for as
            many as it takes.
    """
    from rich.table import Table
    from rich.text import Text

    single = len(columns) == 1
    headings = ["task", "type", *columns, *(["note"] if single else [])]
    parts = []
    for part in (0, 1):
        labels = dict.fromkeys(row.label for parts_of in columns.values() for row in parts_of[part])
        lines = []
        for label in labels if part == 0 else scored_means(columns):
            found = [next((row for row in its[part] if row.label == label), None) for its in columns.values()]
            kind = next(row.kind for row in found if row)
            note = [found[0].note if found[0] else ""] if single else []
            lines.append([label, kind, *map(cell, found), *note])
        parts.append(lines)
    room = _widths(headings, [line for lines in parts for line in lines], width) if single and width else None
    # Text is shown as it is: a name may look like rich's markup. Nothing is cut.
    table = Table(title=Text(title), title_justify="left", title_style="bold")
    for at, heading in enumerate(headings):
        shown = Text(folded(heading, room[at]) if room else heading)
        justify: JustifyMethod = "right" if 1 < at < 2 + len(columns) else "left"
        table.add_column(shown, justify=justify, overflow="fold", width=room[at] if room else None)
    for lines in parts:
        for line in lines:
            cells = [folded(cell, room[at]) if room and at < 2 else cell for at, cell in enumerate(line)]
            table.add_row(*map(Text, cells))
        table.add_section()
    return table


def _widths(headings: Sequence[str], lines: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """The widths of the columns of a single run; None where rich has to find some. Tasks and types are folded last."""
    from rich.cells import cell_len

    cells = [max((cell_len(line[at]) for line in lines), default=0) for at in range(len(headings))]
    desired = [max(cell_len(heading), its) for heading, its in zip(headings, cells, strict=True)]
    task, kind, run, note = _LEAST
    score = max(run, cells[2])
    return widths(desired, [*desired[:2], score, note], width) or widths(desired, [task, kind, score, note], width)


def cell(row: Row | None) -> str:
    """A score in a table; empty where there is none."""
    return "" if row is None else row.scale.within(row.score, row.ends, "" if row.comparable else "*")
