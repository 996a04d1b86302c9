"""Colours and shapes by which a run is known everywhere on its page."""

from __future__ import annotations

from dataclasses import dataclass

COLOURS = 8
"""Colours of the style sheet (``--c-0`` and on). Any two stay apart for readers who see all colours and for those with
protanopia, deuteranopia or tritanopia, and all stand out from the page, in light and in dark."""

SHAPES = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
    "M-3.5-3.5h7v7h-7z",
    "M0-5L4.5 3.5h-9z",
    "M0-5L5 0L0 5L-5 0z",
    "M0 5L4.5-3.5h-9z",
    "M-4.5-1.5h3v-3h3v3h3v3h-3v3h-3v-3h-3z",
)
"""Outlines of points, which tell them apart where colours do not."""

KNOWN = COLOURS * len(SHAPES)
"""Runs with a symbol of their own."""

_TOGETHER = 24
"""Runs after which colours and shapes would meet again (the least common multiple of their numbers)."""


@dataclass(frozen=True)
class Symbol:
    """How a run is drawn.

    Attributes:
        colour: Number of its colour, from 0.
        shape: Outline around (0, 0), as the path of an SVG takes it; some 8 wide.
    """

    colour: int
    shape: str


def symbol(number: int) -> Symbol | None:
    """The symbol of a run, unlike those of all others; None for the runs after the first 48.

    Args:
        number: Of the run, from 1.
    """
    at = number - 1
    if at >= KNOWN:
        return None
    return Symbol((at + at // _TOGETHER) % COLOURS, SHAPES[at % len(SHAPES)])
