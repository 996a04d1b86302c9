"""Shards made of keys and arrays that are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flagbench.runners.store.shards import Reader, Record, Writer, pack

Arrays = dict[str, NDArray[Any]]


def keys(*numbers: int) -> NDArray[np.void]:
    return np.frombuffer(b"".join(number.to_bytes(16, "big") for number in numbers), dtype="V16")


def plain(rows: int, begin: int = 0, dtype: str = "float32") -> Arrays:
    return {"values": (begin + np.arange(rows * 3)).astype(dtype).reshape(rows, 3)}


def ragged(*lengths: int) -> Arrays:
    total = sum(lengths)
    return {
        "offsets": np.cumsum([0, *lengths], dtype=np.int64),
        "values": np.arange(total * 2, dtype=np.float32).reshape(total, 2),
        "columns": np.arange(total, dtype=np.int32) * 7,
    }


def written(folder: Path, *records: bytearray) -> Path:
    writer = Writer(folder)
    for record in records:
        writer.append(record)
    writer.close()
    return writer.path


def three(folder: Path) -> tuple[Path, list[Record]]:
    path = written(folder, *(pack(keys(row, row + 1), plain(2, 10 * row)) for row in (0, 2, 4)))
    return path, read(path)


def read(path: Path) -> list[Record]:
    return [record for record, found in Reader(path).records() if found is not None]
