"""Longest common subsequences against the table of the textbook."""

from __future__ import annotations

import random

from flagbench.runners.generation.subsequence import common, length


def _table(first: str, second: str) -> list[list[int]]:
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for row, a in enumerate(first, 1):
        for column, b in enumerate(second, 1):
            if a == b:
                table[row][column] = table[row - 1][column - 1] + 1
            else:
                table[row][column] = max(table[row - 1][column], table[row][column - 1])
    return table


def _walk(first: str, second: str, ties: str) -> tuple[tuple[int, ...], int]:
    table, row, column, steps, places = _table(first, second), len(first), len(second), 0, []
    while row and column:
        steps += 1
        above, beside = table[row - 1][column], table[row][column - 1]
        if first[row - 1] == second[column - 1]:
            row, column = row - 1, column - 1
            places.insert(0, row)
        elif above > beside or (above == beside and ties == "first"):
            row -= 1
        else:
            column -= 1
    return tuple(places), steps


def test_lengths_and_places_are_those_of_the_whole_table() -> None:
    draw = random.Random(3)
    for _ in range(400):
        letters = "abcdef"[: draw.randint(1, 6)]
        first, second = ("".join(draw.choices(letters, k=draw.randint(0, 90))) for _ in range(2))
        assert length(first, second) == _table(first, second)[-1][-1]
        for ties in ("first", "second"):
            found = common(first, second, ties)  # type: ignore[arg-type]
            assert (found.places, found.steps) == _walk(first, second, ties)


def test_nothing_in_common() -> None:
    assert length("", "abc") == length("abc", "") == 0
    assert common("", "abc", "first").places == ()
