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


def fit(made: Table, width: int) -> list[Table]:
    """A table that has room as it is; else one whose texts are broken between words, and numbers nowhere; or several,
    where these are too long for one, which begin with the columns that name a row.

    Args:
        made: Of texts and with lines; one of other things, or without lines, is left as it is.
        width: Columns of the terminal.
    """
    from rich.cells import cell_len

    columns = _columns_of(made) if made.box else None
    if not columns:
        return [made]
    title = _text(made.title or "")
    desired = [each.width if each.most else max(each.width, cell_len(each.heading)) for each in columns]
    if sum(desired) + _FRAME * len(columns) + 1 <= width or title is None:
        return [made]
    sections = [row for row, its in enumerate(made.rows, 1) if its.end_section or made.show_lines]
    least = [(_in_words(each) if each.left else each).width for each in columns]
    if room := widths(desired, least, width):
        one = [replace(each, most=at) for each, at in zip(columns, room, strict=True)]
        return [table(title[0], one, width, sections)]
    most = width // 2 - _FRAME
    narrow = [
        replace(each, cells=tuple(folded(cell, most) for cell in each.cells), most=None) if each.width > most else each
        for each in columns
    ]
    lead = _naming(narrow, width // 2)
    parts = blocks(narrow[:lead], [[each] for each in narrow[lead:]], width)
    heads = titles(title[0], len(parts))
    return [table(head, part, width, sections) for head, part in zip(heads, parts, strict=True)]


def _columns_of(made: Table) -> list[Column] | None:
    """The columns of a Rich table; None where it has none, or cells that are not texts."""
    columns = []
    for column in made.columns:
        heading, *cells = (_text(each) for each in (column.header, *column.cells))
        if heading is None or None in cells:
            return None
        texts, styles = zip(*filter(None, cells), strict=True) if cells else ((), ())
        whole = [f"{row.style or ''} {style}".strip() for row, style in zip(made.rows, styles, strict=True)]
        columns.append(Column(heading[0], texts, column.justify != "right", tuple(whole), column.width))
    return columns or None


def _text(cell: object) -> tuple[str, str] | None:
    """A text and its style; None for what is none."""
    from rich.text import Text

    text = Text.from_markup(cell) if isinstance(cell, str) else cell
    if not isinstance(text, Text):
        return None
    return text.plain, str(text.style or (text.spans[0].style if text.spans else ""))


def _in_words(column: Column) -> Column:
    return replace(column, cells=tuple("\n".join(cell.split()) for cell in column.cells))


def _naming(columns: Sequence[Column], most: int) -> int:
    """How many of the first columns name a row: those of texts, until no two rows are alike or there is no room."""
    lead = 1
    while lead < len(columns) and columns[lead].left and width_of(columns[: lead + 1]) <= most:
        names = list(zip(*(column.cells for column in columns[:lead]), strict=True))
        if len(set(names)) == len(names):
            break
        lead += 1
    return lead


def titles(title: str, parts: int) -> list[str]:
    """The headings of the tables that one is split into; of one alone the title."""
    return [f"{title} ({at} of {parts})" for at in range(1, parts + 1)] if parts > 1 else [title]
