"""Points of a series side by side: their scores, and what their vectors take. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from flagbench.results.table import Row, cell
from flagbench.runners.terminal import in_units

if TYPE_CHECKING:
    from rich.table import Table

    from flagbench.results.record import TaskRecord

_TASKS = 4
"""Tasks that have a column each; the averages stand for more of them, and those of no point are left out."""

_WIDEST = 60


def size(records: Iterable[TaskRecord]) -> str:
    """The bytes of a million vectors that scores were made with; empty where that is not recorded, or not of all."""
    found = {record.vectors["bytes_per_million"] if record.vectors else None for record in records if record.scores}
    (known,) = found if len(found) == 1 else (None,)
    return in_units(known) if known else ""


def vectors_line(records: Sequence[TaskRecord]) -> str:
    """The vectors that scores were made with, in a line; empty where ``size`` is."""
    taken = size(records)
    if not taken:
        return ""
    its = next(record.vectors for record in records if record.vectors)
    return f"vectors: {its['dimensions']:,} numbers, {its['precision']}; a million take {taken}"


def points_table(
    title: str, columns: Mapping[str, tuple[Sequence[Row], Sequence[Row]]], sizes: Mapping[str, str]
) -> Table:
    """A Rich table with a row for each point, as ``results.table.render`` has a column.

    Args:
        title: Heading.
        columns: Tasks and averages of each point, by its name.
        sizes: What a million vectors of each take; empty where that is not known.
    """
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left", title_style="bold")
    table.add_column("point", overflow="fold", ratio=1, min_width=min(_WIDEST, max(map(len, columns))))
    tasks = dict.fromkeys(row.label for rows, _ in columns.values() for row in rows)
    means = dict.fromkeys(row.label for _, rows in columns.values() for row in rows if row.score is not None)
    shown = [*(tasks if len(tasks) <= _TASKS or not means else ()), *means]
    for label in shown:
        table.add_column(escape(label), justify="right")
    table.add_column("a million vectors", justify="right")
    for label, (rows, averages) in columns.items():
        found = {row.label: row for row in (*rows, *averages)}
        table.add_row(escape(label), *(cell(found.get(each)) for each in shown), sizes[label])
    return table
