"""Texts whose vectors are known, put into a store and read again, and what can happen to its files."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.runners.store.keys import keys_of
from flagbench.runners.store.shards import Reader, Record
from flagbench.runners.store.store import Space, Store

IDENTITY = {"model": "org/model", "instruction": "为这个句子：", "role": "query", "part": "dense"}
DIMENSION = 4


def texts(*numbers: int) -> list[str]:
    return [f"text {number}" for number in numbers]


def vectors(*numbers: int) -> NDArray[np.float32]:
    """Each text has one vector that no other has."""
    return np.array(numbers, dtype=np.float32)[:, None] * 100 + np.arange(DIMENSION, dtype=np.float32)


def put(space: Space, *numbers: int) -> NDArray[np.int64]:
    places = space.put(keys_of(texts(*numbers)), {"values": vectors(*numbers)})
    assert places is not None
    return places


def got(space: Space, numbers: Sequence[int]) -> set[int]:
    """The texts whose vectors come out of the store; that each is its own is checked."""
    places = space.find(keys_of(texts(*numbers)))
    seen: list[int] = []
    for indices, arrays in space.blocks(places):
        mine = [numbers[index] for index in indices]
        np.testing.assert_array_equal(arrays["values"], vectors(*mine))
        seen += mine
    assert len(seen) == len(set(seen))
    return set(seen)


def shards_of(store: Store) -> list[Path]:
    return sorted(store.root.glob("*/*.shard"))


def age(*paths: Path, seconds: float = 3_600) -> None:
    """Let files be older than they are."""
    for path in paths:
        os.utime(path, (time.time() - seconds,) * 2)


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << position % 8
    path.write_bytes(data)


def records_of(path: Path) -> list[Record]:
    return [record for record, _ in Reader(path).records()]


def fill(space: Space) -> tuple[int, str]:
    """Put texts until there is no room: how many were kept, and the message."""
    for number in range(10_000):
        try:
            space.put(keys_of(texts(number)), {"values": np.tile(vectors(number), 3_000)})
        except BadInput as error:
            return number, str(error)
    raise AssertionError("the disk is never full")


def kept(space: Space, count: int) -> bool:
    seen = 0
    for indices, arrays in space.blocks(space.find(keys_of(texts(*range(count))))):
        np.testing.assert_array_equal(arrays["values"], np.tile(vectors(*indices), 3_000))
        seen += len(indices)
    return seen == count


def read_only(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """From now on no file can be opened for writing."""
    open_ = os.open

    def refusing(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(code, os.strerror(code), str(path))
        return open_(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refusing)
