"""No byte of a shard can change unseen, and what is good of a damaged one is kept."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench.runners.store import shards
from flagbench.runners.store.folder import removed
from flagbench.runners.store.shard_repair import cut, examine, rewrite
from flagbench.runners.store.shards import ALIGN, LONGEST_HEADER, MAGIC, PREFIX, Reader, Record
from tests.unit.shard_files import read, three

# Damage


def region(records: list[Record], position: int) -> tuple[str, int]:
    """What a byte of a shard belongs to, and the number of its record."""
    if position < ALIGN:
        return "head", -1
    number = next(number for number, record in enumerate(records) if position < record.end)
    inner = position - records[number].offset
    for column in records[number].columns:
        if column.offset <= inner < column.offset + column.nbytes:
            return column.name, number
    return ("header" if inner < records[number].columns[0].offset else "padding"), number


def test_no_byte_can_change_unseen(tmp_path: Path) -> None:
    path, records = three(tmp_path)
    good = path.read_bytes()
    seen = set()
    for position in range(0, len(good), 3):
        changed = bytearray(good)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        kind, number = region(records, position)
        reader = Reader(path)
        whole = {record.offset: found is not None and reader.intact(record) for record, found in reader.records()}
        report = examine(reader)
        expected = {record.offset: True for record in records}
        if kind == "head":
            assert whole == {}
            assert (report.good, report.bad, report.gaps, report.torn) == ((), (), (0,), None)
        elif kind == "header":
            # Bytes after the header's end may change: they are padding.
            begin, rest = records[number].offset, records[number + 1 :]
            if whole != expected:
                assert whole == {record.offset: True for record in records[:number]}
                assert list(report.good) == records[:number] + rest
                assert report.bad == ()
                # The last record with a greater length of its header looks like one that was not finished.
                assert (report.gaps, report.torn) in ([((begin,), None)] if rest else [((begin,), None), ((), begin)])
            else:
                kind = "padding"
        elif kind == "padding":
            assert whole == expected
            assert list(report.good) == records
        else:
            assert whole == expected | {records[number].offset: False}
            assert report.bad == ((records[number].offset, 2),)
            assert list(report.good) == records[:number] + records[number + 1 :]
        seen.add((kind, number))
        reader.close()
    assert {kind for kind, _ in seen} == {"head", "header", "keys", "values", "padding"}
    assert {number for _, number in seen} == {-1, 0, 1, 2}


def test_a_file_that_ends_too_soon_gives_its_whole_records(tmp_path: Path) -> None:
    path, records = three(tmp_path)
    good = path.read_bytes()
    ends = {ALIGN, *(record.end for record in records)}
    for length in range(len(good)):
        path.write_bytes(good[:length])
        reader = Reader(path)
        whole = [record for record in records if record.end <= length]
        assert [record for record, _ in reader.records()] == whole
        report = examine(reader)
        assert list(report.good) == whole
        assert (report.bad, report.gaps) == ((), ())
        assert report.torn == (None if length in ends else max((e for e in ends if e < length), default=0))
        reader.close()


def test_zeros_at_the_end_are_no_record(tmp_path: Path) -> None:
    path, records = three(tmp_path)
    with path.open("ab") as file:
        file.write(bytes(1_000))
    assert read(path) == records
    report = examine(Reader(path))
    assert (list(report.good), report.gaps, report.torn) == (records, (records[-1].end,), None)


def test_a_shard_of_another_space_or_format_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    path, records = three(tmp_path / "a")
    moved = tmp_path / "b" / path.name
    moved.write_bytes(path.read_bytes())
    assert len(records) == 3
    assert read(moved) == []
    path.write_bytes(b"FlagBench shard\x02" + path.read_bytes()[16:])
    assert read(path) == []


def test_bytes_that_the_disk_cannot_give_are_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, records = three(tmp_path)
    (values,) = (column for column in records[1].columns if column.name == "values")
    pread = os.pread

    def failing(fd: int, count: int, offset: int) -> bytes:
        if offset <= records[1].offset + values.offset < offset + count and count < shards._FIRST_READ:
            raise OSError(errno.EIO, "Input/output error")
        return pread(fd, count, offset)

    monkeypatch.setattr(os, "pread", failing)
    report = examine(Reader(path))
    assert list(report.good) == [records[0], records[2]]
    assert report.bad == ((records[1].offset, 2),)


# Mending


def test_rewrite_keeps_the_good_records_and_the_time(tmp_path: Path) -> None:
    path, records = three(tmp_path)
    os.utime(path, (1_000, 2_000))
    open_before = Reader(path)
    new, moved = rewrite(path, [records[0], records[2]])

    assert list(tmp_path.iterdir()) == [new]
    assert new.stat().st_mtime == 2_000
    assert list(moved) == [records[0].offset, records[2].offset]
    assert read(new) == list(moved.values())
    for old in (records[0], records[2]):
        np.testing.assert_array_equal(
            Reader(new).take(moved[old.offset], np.array([0, 1]))["values"],
            open_before.take(old, np.array([0, 1]))["values"],
        )


def test_rewrite_of_nothing_removes_the_shard(tmp_path: Path) -> None:
    path, _ = three(tmp_path)
    assert rewrite(path, [])[1] == {}
    assert list(tmp_path.iterdir()) == []


def test_a_rewrite_that_fails_leaves_the_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, records = three(tmp_path)
    before = path.read_bytes()

    def full(fd: int, buffer: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        rewrite(path, records[:1])
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_cut_takes_the_end_off_and_keeps_the_time(tmp_path: Path) -> None:
    path, records = three(tmp_path)
    os.truncate(path, records[2].end - 1)
    os.utime(path, (1_000, 2_000))
    cut(path, records[1].end)
    assert path.stat().st_size == records[1].end
    assert path.stat().st_mtime == 2_000
    cut(path, ALIGN)
    assert not path.exists()


def test_what_looks_like_the_beginning_of_a_record_is_none(tmp_path: Path) -> None:
    """Behind a damaged header, where records may begin, and where they may not."""
    path, records = three(tmp_path)
    for place in (records[0].offset + ALIGN, records[0].offset + ALIGN + 8):
        data = bytearray(path.read_bytes())
        data[records[0].offset] ^= 1
        data[place : place + PREFIX.size] = PREFIX.pack(MAGIC, 8, 0)
        path.with_name("odd.shard").write_bytes(data)
        report = examine(Reader(path.with_name("odd.shard")))
        assert (report.good, report.bad) == (tuple(records[1:]), ())
        assert (report.gaps, report.torn) == ((records[0].offset,), None)


@pytest.mark.parametrize(
    ("end", "unfinished"),
    [
        (MAGIC[:1], True),
        (MAGIC, True),
        (MAGIC + b"\x08", True),
        (PREFIX.pack(MAGIC, 8, 0), True),
        (PREFIX.pack(MAGIC, LONGEST_HEADER, 0), True),
        (PREFIX.pack(MAGIC, LONGEST_HEADER + 1, 0), False),
        (PREFIX.pack(MAGIC, 8, 0) + b"1234567", True),
        (PREFIX.pack(MAGIC, 8, 0) + b"12345678", False),  # it is all there, and no header
        (PREFIX.pack(bytes(8), 8, 0), False),
        (b"\x00", False),
        (MAGIC[:-1] + b"\x00", False),
    ],
)
def test_an_end_that_may_be_an_unfinished_record(tmp_path: Path, end: bytes, unfinished: bool) -> None:
    path, records = three(tmp_path)
    path.write_bytes(path.read_bytes() + end)
    report = examine(Reader(path))
    assert list(report.good) == records
    begin = records[-1].end
    assert (report.gaps, report.torn) == (((), begin) if unfinished else ((begin,), None))


def test_what_another_process_removed_meanwhile_is_removed(tmp_path: Path) -> None:
    gone = tmp_path / "gone.shard"
    assert removed(gone)
    cut(gone, ALIGN)
    new, moved = rewrite(gone, [])
    assert (new.exists(), moved) == (False, {})
    assert list(tmp_path.iterdir()) == []
