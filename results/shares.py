"""Intervals of shares: how sure a proportion is that was counted."""

from __future__ import annotations

import math
from statistics import NormalDist

Interval = tuple[float, float]

# Standard deviations on each side of a 95% interval: 1.96.
_Z = NormalDist().inv_cdf(0.975)


def wilson(right: int, total: int) -> Interval:
    """95% score interval of a proportion.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927); without
    continuity correction.

    Raises:
        ValueError: There is no trial, or more right than there are.
    """
    if not 0 <= right <= total or not total:
        raise ValueError(f"{right} of {total} is not a proportion")
    share, squared = right / total, _Z * _Z
    middle = (share + squared / (2 * total)) / (1 + squared / total)
    half = _Z / (1 + squared / total) * math.sqrt(share * (1 - share) / total + squared / (4 * total * total))
    # At the ends the limit is exact, and rounding would move it.
    return (0.0 if not right else middle - half, 1.0 if right == total else middle + half)
