"""What a command does before it has anything to say, on a terminal and at once. Imported for every --help."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flagbench import printable

_ERASED = "\r\x1b[2K"
_CANNOT_ERASE = frozenset({"dumb", "unknown"})  # values of TERM, as rich has them


@contextmanager
def notice(text: str) -> Iterator[Callable[[str], None]]:
    """Show a line on the error stream while it lasts, and none of it afterwards.

    Where that is no terminal, or one that can erase nothing, only what is done next is a line, which stays: until then
    bad input ends the command, in the one line that says why.

    Args:
        text: What is done first.

    Yields:
        Replaces the line by what is done next.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM", "").lower() in _CANNOT_ERASE:
        yield lambda line: print(printable(line), file=sys.stderr, flush=True)
        return

    def show(line: str) -> None:
        from rich.text import Text  # which knows that a Chinese character takes two columns

        cut = Text(printable(line))
        cut.truncate(max(1, shutil.get_terminal_size().columns - 1), overflow="ellipsis")
        print(f"{_ERASED}{cut.plain}", end="", file=sys.stderr, flush=True)

    show(text)
    try:
        yield show
    finally:
        print(_ERASED, end="", file=sys.stderr, flush=True)
