"""Places of the averages of models over releases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flagbench.results.page.labels import shortened, width
from flagbench.results.page.plot import LEFT, RIGHT, WIDTH, Tick, even, of_scores

HEIGHT, TOP, BOTTOM = 300, 44, 60
"""Of the drawing; above the frame there is room for two lines on the point that is pointed at."""

LINES = 8
"""Models that are drawn: each has a colour of its own."""

_LONGEST = 16
"""Characters of the name of a release on the axis."""


@dataclass(frozen=True)
class Label:
    """The name of a release.

    Attributes:
        at: Where, in the units of the drawing.
        text: As much of it as has room.
        row: Of names that would overlap in one row, 0 or 1.
    """

    at: float
    text: str
    row: int


@dataclass(frozen=True)
class Mark:
    """A model in a release.

    Attributes:
        x: Where, in the units of the drawing.
        y: Likewise, from the top.
        release: Its place.
    """

    x: float
    y: float
    release: int


@dataclass(frozen=True)
class HistoryPlot:
    """Averages over releases.

    Attributes:
        paths: Of each model the stretches that compare, as SVG takes them.
        marks: Of each model its points.
        across: Names of the releases.
        up: Ticks of the average, as it is recorded.
    """

    paths: tuple[tuple[str, ...], ...]
    marks: tuple[tuple[Mark, ...], ...]
    across: tuple[Label, ...]
    up: tuple[Tick, ...]


def history_plot(releases: Sequence[str], rows: Sequence[Sequence[tuple[float | None, bool]]]) -> HistoryPlot | None:
    """The first few of some models over the releases.

    Args:
        releases: Names.
        rows: Of each model, for each release its average, None where it has none, and whether that does not compare
            with the one before it: then no line joins them, as where a release has none.

    Returns:
        None where there are fewer than two releases or points.
    """
    drawn = rows[:LINES]
    scores = [score for row in drawn for score, _ in row if score is not None]
    if len(releases) < 2 or len(scores) < 2:
        return None
    low, high = of_scores(scores, 0.005)

    def up(score: float) -> float:
        return round(HEIGHT - BOTTOM - (score - low) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    def across(at: int) -> float:
        return round(LEFT + (at + 0.5) / len(releases) * (WIDTH - LEFT - RIGHT), 1)

    paths, marks = [], []
    for row in drawn:
        stretches: list[list[Mark]] = [[]]
        for at, (score, apart) in enumerate(row):
            if score is None or apart:
                stretches.append([])
            if score is not None:
                stretches[-1].append(Mark(across(at), up(score), at))
        paths.append(tuple(_joined(stretch) for stretch in stretches if len(stretch) > 1))
        marks.append(tuple(mark for stretch in stretches for mark in stretch))
    ticks = tuple(Tick(up(value), value) for value in even(low, high))
    return HistoryPlot(
        tuple(paths), tuple(marks), tuple(_labels(releases, [across(at) for at in range(len(releases))])), ticks
    )


def _labels(names: Sequence[str], places: Sequence[float]) -> Iterator[Label]:
    """Names in one row where they have room, else in two, of which as many as do: the last one always has."""
    texts = [shortened(name, _LONGEST) for name in names]
    room = (WIDTH - LEFT - RIGHT) / len(names)
    rows = 1 if all(width(text) + 8 <= room for text in texts) else 2
    until = [WIDTH + 1.0] * rows  # the left end of the name that was placed last in the row, from the right
    found = []
    for at in reversed(range(len(names))):
        row = at % rows
        half = width(texts[at]) / 2
        if places[at] + half + 8 <= until[row] or at == len(names) - 1:
            until[row] = places[at] - half
            found.append(Label(places[at], texts[at], row))
    yield from reversed(found)


def _joined(stretch: Sequence[Mark]) -> str:
    return " ".join(f"{mark.x:g},{mark.y:g}" for mark in stretch)
