"""Tables that fit into the columns of a terminal: split into blocks of whole columns, long names folded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

_FRAME = 3
"""What a column takes beside its text: a space at either end, and a line."""

_LEAST = 12
"""Columns that a folded text takes at least."""

_JOINTS = "/-_@+.: "
"""Signs that a name is broken after, where there is one in the second half of a line."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        heading: Its name, which may be broken between words.
        cells: Text of each row, which is broken where it has line feeds alone.
        left: Whether it begins at the left, as words do.
        styles: Colour of each cell, as rich names it; empty for none.
        most: Columns of a terminal that it may have, in which longer texts are folded; None for any.
    """

    heading: str
    cells: tuple[str, ...]
    left: bool = False
    styles: tuple[str, ...] = ()
    most: int | None = None

    @property
    def width(self) -> int:
        """Columns of a terminal that the text takes."""
        from rich.cells import cell_len

        lines = (line for cell in self.cells for line in cell.split("\n"))
        needed = max(map(cell_len, (*self.heading.split(), *lines)), default=0)
        return min(needed, self.most or needed)


def width_of(columns: Iterable[Column]) -> int:
    """Columns of a terminal that a table takes."""
    return sum(column.width + _FRAME for column in columns) + 1


def blocks(lead: Sequence[Column], groups: Sequence[Sequence[Column]], width: int) -> list[list[Column]]:
    """The columns of each of several tables, one below the other, that show what does not fit side by side.

    Args:
        lead: Columns that each of them begins with.
        groups: Columns that stay together; a group that fits nowhere has a table of its own.
        width: Columns of the terminal.
    """
    made: list[list[Column]] = []
    for group in groups:
        if made and width_of([*made[-1], *group]) <= width:
            made[-1] += group
        else:
            made.append([*lead, *group])
    return made or [list(lead)]


def with_names(
    heading: str, names: Sequence[str], groups: Sequence[Sequence[Column]], width: int
) -> tuple[Column, list[list[Column]]]:
    """The column of the names of rows, and the columns of each table, which begin with it. Names are folded more where
    that saves a table.

    Args:
        heading: Of the names.
        names: Of the rows.
        groups: See ``blocks``.
        width: Columns of the terminal.
    """
    tried = []
    for most in (width // 2, width // 3):
        lead = Column(heading, tuple(folded(name, most) for name in names), left=True)
        tried.append((lead, blocks([lead], groups, width)))
    return min(tried, key=lambda each: len(each[1]))


def table(title: str, columns: Sequence[Column], width: int, sections: Collection[int] = ()) -> Table:
    """A Rich table whose columns are as wide as their text; headings are broken where it would be too wide.

    Args:
        title: Heading.
        columns: All of as many rows.
        width: Columns of the terminal.
        sections: Rows, counted from 1, after which there is a line.
    """
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    made = Table(title=Text(title), title_justify="left", title_style="bold")
    headings = [max(map(cell_len, column.heading.split("\n"))) for column in columns]
    whole = sum(max(column.width, at) + _FRAME for column, at in zip(columns, headings, strict=True)) < width
    for column in columns:  # text is shown as it is: a name may look like rich's markup
        made.add_column(
            Text(column.heading),
            justify="left" if column.left else "right",
            width=column.most or (None if whole else column.width),
            overflow="fold",
        )
    styles = [column.styles or ("",) * len(column.cells) for column in columns]
    for row, cells in enumerate(zip(*(column.cells for column in columns), strict=True)):
        made.add_row(*(Text(cell, style=its[row]) for cell, its in zip(cells, styles, strict=True)))
        if row + 1 in sections:
            made.add_section()
    return made


def folded(text: str, most: int) -> str:
    """A text on lines of so many columns at most, 12 at least: broken after a sign that joins words, else anywhere."""
    from rich.cells import cell_len, chop_cells

    most, lines = max(most, _LEAST), []
    while cell_len(text) > most:
        line = chop_cells(text, most)[0]
        joint = max(map(line.rfind, _JOINTS)) + 1
        line = line[:joint] if 2 * joint > len(line) else line
        lines.append(line)
        text = text[len(line) :]
    return "\n".join([*lines, text])


def widths(desired: Sequence[int], least: Sequence[int], width: int) -> list[int] | None:
    """The widths of columns, the widest of which are made narrower until the table has room; None where it has none.

    Args:
        desired: Columns of a terminal that each would take.
        least: What each takes at least.
        width: Columns of the terminal.
    """
    found = list(desired)
    while sum(found) + _FRAME * len(found) + 1 > width:
        wide = [at for at, its in enumerate(found) if its > least[at]]
        if not wide:
            return None
        found[max(wide, key=lambda at: found[at])] -= 1
    return found


def word_width(column: Column) -> int:
    """Columns of a terminal that the longest word of a column takes."""
    return replace(column, cells=tuple("\n".join(cell.split()) for cell in column.cells)).width


def fitted(title: str, columns: Sequence[Column], width: int) -> list[Table]:
    """A table whose texts are broken between words, or several that begin with its first column where words are too
    long for one.

    Args:
        title: Heading.
        columns: All of as many rows; cells may have any text.
        width: Columns of the terminal.
    """
    from rich.cells import cell_len

    least = [word_width(each) for each in columns]
    desired = [max(each.width, cell_len(each.heading)) for each in columns]
    if room := widths(desired, least, width):
        return [table(title, [replace(each, most=at) for each, at in zip(columns, room, strict=True)], width)]
    most = width // 2 - _FRAME
    lead, *others = [replace(each, cells=tuple(folded(cell, most) for cell in each.cells)) for each in columns]
    parts = blocks([lead], [[each] for each in others], width)
    heads = titles(title, len(parts))
    return [table(head, part, width) for head, part in zip(heads, parts, strict=True)]


def titles(title: str, parts: int) -> list[str]:
    """The headings of the tables that one is split into; of one alone the title."""
    return [f"{title} ({at} of {parts})" for at in range(1, parts + 1)] if parts > 1 else [title]
