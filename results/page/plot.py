"""Places of the dots and the ticks of a scatter plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 420, 260
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 14, 40
"""Of the plot's frame, in the units of the drawing."""

_STEPS = (1, 2, 5)
_TICKS = 5


@dataclass(frozen=True)
class Tick:
    """A place on an axis.

    Attributes:
        at: Where, in the units of the drawing.
        value: The value of the tick.
    """

    at: float
    value: float


@dataclass(frozen=True)
class Dot:
    """One run.

    Attributes:
        number: Of the run.
        x: Where, in the units of the drawing.
        y: Likewise, from the top.
    """

    number: int
    x: float
    y: float


@dataclass(frozen=True)
class Plot:
    """Score against something else.

    Attributes:
        measure: Horizontal axis: ``parameters``, ``texts`` per second, or ``answers`` per second.
        dots: The runs of which both are known.
        across: Ticks of what is across, on a logarithmic axis.
        up: Ticks of the score, 0 to 1.
        unknown: Numbers of the runs that are left out.
    """

    measure: str
    dots: tuple[Dot, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    unknown: tuple[int, ...]


def plot(measure: str, points: Sequence[tuple[int, float | None, float | None]]) -> Plot | None:
    """A scatter plot.

    Args:
        measure: See Plot.
        points: Number, what is across (above 0) and score of each run, None for what is not known.

    Returns:
        None where fewer than two runs have both: one dot says nothing that its numbers do not.
    """
    known = [(number, x, y) for number, x, y in points if x and y is not None]
    if len(known) < 2:
        return None
    logs = [math.log10(x) for _, x, _ in known]
    scores = [y for *_, y in known]
    low, high = padded(logs, 0.35)
    bottom, top = of_scores(scores, 0.02)

    def across(log: float) -> float:
        return round(LEFT + (log - low) / (high - low) * (WIDTH - LEFT - RIGHT), 1)

    def up(score: float) -> float:
        return round(HEIGHT - BOTTOM - (score - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM), 1)

    dots = (Dot(number, across(log), up(y)) for (number, _, y), log in zip(known, logs, strict=True))
    return Plot(
        measure,
        tuple(dots),
        tuple(Tick(across(math.log10(value)), value) for value in logarithmic(low, high)),
        tuple(Tick(up(value), value) for value in even(bottom, top)),
        tuple(number for number, x, y in points if not x or y is None),
    )


def padded(values: Sequence[float], least: float) -> tuple[float, float]:
    """The ends of an axis with some room around values.

    Args:
        values: One or more.
        least: Room on either side, where a share of their spread is not more.
    """
    pad = max(least, (max(values) - min(values)) * 0.12)
    return min(values) - pad, max(values) + pad


def of_scores(values: Sequence[float], least: float) -> tuple[float, float]:
    """The ends of an axis of scores, which does not go below zero where no score does.

    Args:
        values: One or more.
        least: See ``padded``.
    """
    bottom, top = padded(values, least)
    return (max(0.0, bottom) if min(values) >= 0 else bottom), top


def even(low: float, high: float, about: int = _TICKS) -> list[float]:
    """Round values between two, of which one is larger.

    Args:
        low: The smaller one.
        high: The larger one.
        about: How many there are at most, but for one.
    """
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((times * power for times in _STEPS if times * power >= raw), 10 * power)
    return [round(at * step, 10) for at in range(math.ceil(low / step), math.floor(high / step) + 1)]


def logarithmic(low: float, high: float) -> list[float]:
    """Powers of ten between two logarithms, and what lies between them where these are few."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    for times in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
        found = [float(each) * 10.0**power for power in powers for each in times]
        found = [value for value in found if low <= math.log10(value) <= high]
        if len(found) >= 3:
            break
    return found if len(found) <= 2 * _TICKS else found[:: math.ceil(len(found) / (2 * _TICKS))]
