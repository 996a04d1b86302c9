"""Scores of many runs by task type, or by task, with a shade for each: a column is shaded by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flagbench.results.compare.averages import Average
from flagbench.results.compare.compare import Comparison
from flagbench.results.figures import Scale
from flagbench.results.page.marks import is_any_marked, marked_tasks, tasks_behind

SHADES = 7
"""Shades of the style sheet (``--s-0`` and on), on which text has a contrast of 4.5 at least."""

LEAST = 0.05
"""How far apart the ends of the shades of a column are at least, so that what hardly differs looks so: 5 points in
percent."""

_FEWEST = 3
"""Runs of which there is a heat map: two are read as numbers."""

ROOM = 5_000
"""Cells of a heat map: of more there is none."""


@dataclass(frozen=True)
class Column:
    """A task type, or a task.

    Attributes:
        label: Its name.
        tasks: How many tasks its scores are over; 0 where it is a task itself.
        scale: How its scores are shown.
    """

    label: str
    tasks: int
    scale: Scale


@dataclass(frozen=True)
class Cell:
    """A score of a run.

    Attributes:
        score: It; None where there is none.
        shade: Number of its shade; None without a score.
        marked: Whether published scores do not compare with it.
    """

    score: float | None
    shade: int | None
    marked: bool


@dataclass(frozen=True)
class Heat:
    """A heat map.

    Attributes:
        columns: Task types; of one type alone its tasks.
        rows: Cells of each run.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


def heat_map(comparison: Comparison, types: Sequence[Average]) -> Heat | None:
    """The heat map of some runs; None for few runs, for one task, and where it has no room.

    Args:
        comparison: The runs.
        types: Averages of task types, where there are several.
    """
    runs = comparison.runs
    columns = list(_of_types(comparison, types) if types else _of_tasks(comparison))
    if len(runs) < _FEWEST or len(columns) < 2 or len(runs) * len(columns) > ROOM:
        return None
    marked = [marked_tasks(run) for run in runs]
    made = []
    for _, scores, tasks in columns:
        shades = shaded(scores)
        made.append(
            [
                Cell(score, shade, score is not None and is_any_marked(its, tasks))
                for score, shade, its in zip(scores, shades, marked, strict=True)
            ]
        )
    return Heat(tuple(column for column, *_ in columns), tuple(zip(*made, strict=True)))


def shaded(scores: Sequence[float | None]) -> list[int | None]:
    """The shade of each of some scores: from the first at the lowest to the last at the highest, or less far apart
    where these are nearer to each other than ``LEAST``.

    Args:
        scores: As they are recorded; None for none.
    """
    known = [score for score in scores if score is not None]
    if not known:
        return [None] * len(scores)
    low, high = min(known), max(known)
    room = max(0.0, LEAST - (high - low)) / 2
    low, span = low - room, high - low + 2 * room
    return [None if score is None else round((score - low) / span * (SHADES - 1)) for score in scores]


_Values = tuple[Column, Sequence[float | None], Sequence[str]]


def _of_types(comparison: Comparison, types: Sequence[Average]) -> Iterator[_Values]:
    for each in types:
        tasks = tasks_behind(comparison, each.label)
        yield Column(each.label.removesuffix(" mean"), each.tasks, each.scale), each.scores, tasks


def _of_tasks(comparison: Comparison) -> Iterator[_Values]:
    for line in comparison.lines:
        scores = [cell.whole for cell in line.cells]
        if any(score is not None for score in scores):
            yield Column(line.task, 0, line.scale), scores, [line.task]
