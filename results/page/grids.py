"""The grids of runs, as many of them as fit into a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flagbench import BadInput, in_one_line
from flagbench.results.grids import Grid
from flagbench.results.runs import Run

ROOM = 8_000
"""Cells that all grids of a page may have: each takes some 100 bytes."""

AXES = {"depth": "axis_depth", "length": "axis_length", "topics": "axis_topics", "lines": "axis_lines"}
"""Keys of the words for what an axis counts; another axis is shown by its own name."""


@dataclass(frozen=True)
class Shown:
    """The grid of a run.

    Attributes:
        at: Place of the run among those of its group.
        file: Where it lies in the folder of the run.
        grid: The grid; None where it is not shown.
        unlike: Whether it contradicts the score beside it, and is not shown for that; else it does not fit.
    """

    at: int
    file: str
    grid: Grid | None
    unlike: bool = False


class Unlike:
    """In the place of a grid that contradicts the score beside it."""


@dataclass(frozen=True)
class TaskGrids:
    """The grids of a task.

    Attributes:
        task: Name.
        runs: Of each run that has one.
    """

    task: str
    runs: tuple[Shown, ...]


def by_run(runs: Sequence[Run], room: int = ROOM) -> dict[tuple[int, str], Grid | type[Unlike] | None]:
    """The grids by the identity of the run and task: the first that fit, and None for the others.

    Args:
        runs: The runs.
        room: Cells that they may have.

    Raises:
        BadInput: A file is gone or damaged.
    """
    found: dict[tuple[int, str], Grid | type[Unlike] | None] = {}
    for run in runs:
        if run.kept is not None:  # a saved baseline keeps none
            continue
        for task, record in run.record.tasks.items():
            if Grid.file(task) not in record.files:
                continue
            grid = _read(run, task)
            values = run.values(task)
            parts = values.parts.get(grid.split, {}) if values else {}
            if (values and not parts) or grid.contradicts(record.scores.get(grid.split, {}), parts):
                found[id(run), task] = Unlike
                continue
            cells = len(grid.rows.values) * len(grid.columns.values)
            found[id(run), task] = grid if cells <= room else None
            room -= cells if cells <= room else 0
    return found


def of_members(
    members: Sequence[Run], kept: Mapping[tuple[int, str], Grid | type[Unlike] | None]
) -> tuple[TaskGrids, ...]:
    """The grids of some runs, by task."""
    tasks = dict.fromkeys(task for run in members for task in run.record.tasks)
    made = (
        TaskGrids(
            task,
            tuple(_shown(at, task, kept[id(run), task]) for at, run in enumerate(members) if (id(run), task) in kept),
        )
        for task in tasks
    )
    return tuple(each for each in made if each.runs)


def _shown(at: int, task: str, kept: Grid | type[Unlike] | None) -> Shown:
    return Shown(at, Grid.file(task), kept if isinstance(kept, Grid) else None, unlike=kept is Unlike)


def shade(value: float) -> int:
    """Which of the page's ten colours a score has."""
    return min(max(round(value * 9), 0), 9)


def _read(run: Run, task: str) -> Grid:
    name = Grid.file(task)
    text = run.text(name, f"evaluate {task} again")
    try:
        found = Grid.from_json(text)
    except ValueError as error:
        what = in_one_line(error)
        raise BadInput(f"{run.folder / name} is damaged ({what}); evaluate {task} again with --overwrite") from error
    run.check_unchanged(name, text, f"evaluate {task} again with --overwrite")
    return found
