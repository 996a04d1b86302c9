"""The words that keys and lists are made of.

``words/`` has the nouns, adjectives and verbs of wonderwords 2.2.0, with its license (MIT,
https://github.com/mrmaxguns/wonderwordsmodule). That is what there was of it when RULER's scores were published; since
3.0 four nouns are gone, by which all draws differ.
"""

from __future__ import annotations

import functools
import random
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import overload

_FOLDER = Path(__file__).parent / "words"
_FILES = ("nouns", "adjectives", "verbs")


class Pairs(Sequence[str]):
    """All pairs ``adjective-noun``, each once and sorted, without making them: there are six million of them.

    Pairs of one adjective stand together, except where the adjective and its hyphen begin another: ``high-horse``
    stands after ``high-pitched-alarm``. Those of all such adjectives are one block, and only what is looked at of a
    block is made.
    """

    def __init__(self, adjectives: Iterable[str], nouns: Iterable[str]) -> None:
        self._nouns = sorted(set(nouns))
        blocks: list[list[str]] = []
        for begin in sorted({f"{adjective}-" for adjective in adjectives}):
            if blocks and begin.startswith(blocks[-1][0]):
                blocks[-1].append(begin)
            else:
                blocks.append([begin])
        self._blocks = blocks
        self._block = functools.cache(lambda place: sorted({b + noun for b in blocks[place] for noun in self._nouns}))
        sizes = (len(self._nouns) if len(its) == 1 else len(self._block(place)) for place, its in enumerate(blocks))
        self._ends = list(accumulate(sizes))

    def __len__(self) -> int:
        return self._ends[-1]

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...
    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        at = range(len(self))[at]
        place = bisect_right(self._ends, at)
        inside = at - (self._ends[place - 1] if place else 0)
        begins = self._blocks[place]
        return begins[0] + self._nouns[inside] if len(begins) == 1 else self._block(place)[inside]


@functools.cache
def pairs() -> Pairs:
    """All pairs of an adjective and a noun."""
    return Pairs(_words("adjectives"), _words("nouns"))


@functools.cache
def listed(seed: int) -> tuple[str, ...]:
    """All words, in an order that a seed gives."""
    words = sorted({word for name in _FILES for word in _words(name)})
    random.Random(seed).shuffle(words)
    return tuple(words)


@functools.cache
def _words(name: str) -> tuple[str, ...]:
    return tuple(line.rstrip() for line in (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines())


def all_words() -> tuple[str, ...]:
    """All words as they lie in the files, for a digest of them."""
    return tuple(word for name in _FILES for word in _words(name))
