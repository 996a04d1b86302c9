"""Runs side by side in a terminal, as wide as that is: split into blocks, or turned, where they do not fit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from flagbench.results.compare.compare import Comparison
from flagbench.results.compare.text import NO_WORDS, TEXTS, Words, has_intervals, notes_of, tables_of
from flagbench.results.fitting import Column, blocks, folded, table, width_of, with_names

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_MOST_NAMED = 4
"""Runs whose names head the columns of a terminal."""

_CHANGES = ("Δ", "mean Δ")

_FIRST_LEFT_OUT = ("p", "metric", "+ / = / -", "items")
"""Columns of the tests that a narrow terminal does not show, the first of them first."""

_AROUND = 5
"""Lines of a table beside its rows: title, frame and headings."""

_WIDE = 200


def render(
    comparison: Comparison, width: int = _WIDE, words: Words = NO_WORDS, *, by_item: bool = True
) -> list[Table | Text]:
    """The content of ``to_markdown``, for a terminal. Of many runs the columns have numbers, and no names.

    Args:
        comparison: The runs.
        width: Columns of the terminal.
        words: What is known of all runs.
        by_item: Show the tests of each run and task.
    """
    from rich.text import Text

    names = [run.label for run in comparison.runs]
    (title, headings, groups), *_ = tables_of(comparison)
    without: list[str] = []
    intervals = has_intervals(comparison)
    if intervals and width_of(_columns(headings, groups)) > width:
        intervals, without = False, ["intervals of scores"]
        (title, headings, groups), *_ = tables_of(comparison, intervals=False)
    fits = width_of(_columns(headings, groups)) <= width
    legend: list[str] = []
    if len(names) > _MOST_NAMED or not fits:
        legend = [f"#{number} is {name}" for number, name in enumerate(names, 1)]
        numbered = (replace(run, label=f"#{number}") for number, run in enumerate(comparison.runs, 1))
        comparison = replace(comparison, runs=tuple(numbered))
    (title, headings, groups), *tests = tables_of(comparison, intervals=intervals)
    scores, named = _scores(title, headings, groups, width, names)
    made: list[Table | Text] = [*scores]
    for title, headings, groups in tests if by_item else ():
        shown, columns, more = _narrowed(title, _columns(headings, groups), width)
        made.append(table(shown, columns, width, _ends(groups)))
        without += more
    notes = notes_of(comparison, words, intervals=intervals)
    if without:
        notes.append(
            f"left out, as the terminal is narrow: {', '.join(dict.fromkeys(without))}; --format csv has all columns"
        )
    return [*made, *map(Text, [*([] if named else legend), *notes])]


def _columns(headings: Sequence[str], groups: Sequence[Sequence[Sequence[str]]]) -> list[Column]:
    cells = list(zip(*(row for rows in groups for row in rows), strict=True))
    return [
        Column(name, tuple(its), left=name in TEXTS, styles=tuple(_style(name, cell) for cell in its))
        for name, its in zip(headings, cells, strict=True)
    ]


def _ends(groups: Sequence[Sequence[object]]) -> set[int]:
    return {*accumulate(map(len, groups))}


def _style(heading: str, cell: str) -> str:
    """Losses are red and gains green; what rounds to nothing, and counts, are neither."""
    if heading not in _CHANGES or "/" in cell or not cell.strip("+-.0†"):
        return ""
    return "red" if cell.startswith("-") else "green"


def _scores(
    title: str, headings: Sequence[str], groups: Sequence[Sequence[Sequence[str]]], width: int, names: Sequence[str]
) -> tuple[list[Table], bool]:
    """The table of scores as it is, or in blocks, or with a row for each run, whichever has the fewest lines; and
    whether it has the name of each run beside its number.
    """
    columns = _columns(headings, groups)
    if width_of(columns) <= width:
        return [table(title, columns, width, _ends(groups))], False
    task, kind, first, *others = columns
    lead = [replace(task, cells=tuple(folded(cell, width // 3) for cell in task.cells)), kind]
    upright = blocks(lead, [[first], *(others[at : at + 2] for at in range(0, len(others), 2))], width)
    pairs = _turned(groups, width)
    runs = [f"#{number} {name}" for number, name in enumerate(names, 1)]
    _, turned = with_names("run", runs, pairs, width)
    rows = sum(map(len, groups))
    if len(upright) * (rows + _AROUND) <= len(turned) * (len(names) + _AROUND):
        return [*_blocks(title, upright, width, _ends(groups))], False
    return [*_blocks(title, turned, width, ())], True


def _turned(groups: Sequence[Sequence[Sequence[str]]], width: int) -> list[list[Column]]:
    """Columns of the same table with a row for each run: two for each row that it had."""
    made = []
    for task, _, first, *pairs in (row for rows in groups for row in rows):
        scores, changes = (first, *pairs[::2]), ("", *pairs[1::2])
        of = folded(task, width // 3)
        delta = Column("Δ", changes, styles=tuple(_style("Δ", cell) for cell in changes))
        made.append([Column(of, scores), delta] if any(scores) else [replace(delta, heading=of)])
    return made


def _blocks(title: str, parts: Sequence[Sequence[Column]], width: int, ends: Collection[int]) -> Iterator[Table]:
    for number, columns in enumerate(parts, 1):
        yield table(f"{title} ({number} of {len(parts)})" if len(parts) > 1 else title, columns, width, ends)


def _narrowed(title: str, columns: list[Column], width: int) -> tuple[str, list[Column], list[str]]:
    """The title and the columns of the tests that fit, and the headings of those that do not.

    What all rows have alike stands in the title.
    """
    if width_of(columns) <= width:
        return title, columns, []
    alike = [each for each in columns if each.heading in ("metric", "items") and len({*each.cells}) == 1]
    title = ", ".join([title, *(each.cells[0] for each in alike)])
    columns = [each for each in columns if each not in alike]
    without = []
    for heading in _FIRST_LEFT_OUT:
        if width_of(columns) <= width:
            break
        without += [each.heading for each in columns if each.heading == heading]
        columns = [each for each in columns if each.heading != heading]
    over = width_of(columns) - width
    if over > 0:
        task, *others = columns
        columns = [replace(task, cells=tuple(folded(cell, task.width - over) for cell in task.cells)), *others]
    return title, columns, without
