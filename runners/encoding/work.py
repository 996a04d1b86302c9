"""The time that texts take of each other's, for the time left: the longest come first."""

from __future__ import annotations

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
