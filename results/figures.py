"""Formatting of scores for people."""

from __future__ import annotations


def percent(score: float | None, places: int = 2) -> str:
    """A score in percent; empty for none.

    Args:
        score: 0 to 1.
        places: Decimals.
    """
    return "" if score is None else f"{100 * score:.{places}f}"
