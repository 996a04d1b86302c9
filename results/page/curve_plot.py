"""Places of curves with their intervals, and of scores against bytes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flagbench import in_bytes
from flagbench.results.page.plot import LEFT, RIGHT, WIDTH, even, logarithmic, of_scores, padded
from flagbench.results.series.axes import Axis
from flagbench.results.series.curves import Curve, Measure, Point
from flagbench.results.series.setups import Value
from flagbench.results.series.text import shown

HEIGHT, TOP, BOTTOM = 300, 44, 54
"""Of a plot; above the frame there is room for two lines on the point that is pointed at."""

LINES = 6
"""Curves with a colour and a shape of their own."""

_MARKS = 40
"""Points of a curve, of more than these the marks are small."""

_LETTER = 7.0
"""Width of a letter of a tick, about, in the units of the drawing."""

_LABELLED = 8
"""Values of an axis, of more than these not all have ticks."""

_GEOMETRIC = 1.4
"""Where each value is this many times the one before, or more, the axis is logarithmic."""


@dataclass(frozen=True)
class Label:
    """A tick.

    Attributes:
        at: Where, in the units of the drawing.
        text: What it says; empty for a value of the score.
        value: Of the score; 0 on the other axis.
        row: Of labels that would overlap in one row.
    """

    at: float
    text: str = ""
    value: float = 0.0
    row: int = 0


@dataclass(frozen=True)
class Mark:
    """A point as it is drawn.

    Attributes:
        x: Where, in the units of the drawing.
        y: Likewise, from the top.
        bar: Both ends of its interval, where that is drawn as a bar.
        point: It.
        best: Whether it is the best.
        smallest: Whether it is the smallest that is not significantly worse.
    """

    x: float
    y: float
    bar: tuple[float, float] | None
    point: Point
    best: bool
    smallest: bool


@dataclass(frozen=True)
class Line:
    """A curve as it is drawn.

    Attributes:
        number: Of its colour and shape, from 0.
        other: Value of the second setting.
        paths: Points of each stretch without a gap, as SVG takes them.
        bands: Outline of the intervals of each, likewise.
        marks: The points.
    """

    number: int
    other: Value | None
    paths: tuple[str, ...]
    bands: tuple[str, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class CurvePlot:
    """Curves in one frame.

    Attributes:
        lines: The curves.
        across: Ticks of the axis, or of bytes.
        up: Ticks of the score.
        small: Whether marks are small, as there are many.
    """

    lines: tuple[Line, ...]
    across: tuple[Label, ...]
    up: tuple[Label, ...]
    small: bool


def curve_plot(measure: Measure, axis: Axis) -> CurvePlot | None:
    """Scores along an axis; None where fewer than two points have one.

    Args:
        measure: The scores.
        axis: Of their settings.
    """
    curves = measure.curves[:LINES]
    scored = [point for curve in curves for point in curve.points if point.score is not None]
    up = _up(scored)
    if up is None or len(scored) < 2:
        return None
    places = _Across(axis.values)
    connected = any(not isinstance(value, str) for value in axis.values)
    lines = []
    for number, curve in enumerate(curves):
        marks = [
            None
            if point.score is None
            else Mark(
                places(point.value),
                up(point.score),
                (up(point.low), up(point.high)) if point.low is not None and point.high is not None else None,
                point,
                place == curve.best,
                place == curve.smallest,
            )
            for place, point in enumerate(curve.points)
        ]
        lines.append(_line(number, curve, marks, connected=connected))
    small = max(len(line.marks) for line in lines) > _MARKS
    return CurvePlot(tuple(lines), tuple(_across(axis, places)), up.ticks, small)


def cost_plot(measure: Measure) -> CurvePlot | None:
    """Scores against bytes, on a logarithmic axis; None where fewer than two points record them.

    Args:
        measure: The scores.
    """
    chosen = measure.cheapest
    curves = measure.curves[:LINES]
    sized = [point for curve in curves for point in curve.points if point.size and point.score is not None]
    up = _up(sized)
    if chosen is None or up is None or len(sized) < 2:
        return None
    low, high = padded([math.log10(point.size or 1) for point in sized], 0.2)

    def across(size: float) -> float:
        return round(LEFT + (math.log10(size) - low) / (high - low) * (WIDTH - LEFT - RIGHT), 1)

    lines = []
    for number, curve in enumerate(curves):
        marks = [
            Mark(
                across(point.size),
                up(point.score),
                (up(point.low), up(point.high)) if point.low is not None and point.high is not None else None,
                point,
                (number, place) == chosen.best,
                (number, place) == chosen.smallest,
            )
            for place, point in enumerate(curve.points)
            if point.size and point.score is not None
        ]
        marks.sort(key=lambda mark: mark.x)
        lines.append(Line(number, curve.other, (_joined((mark.x, mark.y) for mark in marks),), (), tuple(marks)))
    ticks = [Label(across(value), in_bytes(value)) for value in logarithmic(low, high)]
    return CurvePlot(tuple(lines), tuple(_apart(ticks)), up.ticks, len(sized) > LINES * _MARKS)


class _Up:
    """The axis of scores.

    Attributes:
        ticks: Of it.
    """

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high
        self.ticks = tuple(Label(self(value), value=value) for value in even(low, high))

    def __call__(self, score: float) -> float:
        return round(HEIGHT - BOTTOM - (score - self._low) / (self._high - self._low) * (HEIGHT - TOP - BOTTOM), 1)


def _up(points: Sequence[Point]) -> _Up | None:
    """The axis that all scores and intervals of points are within; None without a score."""
    known = [value for point in points for value in (point.score, point.low, point.high) if value is not None]
    return _Up(*of_scores(known, 0.005)) if known else None


class _Across:
    """The axis of settings: values are evenly apart, unless all are numbers whose distances say something.

    Attributes:
        linear: Whether numbers between the values have a place too.
    """

    def __init__(self, values: Sequence[Value]) -> None:
        numbers = [value for value in values if not isinstance(value, str)]
        self._span = WIDTH - RIGHT - LEFT
        apart = len(numbers) < len(values) or len(values) < 2
        geometric = not apart and len(values) > 2 and _is_geometric(numbers)
        self.linear = not apart and not geometric
        if apart:
            self._ends = (-0.5, len(values) - 0.5)
            self._numbers: dict[Value, float] = {value: at for at, value in enumerate(values)}
        else:
            scaled = [math.log(number) for number in numbers] if geometric else numbers
            self._numbers = dict(zip(values, scaled, strict=True))
            room = 0.05 * (scaled[-1] - scaled[0])
            self._ends = (scaled[0] - room, scaled[-1] + room)

    def __call__(self, value: Value) -> float:
        return self.at(self._numbers[value])

    def at(self, number: float) -> float:
        """Where a number is on a linear axis."""
        low, high = self._ends
        return round(LEFT + (number - low) / (high - low) * self._span, 1)


def _is_geometric(numbers: Sequence[float]) -> bool:
    pairs = itertools.pairwise(numbers)
    return numbers[0] > 0 and all(after / before >= _GEOMETRIC for before, after in pairs)


def _across(axis: Axis, places: _Across) -> Iterator[Label]:
    """Ticks at the values, as far as their texts have room; words in two rows, as none of them can be left out, and
    round numbers for many values.
    """
    values = axis.values
    if axis.counted and places.linear and len(values) > _LABELLED:
        yield from _apart(
            [Label(places.at(number), shown(number)) for number in even(float(values[0]), float(values[-1]), _LABELLED)]
        )
        return
    labels = [Label(places(value), shown(value)) for value in values]
    if not axis.counted and len(labels) <= _LABELLED:
        crowded = any(_LETTER * len(label.text) > WIDTH / len(labels) for label in labels)
        yield from (Label(label.at, label.text, row=at % 2 * crowded) for at, label in enumerate(labels))
    else:
        yield from _apart(labels)


def _apart(labels: Sequence[Label]) -> Iterator[Label]:
    """Those of some ticks that do not overlap one before them."""
    until = -math.inf
    for label in labels:
        half = _LETTER * len(label.text) / 2
        if label.at - half >= until:
            until = label.at + half + _LETTER
            yield label


def _line(number: int, curve: Curve, marks: Sequence[Mark | None], *, connected: bool) -> Line:
    """A curve: points side by side are connected, and their intervals are a band; those of others are bars.

    Of a setting of which no run is given there is no gap: the line goes on over it.
    """
    stretches: list[list[Mark]] = [[]]
    for mark, point in zip(marks, curve.points, strict=True):
        if mark is not None and connected:
            stretches[-1].append(mark)
        elif mark is not None:
            stretches.append([mark])
        elif point.run is not None:
            stretches.append([])
    drawn: list[Mark] = []
    paths: list[str] = []
    bands: list[str] = []
    for stretch in filter(None, stretches):
        banded = len(stretch) > 1 and all(mark.bar for mark in stretch)
        if len(stretch) > 1:
            paths.append(_joined((mark.x, mark.y) for mark in stretch))
        if banded:
            lows = [(mark.x, mark.bar[0]) for mark in stretch if mark.bar]
            highs = [(mark.x, mark.bar[1]) for mark in stretch if mark.bar]
            bands.append(_joined([*lows, *reversed(highs)]))
        drawn += [Mark(**{**vars(mark), "bar": None}) if banded else mark for mark in stretch]
    return Line(number, curve.other, tuple(paths), tuple(bands), tuple(drawn))


def _joined(points: Iterator[tuple[float, float]] | Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
