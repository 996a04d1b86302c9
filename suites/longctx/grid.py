"""From answers to grids of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from flagbench.results.grids import MOST, Axis, Grid
from flagbench.suites.longctx.registry import Row
from flagbench.suites.longctx.sample import Answer

_SHARES = frozenset({"accuracy"})
_COUNTED = {"needle": "length", "passkey": "length", "topic": "topics", "lines": "lines"}


def grid_of(row: Row, protocol: str, answers: Sequence[Answer], values: Mapping[str, float]) -> Grid | None:
    """The grid of a task.

    Args:
        row: The task.
        protocol: Its rules; the split of the grid.
        answers: Of its samples.
        values: Of its main metric, by their ids; answers without one are left out.

    Returns:
        None where samples have no place in a grid, or it would have more rows or columns than a file holds.
    """
    by_place: dict[tuple[int, int], list[float]] = {}
    for answer in answers:
        if answer.cell is not None and answer.id in values:
            by_place.setdefault((answer.cell.depth, answer.cell.length), []).append(values[answer.id])
    depths = sorted({depth for depth, _ in by_place})
    lengths = sorted({length for _, length in by_place})
    if not by_place or len(depths) > MOST or len(lengths) > MOST:
        return None
    table = [[by_place.get((depth, length), []) for length in lengths] for depth in depths]
    return Grid(
        task=row.name,
        split=protocol,
        metric=row.main_score,
        share=row.main_score in _SHARES,
        rows=Axis("depth", depths),
        columns=Axis(_COUNTED.get(row.kind, "length"), lengths),
        values=[[fmean(each) if each else None for each in line] for line in table],
        samples=[[len(each) for each in line] for line in table],
    )
