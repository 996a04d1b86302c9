"""Terminal output: consoles, text that can be printed, and streams that cannot be written."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import IO, TYPE_CHECKING, Any, cast

from flagbench import BadInput, in_one_line, printable

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_WITHOUT_TERMINAL = 140


def encodable(text: str) -> str:
    """The text with a sign for each half of a surrogate pair, which a name may hold and no file or terminal takes."""
    return text.encode("utf-8", "replace").decode()


def console(*, stderr: bool = False, file: IO[str] | None = None, width: int = _WIDTH_WITHOUT_TERMINAL) -> Console:
    """A console that prints no character which moves a cursor, wherever the text is from.

    Args:
        stderr: For the error stream.
        file: What is written instead of a stream.
        width: In columns, where the output is not a terminal, which has its own.
    """
    made: Console = _printing()(stderr=stderr, file=file, highlight=False)
    if not made.is_terminal:
        made.width = width
    return made


def say(console: Console, *lines: str) -> None:
    """Print lines as they are: no markup, no emoji, and no breaks but the terminal's own."""
    for line in lines:
        console.print("\n".join(map(printable, line.split("\n"))), markup=False, emoji=False, soft_wrap=True)


@cache
def _printing() -> type[Console]:
    from rich.cells import cell_len
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment

    class Printing(Console):
        """Rich's console. Everything that it prints goes through ``render``: names from files are made printable here.

        Rich's own control codes, of progress bars, are segments of another kind. Tables are laid out by now, so that
        what takes no room gets no sign in its place.
        """

        def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                if segment.control or segment.text.isprintable():
                    yield segment
                else:
                    shown = (
                        each if each == "\n" else printable(each) if cell_len(each) else "" for each in segment.text
                    )
                    yield segment._replace(text="".join(shown))

    return Printing


def written(writes: Iterable[Callable[[], None]], code: int) -> int:
    """Write the files that were asked for beside a verdict, each whether or not another can be written.

    Args:
        writes: A call for each file, which raises BadInput where it cannot be written.
        code: Exit code of the verdict.

    Returns:
        The same; where that passes and a file cannot be written, the code of bad input.
    """
    for write in writes:
        try:
            write()
        except BadInput as error:
            print(f"flagbench: {in_one_line(error)}", file=sys.stderr)
            code = code or error.exit_code
    return code


class Stream:
    """A stream that goes on when it cannot be written: a full disk or a closed pipe is no reason to lose a verdict.

    Args:
        stream: Standard output or standard error; None where the process has none.

    Attributes:
        fault: Why it could not be written; None while it can.
    """

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = stream
        self.fault: OSError | None = None
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")  # names may hold what the terminal's encoding has not

    def write(self, text: str) -> int:
        """Write text, or drop it."""
        self._attempt(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Bring to the file or the pipe what was written."""
        self._attempt(lambda stream: stream.flush())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _attempt(self, act: Any) -> None:
        if self._stream is None or self.fault is not None:
            return
        try:
            act(self._stream)
        except OSError as fault:
            self.fault = fault
            # What is still in the buffer would be written, and fail, once more as Python ends.
            with contextlib.suppress(OSError, ValueError):
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, self._stream.fileno())
                os.close(nothing)


@contextlib.contextmanager
def streams() -> Iterator[Stream]:
    """While it lasts, neither output nor error stream raises where it cannot be written.

    Yields:
        The output stream.
    """
    out, err = Stream(sys.stdout), Stream(sys.stderr)
    with contextlib.redirect_stdout(cast("IO[str]", out)), contextlib.redirect_stderr(cast("IO[str]", err)):
        yield out
