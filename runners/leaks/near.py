"""Near duplicates: texts whose shingles have a Jaccard similarity of at least a bound.

Candidates come from MinHash (Broder, 1997) with locality-sensitive hashing in bands (Leskovec, Rajaraman and Ullman,
Mining of Massive Datasets, 3.4), and each is then compared shingle by shingle: what is reported has the similarity that
is said, and only a candidate that was not found is missing.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.runners.leaks.collected import Collected
from flagbench.runners.leaks.long_texts import Compared, compared
from flagbench.runners.leaks.matches import Matches, no_matches
from flagbench.runners.leaks.normal import SHINGLE_BITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SLOTS = 128
"""Of a signature at most."""

MISSED = 0.001
"""Share of the pairs at the bound that may be missed."""

MOST = 256
"""Texts with one band that are looked at, of those of the tasks."""

_SEED = 22
_PAIRS_A_BATCH = 4_096
_SHINGLES_A_BATCH = 4_000_000
_BITS = np.uint64(SHINGLE_BITS)
_KNOWN = 1 << 22


@dataclass(frozen=True)
class Bands:
    """How signatures are cut.

    Attributes:
        bound: Jaccard similarity of near duplicates, at least.
        bands: How many.
        rows: Slots of each.
    """

    bound: float
    bands: int
    rows: int

    @classmethod
    def of(cls, bound: float) -> Bands:
        """The longest bands with which no more than ``MISSED`` of the pairs at a bound are missed.

        Args:
            bound: 0.3 or more, and at most 1.
        """
        cuts = (cls(bound, SLOTS // rows, rows) for rows in range(SLOTS, 0, -1))
        return next(cut for cut in cuts if cut.missed(bound) <= MISSED or cut.rows == 1)

    def missed(self, similarity: float) -> float:
        """The probability that a pair of a similarity is no candidate."""
        return float((1 - similarity**self.rows) ** self.bands)


def check_rensa() -> None:
    """See that what makes signatures is installed; it is not imported.

    Raises:
        BadInput: It is not.
    """
    if importlib.util.find_spec("rensa") is None:
        raise BadInput(
            "near duplicates need the package rensa, which is not installed: pip install 'flagbench[leaks]', or look "
            "for equal texts alone with --no-near"
        )


class NearDuplicates:
    """Finds near duplicates of the texts of tasks.

    Attributes:
        crowded: Training texts with a band that more than ``MOST`` texts of tasks have, of which the others were not
            looked at.
    """

    def __init__(self, collected: Collected, bound: float) -> None:
        """Index the texts of tasks.

        Args:
            collected: Those.
            bound: Jaccard similarity, at least.

        Raises:
            BadInput: As ``check_rensa``.
        """
        check_rensa()
        self.cut = Bands.of(bound)
        self.crowded = 0
        self._collected = collected
        self._known = np.zeros(_KNOWN, dtype=np.uint64)  # keys of training texts that are like none, by their last bits
        count = len(collected.first)
        hashes = np.empty((self.cut.bands, count), dtype=np.uint32)
        self._sizes = np.zeros(count, dtype=np.int64)
        begin = 0
        for texts in compared(self._originals(range(count))):
            rows = slice(begin, begin + len(texts))
            hashes[:, rows], self._sizes[rows] = self._hashes(texts), texts.lengths
            begin += len(texts)
        self._numbers = np.empty(hashes.shape, dtype=np.int32)
        for own, numbers in zip(hashes, self._numbers, strict=True):
            numbers[:] = np.argsort(own, kind="stable")
            own[:] = own[numbers]
        self._sorted = hashes

    @property
    def most(self) -> int:
        """Shingles beyond which a set is near to none of those of the tasks."""
        return int(self._sizes.max(initial=0) / self.cut.bound) + 1

    def find(self, texts: Compared, keys: NDArray[np.uint64]) -> Matches:
        """The near duplicates of a batch of training texts, equal ones included.

        Args:
            texts: The batch.
            keys: ``texts.keys()``.
        """
        asked = np.flatnonzero((texts.lengths > 0) & (self._known[self._slots(keys)] != keys))
        if not len(asked) or not len(self._collected.first):
            return no_matches()
        texts, keys = texts.take(asked), keys[asked]
        places, numbers = self._candidates(texts)
        similarities = np.ones(len(places), dtype=np.float32)
        others = np.flatnonzero(self._collected.keys[numbers] != keys[places])
        sizes = texts.lengths[places[others]] + self._sizes[numbers[others]]
        for part in _parts(others, sizes):
            similarities[part] = self._similarities(texts, places[part], numbers[part])
        alike = similarities >= self.cut.bound
        unlike = np.ones(len(asked), dtype=np.bool_)
        unlike[places[alike]] = False
        self._known[self._slots(keys[unlike])] = keys[unlike]
        return Matches(asked[places[alike]], numbers[alike], similarities[alike])

    @staticmethod
    def _slots(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        return (keys & np.uint64(_KNOWN - 1)).astype(np.int64)

    def _candidates(self, texts: Compared) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places in a batch and numbers of texts with a band in common, each pair once."""
        count = len(self._collected.first)
        found: list[NDArray[np.int64]] = []
        crowded = np.zeros(len(texts), dtype=np.bool_)
        for own, theirs, numbers in zip(self._hashes(texts), self._sorted, self._numbers, strict=True):
            order = np.argsort(own)
            begins = np.searchsorted(theirs, own[order])
            there = np.flatnonzero(theirs[np.minimum(begins, count - 1)] == own[order])
            if not len(there):
                continue
            ends = np.searchsorted(theirs, own[order[there]], side="right")
            counts = ends - begins[there]
            crowded[order[there[counts > MOST]]] = True
            counts = np.minimum(counts, MOST)
            steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            their = numbers[np.repeat(begins[there], counts) + steps].astype(np.int64)
            found.append(np.repeat(order[there], counts) * count + their)
        self.crowded += int(crowded.sum())
        pairs = np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)
        return pairs // count, pairs % count

    def _hashes(self, texts: Compared) -> NDArray[np.uint32]:
        """``uint32[bands, n]``."""
        made = signatures(texts.shingles(), texts.ends, self.cut.bands * self.cut.rows)
        cut = made.reshape(len(texts), self.cut.bands, self.cut.rows)
        mixed = np.zeros(cut.shape[:2], dtype=np.uint64)
        for row in range(self.cut.rows):
            mixed = (mixed ^ cut[:, :, row]) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
        return np.ascontiguousarray((mixed >> np.uint64(32)).astype(np.uint32).T)

    def _similarities(
        self, texts: Compared, places: NDArray[np.int64], numbers: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """The similarities of texts of a batch and texts of tasks, in step."""
        own, first = np.unique(places, return_inverse=True)
        theirs, second = np.unique(numbers, return_inverse=True)
        others = _joined([distinct_shingles(each) for each in compared(self._originals(theirs.tolist()))])
        return jaccard(distinct_shingles(texts.take(own)), others, first, second)

    def _originals(self, numbers: Sequence[int]) -> Iterator[str]:
        """The texts of tasks with some numbers."""
        return (self._collected.texts[int(self._collected.first[number])] for number in numbers)


@dataclass(frozen=True)
class Sets:
    """Sets of shingles, one behind the other.

    Attributes:
        values: ``uint64[s]``, sorted: the number of the set above the first ``_BITS`` bits of a shingle.
        sizes: ``int64[n]``.
    """

    values: NDArray[np.uint64]
    sizes: NDArray[np.int64]


def _parts(pairs: NDArray[np.int64], sizes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Pairs, so many at a time that their sets have a bounded size together, or one that has more by itself.

    Args:
        pairs: ``int64[n]``.
        sizes: ``int64[n]``, shingles of both texts of each.
    """
    ends = np.cumsum(sizes)
    begin = 0
    while begin < len(pairs):
        before = int(ends[begin] - sizes[begin])
        end = int(np.searchsorted(ends, before + _SHINGLES_A_BATCH, side="right"))
        end = min(max(begin + 1, end), begin + _PAIRS_A_BATCH)
        yield pairs[begin:end]
        begin = end


def _joined(sets: Sequence[Sets]) -> Sets:
    """Sets of which some are here and some there."""
    begins = np.cumsum([0, *(len(each.sizes) for each in sets)]).astype(np.uint64)
    values = [each.values + (begin << _BITS) for each, begin in zip(sets, begins[:-1], strict=True)]
    return Sets(np.concatenate(values), np.concatenate([each.sizes for each in sets]))


def distinct_shingles(texts: Compared) -> Sets:
    """The shingles of each text, each once.

    Args:
        texts: At most a million.
    """
    owners = np.repeat(np.arange(len(texts), dtype=np.uint64), texts.lengths)
    values = np.sort(owners << _BITS | texts.shingles() >> (np.uint64(64) - _BITS))
    first = np.ones(len(values), dtype=np.bool_)
    first[1:] = values[1:] != values[:-1]
    values = values[first]
    return Sets(values, np.bincount((values >> _BITS).astype(np.int64), minlength=len(texts)))


def jaccard(one: Sets, other: Sets, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
    """Jaccard similarities.

    Args:
        one: Sets, none of them empty.
        other: Likewise.
        first: ``int64[n]``: sets of the one.
        second: ``int64[n]``: sets of the other that they are compared with.

    Returns:
        ``float64[n]``.
    """
    if not len(first):
        return np.empty(0)
    sizes = one.sizes[first]
    ends, begins = np.cumsum(sizes), np.cumsum(one.sizes)[first] - sizes
    steps = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)
    shingles = one.values[np.repeat(begins, sizes) + steps] & (np.uint64(1) << _BITS) - np.uint64(1)
    asked = np.repeat(second.astype(np.uint64) << _BITS, sizes) | shingles
    found = np.minimum(np.searchsorted(other.values, asked), len(other.values) - 1)
    common = np.add.reduceat((other.values[found] == asked).astype(np.int64), ends - sizes)
    similarities: NDArray[np.float64] = common / (sizes + other.sizes[second] - common)
    return similarities


def signatures(shingles: NDArray[np.uint64], ends: NDArray[np.int64], slots: int) -> NDArray[np.uint32]:
    """MinHash signatures.

    Args:
        shingles: ``uint64[c]`` of all texts.
        ends: ``int64[n]``, where those of each end.
        slots: Of a signature.

    Returns:
        ``uint32[n, slots]``: two sets have the share of equal slots that their Jaccard similarity is, on average.
    """
    import rensa

    offsets = np.concatenate([[0], ends]).astype(np.uint64)
    made = rensa.RMinHash.digest_matrix_from_flat_token_hashes(shingles, offsets, slots, _SEED)
    rows: Sequence[Sequence[int]] = made.to_rows()
    return np.array(rows, dtype=np.uint32).reshape(len(ends), slots)
