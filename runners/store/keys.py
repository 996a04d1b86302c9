"""Keys of inputs, and where each is: what makes looking a million texts up a matter of milliseconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flagbench.models.inputs import Input, content_key


def keys_of(inputs: Iterable[Input]) -> NDArray[np.void]:
    """The keys of inputs, ``V16[n]``: a hash of each."""
    return as_keys(map(content_key, inputs))


def as_keys(hashes: Iterable[bytes]) -> NDArray[np.void]:
    """Hashes of 16 bytes as keys, ``V16[n]``."""
    return np.frombuffer(bytearray().join(hashes), dtype="V16")


def first_of_each(keys: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the first place of each distinct key, and for every key which distinct one it is.

    Args:
        keys: ``V16[n]``.

    Returns:
        ``int64[m]``, ascending, and ``int64[n]`` places in it.
    """
    halves = np.frombuffer(keys.tobytes(), dtype="<u8").reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0]))  # stable: equal keys stay in their order
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (halves[order[1:]] != halves[order[:-1]]).any(axis=1)
    firsts = order[begins]
    by_place = np.argsort(firsts)
    rank = np.empty(len(firsts), dtype=np.int64)
    rank[by_place] = np.arange(len(firsts))
    places = np.empty(len(order), dtype=np.int64)
    places[order] = rank[np.cumsum(begins) - 1]
    return firsts[by_place], places


@dataclass(frozen=True)
class SortedKeys:
    """Keys in order: the two halves of each as ``uint64[n]``, sorted by the first, and the places ``int64[n]``."""

    heads: NDArray[np.uint64]
    tails: NDArray[np.uint64]
    places: NDArray[np.int64]

    @classmethod
    def of(cls, heads: NDArray[np.uint64], tails: NDArray[np.uint64], places: NDArray[np.int64]) -> SortedKeys:
        """Keys in any order."""
        order = np.argsort(heads, kind="stable")
        return cls(heads[order], tails[order], places[order])

    def joined(self, other: SortedKeys) -> SortedKeys:
        """These and others."""
        mine, theirs = (self.heads, self.tails, self.places), (other.heads, other.tails, other.places)
        return SortedKeys.of(*(np.concatenate(pair) for pair in zip(mine, theirs, strict=True)))

    def without(self, gone: NDArray[np.bool_]) -> SortedKeys:
        """Those whose place is not gone: ``bool``, one for each place there is."""
        keep = ~gone[self.places]
        return SortedKeys(self.heads[keep], self.tails[keep], self.places[keep])

    def find(self, heads: NDArray[np.uint64], tails: NDArray[np.uint64], found: NDArray[np.int64]) -> None:
        """Fill in the places of keys that have none yet; ``heads`` are sorted, which makes the search fast."""
        left = np.flatnonzero(found < 0)
        at = self.heads.searchsorted(heads[left])
        while True:
            # Different keys may have the same first half: those not matched look one further.
            same = at < len(self.heads)
            same[same] = self.heads[at[same]] == heads[left[same]]
            left, at = left[same], at[same]
            if not len(left):
                return
            hit = self.tails[at] == tails[left]
            found[left[hit]] = self.places[at[hit]]
            left, at = left[~hit], at[~hit] + 1


class KeyIndex:
    """The places of all keys. New keys make runs of their own, merged with those not much longer than they are."""

    def __init__(self) -> None:
        self._runs: list[SortedKeys] = []
        self._new: list[tuple[int, NDArray[np.uint64]]] = []

    def add(self, keys: bytes, begin: int) -> None:
        """Keys whose places are ``begin`` and on."""
        self._new.append((begin, np.frombuffer(keys, dtype="<u8").reshape(-1, 2)))

    def find(self, keys: NDArray[np.void]) -> NDArray[np.int64]:
        """The place of each key, -1 where it has none."""
        self._settle()
        halves = np.frombuffer(keys.tobytes(), dtype="<u8").reshape(-1, 2)
        order = np.argsort(halves[:, 0])
        heads, tails = halves[order, 0], halves[order, 1]
        found = np.full(len(keys), -1, dtype=np.int64)
        for run in self._runs:
            run.find(heads, tails, found)
        places = np.empty_like(found)
        places[order] = found
        return places

    def forget(self, gone: NDArray[np.bool_]) -> None:
        """Take out places: ``bool``, one for each place there is."""
        self._settle()
        self._runs = [run.without(gone) for run in self._runs]

    def _settle(self) -> None:
        if not self._new:
            return
        halves = np.concatenate([each for _, each in self._new])
        places = np.concatenate([np.arange(begin, begin + len(each)) for begin, each in self._new])
        run = SortedKeys.of(halves[:, 0], halves[:, 1], places)
        while self._runs and len(self._runs[-1].places) <= 2 * len(run.places):
            run = self._runs.pop().joined(run)
        self._runs.append(run)
        self._new = []
