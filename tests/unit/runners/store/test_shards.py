"""The files of the store: what is packed comes out."""

from __future__ import annotations

import errno
import json
import mmap
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench.runners.store import shards
from flagbench.runners.store.shards import ALIGN, LONGEST_HEADER, MAGIC, PREFIX, Reader, Writer, pack, unpack
from tests.unit.shard_files import Arrays, keys, plain, ragged, read, three, written

# Round trips


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "int32", "bool"])
def test_plain_arrays_come_back_row_by_row(tmp_path: Path, dtype: str) -> None:
    arrays = plain(5, dtype=dtype) | {"norms": np.arange(5).astype(dtype)}
    path = written(tmp_path, pack(keys(*range(5)), arrays))
    reader = Reader(path)
    ((record, found),) = reader.records()

    assert found == keys(*range(5)).tobytes()
    assert reader.intact(record)
    for rows in ([], [0], [4], [1, 2, 3], [0, 1, 2, 3, 4], [0, 2, 4], [1, 1, 3]):
        taken = reader.take(record, np.array(rows, dtype=np.int64))
        assert taken.keys() == arrays.keys()
        for name, array in arrays.items():
            assert taken[name].dtype == dtype
            np.testing.assert_array_equal(taken[name], array[rows])


def test_ragged_arrays_come_back_with_offsets_of_their_own(tmp_path: Path) -> None:
    arrays = ragged(2, 0, 3, 1, 0)
    path = written(tmp_path, pack(keys(*range(5)), arrays))
    reader = Reader(path)
    ((record, _),) = reader.records()

    for rows in ([], [1], [0, 1, 2, 3, 4], [2, 3], [0, 2, 4], [1, 4], [0, 0, 3]):
        taken = reader.take(record, np.array(rows, dtype=np.int64))
        assert len(taken["offsets"]) == len(rows) + 1
        assert taken["offsets"][0] == 0
        for place, row in enumerate(rows):
            mine, theirs = taken["offsets"][place : place + 2], arrays["offsets"][row : row + 2]
            for name in ("values", "columns"):
                np.testing.assert_array_equal(taken[name][slice(*mine)], arrays[name][slice(*theirs)])
        assert len(taken["values"]) == len(taken["columns"]) == taken["offsets"][-1]


@pytest.mark.parametrize(
    "arrays", [{"values": np.empty((2, 0), np.float32)}, ragged(0, 0), {}], ids=["no columns", "no pieces", "no arrays"]
)
def test_arrays_without_a_value(tmp_path: Path, arrays: Arrays) -> None:
    reader = Reader(written(tmp_path, pack(keys(1, 2), arrays)))
    ((record, _),) = reader.records()
    taken = reader.take(record, np.array([0, 1]))

    assert reader.intact(record)
    assert {name: array.shape for name, array in taken.items()} == {name: arrays[name].shape for name in arrays}


def test_what_is_taken_belongs_to_the_caller(tmp_path: Path) -> None:
    reader = Reader(written(tmp_path, pack(keys(1, 2), plain(2))))
    ((record, _),) = reader.records()
    taken = reader.take(record, np.array([0, 1]))
    taken["values"][:] = -1
    reader.close()

    assert taken["values"].sum() == -6
    assert Reader(next(tmp_path.iterdir())).intact(record)


def test_arrays_that_are_not_contiguous_are_packed_by_value(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4).T[::2]
    reader = Reader(written(tmp_path, pack(keys(1, 2), {"values": values})))
    ((record, _),) = reader.records()
    np.testing.assert_array_equal(reader.take(record, np.array([0, 1]))["values"], values)


def test_keys_longer_than_the_first_read(tmp_path: Path) -> None:
    many = keys(*range(3_000))
    assert many.nbytes > shards._FIRST_READ
    path = written(tmp_path, pack(many, plain(3_000)), pack(keys(1), plain(1)))
    assert [found for _, found in Reader(path).records()] == [many.tobytes(), keys(1).tobytes()]


def test_every_array_begins_where_it_can_be_mapped(tmp_path: Path) -> None:
    _, records = three(tmp_path)
    for record in records:
        assert record.offset % ALIGN == record.length % ALIGN == 0
        assert all(column.offset % ALIGN == 0 for column in record.columns)


def test_without_madvise_rows_are_read_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(mmap, "MADV_DONTNEED", raising=False)
    path, records = three(tmp_path)
    np.testing.assert_array_equal(Reader(path).take(records[1], np.array([1]))["values"], [[23, 24, 25]])


def test_a_read_shard_does_not_stay_in_memory(tmp_path: Path) -> None:
    smaps = Path("/proc/self/smaps")
    if not smaps.exists() or not hasattr(mmap, "MADV_DONTNEED"):
        pytest.skip("no way to see or to drop pages here")
    rows = 1 << 18
    path = written(tmp_path, *(pack(keys(number), {"values": np.ones((1, rows), np.float32)}) for number in range(8)))
    reader = Reader(path)
    for record, _ in reader.records():
        assert reader.take(record, np.array([0]))["values"].sum() == rows
    mapped = smaps.read_text().split(str(path))[1]
    resident = next(int(line.split()[1]) for line in mapped.splitlines() if line.startswith("Rss:"))
    assert resident < 1 << 10, "more than one record of 1 MiB of eight"


@pytest.mark.parametrize(
    ("key", "arrays"),
    [
        (keys(1, 2), plain(3)),
        (keys(1, 2), {"values": np.float32(1)}),
        (keys(1, 2), {"values": np.array(["a", "b"])}),
        (keys(1, 2), {"values": np.array([{}, {}])}),
        (keys(1, 2), {"keys": np.zeros(2)}),
        (np.zeros(2, dtype=np.uint64), plain(2)),
        (keys(1, 2), ragged(1, 2, 3)),
        (keys(1, 2), ragged(1, 2) | {"columns": np.zeros(2)}),
        (keys(1, 2), ragged(1, 2) | {"offsets": np.array([1, 2, 3])}),
        (keys(1, 2), ragged(1, 2) | {"offsets": np.array([0, 4, 3])}),
        (keys(1, 2), ragged(1, 2) | {"offsets": np.array([0, 1, 3], dtype=np.int32)}),
    ],
)
def test_arrays_that_do_not_fit_are_refused(key: NDArray[np.void], arrays: Arrays) -> None:
    with pytest.raises(ValueError, match="must be"):
        pack(key, arrays)


# Writing


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(tmp_path)
    writer.append(pack(keys(1), plain(1)))
    before = writer.path.read_bytes()
    write = os.write

    def full(fd: int, buffer: Any) -> int:
        if len(buffer) <= 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, buffer[:100])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            writer.append(pack(keys(2), plain(1)))
    assert writer.path.read_bytes() == before

    writer.append(pack(keys(3), plain(1)))
    writer.close()
    assert [found for _, found in Reader(writer.path).records()] == [keys(1).tobytes(), keys(3).tobytes()]


def test_an_interrupted_write_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(tmp_path)
    write = os.write
    calls = []

    def interrupted(fd: int, buffer: Any) -> int:
        calls.append(len(buffer))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return write(fd, buffer[:100])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            writer.append(pack(keys(2), plain(1)))
    assert writer.path.stat().st_size == 0
    assert writer.usable()


def test_a_disk_that_takes_nothing_is_an_error_and_no_endless_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "write", lambda fd, buffer: 0)
    with pytest.raises(OSError, match="Input/output error"):
        Writer(tmp_path).append(pack(keys(1), plain(1)))


def test_the_disk_is_synced_at_most_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, synced = [100.0], []
    monkeypatch.setattr(shards.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.append(now[0]), raising=False)
    writer = Writer(tmp_path)
    for second in (100.1, 100.9, 101.1, 101.2, 102.0, 102.2):
        now[0] = second
        writer.append(pack(keys(1), plain(1)))
    assert synced == [101.1, 102.2]
    writer.close()
    assert synced == [101.1, 102.2, 102.2]


def test_a_writer_with_nothing_written_leaves_no_file(tmp_path: Path) -> None:
    Writer(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_a_writer_sees_that_its_file_was_removed_or_changed(tmp_path: Path) -> None:
    removed, changed = Writer(tmp_path), Writer(tmp_path)
    for writer in (removed, changed):
        writer.append(pack(keys(1), plain(1)))
        assert writer.usable()
    removed.path.unlink()
    os.truncate(changed.path, 100)
    assert not removed.usable()
    assert not changed.usable()


def test_unpack_refuses_what_is_no_header() -> None:
    record = pack(keys(1), plain(1))
    assert unpack(record, 64) is not None
    assert unpack(b"", 0) is None
    assert unpack(record[:20], 0) is None
    assert unpack(bytes(200), 0) is None


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_header_is_read_up_to_the_longest_there_may_be(tmp_path: Path, beyond: int) -> None:
    """Its length is what a disk may have changed, so no more than that is asked for because of it."""
    name = "a" * 1_000
    short = PREFIX.unpack_from(pack(keys(1), {name: np.zeros(1)}))[1]
    record = pack(keys(1), {name + "a" * (LONGEST_HEADER - PREFIX.size - short + beyond): np.zeros(1)})
    found = read(written(tmp_path, record))
    assert PREFIX.size + PREFIX.unpack_from(record)[1] == LONGEST_HEADER + beyond
    assert len(found) == 1 - beyond


def test_a_damaged_length_does_not_have_a_whole_shard_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = pack(keys(1), {"values": np.zeros((1, 1 << 18), np.float32)})
    PREFIX.pack_into(record, 0, MAGIC, 1 << 30, 0)
    reader = Reader(written(tmp_path, record))
    asked: list[int] = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, count, offset: asked.append(count) or pread(fd, count, offset))
    assert list(reader.records()) == []
    assert sum(asked) <= LONGEST_HEADER


@pytest.mark.parametrize(
    "fields",
    [
        [],
        {},
        {"rows": 1, "size": 8},
        {"rows": 1, "size": 8, "columns": 3},
        {"rows": 1, "size": 8, "columns": [["keys", "<f4", [1]]]},
        {"rows": 1, "size": 8, "columns": [["keys", "O", [1], 0, 0]]},
        {"rows": 1, "size": 8, "columns": [["keys", "no type", [1], 0, 0]]},
        {"rows": 1, "size": 8, "columns": [["keys", "<f4", [-1], 0, 0]]},
        {"rows": 1, "size": 8, "columns": [["keys", "<f4", [3], 0, 0]]},
        {"rows": 1, "size": 8, "columns": [["keys", "<f4", ["1"], 0, 0]]},
        {"rows": 1, "size": 8, "columns": [["keys", "<f4", [1], 0, -64]]},
        {"rows": -1, "size": 8, "columns": []},
        {"rows": 1, "size": "8", "columns": []},
    ],
)
def test_a_header_with_a_sound_checksum_may_still_be_none(fields: Any) -> None:
    header = json.dumps(fields).encode()
    assert unpack(PREFIX.pack(MAGIC, len(header), zlib.crc32(header)) + header, 0) is None
    good = json.dumps({"rows": 1, "size": 8, "columns": [["keys", "<f4", [2], 0, 0]]}).encode()
    assert unpack(PREFIX.pack(MAGIC, len(good), zlib.crc32(good)) + good, 0) is not None
