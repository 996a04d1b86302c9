"""Files of the embedding cache: append-only shards of records, each record with its keys and its arrays.

A shard is 64 bytes that name the format and the space it belongs to, and then records. A record is::

    magic (8 bytes), length of the header, crc32 of the header
    header: JSON with the number of rows and, of each array, name, dtype, shape, crc32 and place
    keys (16 bytes a row) and the named arrays, each at a multiple of 64 bytes so that it can be mapped

A shard is written by one process and only ever grows. A kill leaves at most an unfinished record at its end, and
readers pass over that. Any other byte that changed is found by a crc32, or is padding.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import secrets
import struct
import time
import weakref
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flagbench.files import parse_json

SUFFIX = ".shard"
PARTIAL = ".partial"
ALIGN = 64
MAGIC = b"\x93FBrec\x01\n"
PREFIX = struct.Struct("<8sII")
LONGEST_HEADER = 1 << 16
CHUNK = 1 << 20

_FORMAT = b"FlagBench shard\x01"
# Enough for the header and the keys of a few hundred rows: one read for each record when a space is opened.
_FIRST_READ = 1 << 14
_SYNC_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Column:
    """One array of a record.

    Attributes:
        name: Its name; ``keys`` for the keys.
        dtype: Type of its values.
        shape: Its shape.
        crc: crc32 of its bytes.
        offset: Where it begins, from the beginning of the record.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    crc: int
    offset: int

    @property
    def nbytes(self) -> int:
        """Its length."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Record:
    """Place of a record and its arrays in the file.

    Attributes:
        offset: Its first byte in the shard.
        length: Its length.
        rows: How many texts it is of.
        columns: Its arrays, the keys first.
    """

    offset: int
    length: int
    rows: int
    columns: tuple[Column, ...]

    @property
    def end(self) -> int:
        """The byte after it."""
        return self.offset + self.length


def pack(keys: NDArray[np.void], arrays: Mapping[str, NDArray[Any]]) -> bytearray:
    """One record as bytes.

    Args:
        keys: ``V16[n]``.
        arrays: By name. Without ``offsets``, the first dimension of each is ``n``; with ``offsets`` (``int64[n + 1]``,
            from 0 on), that of each other one is ``offsets[n]``, and row ``i`` has ``offsets[i]:offsets[i + 1]``.

    Raises:
        ValueError: The shapes do not fit.
    """
    offsets = arrays.get("offsets")
    if keys.dtype != np.dtype("V16") or keys.ndim != 1 or "keys" in arrays:
        raise ValueError("keys must be V16[n], and no array may be named keys")
    if offsets is not None and (
        offsets.shape != (len(keys) + 1,)
        or offsets.dtype != np.int64
        or offsets[0] != 0
        or (np.diff(offsets) < 0).any()
    ):
        raise ValueError("offsets must be int64[n + 1], rising from 0")
    length = len(keys) if offsets is None else int(offsets[-1])
    for name, array in arrays.items():
        if name != "offsets" and (array.ndim == 0 or len(array) != length or array.dtype.kind not in "biuf"):
            raise ValueError(f"{name} must be numbers, {length} rows of them")
    columns: list[tuple[str, str, tuple[int, ...], int, int]] = []
    pieces: list[NDArray[np.uint8]] = []
    end = 0
    for name, array in {"keys": keys, **arrays}.items():
        piece = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        columns.append((name, array.dtype.str, array.shape, zlib.crc32(piece.data), end))
        pieces.append(piece)
        end += _aligned(len(piece))
    header = json.dumps({"rows": len(keys), "size": end, "columns": columns}, separators=(",", ":")).encode()
    begin = _aligned(PREFIX.size + len(header))
    buffer = bytearray(begin + end)
    buffer[: PREFIX.size] = PREFIX.pack(MAGIC, len(header), zlib.crc32(header))
    buffer[PREFIX.size : PREFIX.size + len(header)] = header
    for (*_, offset), piece in zip(columns, pieces, strict=True):
        buffer[begin + offset : begin + offset + len(piece)] = piece.data
    return buffer


def unpack(chunk: bytes | bytearray, offset: int) -> Record | None:
    """The record whose header a chunk begins with; None when there is no sound one.

    Args:
        chunk: Its first bytes, the whole header at least.
        offset: Where it is in the shard.
    """
    if len(chunk) < PREFIX.size:
        return None
    magic, size, crc = PREFIX.unpack_from(chunk)
    header = bytes(chunk[PREFIX.size : PREFIX.size + size])
    if magic != MAGIC or not size or len(header) < size or zlib.crc32(header) != crc:
        return None
    begin = _aligned(PREFIX.size + size)
    try:
        fields = parse_json(header)
        columns = tuple(
            Column(name, np.dtype(dtype), tuple(shape), crc, begin + place)
            for name, dtype, shape, crc, place in fields["columns"]
        )
        record = Record(offset, begin + fields["size"], fields["rows"], columns)
        sound = record.rows >= 0 and all(
            all(type(each) is int and each >= 0 for each in column.shape)
            and begin <= column.offset <= column.offset + column.nbytes <= record.length
            and not column.dtype.hasobject
            for column in columns
        )
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        return None  # whoever wrote it knows how to make a checksum
    return record if sound else None


class Writer:
    """A new shard of a space's folder, open for appending. One process writes it, and no other ever does.

    Attributes:
        path: The shard.
        pid: The process that made it; a forked one must not go on with it.
        length: Bytes written.
    """

    def __init__(self, folder: Path) -> None:
        """Make the file.

        Raises:
            OSError: It cannot be made.
        """
        self.path = folder / new_name()
        self.pid = os.getpid()
        self.length = 0
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._close = weakref.finalize(self, os.close, self._fd)
        self._synced = time.monotonic()

    def usable(self) -> bool:
        """True while no other process removed or shortened the file."""
        try:
            status = os.fstat(self._fd)
        except OSError:
            return False
        return self.pid == os.getpid() and status.st_nlink > 0 and status.st_size == self.length

    def append(self, record: bytearray) -> int:
        """Write a record at the end: all of it, or nothing that stays.

        Returns:
            Where it begins.

        Raises:
            OSError: It cannot be written.
        """
        buffer = record if self.length else head(self.path.parent.name) + record
        try:
            write_whole(self._fd, buffer)
            if time.monotonic() - self._synced >= _SYNC_SECONDS:
                self.sync()
        except BaseException:
            # Where this fails as well, `usable` finds the file too long.
            with suppress(OSError):
                os.ftruncate(self._fd, self.length)
            raise
        self.length += len(buffer)
        return self.length - len(record)

    def sync(self) -> None:
        """Have what was written reach the disk.

        Raises:
            OSError: It does not.
        """
        # macOS has no fdatasync.
        getattr(os, "fdatasync", os.fsync)(self._fd)
        self._synced = time.monotonic()

    def close(self) -> None:
        """Close the file, and remove it where nothing was written.

        Raises:
            OSError: What was written may not have reached the disk.
        """
        try:
            if self.length:
                self.sync()
            elif self.pid == os.getpid():
                self.path.unlink(missing_ok=True)
        finally:
            self._close()


class Reader:
    """A shard, open for reading.

    Headers, keys and checksums go by reads: bytes that the disk cannot give are then an error that is caught here,
    where a mapping would end the process. Rows come out of a mapping, once their record is known to be sound.

    Attributes:
        size: Length of the file when it was opened.
        ours: Whether it is a shard of this format and of the space of its folder.
    """

    def __init__(self, path: Path) -> None:
        """Open.

        Raises:
            OSError: It is gone or cannot be read.
        """
        self._fd = os.open(path, os.O_RDONLY)
        self._close = weakref.finalize(self, os.close, self._fd)
        self._mapping: mmap.mmap | None = None
        self.size = os.fstat(self._fd).st_size
        self.ours = self.bytes_at(0, ALIGN) == head(path.parent.name)

    def close(self) -> None:
        """Close the file."""
        self._mapping = None
        self._close()

    def records(self) -> Iterator[tuple[Record, bytes | None]]:
        """All whole records up to the first header that is not sound, with their keys; None for damaged keys."""
        offset = ALIGN
        while self.ours and offset < self.size:
            chunk = self.bytes_at(offset, _FIRST_READ)
            record = self.record_at(offset, chunk)
            if record is None or record.end > self.size:
                return
            column = record.columns[0]
            keys = chunk[column.offset : column.offset + column.nbytes]
            if len(keys) < column.nbytes:
                keys = self.bytes_at(offset + column.offset, column.nbytes)
            yield record, keys if zlib.crc32(keys) == column.crc else None
            offset = record.end

    def intact(self, record: Record) -> bool:
        """Tell whether all of a record can be read, with the right checksums."""
        return record.end <= self.size and all(self._crc(record, column) == column.crc for column in record.columns)

    def take(self, record: Record, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """Rows of a record that is intact.

        Args:
            record: One that ends within ``size``.
            rows: Row numbers, rising.

        Returns:
            Copies of its arrays, of these rows alone; ``offsets`` are made anew.
        """
        if self._mapping is None:
            self._mapping = mmap.mmap(self._fd, 0, access=mmap.ACCESS_READ)
        views = {
            column.name: np.ndarray(column.shape, column.dtype, self._mapping, record.offset + column.offset)
            for column in record.columns[1:]
        }
        offsets = views.pop("offsets", None)
        taken: dict[str, NDArray[Any]] = {}
        if offsets is not None:
            begins, lengths = offsets[rows], offsets[rows + 1] - offsets[rows]
            taken["offsets"] = np.zeros(len(rows) + 1, dtype=np.int64)
            np.cumsum(lengths, out=taken["offsets"][1:])
            rows = np.repeat(begins - taken["offsets"][:-1], lengths) + np.arange(taken["offsets"][-1])
        # A run of rows, most often all of them, is copied at once.
        run = len(rows) > 0 and int(rows[-1] - rows[0]) == len(rows) - 1 and bool((np.diff(rows) == 1).all())
        for name, view in views.items():
            taken[name] = view[rows[0] : rows[-1] + 1].copy() if run else view[rows]
        if hasattr(mmap, "MADV_DONTNEED"):
            begin = record.offset // mmap.PAGESIZE * mmap.PAGESIZE
            self._mapping.madvise(mmap.MADV_DONTNEED, begin, record.end - begin)
        return taken

    def copy(self, record: Record, target: int) -> None:
        """Write a record's bytes to another open file."""
        for chunk in self._chunks(record.offset, record.length):
            write_whole(target, chunk)

    def bytes_at(self, offset: int, count: int) -> bytes:
        """Bytes of the file; fewer where it ends or the disk cannot give them."""
        try:
            return b"".join(self._chunks(offset, count))
        except OSError:
            return b""

    def _chunks(self, offset: int, count: int) -> Iterator[bytes]:
        end = offset + count
        while offset < end and (chunk := os.pread(self._fd, min(CHUNK, end - offset), offset)):
            yield chunk
            offset += len(chunk)

    def _crc(self, record: Record, column: Column) -> int:
        """crc32 of what the disk has, -1 where it cannot be read."""
        crc = 0
        try:
            for chunk in self._chunks(record.offset + column.offset, column.nbytes):
                crc = zlib.crc32(chunk, crc)
        except OSError:
            return -1
        return crc

    def record_at(self, offset: int, chunk: bytes | None = None) -> Record | None:
        """The record that begins somewhere, which may end behind the file; None when there is no sound header.

        Args:
            offset: Where.
            chunk: What was read from there already.
        """
        chunk = self.bytes_at(offset, _FIRST_READ) if chunk is None else chunk
        if len(chunk) >= PREFIX.size:
            size = PREFIX.size + PREFIX.unpack_from(chunk)[1]
            if len(chunk) < size <= LONGEST_HEADER:
                chunk = self.bytes_at(offset, size)
        return unpack(chunk, offset)


def head(space: str) -> bytes:
    """The first bytes of a shard: the space's name is there so that a file in the wrong folder is not believed."""
    return _FORMAT + space.encode()[: ALIGN - len(_FORMAT)].ljust(ALIGN - len(_FORMAT), b"\0")


def new_name() -> str:
    """A name for a shard that no other has."""
    return f"{time.time_ns()}-{os.getpid()}-{secrets.token_hex(2)}{SUFFIX}"


def _aligned(length: int) -> int:
    return -(-length // ALIGN) * ALIGN


def write_whole(fd: int, buffer: bytes | bytearray) -> None:
    """Write all of it.

    Raises:
        OSError: It cannot be written; a part of it may be.
    """
    view = memoryview(buffer)
    while view:
        written = os.write(fd, view)
        if not written:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        view = view[written:]
