"""From answers to grids of scores, and how long a context may be until a model is no longer good enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from flagbench.results.grids import MOST, Axis, Grid
from flagbench.suites.longctx.registry import Row
from flagbench.suites.longctx.sample import Answer

THRESHOLD = 0.856
"""RULER's score of Llama-2-7B-chat at 4K tokens, which the others' are compared with (README of NVIDIA/RULER)."""

_SHARES = frozenset({"accuracy"})
_COUNTED = {"needle": "length", "passkey": "length", "topic": "topics", "lines": "lines"}


@dataclass(frozen=True)
class EffectiveLength:
    """The longest context that a model is good enough at.

    Attributes:
        length: The longest one tried that reaches the threshold, as all shorter ones do; None where none does.
        longer: Whether it is the longest of all, so that a longer one may do.
    """

    length: int | None
    longer: bool


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


def by_length(grid: Grid) -> dict[int, float]:
    """The score of each length: the mean over all samples of it."""
    means = {length: grid.column(at).value for at, length in enumerate(grid.columns.values)}
    return {length: mean for length, mean in means.items() if mean is not None}


def effective_length(scores: Mapping[int, float], threshold: float = THRESHOLD) -> EffectiveLength:
    """The effective length of a model by RULER's rule: the longest whose score reaches a threshold.

    A length counts only where all shorter ones reach it too. Of the models that RULER lists none falls below the
    threshold and reaches it again, so its table is the same with either reading.

    Args:
        scores: By length, 0 to 1.
        threshold: See ``THRESHOLD``. Scores are rounded to three decimals before, as RULER prints them.
    """
    reached: int | None = None
    for length in sorted(scores):
        if round(scores[length], 3) < threshold:
            return EffectiveLength(reached, longer=False)
        reached = length
    return EffectiveLength(reached, longer=reached is not None)
