"""Repair of a damaged shard: good records are written anew, damaged ones left out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flagbench.runners.store.shards import (
    ALIGN,
    CHUNK,
    LONGEST_HEADER,
    MAGIC,
    PARTIAL,
    PREFIX,
    Reader,
    Record,
    head,
    new_name,
    write_whole,
)


@dataclass(frozen=True)
class Report:
    """State of a shard after every byte was read.

    Attributes:
        good: Records whose checksums are right.
        bad: Offset and rows of records with a wrong checksum.
        gaps: Offsets from which on something is not readable as a record, though it is no unfinished one.
        torn: Where an unfinished record at the end begins; None when the shard ends with a whole one.
    """

    good: tuple[Record, ...]
    bad: tuple[tuple[int, int], ...]
    gaps: tuple[int, ...]
    torn: int | None


def examine(reader: Reader) -> Report:
    """Read every byte of a shard, also what stands behind a header that is not sound."""
    good: list[Record] = []
    bad: list[tuple[int, int]] = []
    gaps: list[int] = []
    if not reader.ours:
        return Report((), (), (0,), None) if reader.size >= ALIGN else Report((), (), (), 0)
    offset = ALIGN
    while offset < reader.size:
        record = reader.record_at(offset)
        if record is not None and record.end <= reader.size:
            if reader.intact(record):
                good.append(record)
            else:
                bad.append((offset, record.rows))
            offset = record.end
            continue
        following = _following(reader, offset)
        if following is None and _unfinished(reader, offset):
            return Report(tuple(good), tuple(bad), tuple(gaps), offset)
        gaps.append(offset)
        offset = reader.size if following is None else following
    return Report(tuple(good), tuple(bad), tuple(gaps), None)


def _following(reader: Reader, offset: int) -> int | None:
    """Find where the next whole record begins, after bytes that are none."""
    for begin in range(offset + ALIGN, reader.size, CHUNK):
        chunk = reader.bytes_at(begin, CHUNK)
        at = chunk.find(MAGIC)
        while at >= 0:
            record = reader.record_at(begin + at) if at % ALIGN == 0 else None
            if record is not None and record.end <= reader.size:
                return begin + at
            at = chunk.find(MAGIC, at + 1)
    return None


def _unfinished(reader: Reader, offset: int) -> bool:
    """Tell whether the bytes from here to the end may begin a record that was not written whole."""
    chunk = reader.bytes_at(offset, PREFIX.size)
    if reader.record_at(offset) is not None:
        return True
    if len(chunk) < PREFIX.size:
        return MAGIC.startswith(chunk[: len(MAGIC)])
    magic, size, _ = PREFIX.unpack(chunk)
    return bool(magic == MAGIC and size <= LONGEST_HEADER and offset + PREFIX.size + size > reader.size)


def rewrite(path: Path, records: Sequence[Record]) -> tuple[Path, dict[int, Record]]:
    """Put the good records of a damaged shard into a new one, and remove it. Who has it open can read on.

    Args:
        path: The damaged shard.
        records: What is good in it.

    Returns:
        The new shard, not there when there is nothing to put into it, and the new record by the old one's offset.

    Raises:
        OSError: It cannot be done; the shard is as it was.
    """
    new = path.with_name(new_name())
    moved: dict[int, Record] = {}
    if records:
        status = path.stat()
        partial = new.with_suffix(PARTIAL)
        reader = Reader(path)
        target = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            try:
                write_whole(target, head(path.parent.name))
                offset = ALIGN
                for record in records:
                    reader.copy(record, target)
                    moved[record.offset] = replace(record, offset=offset)
                    offset += record.length
                os.fsync(target)
            finally:
                os.close(target)
                reader.close()
            os.utime(partial, ns=(status.st_atime_ns, status.st_mtime_ns))
            partial.replace(new)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    path.unlink(missing_ok=True)
    return new, moved


def cut(path: Path, length: int) -> None:
    """Take an unfinished record off the end of a shard, which keeps its time; remove a shard that has no other.

    Raises:
        OSError: It cannot be done.
    """
    if length <= ALIGN:
        path.unlink(missing_ok=True)
        return
    status = path.stat()
    os.truncate(path, length)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
