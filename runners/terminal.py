"""Terminal output: consoles, and text that can be printed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cache
from typing import IO, TYPE_CHECKING, Any

from flagbench import printable

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 180
"""Columns for tables of tasks, where the output is not a terminal."""

_WIDTH_WITHOUT_TERMINAL = 140

_DIGITS = 6
"""No width has as many."""


def encodable(text: str) -> str:
    """The text with a sign for each half of a surrogate pair, which a name may hold and no file or terminal takes."""
    return text.encode("utf-8", "replace").decode()


def console(
    *, stderr: bool = False, file: IO[str] | None = None, width: int = _WIDTH_WITHOUT_TERMINAL, text: bool = False
) -> Console:
    """A console that prints no character which moves a cursor, wherever the text is from.

    Args:
        stderr: For the error stream.
        file: What is written instead of a stream.
        width: In columns, where the output is neither a terminal, which has its own, nor a stream for which $COLUMNS
            says it.
        text: What is written is a text of its own, without colours, whatever the environment says of terminals.
    """
    # In a notebook rich would show in the cell, too, what is printed to a file.
    forced = False if text else None
    made: Console = _printing()(stderr=stderr, file=file, highlight=False, force_jupyter=False, force_terminal=forced)
    if not made.is_terminal:
        made.width = width if file is not None else _columns() or width
    return made


def _columns() -> int:
    """What the environment says of the width of streams; 0 where that is nothing, or no width."""
    said = os.environ.get("COLUMNS", "")
    return int(said) if said.isdecimal() and len(said) < _DIGITS else 0


def say(console: Console, *lines: str) -> None:
    """Print lines as they are: no markup, no emoji, and no breaks but the terminal's own. A break in a name is none."""
    for line in lines:
        console.print(printable(line), markup=False, emoji=False, soft_wrap=True)


@cache
def _printing() -> type[Console]:
    from rich.cells import cell_len
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment
    from rich.table import Table

    from flagbench.results.fitting import fit

    class Printing(Console):
        """Rich's console. Everything that it prints goes through ``render``: names from files are made printable here.

        Rich's own control codes, of progress bars, are segments of another kind. Tables are laid out by now, so that
        what takes no room gets no sign in its place. A table that has no room becomes several, and a text that has none
        even there is folded, and never cut.
        """

        def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            if not isinstance(renderable, Table):
                yield from self._printable(renderable, options)
                return
            for part in fit(renderable, (options or self.options).max_width):
                for column in part.columns:
                    column.overflow, column.no_wrap = "fold", False
                yield from self._printable(part, options)

        def _printable(self, renderable: Any, options: ConsoleOptions | None) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                if segment.control or segment.text.isprintable():
                    yield segment
                else:
                    shown = (
                        each if each == "\n" else printable(each) if cell_len(each) else "" for each in segment.text
                    )
                    yield segment._replace(text="".join(shown))

    return Printing
