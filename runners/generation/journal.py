"""The journal of a task: its answers while it runs, so that a run that is killed goes on where it was.

A file of JSON lines: first the digest of the settings, then one object a question (``id``, ``answer``, and whatever
else is kept). Each is on the disk before the next question is asked.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from flagbench import BadInput
from flagbench.files import MIB, open_to_add, parse_json, read_bytes

_FORMAT = "flagbench-answers-1"
_LARGEST = 4096 * MIB


class Journal:
    """An open journal; use ``open``.

    Attributes:
        path: The file.
        done: What was kept, by question; each record has its ``id``.
    """

    def __init__(self, path: Path, handle: int, size: int, done: dict[str, dict[str, Any]]) -> None:
        self.path = path
        self.done = done
        self._handle: int | None = handle
        self._size = size

    @classmethod
    def open(cls, path: Path, digest: str) -> Journal:
        """Open a journal, or begin it.

        A line that a killed process left unfinished at the end is cut off.

        Args:
            path: The file; its folder is made.
            digest: Of all settings that move an answer.

        Raises:
            BadInput: It is of other settings, is damaged before its end, cannot be written, or another run has it open.
        """
        handle = -1
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = open_to_add(path, "use another --output")
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content = read_bytes(path, "use another --output", largest=_LARGEST)
            header, done, size = _read(path, content)
            if header is not None and header != digest:
                raise _other_settings(path, header, digest)
            if size < len(content):
                os.ftruncate(handle, size)
            journal = cls(path, handle, size, done)
            if header is None:
                journal._append({"format": _FORMAT, "digest": digest})
            return journal
        except BaseException as error:
            if handle >= 0:
                os.close(handle)
            if isinstance(error, BlockingIOError):
                raise BadInput(f"{path} is open in another run: wait for it, or use another --output") from error
            if isinstance(error, OSError):
                raise BadInput(f"cannot write {path}: {error.strerror}; use another --output") from error
            raise

    @staticmethod
    def answered(path: Path, digest: str) -> frozenset[str]:
        """The questions that a journal has answers to; it is not opened for this run. None where there is no such file.

        Args:
            path: The file.
            digest: See ``open``.

        Raises:
            BadInput: It is of other settings, or damaged before its end.
        """
        if not os.path.lexists(path):
            return frozenset()
        header, done, _ = _read(path, read_bytes(path, "use another --output", largest=_LARGEST))
        if header not in (None, digest):
            raise _other_settings(path, header, digest)
        return frozenset(done)

    def add(self, question: str, record: Mapping[str, Any]) -> None:
        """Keep the answer to a question; on return it is on the disk.

        Args:
            question: Its id.
            record: Plain values, among them ``answer``.

        Raises:
            BadInput: It is kept already, has no text as its answer, or cannot be written.
        """
        if question in self.done:
            raise BadInput(f"{self.path}: question {question} is answered already")
        entry = {"id": question, **record}
        if entry["id"] != question or not isinstance(entry.get("answer"), str):
            raise BadInput(f"{self.path}: the record of question {question} has another id, or no text as its answer")
        self._append(entry)
        self.done[question] = entry

    def close(self) -> None:
        """Let other runs open it; a second time does nothing."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, entry: Mapping[str, Any]) -> None:
        if self._handle is None:
            raise BadInput(f"{self.path} is closed")
        try:
            # ASCII: a model may write half a surrogate pair, which has no UTF-8.
            line = (json.dumps(entry, allow_nan=False) + "\n").encode("ascii")
        except (TypeError, ValueError) as error:
            raise BadInput(f"{self.path}: the record of question {entry.get('id')} is not JSON ({error})") from error
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(self._handle, line[written:], self._size + written)
            os.fsync(self._handle)
        except OSError as error:
            # The next line must not go on from half of this one.
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, self._size)
            raise BadInput(f"cannot write {self.path}: {error.strerror}; free space or use another --output") from error
        self._size += len(line)


def _other_settings(path: Path, header: str | None, digest: str) -> BadInput:
    return BadInput(
        f"{path} holds answers of other settings ({header} instead of {digest}): remove it, or use another --output"
    )


def _read(path: Path, content: bytes) -> tuple[str | None, dict[str, dict[str, Any]], int]:
    """The digest (None before there is one), the records by id, and how many bytes are whole lines."""
    lines = content.split(b"\n")
    size = len(content) - len(lines.pop())
    entries = [_entry(line) for line in lines]
    if entries and entries[-1] is None:
        # A machine that lost its power may leave the line's length without what was in it.
        size -= len(lines[-1]) + 1
        entries.pop()
    if not entries:
        if _is_torn_header(content):
            return None, {}, 0
        raise BadInput(f"{path} is not a file of answers: move it away, or use another --output")
    header = entries[0]
    if header is None or header.get("format") != _FORMAT or not isinstance(header.get("digest"), str):
        raise BadInput(f"{path} is not a file of answers: move it away, or use another --output")
    done: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(entries[1:], 2):
        question = entry.get("id") if entry is not None else None
        if entry is None or not isinstance(question, str) or not isinstance(entry.get("answer"), str):
            raise BadInput(f"{path}: line {number} is damaged; remove the file to ask again")
        if question in done:
            raise BadInput(f"{path}: line {number} answers question {question} again; remove the file to ask again")
        done[question] = entry
    return str(header["digest"]), done, size


def _entry(line: bytes) -> dict[str, Any] | None:
    """The object of a line; None for anything else."""
    try:
        entry = parse_json(line, halves=True)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _is_torn_header(content: bytes) -> bool:
    """Tell whether a file without a whole line is the rest of a journal, and not somebody's text."""
    begin = b'{"format": "' + _FORMAT.encode()
    left = content.rstrip(b"\n").rstrip(b"\0")
    return left.startswith(begin) or begin.startswith(left)
