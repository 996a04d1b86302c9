"""Whatever happens to the files of the store: what is whole is read, and never another vector."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flagbench.runners.store.keys import keys_of
from flagbench.runners.store.shards import ALIGN
from flagbench.runners.store.store import Store
from flagbench.runners.store.upkeep import verify
from tests.unit.store_files import (
    IDENTITY,
    age,
    flip,
    got,
    put,
    read_only,
    records_of,
    shards_of,
    texts,
)


def three_records(opened: Callable[..., Store]) -> tuple[Store, Path]:
    """A closed store, and its one shard, of two texts a record."""
    store = opened()
    for number in (0, 2, 4):
        put(store.space(IDENTITY), number, number + 1)
    store.close()
    (path,) = shards_of(store)
    return store, path


# A file that ends too soon


def test_a_shard_cut_at_any_byte_gives_what_is_whole(opened: Callable[..., Store], lines: list[str]) -> None:
    store, path = three_records(opened)
    good, ends = path.read_bytes(), [record.end for record in records_of(path)]
    for length in [*range(0, len(good), 7), *ends, *(end - 1 for end in ends)]:
        for stale in shards_of(store):
            stale.unlink()
        path.write_bytes(good[:length])
        again = opened().space(IDENTITY)
        whole = sum(end <= length for end in ends)
        assert got(again, range(8)) == set(range(2 * whole))
        put(again, 6, 7)
        again.close()
        assert got(opened().space(IDENTITY), range(8)) == {*range(2 * whole), 6, 7}

        young = verify(store.root)
        assert (young.records, young.torn, young.damaged) == (whole + 1, 0, ())
        age(path)
        old = verify(store.root)
        assert (old.records, old.torn, old.damaged) == (whole + 1, length not in (ALIGN, *ends), ())
        assert verify(store.root).torn == 0
        assert got(opened().space(IDENTITY), range(8)) == {*range(2 * whole), 6, 7}
    assert lines == []


# Damage


def test_no_changed_byte_gives_a_wrong_vector(opened: Callable[..., Store], lines: list[str]) -> None:
    store, path = three_records(opened)
    good, everything = path.read_bytes(), set(range(6))
    fixed = 0
    for position in range(0, len(good), 5):
        for stale in shards_of(store):
            stale.unlink()
        path.write_bytes(good)
        flip(path, position)
        lines.clear()
        again = opened()
        left = got(again.space(IDENTITY), range(6))
        # A record goes as a whole, and with its header all that come after it.
        assert len(left) % 2 == 0
        assert len(lines) <= 1
        if lines:
            fixed += 1
            assert len(left) == 4
            assert lines[0].startswith(f"embedding cache: {path} is damaged at byte ")
            assert lines[0].endswith("; its 2 texts are encoded again")
            assert path not in shards_of(store)
            assert set(np.flatnonzero(again.space(IDENTITY).find(keys_of(texts(*range(6)))) >= 0)) == left
        if everything - left:
            put(again.space(IDENTITY), *sorted(everything - left))
        assert got(again.space(IDENTITY), range(6)) == everything
        again.close()

        lines.clear()
        assert got(opened().space(IDENTITY), range(6)) == everything
        age(*shards_of(store))
        verify(store.root)
        last = verify(store.root)
        assert (last.damaged, last.torn) == ((), 0)
        assert got(opened().space(IDENTITY), range(6)) == everything
        assert lines == []
    assert fixed > 20


def test_behind_a_damaged_record_the_others_are_read_on(opened: Callable[..., Store], lines: list[str]) -> None:
    store = opened()
    for number in range(4):
        put(store.space(IDENTITY), number)
    store.close()
    (path,) = shards_of(store)
    records = records_of(path)
    for number in (1, 2):
        flip(path, records[number].offset + records[number].columns[1].offset)
    space = opened().space(IDENTITY)
    assert got(space, range(4)) == {0, 3}
    assert lines == [f"embedding cache: {path} is damaged at byte {records[1].offset}; its 2 texts are encoded again"]


def test_damage_in_the_shard_that_is_being_written(opened: Callable[..., Store], lines: list[str]) -> None:
    store = opened()
    space = store.space(IDENTITY)
    put(space, 1)
    put(space, 2)
    (path,) = shards_of(store)
    last = records_of(path)[1]
    with path.open("r+b") as file:
        file.seek(last.offset + last.columns[1].offset)
        file.write(b"\xff")
    assert got(space, [1, 2]) == {1}
    assert len(lines) == 1
    put(space, 2)
    assert got(space, [1, 2]) == {1, 2}
    assert len(shards_of(store)) == 2


def test_damaged_keys_are_fixed_when_the_space_is_opened(opened: Callable[..., Store], lines: list[str]) -> None:
    store = opened()
    put(store.space(IDENTITY), 1, 2, 3)
    put(store.space(IDENTITY), 4)
    store.close()
    (path,) = shards_of(store)
    flip(path, ALIGN + records_of(path)[0].columns[0].offset)
    space = opened().space(IDENTITY)
    assert lines == [f"embedding cache: {path} is damaged at byte {ALIGN}; its 3 texts are encoded again"]
    assert got(space, [1, 2, 3, 4]) == {4}
    assert not path.exists()
    assert len(space.paths()) == 1


def test_what_could_not_be_read_once_is_not_believed(
    opened: Callable[..., Store], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(opened().space(IDENTITY), 1, 2)
    space = opened().space(IDENTITY)
    pread, failed = os.pread, []

    def failing(fd: int, count: int, offset: int) -> bytes:
        if offset > ALIGN and not failed:
            failed.append(offset)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pread(fd, count, offset)

    monkeypatch.setattr(os, "pread", failing)
    assert got(space, [1, 2]) == set()
    assert failed
    assert (space.find(keys_of(texts(1, 2))) == -1).all()
    assert len(lines) == 1
    put(space, 1, 2)
    assert got(space, [1, 2]) == {1, 2}


def test_another_copy_of_a_text_takes_the_place_of_a_damaged_one(
    opened: Callable[..., Store], lines: list[str]
) -> None:
    for _ in range(2):
        put(opened().space(IDENTITY), 1, 2)
    store = opened()
    first = shards_of(store)[0]
    flip(first, records_of(first)[0].offset + records_of(first)[0].columns[1].offset)
    space = store.space(IDENTITY)
    got(space, [1, 2])
    assert got(space, [1, 2]) == {1, 2}
    for path in shards_of(store):
        assert path == first or path.exists()


def test_damage_that_cannot_be_fixed_is_forgotten(
    opened: Callable[..., Store], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(opened().space(IDENTITY), 1)
    store = opened()
    put(store.space(IDENTITY), 2)
    put(store.space(IDENTITY), 3)
    store.close()
    path = shards_of(store)[1]
    flip(path, records_of(path)[0].offset + records_of(path)[0].columns[1].offset)
    read_only(monkeypatch, errno.EROFS)
    again = opened()
    assert got(again.space(IDENTITY), [1, 2, 3]) == {1, 3}
    assert got(again.space(IDENTITY), [1, 2, 3]) == {1, 3}
    assert len(lines) == 1
    assert path in shards_of(store)


def test_a_shard_that_another_process_removed_is_forgotten(opened: Callable[..., Store], lines: list[str]) -> None:
    put(opened().space(IDENTITY), 1)
    put(opened().space(IDENTITY), 2)
    space = opened().space(IDENTITY)
    shards_of(opened())[0].unlink()
    assert got(space, [1, 2]) == {2}
    np.testing.assert_array_equal(space.find(keys_of(texts(1, 2))) >= 0, [False, True])
    assert lines == []


def test_a_shard_in_the_wrong_folder_is_not_believed(opened: Callable[..., Store]) -> None:
    store = opened()
    put(store.space(IDENTITY), 1)
    put(store.space(IDENTITY | {"role": "passage"}), 2)
    store.close()
    mine, theirs = shards_of(store)
    shutil.copy(theirs, mine.with_name("copy.shard"))
    again = opened()
    for identity in (IDENTITY, IDENTITY | {"role": "passage"}):
        assert len(got(again.space(identity), [1, 2])) == 1
