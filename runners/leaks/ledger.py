"""What was found of the tasks in the training data: of each text and each pair the strongest match."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flagbench.runners.leaks.collected import Collected, pair_key
from flagbench.runners.leaks.matches import Matches
from flagbench.runners.leaks.training import Batch

SWAPPED = 8
"""Added to the kind of a pair that the training data has the other way round."""

MOST_A_ROW = 64
"""Matches of a column in a row that pairs are made of."""

_FIRST, _SECOND = 0, 1  # columns of a pair
_TEXTS_KEPT = 20_000
_CHARACTERS_KEPT = 300


@dataclass(frozen=True)
class Place:
    """Where the training data has something.

    Attributes:
        file: Number of the file.
        row: Number of the row, as ``RowFile`` has it.
        column: Number of the column; of a pair that of its first text.
    """

    file: int
    row: int
    column: int


class Strongest:
    """The strongest match of each of many things.

    Attributes:
        kinds: ``uint8[n]``, 0 for none.
        similarities: ``float32[n]``.
    """

    def __init__(self, count: int) -> None:
        self.kinds = np.zeros(count, dtype=np.uint8)
        self.similarities = np.zeros(count, dtype=np.float32)
        self._files = np.zeros(count, dtype=np.int32)
        self._rows = np.zeros(count, dtype=np.int64)
        self._columns = np.zeros(count, dtype=np.int8)

    def take(
        self,
        things: NDArray[np.int64],
        kinds: NDArray[np.uint8],
        similarities: NDArray[np.float32],
        file: int,
        rows: NDArray[np.int64],
        columns: NDArray[np.int8],
    ) -> NDArray[np.int64]:
        """Take matches of things, of which one may come several times; those that came first stay among equal ones.

        Returns:
            ``int64[k]``: which of the matches were taken.
        """
        stands = kinds & (SWAPPED - 1)
        order = np.lexsort((np.arange(len(things)), -similarities, kinds >= SWAPPED, -stands.astype(np.int16), things))
        best = order[np.unique(things[order], return_index=True)[1]]
        own = things[best]
        before = self.kinds[own] & (SWAPPED - 1)
        alike, known = similarities[best], self.similarities[own]
        straight = (kinds[best] < SWAPPED) & (self.kinds[own] >= SWAPPED)  # the pair as it is, and not swapped alone
        better = (stands[best] > before) | (
            (stands[best] == before) & ((alike > known) | ((alike == known) & straight))
        )
        taken: NDArray[np.int64] = best[better]
        own = things[taken]
        self.kinds[own] = kinds[taken]
        self.similarities[own] = similarities[taken]
        self._files[own] = file
        self._rows[own] = rows[taken]
        self._columns[own] = columns[taken]
        return taken

    def place(self, thing: int) -> Place:
        """Where the strongest match is."""
        return Place(int(self._files[thing]), int(self._rows[thing]), int(self._columns[thing]))


_Rows = tuple[NDArray[np.int64], NDArray[np.uint8]]


def _strongest(parts: Sequence[_Rows]) -> _Rows:
    """Each row once, with its strongest kind."""
    rows = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in parts)])
    kinds = np.concatenate([np.empty(0, np.uint8), *(kinds for _, kinds in parts)])
    found, places = np.unique(rows, return_inverse=True)
    strongest = np.zeros(len(found), dtype=np.uint8)
    np.maximum.at(strongest, places, kinds)
    return found, strongest


class Ledger:
    """Takes the matches of batches of training data.

    Attributes:
        texts: By the number of a text.
        pairs: By the place of a pair's key.
        rows: Rows of training data that were taken.
        training_texts: Texts of them.
        silent: By the number of a file, its rows without a text, of which nothing can be found.
        file_rows: By the number of a file, its rows.
        half: By the number of a file, its other rows without a text in the first column, such as those of no query.
        spoken: By the number of a file, the columns that have a text in some row.
    """

    def __init__(self, collected: Collected) -> None:
        self._collected = collected
        self.texts = Strongest(len(collected.keys))
        self.pairs = Strongest(len(collected.pair_keys))
        self.rows = 0
        self.training_texts = 0
        self.silent: Counter[int] = Counter()
        self.half: Counter[int] = Counter()
        self.file_rows: Counter[int] = Counter()
        self.spoken: defaultdict[int, set[int]] = defaultdict(set)
        self._seen: dict[int, str] = {}
        self._leaking: defaultdict[int, list[_Rows]] = defaultdict(list)

    def count(self, batch: Batch) -> None:
        """Count the rows and texts of a batch."""
        self.rows += batch.count
        self.training_texts += len(batch.texts)
        self.file_rows[batch.file] += batch.count
        there = np.fromiter((bool(text) and not text.isspace() for text in batch.texts), np.bool_, len(batch.texts))
        spoken, led = (len(np.unique(batch.rows[each])) for each in (there, there & (batch.columns == 0)))
        self.silent[batch.file] += batch.count - spoken
        self.half[batch.file] += spoken - led
        self.spoken[batch.file].update(np.unique(batch.columns[there]).tolist())

    def take(self, batch: Batch, found: Sequence[tuple[int, Matches]]) -> None:
        """Take a batch.

        Args:
            batch: Of training data.
            found: The number of a kind, and the matches of the kind.
        """
        places = np.concatenate([matches.places for _, matches in found])
        if not len(places):
            return
        numbers = np.concatenate([matches.numbers for _, matches in found])
        similarities = np.concatenate([matches.similarities for _, matches in found])
        kinds = np.concatenate([np.full(len(matches.places), kind, np.uint8) for kind, matches in found])
        rows, columns = batch.rows[places], batch.columns[places]
        self._leaking[batch.file].append(_strongest([(rows, kinds)]))
        for at in self.texts.take(numbers, kinds, similarities, batch.file, rows, columns):
            if similarities[at] < 1 and len(self._seen) < _TEXTS_KEPT:
                self._seen[int(numbers[at])] = batch.texts[places[at]][:_CHARACTERS_KEPT]
        if len(self._collected.pair_keys):
            self._pairs(batch.file, rows, columns, numbers, kinds, similarities)

    def leaking(self, file: int) -> _Rows:
        """The rows of a file of which a text is one of the tasks', ``int64[n]`` in their order, and the strongest kind
        of match of each, ``uint8[n]``.
        """
        found = _strongest(self._leaking[file])
        self._leaking[file] = [found]
        return found

    def training_text(self, number: int) -> str | None:
        """The beginning of the text of the strongest match; None where it was not kept, or is the text itself."""
        return self._seen.get(number) if self.texts.similarities[number] < 1 else None

    def _pairs(
        self,
        file: int,
        rows: NDArray[np.int64],
        columns: NDArray[np.int8],
        numbers: NDArray[np.int64],
        kinds: NDArray[np.uint8],
        similarities: NDArray[np.float32],
    ) -> None:
        """Take the pairs of a row of which both texts have matches."""
        paired = np.flatnonzero(columns <= _SECOND)
        by_row: dict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        strong_first = paired[np.lexsort((-similarities[paired], -kinds[paired].astype(np.int16)))]
        for at in strong_first:
            its = by_row[int(rows[at])][columns[at]]
            if len(its) < MOST_A_ROW:
                its.append(int(at))
        both = [(one, other) for first, second in by_row.values() if second for one in first for other in second]
        if not both:
            return
        ends = np.array(both, dtype=np.int64)
        weaker = np.minimum(kinds[ends[:, 0]], kinds[ends[:, 1]])
        alike = np.minimum(similarities[ends[:, 0]], similarities[ends[:, 1]])
        for swapped in (False, True):
            one, other = (numbers[ends[:, side]] for side in ((1, 0) if swapped else (0, 1)))
            keys = pair_key(one, other)
            known = self._collected.pair_keys
            found = np.minimum(np.searchsorted(known, keys), len(known) - 1)
            there = np.flatnonzero(known[found] == keys)
            self.pairs.take(
                found[there],
                (weaker[there] + (SWAPPED if swapped else 0)).astype(np.uint8),
                alike[there],
                file,
                rows[ends[there, 0]],
                columns[ends[there, 0]],
            )
