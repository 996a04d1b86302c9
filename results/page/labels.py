"""Names beside the dots of a plot: where each has room, and what stands there where it has none."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

SIZE = 11
"""Height of the letters, in the units of the drawing."""

_WIDE, _NARROW = 11.0, 6.1
"""Width of a letter: of Chinese and the like, and about of all others."""

_LONGEST, _SHORT = 28, 18
"""Characters of a name in a plot: at most, and where more have no room."""

_AROUND = 7.0
"""From the middle of a dot to its label, and half of what a dot takes."""

_GAP = "…"
"""In a name, what stands for its middle."""

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True)
class Label:
    """A text beside a dot.

    Attributes:
        text: The name, or the number where a name has no room.
        x: Of its anchor, in the units of the drawing.
        y: Of its base line.
        anchor: Which end of the text is at ``x``.
    """

    text: str
    x: float
    y: float
    anchor: Anchor


_Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""


def shortened(text: str, most: int) -> str:
    """A text without its middle, where it has more than so many characters."""
    if len(text) <= most:
        return text
    end = (most - len(_GAP) + 1) // 2
    return f"{text[: most - len(_GAP) - end]}{_GAP}{text[-end:]}"


def short_names(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Names of models without their organisation, where they stay apart without it; long ones without their middle.

    Args:
        names: All different.

    Returns:
        For each a name, and a shorter one where there is one; none that would be like another's.
    """
    last = [name.rpartition("/")[2] for name in names]
    twice = Counter(last)
    own = [end if twice[end] == 1 else name for name, end in zip(names, last, strict=True)]
    columns = [[shortened(name, most) for name in own] for most in (_LONGEST, _SHORT)]
    counts = [Counter(column) for column in columns]
    return [
        tuple(dict.fromkeys(each for each, alike in zip(row, counts, strict=True) if alike[each] == 1))
        for row in zip(*columns, strict=True)
    ]


def placed(dots: Sequence[tuple[float, float]], texts: Sequence[Sequence[str]], frame: _Box) -> list[Label]:
    """A label for each dot: none lies on a dot or on another label, as long as there is room.

    The uppermost dots, which are the best, are given their names first. A number that has no room lies where it covers
    the least.

    Args:
        dots: Places of the dots, from the upper left corner.
        texts: What may stand beside each, the best first; the last is its number.
        frame: Left, top, right and bottom of what labels may be in.
    """
    taken = [(x - _AROUND, y - _AROUND, x + _AROUND, y + _AROUND) for x, y in dots]
    order = sorted(range(len(dots)), key=lambda at: (dots[at][1], dots[at][0]))
    found: dict[int, Label] = {}

    def take(at: int, label: Label) -> None:
        found[at] = label
        taken.append(_box(label))

    def place(at: int, text: str) -> None:
        for label in _around(text, *dots[at]):
            box = _box(label)
            if _within(box, frame) and not any(_meet(box, other) for other in taken):
                take(at, label)
                return

    for at in order:
        for text in texts[at]:
            if at not in found and text != texts[at][-1]:
                place(at, text)
    for at in order:
        if at not in found:
            place(at, texts[at][-1])
        if at not in found:
            around = [label for label in _around(texts[at][-1], *dots[at]) if _within(_box(label), frame)]
            take(at, min(around, key=lambda label: _covered(_box(label), taken)))
    return [found[at] for at in range(len(dots))]


def width(text: str) -> float:
    """About how wide a text is, in the units of the drawing."""
    return sum(_WIDE if unicodedata.east_asian_width(each) in "WF" else _NARROW for each in text)


def _around(text: str, x: float, y: float) -> Iterator[Label]:
    """The places beside a dot, the best first."""
    level, above, below = y + SIZE / 3, y - _AROUND - 2, y + _AROUND + SIZE - 1
    yield Label(text, x + _AROUND + 2, level, "start")
    yield Label(text, x - _AROUND - 2, level, "end")
    yield Label(text, x, above, "middle")
    yield Label(text, x, below, "middle")
    for line in (above + 2, below - 2):
        yield Label(text, x + _AROUND - 2, line, "start")
        yield Label(text, x - _AROUND + 2, line, "end")


def _box(label: Label) -> _Box:
    wide = width(label.text)
    left = label.x - {"start": 0.0, "middle": wide / 2, "end": wide}[label.anchor]
    return left, label.y - SIZE + 2, left + wide, label.y + 2


def _within(box: _Box, frame: _Box) -> bool:
    return box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]


def _meet(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _covered(box: _Box, taken: Sequence[_Box]) -> float:
    """The area of a box that others take."""
    return sum(
        (min(box[2], other[2]) - max(box[0], other[0])) * (min(box[3], other[3]) - max(box[1], other[1]))
        for other in taken
        if _meet(box, other)
    )
