"""Places of the dots and the ticks of a scatter plot."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from flagbench.results.page.labels import Label, placed, short_names

WIDTH, HEIGHT = 420, 260
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 14, 40
"""Of the plot's frame, in the units of the drawing."""

_STEPS = (1, 2, 5)
_TICKS, _MORE_TICKS, _FEW = 5, 7, 3
"""Ticks of an axis, and how many there are where these would be fewer than a few."""

_ROOMY, _EACH, _HIGHEST = 8, 12, 520
"""Dots that have room in the usual height; how much higher a plot is for each that is more, and how high at most."""


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
        label: The name of its model beside it; its number where a name has no room.
    """

    number: int
    x: float
    y: float
    label: Label


@dataclass(frozen=True)
class Plot:
    """Score against something else.

    Attributes:
        measure: Horizontal axis: ``parameters``, ``texts`` per second, or ``answers`` per second.
        dots: The runs of which both are known.
        across: Ticks of what is across, on a logarithmic axis.
        up: Ticks of the score, 0 to 1.
        unknown: Numbers of the runs that are left out.
        height: Of the drawing, which is higher for many dots.
    """

    measure: str
    dots: tuple[Dot, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    unknown: tuple[int, ...]
    height: int = HEIGHT


def plot(
    measure: str,
    points: Sequence[tuple[int, float | None, float | None]],
    names: Sequence[str],
    marked: Collection[int] = (),
) -> Plot | None:
    """A scatter plot.

    Args:
        measure: See Plot.
        points: Number, what is across (above 0) and score of each run, None for what is not known.
        names: Of the models of all runs, by number from 1.
        marked: Numbers of the runs whose scores are marked as not comparable with published ones.

    Returns:
        None where fewer than two runs have both: one dot says nothing that its numbers do not.
    """
    known = [(number, x, y) for number, x, y in points if x and y is not None]
    if len(known) < 2:
        return None
    height = min(HEIGHT + _EACH * max(0, len(known) - _ROOMY), _HIGHEST)
    logs = [math.log10(x) for _, x, _ in known]
    low, high = padded(logs, 0.35)
    bottom, top = of_scores([y for *_, y in known], 0.02)

    def across(log: float) -> float:
        return round(LEFT + (log - low) / (high - low) * (WIDTH - LEFT - RIGHT), 1)

    def up(score: float) -> float:
        return round(height - BOTTOM - (score - bottom) / (top - bottom) * (height - TOP - BOTTOM), 1)

    places = [(across(log), up(y)) for (_, _, y), log in zip(known, logs, strict=True)]
    stars = ["*" if number in marked else "" for number, *_ in known]
    short = short_names([names[number - 1] for number, *_ in known])
    texts = [
        [*(name + star for name in its), f"{number}{star}"]
        for (number, *_), its, star in zip(known, short, stars, strict=True)
    ]
    labels = placed(places, texts, (LEFT, 0, WIDTH, height - BOTTOM))
    scores = even(bottom, top)
    return Plot(
        measure,
        tuple(Dot(number, *at, label) for (number, *_), at, label in zip(known, places, labels, strict=True)),
        tuple(Tick(across(math.log10(value)), value) for value in logarithmic(low, high)),
        tuple(Tick(up(value), value) for value in (scores if len(scores) >= _FEW else even(bottom, top, _MORE_TICKS))),
        tuple(number for number, x, y in points if not x or y is None),
        height,
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
