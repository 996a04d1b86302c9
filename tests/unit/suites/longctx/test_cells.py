"""Which cells of a grid are asked where only some are."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from flagbench.suites.longctx.cells import asked, spread_note
from flagbench.suites.longctx.sample import Cell

LENGTHS, DEPTHS = range(1, 21), range(0, 100, 10)
GRID = [Cell(length, depth) for length in LENGTHS for depth in DEPTHS]


@pytest.mark.parametrize("rows", range(1, 12))
def test_a_part_is_spread_over_depths_and_lengths(rows: int) -> None:
    kept = asked(GRID, rows)
    each = min(rows, len(DEPTHS))
    assert Counter(cell.length for cell in kept) == dict.fromkeys(LENGTHS, each)
    of_depth = Counter(cell.depth for cell in kept)
    assert of_depth.keys() == set(DEPTHS)
    assert max(of_depth.values()) - min(of_depth.values()) <= 2
    for length in LENGTHS:  # no two neighbours where every other depth would do
        depths = sorted(cell.depth for cell in kept if cell.length == length)
        assert all(second - first >= 10 * (len(DEPTHS) // each) for first, second in pairwise(depths))


def test_deeper_places_are_not_those_of_longer_contexts() -> None:
    """Halves of the lengths have the same mean depth, within a step."""
    for rows in (1, 2, 3):
        kept = asked(GRID, rows)
        halves = [[cell.depth for cell in kept if (cell.length > 10) == upper] for upper in (False, True)]
        means = [sum(half) / len(half) for half in halves]
        assert abs(means[0] - means[1]) <= 10


def test_all_of_a_grid_is_all_of_it() -> None:
    assert asked(GRID, None) == asked(GRID, 10) == asked(GRID, 99) == frozenset(GRID)
    assert spread_note(asked(GRID, None), GRID) == []
    assert spread_note(asked(GRID, 2), GRID) == ["40 of 200 cells, spread over the depths"]
    assert asked(GRID, 2) == asked(GRID, 2)
