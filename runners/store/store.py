"""The embedding cache on disk: vectors by the hash of their text, kept between runs and shared by all processes.

``<root>/<space>/`` holds ``space.json`` and shards (``shards.py``). A space is all that one model gave under one role,
one instruction and one part; its name is a hash of these. Processes only ever add files of their own, so any number of
them may use one store at the same time. Not for several threads of one process at once.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.runners.store.folder import describe, drop_if_empty, files, folders, name_of, removed
from flagbench.runners.store.keys import KeyIndex
from flagbench.runners.store.shard_repair import examine, rewrite
from flagbench.runners.store.shards import PARTIAL, SUFFIX, Reader, Record, Writer, pack, unpack

_SHARD_BYTES = 256 << 20
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}


class Store:
    """A folder of spaces. Nothing is made before the first ``put``.

    Attributes:
        root: The folder; it need not exist.
        read_only: Whether a ``put`` found that nothing can be written.
    """

    def __init__(self, root: Path, *, cap_bytes: int | None, warn: Callable[[str], None]) -> None:
        """Open.

        Args:
            root: The folder.
            cap_bytes: What ``trim`` leaves of it; None for everything.
            warn: Takes one line about something that went wrong and is dealt with.
        """
        self.root = root
        self.read_only = False
        self.warn = warn
        self._cap = cap_bytes
        self._spaces: dict[str, Space] = {}

    def space(self, identity: Mapping[str, Any], former: Mapping[str, Any] | None = None) -> Space:
        """The space of an identity.

        Args:
            identity: All that the vectors depend on besides the text, as JSON values. The order of keys is no matter.
            former: The same as an earlier FlagBench wrote it, whose vectors are read too; None for none.
        """
        name = name_of(identity)
        if name not in self._spaces:
            earlier = [self.root / name_of(former)] if former else []
            self._spaces[name] = Space(self, self.root / name, identity, earlier)
        return self._spaces[name]

    def trim(self) -> None:
        """Remove the shards that were not used for the longest time, until the rest is within the cap.

        Shards that this process wrote, or that are of spaces it opened, stay.
        """
        if self._cap is None:
            return
        own = {path for space in self._spaces.values() for path in space.paths()}
        with suppress(BadInput, OSError):
            every = [each for folder in folders(self.root) for each in files(folder, SUFFIX, PARTIAL)]
            total = sum(status.st_size for _, status in every)
            for path, status in sorted(every, key=lambda each: each[1].st_mtime_ns):
                if total > self._cap and path not in own and removed(path):
                    total -= status.st_size
                    drop_if_empty(path.parent)

    def refuse(self, error: OSError) -> None:
        """Go on without writing, and say so once."""
        if not self.read_only:
            self.read_only = True
            self.warn(f"the embedding cache {self.root} cannot be written ({error.strerror}): vectors are not cached")

    def close(self) -> None:
        """Have everything reach the disk."""
        for space in self._spaces.values():
            space.close()


class Space:
    """All vectors that one model gave under one role, one instruction and one part.

    A place is the number of a row among all that this object knows; it has no meaning outside of it.
    """

    def __init__(self, store: Store, folder: Path, identity: Mapping[str, Any], earlier: Sequence[Path] = ()) -> None:
        """Read which texts are there, also in folders of earlier identities; see ``Store.space``."""
        self._store = store
        self._folder = folder
        self._identity = identity
        self._index = KeyIndex()
        # Of each record: the first place, shard and position, and whether its checksums were found right. None in
        # `_where` for a record that was lost since.
        self._begins: list[int] = []
        self._where: list[tuple[Path, Record] | None] = []
        self._sound: set[int] = set()
        self._rows = 0
        self._used: set[Path] = set()
        self._writer: Writer | None = None
        self._reader: tuple[Path, Reader] | None = None
        for each in (folder, *earlier):
            try:
                for path, _ in files(each, SUFFIX):
                    self._scan(path)
            except OSError as error:
                store.warn(f"embedding cache: {each} cannot be read ({error.strerror}); its texts are encoded again")

    def paths(self) -> set[Path]:
        """Shards that this process reads or writes."""
        return {where[0] for where in self._where if where} | ({self._writer.path} if self._writer else set())

    @property
    def folder(self) -> Path:
        """Where its shards are."""
        return self._folder

    def find(self, keys: NDArray[np.void]) -> NDArray[np.int64]:
        """Find the places of texts.

        Args:
            keys: ``V16[n]``, of ``keys_of``.

        Returns:
            ``int64[n]``: the place of each, -1 where it is not known.
        """
        return self._index.find(keys)

    def put(self, keys: NDArray[np.void], arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.int64] | None:
        """Keep what was computed for texts, as one record; a few thousand texts are a good size.

        Args:
            keys: ``V16[n]``.
            arrays: As ``shards.pack`` takes them; ``offsets`` make the other ones ragged.

        Returns:
            ``int64[n]``, the places of the texts; None when the store cannot be written.

        Raises:
            BadInput: The disk is full, or fails. What was kept before is as it was.
        """
        if self._store.read_only:
            return None
        if not len(keys):
            return np.empty(0, dtype=np.int64)
        buffer = pack(keys, arrays)
        try:
            writer = self._writer_for(len(buffer))
            record = unpack(buffer, writer.append(buffer))
        except OSError as error:
            if error.errno in _REFUSED:
                self._store.refuse(error)
                return None
            fix = "free space, or choose" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "choose"
            raise BadInput(
                f"cannot write to the embedding cache {self._store.root}: {error.strerror}; {fix} another --store or "
                "run with --no-store"
            ) from error
        assert record is not None
        return self._add(writer.path, record, keys.tobytes())

    def blocks(self, places: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], dict[str, NDArray[Any]]]]:
        """Read rows, record by record.

        Args:
            places: ``int64[n]``, of ``find`` or ``put``; those below 0 are passed over.

        Yields:
            Indices into ``places``, and the arrays of these rows in that order, which are the caller's own. Rows that
            turn out to be damaged, or were removed meanwhile, never come: ``find`` has forgotten them then.
        """
        places = np.asarray(places, dtype=np.int64)
        order = np.argsort(places, kind="stable")
        order = order[places[order] >= 0]
        if not len(order):
            return
        begins = np.array(self._begins, dtype=np.int64)
        numbers = begins.searchsorted(places[order], side="right") - 1
        edges = np.flatnonzero(np.diff(numbers)) + 1
        for indices, number in zip(np.split(order, edges), numbers[[0, *edges]].tolist(), strict=True):
            arrays = self._read(number, places[indices] - begins[number])
            if arrays is not None:
                yield indices, arrays

    def close(self) -> None:
        """Have everything reach the disk, and let go of the files."""
        self._close_writer()
        self._close_reader()

    def _scan(self, path: Path) -> None:
        """Take in the records of a shard."""
        try:
            reader = Reader(path)
        except OSError as error:
            self._unreadable(path, error)
            return
        damaged: list[Record] = []
        for record, keys in reader.records():
            if keys is None:
                damaged.append(record)
            else:
                self._add(path, record, keys)
        reader.close()
        if damaged:
            self._repair(path, damaged[0].offset, sum(record.rows for record in damaged))

    def _add(self, path: Path, record: Record, keys: bytes) -> NDArray[np.int64]:
        begin = self._rows
        self._index.add(keys, begin)
        self._begins.append(begin)
        self._where.append((path, record))
        self._rows += record.rows
        return np.arange(begin, self._rows)

    def _read(self, number: int, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]] | None:
        where = self._where[number]
        if where is None:
            return None
        path, record = where
        try:
            reader = self._opened(path, record.end)
        except OSError as error:
            self._unreadable(path, error)
            return None
        if (number not in self._sound or reader.size < record.end) and not reader.intact(record):
            self._repair(path, record.offset, 0)
            return None
        self._sound.add(number)
        if path not in self._used:
            # Eviction goes by the time of the file.
            self._used.add(path)
            with suppress(OSError):
                os.utime(path)
        return reader.take(record, rows)

    def _opened(self, path: Path, end: int) -> Reader:
        """A reader of a shard that reaches up to ``end``, where the shard does. One stays open, for the next record."""
        if self._reader and (self._reader[0] != path or self._reader[1].size < end):
            self._close_reader()
        if not self._reader:
            self._reader = path, Reader(path)
        return self._reader[1]

    def _close_reader(self) -> None:
        if self._reader:
            self._reader[1].close()
            self._reader = None

    def _unreadable(self, path: Path, error: OSError) -> None:
        """Do without a shard. That another process removed it is no news."""
        self._forget(path, set())
        if error.errno not in (errno.ENOENT, errno.ESTALE):
            self._store.warn(f"embedding cache: {path} cannot be read ({error.strerror}); its texts are encoded again")

    def _repair(self, path: Path, offset: int, lost: int) -> None:
        """Forget all that is damaged in a shard, and put what is good into a new one where that can be written.

        Args:
            path: The shard.
            offset: A record that was found damaged.
            lost: Rows that are lost besides those known here.
        """
        self._close_reader()
        try:
            reader = Reader(path)
        except OSError as error:
            self._unreadable(path, error)
            return
        report = examine(reader)
        reader.close()
        # What could not be read once is not believed, even if it can be the second time.
        good = [record for record in report.good if record.offset != offset]
        lost += self._forget(path, {record.offset for record in good})
        first = min([offset, *(begin for begin, _ in report.bad)])
        self._store.warn(f"embedding cache: {path} is damaged at byte {first}; its {lost} texts are encoded again")
        new, moved = path, {record.offset: record for record in good}
        with suppress(OSError):
            new, moved = rewrite(path, good)
        for number, where in enumerate(self._where):
            if where and where[0] == path:
                self._where[number] = new, moved[where[1].offset]
                self._sound.add(number)

    def _forget(self, path: Path, keep: set[int]) -> int:
        """Forget the records of a shard but those at some offsets; gives the number of rows."""
        gone = np.zeros(self._rows, dtype=np.bool_)
        for number, where in enumerate(self._where):
            if where and where[0] == path and where[1].offset not in keep:
                self._where[number] = None
                gone[self._begins[number] : self._begins[number] + where[1].rows] = True
        self._index.forget(gone)
        return int(gone.sum())

    def _writer_for(self, size: int) -> Writer:
        """This process's shard, or a new one where a record of this size is too much for it."""
        writer = self._writer
        if writer and not (writer.usable() and (not writer.length or writer.length + size <= _SHARD_BYTES)):
            self._close_writer()
            self._store.trim()
        if not self._writer:
            self._writer = self._new_writer()
        return self._writer

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer:
            try:
                writer.close()
            except OSError as error:
                self._store.warn(f"embedding cache: the end of {writer.path} may not be on the disk ({error.strerror})")

    def _new_writer(self) -> Writer:
        attempts = 3
        while True:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                describe(self._folder, self._identity)
                return Writer(self._folder)
            except FileNotFoundError:
                # Another process that evicts may remove the folder while it is empty.
                attempts -= 1
                if not attempts:
                    raise
