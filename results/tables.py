"""Scores of several runs in a terminal: side by side, or as many tables as it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flagbench.results.fitting import Column, blocks, folded, table, titles, width_of, with_names
from flagbench.results.table import Row, cell, render, scored_means

if TYPE_CHECKING:
    from rich.table import Table

Columns = Mapping[str, tuple[Sequence[Row], Sequence[Row]]]
"""Tasks and averages of runs, by the labels of these."""

_TASKS = 4
"""Tasks of a series that have a column each; the averages stand for more of them."""

_AROUND = 5
"""Lines of a table beside its rows: title, frame and headings."""


def side_by_side(title: str, columns: Columns, width: int, sizes: Mapping[str, str] | None = None) -> list[Table]:
    """Tables of several runs, each of which has room.

    Runs have a column each where those fit. Else they have a row each, or tables are split, whichever has fewer lines.

    Args:
        title: Heading.
        columns: See ``results.table.render``.
        width: Columns of the terminal.
        sizes: What a million vectors of each run take, by its label, and empty where that is not known: the runs are
            points of a series, which have a row each; None where they are none.
    """
    if sizes is None and width_of(_upright(columns, list(columns))) <= width:
        return [render(title, columns)]
    _, turned = with_names("point" if sizes else "model", list(columns), _turned(columns, sizes), width)
    parts, ends = turned, {0}
    if sizes is None:
        task, kind, *runs = _upright(columns, [folded(label, width // 4) for label in columns])
        task = Column(task.heading, tuple(folded(each, width // 3) for each in task.cells), left=True)
        upright = blocks([task, kind], [[run] for run in runs], width)
        if len(upright) * (len(task.cells) + _AROUND) <= len(turned) * (len(columns) + _AROUND):
            parts, ends = upright, {len(_labels(columns, 0))}
    heads = titles(title, len(parts))
    return [table(head, part, width, ends) for head, part in zip(heads, parts, strict=True)]


def _labels(columns: Columns, part: int) -> list[str]:
    """Tasks, or averages, of all runs."""
    return list(dict.fromkeys(row.label for parts in columns.values() for row in parts[part]))


def _upright(columns: Columns, labels: Sequence[str]) -> list[Column]:
    """Task, type, and the scores of each run."""
    found = [{row.label: row for row in (*tasks, *means)} for tasks, means in columns.values()]
    names = [*_labels(columns, 0), *scored_means(columns)]
    kinds = {label: row.kind for each in found for label, row in each.items()}
    return [
        Column("task", tuple(names), left=True),
        Column("type", tuple(kinds[name] for name in names), left=True),
        *(
            Column(label, tuple(cell(each.get(name)) for name in names))
            for label, each in zip(labels, found, strict=True)
        ),
    ]


def _turned(columns: Columns, sizes: Mapping[str, str] | None) -> list[list[Column]]:
    """A column for each task and each average that any run has, and for the sizes."""
    tasks, means = _labels(columns, 0), scored_means(columns)
    shown = [*(tasks if sizes is None or len(tasks) <= _TASKS or not means else ()), *means]
    found = [{row.label: row for row in (*tasks, *means)} for tasks, means in columns.values()]
    made = [[Column(label, tuple(cell(each.get(label)) for each in found))] for label in shown]
    if sizes is not None:  # beside the last score, which is the average where there is one
        made[-1].append(Column("a million vectors", tuple(sizes[label] for label in columns)))
    return made
