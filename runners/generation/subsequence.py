"""Longest common subsequences, found with the bits of whole numbers.

A row of the usual table is one number: bit j is 0 where the length grows from column j to column j + 1 (H. Hyyrö,
Bit-parallel LCS-length computation revisited, AWOCA 2004). So the whole table of two texts of thousands of words is a
list of numbers, and a length in it a count of bits.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Common:
    """One of the longest common subsequences.

    Attributes:
        places: Of its items in the first sequence, rising.
        steps: From the corner of the table to where either sequence begins.
    """

    places: tuple[int, ...]
    steps: int


def length(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """The length of the longest common subsequences."""
    return len(second) - _rows(first, second)[-1].bit_count()


def common(first: Sequence[Hashable], second: Sequence[Hashable], ties: Literal["first", "second"]) -> Common:
    """Read one of the longest common subsequences out of the table, from its corner.

    Args:
        first: A sequence.
        second: Another.
        ties: Which sequence loses its last item where either may.
    """
    rows = _rows(first, second)
    masks = [(1 << width) - 1 for width in range(len(second) + 1)]
    row, column, steps = len(first), len(second), 0
    places = []
    while row and column:
        steps += 1
        if first[row - 1] == second[column - 1]:
            row, column = row - 1, column - 1
            places.append(row)
            continue
        above = column - (rows[row - 1] & masks[column]).bit_count()
        beside = column - 1 - (rows[row] & masks[column - 1]).bit_count()
        if above > beside or (above == beside and ties == "first"):
            row -= 1
        else:
            column -= 1
    return Common(tuple(reversed(places)), steps)


def _rows(first: Sequence[Hashable], second: Sequence[Hashable]) -> list[int]:
    """The rows of the table, one more than the first sequence has items."""
    full = (1 << len(second)) - 1
    at: dict[Hashable, int] = {}
    for place, item in enumerate(second):
        at[item] = at.get(item, 0) | (1 << place)
    row, rows = full, [full]
    for item in first:
        same = row & at.get(item, 0)
        row = ((row + same) | (row - same)) & full
        rows.append(row)
    return rows
