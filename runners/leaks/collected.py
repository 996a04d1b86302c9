"""The texts of tasks that are looked for: on disk, each distinct one with a number, and the pairs of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flagbench.runners.data.task_texts import Role, TaskTexts
from flagbench.runners.data.texts import TextColumn, on_disk
from flagbench.runners.leaks.long_texts import compared

PAIR = np.uint64(32)
"""Bits by which the number of a pair's first text is shifted in its key."""

_CHARACTERS_A_WRITE = 2_000_000
_ROWS_A_WRITE = 20_000
_SCHEMA = pa.schema([("text", pa.large_string())])


@dataclass(frozen=True)
class Part:
    """The texts of one role in a split and subset of a task, or its pairs.

    Attributes:
        task: Name.
        split: Name.
        subset: Name.
        role: Of the texts; ``pairs`` for pairs.
        ids: Of each item, as a column of strings.
        begin: Where its items begin among all texts, or among all pairs.
        scored: Whether the values per query of a run are of these items.
    """

    task: str
    split: str
    subset: str
    role: Role | str
    ids: pa.Array
    begin: int
    scored: bool

    @property
    def rows(self) -> slice:
        """Its items among all texts, or among all pairs."""
        return slice(self.begin, self.begin + len(self.ids))


@dataclass(frozen=True)
class Collected:
    """All texts of tasks.

    Attributes:
        texts: On disk, in the order of the parts.
        parts: Of texts.
        pair_parts: Of pairs.
        keys: ``uint64[m]`` of the distinct texts in their compared form, sorted: a text's number is its place.
        numbers: ``int32[n]``, the number of each text; -1 for one of which nothing is compared.
        first: ``int64[m]``, the first text with a number.
        pairs: ``uint64[p]``, the key of each pair; 0 for one of which nothing is compared.
        pair_keys: ``uint64[q]``, the keys of distinct pairs, sorted.
        longest: Characters of the longest text in its compared form.
    """

    texts: TextColumn
    parts: tuple[Part, ...]
    pair_parts: tuple[Part, ...]
    keys: NDArray[np.uint64]
    numbers: NDArray[np.int32]
    first: NDArray[np.int64]
    pairs: NDArray[np.uint64]
    pair_keys: NDArray[np.uint64]
    longest: int


def pair_key(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The keys of pairs of numbers: never 0, which is for none."""
    return first.astype(np.uint64) << PAIR | (second.astype(np.uint64) + np.uint64(1))


def texts_of(key: np.uint64) -> tuple[int, int]:
    """The numbers of a pair by its key, as ``pair_key`` made it."""
    first, second = divmod(int(key), 1 << int(PAIR))
    return first, second - 1


def collect(tasks: Iterable[tuple[str, Iterable[TaskTexts]]]) -> Collected:
    """Write the texts of tasks to a temporary file, and number them.

    Args:
        tasks: Names and texts; each is let go before the next is asked for.

    Raises:
        BadInput: The folder of temporary files is full.
    """
    writing = _Writing()
    table = on_disk(writing.tables(tasks), _SCHEMA)
    keys = np.concatenate(writing.keys) if writing.keys else np.empty(0, dtype=np.uint64)
    empty = np.concatenate(writing.empty) if writing.empty else np.empty(0, dtype=np.bool_)
    compared = np.flatnonzero(~empty)
    known, first, places = np.unique(keys[compared], return_index=True, return_inverse=True)
    numbers = np.full(len(keys), -1, dtype=np.int32)
    numbers[compared] = places
    ends = np.concatenate(writing.pairs) if writing.pairs else np.empty((0, 2), dtype=np.int64)
    both = numbers[ends].astype(np.int64)
    pairs = np.where((both >= 0).all(axis=1), pair_key(both[:, 0], both[:, 1]), np.uint64(0))
    return Collected(
        texts=TextColumn(table.column("text")),
        parts=tuple(writing.parts),
        pair_parts=tuple(writing.pair_parts),
        keys=known,
        numbers=numbers,
        first=compared[first],
        pairs=pairs,
        pair_keys=np.unique(pairs[pairs > 0]),
        longest=writing.longest,
    )


class _Writing:
    """Takes note of texts as they are written."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.pair_parts: list[Part] = []
        self.keys: list[NDArray[np.uint64]] = []
        self.empty: list[NDArray[np.bool_]] = []
        self.pairs: list[NDArray[np.int64]] = []
        self.longest = 0
        self._rows = 0
        self._pairs = 0

    def tables(self, tasks: Iterable[tuple[str, Iterable[TaskTexts]]]) -> Iterator[pa.Table]:
        for name, parts in tasks:
            yield from self._of_task(name, parts)
            del parts  # with the rows of the task, before the next one is read

    def _of_task(self, name: str, parts: Iterable[TaskTexts]) -> Iterator[pa.Table]:
        for part in parts:
            yield from self._written(name, part)

    def _written(self, task: str, part: TaskTexts) -> Iterator[pa.Table]:
        begins = []
        for each in part.lists:
            begins.append(self._rows)
            ids = pa.array(each.ids, pa.large_string())
            self.parts.append(Part(task, part.split, part.subset, each.role, ids, self._rows, part.scored == each.role))
            for texts in _batches(each.texts):
                for made in compared(texts):
                    self.keys.append(made.keys())
                    self.empty.append(made.lengths == 0)
                    self.longest = max(self.longest, int(made.characters.max(initial=0)))
                self._rows += len(texts)
                yield pa.table({"text": pa.array(map(_whole, texts), pa.large_string())})
        if len(part.pairs):
            ids = pa.array(part.pair_ids, pa.large_string())
            self.pair_parts.append(
                Part(task, part.split, part.subset, "pairs", ids, self._pairs, part.scored == "pairs")
            )
            self.pairs.append(part.pairs + np.array([begins[0], begins[-1]]))
            self._pairs += len(part.pairs)


def _whole(text: str) -> str:
    """A text that a file can hold: without halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode()


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text)
        if characters >= _CHARACTERS_A_WRITE or len(batch) >= _ROWS_A_WRITE:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
