"""Tables that fit into the columns of a terminal: split into blocks of whole columns, and names shortened so that they
stay apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

_FRAME = 3
"""What a column takes beside its text: a space at either end, and a line."""

_LEAST = 12
"""Characters that a name keeps."""

_GAP = "…"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        heading: Its name, which may be broken between words.
        cells: Text of each row, which is never broken.
        left: Whether it begins at the left, as words do.
        styles: Colour of each cell, as rich names it; empty for none.
    """

    heading: str
    cells: tuple[str, ...]
    left: bool = False
    styles: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Columns of a terminal that the text takes."""
        from rich.cells import cell_len

        return max(map(cell_len, (*self.heading.split(), *self.cells)), default=0)


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
    """The column of the names of rows, and the columns of each table, which begin with it. Names lose their middle
    where that saves a table.

    Args:
        heading: Of the names.
        names: Of the rows.
        groups: See ``blocks``.
        width: Columns of the terminal.
    """
    tried = []
    for most in (width // 2, width // 3):
        lead = Column(heading, tuple(shortened(name, most) for name in names), left=True)
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
    whole = sum(max(column.width, cell_len(column.heading)) + _FRAME for column in columns) < width
    for column in columns:  # text is shown as it is: a name may look like rich's markup
        made.add_column(
            Text(column.heading),
            justify="left" if column.left else "right",
            width=None if whole else column.width,
            overflow="fold",
        )
    styles = [column.styles or ("",) * len(column.cells) for column in columns]
    for row, cells in enumerate(zip(*(column.cells for column in columns), strict=True)):
        made.add_row(*(Text(cell, style=its[row]) for cell, its in zip(cells, styles, strict=True)))
        if row + 1 in sections:
            made.add_section()
    return made


def shortened(text: str, most: int) -> str:
    """A text without its middle, where it has more than so many characters; at least 12 are kept."""
    most = max(most, _LEAST)
    if len(text) <= most:
        return text
    end = (most - len(_GAP) + 1) // 2
    return f"{text[: most - len(_GAP) - end]}{_GAP}{text[-end:]}"


def apart(texts: Sequence[str], most: int) -> tuple[list[str], list[str]]:
    """Names of so many characters at most that stay apart, and a legend where the shortened ones would not.

    Args:
        texts: All different.
        most: See ``shortened``.
    """
    short = [shortened(text, most) for text in texts]
    if len({*short}) == len({*texts}):
        return short, []
    return [f"#{number}" for number in range(1, len(texts) + 1)], [
        f"#{number} is {text}" for number, text in enumerate(texts, 1)
    ]
