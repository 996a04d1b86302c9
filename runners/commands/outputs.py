"""Outputs of a command that cannot be written: its streams, and the files that were asked for beside a verdict."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, cast

from flagbench import BadInput, in_one_line


def written(writes: Iterable[Callable[[], None]], code: int) -> int:
    """Write the files that were asked for beside a verdict, each whether or not another can be written.

    Args:
        writes: A call for each file, which raises BadInput where it cannot be written.
        code: Exit code of the verdict.

    Returns:
        The same; where that passes and a file cannot be written, the code of bad input.
    """
    for write in writes:
        failed = attempt(write)
        code = code or failed
    return code


def attempt(write: Callable[[], None]) -> int:
    """Write one such file, or say in a line why it cannot be written.

    Returns:
        0, or the exit code of the failure.
    """
    try:
        write()
    except BadInput as error:
        print(f"flagbench: {in_one_line(error)}", file=sys.stderr)
        return error.exit_code
    return 0


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
        if self._stream is not None:
            self._attempt(lambda stream: stream.flush())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _attempt(self, act: Any) -> None:
        if self._stream is None:
            self.fault = self.fault or OSError(errno.EBADF, os.strerror(errno.EBADF))
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
