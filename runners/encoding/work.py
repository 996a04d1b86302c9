"""The order in which texts are encoded, the longest first, and the time that each takes of all, for the time left."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_MOST_CHARACTERS_A_TOKEN = 4


def work_of(costs: NDArray[np.int64], tokens: int) -> NDArray[np.int64]:
    """The work on each text or pair in characters: of no more of them than can come before it is cut, and 1 for itself.

    Args:
        costs: ``int64[n]``, its characters.
        tokens: Where it is cut.

    Returns:
        ``int64[n]``.
    """
    return 1 + np.minimum(costs, _MOST_CHARACTERS_A_TOKEN * tokens)


def chunks_of(
    rows: NDArray[np.int64], costs: NDArray[np.int64], most: int, highest: int
) -> Iterator[NDArray[np.int64]]:
    """Rows, the most costly first, in chunks.

    The first row of a chunk alone says how many it has: what is left after a kill is cut alike.

    Args:
        rows: ``int64[n]``.
        costs: ``int64[n]``; of a text its characters.
        most: Rows of a chunk at most.
        highest: Cost of its first row, times its rows, at most.
    """
    order = np.argsort(-costs, kind="stable")
    start = 0
    while start < len(order):
        size = min(most, max(1, highest // max(1, int(costs[order[start]]))))
        yield rows[order[start : start + size]]
        start += size
