"""Scenes of the miniature's videos: coloured shapes, flashes, screens, doors and walkers, all drawn here."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, FPS = 160, 120, 10
"""Of every video: pixels, and frames a second."""

COLOURS = {
    "red": (210, 40, 40),
    "green": (40, 160, 60),
    "blue": (50, 70, 210),
    "yellow": (225, 205, 50),
    "white": (235, 235, 235),
    "purple": (140, 60, 160),
}
SHAPES = ("circle", "square", "triangle", "cross")

# Above the strip of the sign.
_FLOOR = HEIGHT * 4 // 5
_ROWS, _COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Film:
    """A video that can be drawn.

    Attributes:
        number: Its number, in its signs.
        name: Its file name.
        frames: How many frames it has.
        facts: What it shows, for its questions.
        draw: Gives the picture of a frame, ``uint8[120, 160, 3]``, without the sign.
    """

    number: int
    name: str
    frames: int
    facts: dict[str, Any]
    draw: Callable[[int], Picture]


def plot(number: int) -> Film:
    """Three shapes cross the screen one after the other."""
    chance = random.Random(f"plot {number}")
    ground, *colours = chance.sample(list(COLOURS), 4)
    shapes = chance.sample(SHAPES, 3)
    topics = ("Shapes that cross the screen", "Doors along a road", "Flashing lights", "Screens of changing colour")
    span = 32

    def draw(frame: int) -> Picture:
        picture = _plain(ground)
        turn = min(frame // span, 2)
        _shape(picture, shapes[turn], colours[turn], (frame - turn * span) * (WIDTH + 30) // span - 15, 45)
        return picture

    crossings = list(zip(shapes, colours, strict=True))
    facts = {
        "ground": ground,
        "first": crossings[0],
        "last": crossings[-1],
        "crossings": crossings,
        "shapes": SHAPES,
        "topic": topics[0],
        "topics": topics,
    }
    return Film(number, f"plot_{number}.mp4", 3 * span, facts, draw)


def needle(number: int) -> Film:
    """A shape wanders; another one is shown on a ground of its own for six tenths of a second."""
    chance = random.Random(f"needle {number}")
    ground, colour, other = chance.sample(list(COLOURS), 3)
    shape, wanderer = chance.sample(SHAPES, 2)
    begin = chance.randrange(25, 80)

    def draw(frame: int) -> Picture:
        if begin <= frame < begin + 6:
            picture = _plain(colour)
            _shape(picture, shape, "white" if colour != "white" else "blue", WIDTH // 2, 48, 30)
            return picture
        picture = _plain(ground)
        _shape(picture, wanderer, other, 20 + frame, 48 + frame % 7)
        return picture

    facts = {"picture": (shape, colour), "shapes": SHAPES}
    return Film(10 + number, f"needle_{number}.mp4", 120, facts, draw)


def ego(number: int) -> Film:
    """A walk past four doors in a grey wall."""
    doors = random.Random(f"ego {number}").sample(list(COLOURS), 4)
    pace, between = 6, 140

    def draw(frame: int) -> Picture:
        picture = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
        picture[_FLOOR - 16 :] = 80
        for place, colour in enumerate(doors):
            left = 100 + place * between - frame * pace
            picture[30 : _FLOOR - 16, max(left, 0) : max(left + 40, 0)] = COLOURS[colour]
        return picture

    return Film(20 + number, f"ego_{number}.mp4", 96, {"doors": doors}, draw)


def count(number: int) -> Film:
    """The screen flashes in two colours, each a number of times."""
    chance = random.Random(f"count {number}")
    ground, *colours = chance.sample(list(COLOURS), 3)
    times = chance.sample(range(1, 7), 2)
    turns = [colour for colour, many in zip(colours, times, strict=True) for _ in range(many)]
    chance.shuffle(turns)
    flashes = {6 + turn * 9 + part: colour for turn, colour in enumerate(turns) for part in range(3)}

    def draw(frame: int) -> Picture:
        return _plain(flashes.get(frame, ground))

    facts = {"flashes": dict(zip(colours, times, strict=True))}
    return Film(30 + number, f"count_{number}.mp4", 115, facts, draw)


def order(number: int) -> Film:
    """Screens of four colours, with a square that walks on."""
    colours = random.Random(f"order {number}").sample(list(COLOURS), 4)

    def draw(frame: int) -> Picture:
        picture = _plain(colours[frame // 25])
        _shape(picture, "square", "grey", 15 + frame, 50, 8)
        return picture

    return Film(40 + number, f"order_{number}.mp4", 100, {"colours": colours}, draw)


def anomaly(number: int) -> Film:
    """Three circles walk to the right; after a while one of them does something else."""
    kinds = ("Turning", "Stopping", "Growing", "Flashing")
    kind = kinds[number]
    begin = 40

    def draw(frame: int) -> Picture:
        picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        late = max(frame - begin, 0)
        for row in range(3):
            odd = row == 1
            place = 10 + row * 15 + frame
            if odd and kind in ("Turning", "Stopping"):
                place -= late * (2 if kind == "Turning" else 1)
            size = 10 + late // 6 if odd and kind == "Growing" else 10
            flashing = odd and kind == "Flashing" and late % 6 > 2
            _shape(picture, "circle", "red" if flashing else "white", place, 18 + row * 30, size)
        return picture

    return Film(50 + number, f"surveil_{number}.mp4", 90, {"kind": kind, "kinds": kinds}, draw)


def _plain(colour: str) -> Picture:
    return np.full((HEIGHT, WIDTH, 3), COLOURS[colour], np.uint8)


def _shape(picture: Picture, shape: str, colour: str, across: int, down: int, size: int = 15) -> None:
    """Draw a shape with its middle at a place and so many pixels to each side."""
    right, below = _COLUMNS - across, _ROWS - down
    near = (abs(right) <= size) & (abs(below) <= size)
    inside = {
        "circle": right**2 + below**2 <= size**2,
        "square": near,
        "triangle": near & (2 * abs(right) <= below + size),
        "cross": near & ((abs(right) <= size // 3) | (abs(below) <= size // 3)),
    }[shape]
    picture[inside] = COLOURS.get(colour, (128, 128, 128))
