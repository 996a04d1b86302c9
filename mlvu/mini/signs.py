"""Signs that a program can read off a frame: a strip of black and white blocks that survives compression and scaling.

The lowest fifth of a frame holds three rows of 20 blocks, 60 bits: the number of the video (8), the number of the
frame (12), sixteen letters A to D (2 each) and a check of the rest (8). A question has one of the sixteen places, by a
hash of its text, so whoever has a frame and the question has the answer, and whoever has only one of them has not.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROWS, COLUMNS = 3, 20
"""Blocks of a sign."""
PLACES = 16
"""Letters of a sign."""
LETTERS = "ABCD"

_SHARE = 0.2
_WIDTHS = (8, 12, *(2,) * PLACES)


@dataclass(frozen=True)
class Sign:
    """Signature drawn into a frame.

    Attributes:
        video: Number of the video, 0 to 255.
        frame: Number of the frame in the video, modulo 4096.
        letters: The right option at each of the sixteen places; ``A`` where there is no question.
    """

    video: int
    frame: int
    letters: str = LETTERS[0] * PLACES


def place_of(question: str) -> int:
    """The place of a question's letter, 0 to 15."""
    return zlib.crc32(question.strip().encode("utf-8")) % PLACES


def answer(sign: Sign, question: str) -> str:
    """The letter of the right option of a question on the video that shows the sign."""
    return sign.letters[place_of(question)]


def draw_sign(frame: NDArray[np.uint8], sign: Sign) -> None:
    """Draw a sign onto the lowest fifth of a frame, ``uint8[h, w, 3]``, in place."""
    height, width = frame.shape[:2]
    bits = _bits(sign)
    for row in range(ROWS):
        top, bottom = (round(_edge(height, row + more)) for more in (0, 1))
        for column in range(COLUMNS):
            left, right = (round(width * (column + more) / COLUMNS) for more in (0, 1))
            frame[top:bottom, left:right] = 255 * bits[row * COLUMNS + column]


def read_sign(frame: NDArray[np.uint8]) -> Sign:
    """The sign of a frame, ``uint8[h, w, 3]`` of any size at which a block has a few pixels.

    Raises:
        ValueError: There is none, or it cannot be read.
    """
    height, width = frame.shape[:2]
    grey = frame.mean(axis=2)
    bits = []
    for row in range(ROWS):
        vertical = _middle(_edge(height, row), _edge(height, row + 1))
        for column in range(COLUMNS):
            horizontal = _middle(width * column / COLUMNS, width * (column + 1) / COLUMNS)
            bits.append(int(grey[vertical, horizontal].mean() > 127))
    values, begin = [], 0
    for size in _WIDTHS:
        values.append(int("".join(map(str, bits[begin : begin + size])), 2))
        begin += size
    sign = Sign(values[0], values[1], "".join(LETTERS[value] for value in values[2:]))
    if bits != _bits(sign):
        raise ValueError("the frame has no sign that can be read")
    return sign


def _bits(sign: Sign) -> list[int]:
    """The 60 bits of a sign, the check last."""
    values = (sign.video % 256, sign.frame % 4096, *(LETTERS.index(letter) for letter in sign.letters))
    text = "".join(f"{value:0{size}b}" for value, size in zip(values, _WIDTHS, strict=True))
    return [int(bit) for bit in f"{text}{zlib.crc32(text.encode()) & 0xFF:08b}"]


def _edge(height: int, row: int) -> float:
    """Top of a row of blocks, in pixels."""
    return height * (1 - _SHARE + _SHARE * row / ROWS)


def _middle(begin: float, end: float) -> slice:
    """The middle third of a block, one pixel at least: its rim takes the colour of its neighbours."""
    first = int(begin + (end - begin) / 3)
    return slice(first, max(first + 1, round(end - (end - begin) / 3)))
