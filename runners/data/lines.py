"""Reading files of lines: how far it is, and what takes no time."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, BinaryIO

Heard = Callable[[float], None]
"""Takes a number of bytes that were read."""


class CountedFile(io.RawIOBase):
    """A file that tells how much of it is read."""

    def __init__(self, file: BinaryIO, heard: Heard) -> None:
        """Read a file through this.

        Args:
            file: Open for reading.
            heard: Told of each read.
        """
        self._file, self._heard = file, heard

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See ``io.RawIOBase``."""
        count: int = self._file.readinto(buffer)  # type: ignore[attr-defined]
        self._heard(count)
        return count


def pass_blank_lines(source: io.BufferedReader) -> int:
    """Read the blank lines that come next, many at a time, for a file of kilobytes may unpack to billions of them.

    Returns:
        How many they are, or some fewer.
    """
    lines = 0
    while ahead := source.peek():
        whole = ahead.rfind(b"\n", 0, len(ahead) - len(ahead.lstrip())) + 1
        if not whole:
            break
        lines += ahead.count(b"\n", 0, whole)
        source.read(whole)
    return lines
