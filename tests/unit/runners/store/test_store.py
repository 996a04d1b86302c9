"""The embedding cache: what was put is found, by every process, as long as there is room for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flagbench.runners.store import store as store_module
from flagbench.runners.store.keys import keys_of
from flagbench.runners.store.shards import ALIGN
from flagbench.runners.store.store import Store
from flagbench.runners.store.upkeep import inventory
from tests.unit.store_files import (
    IDENTITY,
    age,
    got,
    put,
    records_of,
    shards_of,
    texts,
    vectors,
)

# Round trips


def test_what_was_put_is_found(opened: Callable[..., Store]) -> None:
    space = opened().space(IDENTITY)
    first, second = put(space, 1, 2, 3), put(space, 4, 5)

    np.testing.assert_array_equal(first, [0, 1, 2])
    np.testing.assert_array_equal(second, [3, 4])
    np.testing.assert_array_equal(space.find(keys_of(texts(5, 9, 1, 1, 3))), [4, -1, 0, 0, 2])
    assert got(space, [5, 9, 1, 3]) == {5, 1, 3}


def test_a_new_process_finds_it(opened: Callable[..., Store], lines: list[str]) -> None:
    for numbers in ([1, 2], [3], [4, 5]):
        put(opened().space(IDENTITY), *numbers)
    store = opened()
    assert got(store.space(IDENTITY), range(7)) == {1, 2, 3, 4, 5}
    assert len(shards_of(store)) == 3
    assert lines == []


def test_rows_come_record_by_record_for_any_order_of_places(opened: Callable[..., Store]) -> None:
    space = opened().space(IDENTITY)
    for begin in range(0, 30, 10):
        put(space, *range(begin, begin + 10))
    asked = np.array([25, -1, 3, 14, 3, 29, 0, -1, 12], dtype=np.int64)
    blocks = [(indices.tolist(), arrays["values"]) for indices, arrays in space.blocks(asked)]

    assert [indices for indices, _ in blocks] == [[6, 2, 4], [8, 3], [0, 5]]
    for indices, values in blocks:
        np.testing.assert_array_equal(values, vectors(*asked[indices]))
    assert list(space.blocks(np.array([-1, -1]))) == []
    assert list(space.blocks(np.empty(0, dtype=np.int64))) == []


def test_half_precision_and_ragged_arrays(opened: Callable[..., Store]) -> None:
    offsets = np.array([0, 2, 2, 5], dtype=np.int64)
    values, columns = np.arange(5, dtype=np.float16) / 8, np.array([7, 9, 1, 2, 70_000], dtype=np.int32)
    space = opened().space(IDENTITY)
    space.put(keys_of(texts(1, 2, 3)), {"offsets": offsets, "values": values, "columns": columns})
    again = opened().space(IDENTITY)
    ((indices, arrays),) = again.blocks(again.find(keys_of(texts(3, 2, 1)))[[0, 1]])

    assert indices.tolist() == [1, 0]
    np.testing.assert_array_equal(arrays["offsets"], [0, 0, 3])
    np.testing.assert_array_equal(arrays["values"], values[2:])
    np.testing.assert_array_equal(arrays["columns"], columns[2:])
    assert (arrays["values"].dtype, arrays["columns"].dtype) == (np.float16, np.int32)


def test_a_process_reads_what_it_goes_on_writing(opened: Callable[..., Store], lines: list[str]) -> None:
    space = opened().space(IDENTITY)
    for number in range(4):
        put(space, number)
        assert got(space, range(6)) == set(range(number + 1))
    assert lines == []


def test_spaces_do_not_mix(opened: Callable[..., Store]) -> None:
    store = opened()
    put(store.space(IDENTITY), 1)
    assert got(store.space(IDENTITY | {"role": "passage"}), [1]) == set()
    assert store.space(dict(reversed(IDENTITY.items()))) is store.space(IDENTITY)


def test_nothing_is_made_before_the_first_put(opened: Callable[..., Store]) -> None:
    store = opened()
    space = store.space(IDENTITY)
    assert got(space, [1]) == set()
    np.testing.assert_array_equal(space.put(keys_of([]), {"values": vectors()}), [])
    store.trim()
    store.close()
    assert not store.root.exists()


def test_the_identity_can_be_read_in_the_folder(opened: Callable[..., Store]) -> None:
    store = opened()
    put(store.space(IDENTITY), 1)
    assert "为这个句子：" in next(store.root.glob("*/space.json")).read_text(encoding="utf-8")
    odd = {"path": "a\udcffb"}
    put(store.space(odd), 1)
    assert odd in [info.identity for info in inventory(store.root)]


# Shards that are full, and eviction


def test_a_shard_that_is_full_is_followed_by_a_new_one(
    opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    put(store.space(IDENTITY | {"role": "passage"}), 100)
    store.close()
    age(*shards_of(store))
    monkeypatch.setattr(store_module, "_SHARD_BYTES", 700)
    again = opened(cap=1_000)
    space = again.space(IDENTITY)
    put(space, 0)
    (record,) = records_of(next(path for path in shards_of(again) if path in space.paths()))
    assert 2 * record.length < 700 - ALIGN < 3 * record.length
    for number in range(1, 7):
        put(space, number)

    assert got(space, range(8)) == set(range(7))
    assert len(space.paths()) == 4
    # The old space went: the cap holds for others, not for what this process wrote.
    assert set(shards_of(again)) == space.paths()
    assert len(list(again.root.iterdir())) == 1


def test_a_record_larger_than_a_shard_has_one_of_its_own(
    opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_SHARD_BYTES", 100)
    store = opened()
    for number in range(3):
        put(store.space(IDENTITY), number)
    assert len(shards_of(store)) == 3
    assert got(store.space(IDENTITY), range(3)) == {0, 1, 2}


def test_the_least_recently_used_go_first(opened: Callable[..., Store]) -> None:
    roles = ["query", "passage", "text", "other"]
    paths = []
    for number, role in enumerate(roles):
        store = opened()
        put(store.space(IDENTITY | {"role": role}), number)
        store.close()
        paths += [path for path in shards_of(store) if path not in paths]
    for hours, path in zip([4, 3, 2, 1], paths, strict=True):
        age(path, seconds=3_600 * hours)
    size = paths[0].stat().st_size
    assert {path.stat().st_size for path in paths} == {size}
    # The oldest was used just now, so the second is the first to go.
    assert got(opened().space(IDENTITY | {"role": "query"}), [0]) == {0}

    opened(cap=None).trim()
    opened(cap=4 * size).trim()
    assert all(path.exists() for path in paths)
    opened(cap=4 * size - 1).trim()
    assert [path.exists() for path in paths] == [True, False, True, True]
    assert not paths[1].parent.exists()
    opened(cap=size).trim()
    assert [path.exists() for path in paths] == [True, False, False, False]
    opened(cap=0).trim()
    assert list(store.root.iterdir()) == []


def test_only_finding_is_no_use(opened: Callable[..., Store]) -> None:
    store = opened()
    put(store.space(IDENTITY), 1)
    (path,) = shards_of(store)
    age(path)
    before = path.stat().st_mtime
    space = opened().space(IDENTITY)
    assert space.find(keys_of(texts(1)))[0] == 0
    assert path.stat().st_mtime == before
    got(space, [1])
    assert path.stat().st_mtime > before + 3_000


def test_eviction_leaves_what_this_process_uses(opened: Callable[..., Store]) -> None:
    for number, role in enumerate(["read", "foreign"]):
        put(opened().space(IDENTITY | {"role": role}), number)
    store = opened(cap=0)
    read, written = (store.space(IDENTITY | {"role": role}) for role in ("read", "written"))
    put(written, 2)
    (store.root / "notes.shard").write_text("not ours")
    (store.root / "folder").mkdir()
    (store.root / "folder" / "notes.shard").write_text("not ours")
    age(*shards_of(store))
    store.trim()

    assert got(read, [0]) == {0}
    assert got(written, [2]) == {2}
    assert got(opened().space(IDENTITY | {"role": "foreign"}), [1]) == set()
    assert len(shards_of(store)) == 3
    assert (store.root / "notes.shard").exists()


def test_a_shard_that_is_full_reaches_the_disk_and_is_closed(
    opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_shards() -> list[str]:
        names = []
        for descriptor in Path("/proc/self/fd").iterdir():
            try:
                names.append(str(descriptor.readlink()))
            except FileNotFoundError:  # that of the folder itself
                continue
        return [name for name in names if name.startswith(str(store.root)) and name.endswith(".shard")]

    synced: list[str] = []
    monkeypatch.setattr(os, "fdatasync", lambda number: synced.append(str(Path(f"/proc/self/fd/{number}").readlink())))
    monkeypatch.setattr(store_module, "_SHARD_BYTES", 700)
    store = opened()
    space = store.space(IDENTITY)
    for number in range(6):
        put(space, number)
    assert len(space.paths()) == 3
    assert len(open_shards()) == 1
    assert {*synced, *open_shards()} == {str(path) for path in space.paths()}
    store.close()
    assert open_shards() == []
    assert set(synced) == {str(path) for path in space.paths()}


def test_a_shard_is_full_when_a_record_more_would_be_too_much(
    opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = opened()
    put(probe.space({"role": "probe"}), 0)
    (record,) = records_of(shards_of(probe)[0])
    for spare, shards in ((0, 1), (-1, 2)):
        monkeypatch.setattr(store_module, "_SHARD_BYTES", ALIGN + 2 * record.length + spare)
        space = opened().space(IDENTITY | {"spare": spare})
        put(space, 1)
        put(space, 2)
        assert len(space.paths()) == shards


def test_vectors_of_an_earlier_identity_are_read_and_new_ones_are_put_beside_them(opened: Callable[..., Store]) -> None:
    former = IDENTITY | {"part": "as it was called"}
    put(opened().space(former), 1, 2)
    alone = opened()
    assert got(alone.space(IDENTITY), [1, 2, 3]) == set()
    both = opened(cap=0)
    space = both.space(IDENTITY, former)
    assert got(space, [1, 2, 3]) == {1, 2}
    put(space, 3)
    assert got(space, [1, 2, 3]) == {1, 2, 3}
    both.trim()
    assert len(shards_of(both)) == 2, "those of the earlier identity are in use"
    both.close()
    assert got(opened().space(former), [1, 2, 3]) == {1, 2}
    assert got(opened().space(IDENTITY), [1, 2, 3]) == {3}


def test_what_a_killed_process_left_counts_and_goes_by_its_age(opened: Callable[..., Store]) -> None:
    store = opened()
    put(store.space(IDENTITY), 1)
    store.close()
    (path,) = shards_of(store)
    partial = path.with_name("1-2-3.partial")
    partial.write_bytes(bytes(100))
    size = path.stat().st_size
    age(partial, seconds=7_200)
    age(path, seconds=3_600)
    opened(cap=size + 100).trim()
    assert partial.exists()
    opened(cap=size + 99).trim()
    assert (partial.exists(), path.exists()) == (False, True)
