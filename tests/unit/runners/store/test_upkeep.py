"""The store as a whole: what is in it, emptying it, and checking every byte."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.runners.store.shards import ALIGN
from flagbench.runners.store.store import Store
from flagbench.runners.store.upkeep import clear, inventory, verify
from tests.unit.store_files import (
    IDENTITY,
    age,
    flip,
    got,
    put,
    read_only,
    records_of,
    shards_of,
)


def test_inventory(opened: Callable[..., Store]) -> None:
    assert inventory(opened().root) == []
    store = opened()
    put(store.space(IDENTITY), 1, 2)
    put(store.space(IDENTITY), 3)
    put(store.space({"role": "old"}), 4)
    put(opened().space(IDENTITY), 5)
    for path in shards_of(store):
        age(path, seconds=60 if path in store.space(IDENTITY).paths() else 600)
    (store.root / "README").write_text("not ours")
    fresh, old = inventory(store.root)

    assert (fresh.identity, fresh.rows, fresh.shards) == (IDENTITY, 4, 2)
    assert fresh.bytes == sum(path.stat().st_size for path in (store.root / fresh.folder).glob("*.shard"))
    assert (old.identity, old.rows, old.shards) == ({"role": "old"}, 1, 1)
    assert old.last_used == pytest.approx(time.time() - 600, abs=30)


def test_clear(opened: Callable[..., Store]) -> None:
    store = opened()
    assert clear(store.root) == 0
    put(store.space(IDENTITY), 1)
    put(store.space({"role": "other"}), 2)
    size = sum(path.stat().st_size for path in shards_of(store))
    store.close()
    assert clear(store.root) == size
    assert list(store.root.iterdir()) == []
    assert clear(store.root) == 0


@pytest.mark.parametrize("ask", [inventory, clear, verify])
def test_a_folder_that_is_no_store_is_refused(tmp_path: Path, ask: Callable[[Path], object]) -> None:
    for name in ("results", "f" * 32, "a" * 32):
        (tmp_path / "home" / name).mkdir(parents=True)
        (tmp_path / "home" / name / "thesis.txt").write_text("precious")
    (tmp_path / "home" / "b.shard").write_text("precious")
    with pytest.raises(BadInput, match="home is not an embedding cache, and nothing in it was touched"):
        ask(tmp_path / "home")
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 4


def test_clear_leaves_what_is_not_its_own(opened: Callable[..., Store], tmp_path: Path) -> None:
    store = opened()
    put(store.space(IDENTITY), 1)
    store.close()
    (folder,) = store.root.iterdir()
    (folder / "notes.txt").write_text("precious")
    (store.root / "notes.txt").write_text("precious")
    elsewhere = tmp_path / ("e" * 32)
    elsewhere.mkdir()
    (elsewhere / "a.shard").write_text("precious")
    (store.root / ("e" * 32)).symlink_to(elsewhere)
    clear(store.root)

    assert shards_of(store) == [store.root / ("e" * 32) / "a.shard"]
    assert {path.name for path in store.root.iterdir()} == {folder.name, "notes.txt", "e" * 32}
    assert "notes.txt" in {path.name for path in folder.iterdir()}


def test_verify_counts_and_fixes(opened: Callable[..., Store], lines: list[str]) -> None:
    assert verify(opened().root).records == 0
    paths = []
    for begin in range(0, 50, 10):
        store = opened()
        for number in range(begin, begin + 6, 2):
            put(store.space(IDENTITY), number, number + 1)
        store.close()
        paths += [path for path in shards_of(store) if path not in paths]
    sound, values, header, torn, head = paths
    size = sum(path.stat().st_size for path in paths) - 10
    assert len(shards_of(store)) == 5
    second = records_of(sound)[1].offset
    flip(values, second + records_of(values)[1].columns[1].offset)
    flip(header, second + 20)
    os.truncate(torn, torn.stat().st_size - 10)
    flip(head, 3)
    (sound.parent / "1-2-3.partial").write_bytes(b"half")
    young = verify(store.root)

    assert (young.records, young.bytes, young.torn) == (3 + 2 + 2 + 2 + 0, size, 0)
    assert [(each.path, each.offset, each.rows, each.fixed) for each in young.damaged] == [(values, second, 2, True)]
    assert set(young.unread) == {header, torn, head}  # nothing is known of what may still be written
    assert sound.parent.joinpath("1-2-3.partial").exists()
    age(*shards_of(store), sound.parent / "1-2-3.partial")
    old = verify(store.root)
    assert old.records == 3 + 2 + 2 + 2
    assert {(each.path, each.offset, each.rows, each.fixed) for each in old.damaged} == {
        (header, second, -1, True),
        (head, 0, -1, True),
    }
    assert (old.torn, old.unread) == (2, ())
    last = verify(store.root)
    assert (last.records, last.damaged, last.torn) == (9, (), 0)
    assert sorted(path.suffix for path in sound.parent.iterdir()) == [".json"] + 4 * [".shard"]
    numbers = {n + begin for begin in range(0, 40, 10) for n in range(6)}
    lost = {12, 13, 22, 23, 34, 35}
    assert got(opened().space(IDENTITY), range(60)) == numbers - lost
    assert lines == []


def test_verify_says_what_it_could_not_fix(opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened()
    put(store.space(IDENTITY), 1)
    put(store.space(IDENTITY), 2)
    store.close()
    (path,) = shards_of(store)
    flip(path, path.stat().st_size - ALIGN)
    read_only(monkeypatch, errno.EROFS)
    checked = verify(store.root)
    assert [(each.rows, each.fixed) for each in checked.damaged] == [(1, False)]
    assert shards_of(store) == [path]


def test_verify_says_what_it_could_not_read(opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        put(opened().space(IDENTITY), number)
    gone, locked, good = shards_of(opened())
    open_ = os.open

    def refusing(path: Any, *rest: Any, **more: Any) -> int:
        if path in (gone, locked):
            code = errno.ENOENT if path == gone else errno.EACCES
            raise OSError(code, os.strerror(code), str(path))
        return open_(path, *rest, **more)

    monkeypatch.setattr(os, "open", refusing)
    checked = verify(good.parent.parent)
    assert (checked.records, checked.bytes) == (1, good.stat().st_size)
    assert [(each.path, each.offset, each.rows, each.fixed) for each in checked.damaged] == [(locked, 0, -1, False)]


@pytest.mark.parametrize("text", ["{", "3", "[]", "null", '"ab"', "[" * 100_000])
def test_an_identity_that_is_none_is_empty(opened: Callable[..., Store], text: str) -> None:
    store = opened()
    put(store.space(IDENTITY), 1)
    next(store.root.glob("*/space.json")).write_text(text)
    assert [(info.identity, info.rows) for info in inventory(store.root)] == [({}, 1)]


def test_a_space_without_a_shard_is_empty_and_of_no_time(opened: Callable[..., Store]) -> None:
    store = opened()
    put(store.space(IDENTITY), 1)
    store.close()
    for path in shards_of(store):
        path.unlink()
    (info,) = inventory(store.root)
    assert (info.identity, info.rows, info.bytes, info.shards, info.last_used) == (IDENTITY, 0, 0, 0, 0.0)


def test_spaces_are_listed_by_their_last_use_and_damaged_keys_are_no_rows(opened: Callable[..., Store]) -> None:
    store = opened()
    for number, role in enumerate("abcde"):
        put(store.space({"role": role}), number)
        put(store.space({"role": role}), number + 10, number + 20)
    store.close()
    for hours, role in enumerate("cabed", 1):
        age(*(path for path in shards_of(store) if path in store.space({"role": role}).paths()), seconds=3_600 * hours)
    (path,) = [each for each in shards_of(store) if each in store.space({"role": "b"}).paths()]
    used = path.stat().st_mtime
    second = records_of(path)[1]
    flip(path, second.offset + second.columns[0].offset)
    os.utime(path, (used, used))
    found = inventory(store.root)
    assert [(info.identity["role"], info.rows) for info in found] == [("c", 3), ("a", 3), ("b", 1), ("e", 3), ("d", 3)]


def test_what_a_killed_process_left_is_cleared_and_counted(opened: Callable[..., Store]) -> None:
    store = opened()
    put(store.space(IDENTITY), 1)
    store.close()
    (path,) = shards_of(store)
    size = path.stat().st_size
    path.with_name("1-2-3.partial").write_bytes(bytes(100))
    assert clear(store.root) == size + 100
    assert list(store.root.iterdir()) == []


def test_several_losses_of_a_shard_are_told_in_their_order(opened: Callable[..., Store]) -> None:
    store = opened()
    for number in (1, 2, 3, 4):
        put(store.space(IDENTITY), number)
    store.close()
    (path,) = shards_of(store)
    first, second, third, _ = records_of(path)
    flip(path, first.offset + 20)  # its header: how many were lost is not known
    for record in (second, third):
        flip(path, record.offset + record.columns[1].offset)
    age(path)
    checked = verify(store.root)
    assert [(each.offset, each.rows, each.fixed) for each in checked.damaged] == [
        (first.offset, -1, True),
        (second.offset, 1, True),
        (third.offset, 1, True),
    ]
    assert (checked.records, checked.unread) == (1, ())
    assert got(opened().space(IDENTITY), [1, 2, 3, 4]) == {4}


def test_a_shard_is_settled_after_a_minute(opened: Callable[..., Store]) -> None:
    store = opened()
    put(store.space(IDENTITY), 1)
    put(store.space(IDENTITY), 2)
    store.close()
    (path,) = shards_of(store)
    os.truncate(path, path.stat().st_size - 1)
    age(path, seconds=40)
    assert (verify(store.root).torn, verify(store.root).unread) == (0, (path,))
    age(path, seconds=80)
    assert (verify(store.root).torn, verify(store.root).records) == (1, 1)


def test_what_has_the_name_of_a_shard_and_is_none_is_said_and_left_alone(
    opened: Callable[..., Store], tmp_path: Path
) -> None:
    """A pipe would be waited for, and what a link leads to is no part of the store."""
    store = opened()
    put(store.space(IDENTITY), 1, 2)
    (shard,) = shards_of(store)
    store.close()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"not of the store")
    os.mkfifo(shard.with_name("a.shard"))
    shard.with_name("b.shard").symlink_to(elsewhere)
    shard.with_name("c.shard").mkdir()
    shard.with_name("d.shard").symlink_to("nowhere")
    age(shard, seconds=600)
    found = verify(store.root)
    assert [path.name for path in found.strange] == ["a.shard", "b.shard", "c.shard", "d.shard"]
    assert (found.records > 0, found.damaged, found.unread) == (True, (), ())
    assert elsewhere.read_bytes() == b"not of the store"
    assert [info.shards for info in inventory(store.root)] == [1]
    assert got(opened().space(IDENTITY), [1, 2]) == {1, 2}
    clear(store.root)
    assert elsewhere.exists()
