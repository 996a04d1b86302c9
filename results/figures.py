"""Formatting of scores for people."""

from __future__ import annotations


def percent(score: float | None, places: int = 2) -> str:
    """A score in percent; empty for none.

    Args:
        score: 0 to 1.
        places: Decimals.
    """
    return "" if score is None else f"{round(100 * score, places) + 0.0:.{places}f}"  # no -0.00
