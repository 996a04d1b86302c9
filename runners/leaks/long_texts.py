"""Texts of any length in their compared form, in bounded memory.

A long text is folded piece by piece, and of its shingles each is kept once: to a signature and to a similarity it makes
no difference how often one stands there. One with more of them than any text that it could resemble is like none, and
is not read to its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flagbench.runners.leaks.normal import (
    ALPHABETIC,
    SHINGLE_BITS,
    NormalTexts,
    code_points,
    fold,
    folding,
    is_kept,
    key_of,
    normal,
    seen,
    weights,
)

ANY = 1 << 62
"""A number that nothing exceeds."""

LONG = 1_000_000
"""Characters of a text beyond which it is compared by itself, and of shorter ones that are compared at once."""

TEXTS_AT_ONCE = 4_096
"""Texts that are compared at once."""

_PIECE = 1 << 18  # characters
_AHEAD = 1 << 10  # in which a place to cut is looked for
_MERGED = 1 << 20  # shingles, at least, before each is kept once


class Compared(Protocol):
    """Texts as they are compared: ``NormalTexts`` or a ``LongText``."""

    def __len__(self) -> int: ...

    @property
    def ends(self) -> NDArray[np.int64]:
        """``int64[n]``, where the shingles of each text end."""
        ...

    @property
    def lengths(self) -> NDArray[np.int64]:
        """``int64[n]``, the shingles of each text; 0 for one that is like none."""
        ...

    @property
    def characters(self) -> NDArray[np.int64]:
        """``int64[n]``, those of the compared form of each text."""
        ...

    def keys(self) -> NDArray[np.uint64]:
        """``uint64[n]``: equal for equal texts."""
        ...

    def shingles(self) -> NDArray[np.uint64]:
        """``uint64[s]``, of all texts."""
        ...

    def take(self, numbers: NDArray[np.int64]) -> Compared:
        """Some of the texts, in an order of their own."""
        ...


@dataclass(frozen=True)
class LongText:
    """One long text as it is compared.

    Attributes:
        key: As ``NormalTexts.keys`` has it.
        distinct: ``uint64[s]``, its shingles, each once.
        size: Characters of its compared form.
    """

    key: np.uint64
    distinct: NDArray[np.uint64]
    size: int

    def __len__(self) -> int:
        return 1

    @property
    def ends(self) -> NDArray[np.int64]:
        """See ``Compared``."""
        return self.lengths

    @property
    def lengths(self) -> NDArray[np.int64]:
        """See ``Compared``."""
        return np.array([len(self.distinct)], dtype=np.int64)

    @property
    def characters(self) -> NDArray[np.int64]:
        """See ``Compared``."""
        return np.array([self.size], dtype=np.int64)

    def keys(self) -> NDArray[np.uint64]:
        """See ``Compared``."""
        return np.array([self.key], dtype=np.uint64)

    def shingles(self) -> NDArray[np.uint64]:
        """See ``Compared``."""
        return self.distinct

    def take(self, numbers: NDArray[np.int64]) -> LongText:
        """See ``Compared``; there is one to take."""
        return self


def compared(texts: Iterable[str], longest: int = ANY, most: int = ANY) -> Iterator[Compared]:
    """Texts as they are compared, in their order, some of them at a time.

    Args:
        texts: Any number, of any length.
        longest: Characters of the longest one, in its compared form, that they are to be equal to.
        most: Shingles of the largest set that a text may have to be near to any; 0 where none is looked for.
    """
    batch: list[str] = []
    characters = 0
    for text in texts:
        if batch and (len(text) > LONG or characters + len(text) > LONG or len(batch) == TEXTS_AT_ONCE):
            yield normal(batch)
            batch, characters = [], 0
        if len(text) > LONG:
            yield long_text(text, longest, most)
        else:
            batch.append(text)
            characters += len(text)
    if batch:
        yield normal(batch)


def long_text(text: str, longest: int = ANY, most: int = ANY) -> LongText:
    """One text as it is compared.

    Args:
        text: Of any length; a NUL in it is a blank.
        longest: See ``compared``.
        most: See ``compared``.

    Returns:
        The text; without shingles if it can be neither equal nor near to another, and with one, which stands for all,
        if it can be equal alone.
    """
    sums, characters = np.zeros(1, dtype=np.uint64), 0
    shingles = _Distinct(most)
    tail = np.empty(0, dtype=np.uint32)  # whose shingles reach into the next piece
    for codes in _kept(text):
        sums += weights(codes, np.arange(characters, characters + len(codes), dtype=np.uint64)).sum()
        characters += len(codes)
        if shingles.within:
            tail = np.concatenate([tail, codes])
            shingles.add(_shingles(tail)[: 1 - ALPHABETIC])
            tail = tail[1 - ALPHABETIC :]
        elif characters > longest:
            return LongText(np.uint64(0), np.empty(0, dtype=np.uint64), characters)
    shingles.add(_shingles(tail))
    found = shingles.all()
    if not shingles.within:
        found = np.zeros(int(0 < characters <= longest), dtype=np.uint64)
    return LongText(key_of(sums, np.array([characters], dtype=np.uint64))[0], found, characters)


class _Distinct:
    """Shingles, each once, as long as they are not too many.

    Attributes:
        within: Whether they are not, as far as is known: it is looked at where many were added.
    """

    def __init__(self, most: int) -> None:
        self.within = most > 0
        self._most = most
        self._merged = np.empty(0, dtype=np.uint64)
        self._added: list[NDArray[np.uint64]] = []
        self._count = 0

    def add(self, shingles: NDArray[np.uint64]) -> None:
        """Add some."""
        if self.within:
            self._added.append(shingles)
            self._count += len(shingles)
            if self._count > max(_MERGED, len(self._merged)):  # sorted as often as their number doubles
                self.all()

    def all(self) -> NDArray[np.uint64]:
        """``uint64[s]``, sorted."""
        self._merged = np.unique(np.concatenate([self._merged, *self._added]))
        self._added, self._count = [], 0
        first = self._merged >> np.uint64(64 - SHINGLE_BITS)
        self.within = self.within and int((first[1:] != first[:-1]).sum()) < self._most
        return self._merged


def _shingles(codes: NDArray[np.uint32]) -> NDArray[np.uint64]:
    return NormalTexts(codes, np.array([len(codes)], dtype=np.int64)).shingles()


def _kept(text: str) -> Iterator[NDArray[np.uint32]]:
    """The characters of the compared form, piece by piece."""
    edge = np.zeros(1, dtype=np.uint32)
    for codes in _folded(text):
        around = np.concatenate([edge, codes])
        yield around[1:-1][is_kept(around)[1:-1]]
        edge = around[-2:]  # the last one waits for its neighbour
    around = np.append(edge, np.uint32(0))
    yield around[1:-1][is_kept(around)[1:-1]]


def _folded(text: str) -> Iterator[NDArray[np.uint32]]:
    """Its characters that are seen, folded, piece by piece."""
    alone, together = folding()
    begin = 0
    while begin < len(text):
        end = _place_to_cut(text, begin + _PIECE)
        piece = text[begin:end].replace("\0", " ")
        codes = code_points(piece)
        if together[codes].any():
            codes = code_points(fold(piece))
        for at in range(0, len(codes), _PIECE):
            yield seen(alone[codes[at : at + _PIECE]])
        begin = end


def _place_to_cut(text: str, at: int) -> int:
    """The first place, from one on, before a character that does not join the one before it; else the end."""
    for begin in range(at, len(text), _AHEAD):
        free = np.flatnonzero(~folding()[1][code_points(text[begin : begin + _AHEAD])])
        if len(free):
            return begin + int(free[0])
    return len(text)
