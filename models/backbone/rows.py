"""Rows of tokens as flat arrays, and batches of them: padded to one length without a loop over rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

MASK = "attention_mask"


class Rows:
    """The model's inputs of ``n`` texts, all tokens of one key after the other.

    Every token counts: before padding a tokenizer's ``attention_mask`` is 1 throughout, so it is made anew.

    Attributes:
        lengths: ``int64[n]`` tokens of each.
    """

    def __init__(self, encoded: Mapping[str, Sequence[Sequence[int]]]) -> None:
        """Lay the numbers flat.

        Args:
            encoded: ``input_ids`` and what else the model takes, a list of numbers for each text.

        Raises:
            ValueError: A key has other lengths than ``input_ids``.
        """
        ids = encoded["input_ids"]
        self.lengths = np.fromiter(map(len, ids), dtype=np.int64, count=len(ids))
        self._starts = np.cumsum(self.lengths) - self.lengths
        total = int(self.lengths.sum())
        self._values: dict[str, NDArray[np.int64]] = {}
        for key, values in encoded.items():
            if key != MASK:
                flat: Iterable[int] = chain.from_iterable(values)
                self._values[key] = np.fromiter(flat, dtype=np.int64, count=total)
                if sum(map(len, values)) != total:
                    raise ValueError(f"{key} has other lengths than input_ids")

    def padded(
        self, rows: NDArray[np.int64], width: int, *, left: bool, padding: Mapping[str, int]
    ) -> dict[str, NDArray[np.int64]]:
        """Some rows, padded to one length.

        Args:
            rows: ``int64[m]`` numbers of the rows.
            width: Tokens of each, at least as many as the longest has.
            left: Whether padding comes first.
            padding: What each key is padded with; 0 for those that are not named.

        Returns:
            ``int64[m, width]`` for each key, ``attention_mask`` (1 where a token stands) among them.
        """
        lengths = self.lengths[rows]
        places = np.arange(width)
        there = places >= width - lengths[:, None] if left else places < lengths[:, None]
        # The numbers of the flat array, row after row.
        within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        taken = np.repeat(self._starts[rows], lengths) + within
        batch: dict[str, NDArray[np.int64]] = {}
        for key, values in self._values.items():
            batch[key] = np.full((len(rows), width), padding.get(key, 0), dtype=np.int64)
            batch[key][there] = values[taken]
        return batch | {MASK: there.astype(np.int64)}


def padding_of(tokenizer: Any) -> dict[str, int]:
    """What a tokenizer pads each of the model's inputs with."""
    return {"input_ids": int(tokenizer.pad_token_id), "token_type_ids": int(tokenizer.pad_token_type_id)}


def without_padding(lengths: NDArray[np.int64], start: int, budget: int, enough: int) -> int:
    """Where a batch ends that begins at a row, so that most batches have rows of one length.

    Rows of one length that are ``enough`` tokens go alone; fewer go with shorter ones, which are padded, up to the next
    length that has enough.

    Args:
        lengths: ``int64[n]``, falling.
        start: The first row.
        budget: Padded tokens at most, but for a single row.
        enough: Tokens of rows of one length that are worth a batch of their own.

    Returns:
        The row after the last.
    """
    longest = int(lengths[start])
    most = min(len(lengths), start + max(1, budget // longest))
    end = _end_of_run(lengths, start)
    if (min(end, most) - start) * longest >= enough:
        return min(end, most)
    while end < most:
        after = _end_of_run(lengths, end)
        if (after - end) * int(lengths[end]) >= enough:
            break
        end = after
    return min(end, most)


def _end_of_run(lengths: NDArray[np.int64], start: int) -> int:
    """The row after the last of the same length."""
    return int(np.searchsorted(-lengths, -lengths[start], side="right"))
