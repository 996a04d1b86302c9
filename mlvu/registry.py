"""The tasks of MLVU as frozen rows: which file holds their questions, how many there are, and which are asked for.

The rows lie in tasks.toml.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from flagbench import BadInput, UnknownName
from flagbench.runners.task import read_rows as read_table

Set = Literal["dev", "test"]
Kind = Literal["multiple-choice", "open"]

SETS: tuple[Set, ...] = ("dev", "test")
KINDS: tuple[Kind, ...] = ("multiple-choice", "open")
DEFAULT_SET: Set = "dev"

# Neither the paper nor the official code pins a commit: both read whatever the hub has.
REVISION = "main"

# "MVLU" is how the hub spells the repo of the dev set.
_REPOS: dict[str, str] = {"dev": "MLVU/MVLU", "test": "MLVU/MLVU_Test"}

_TASKS = Path(__file__).with_name("tasks.toml")
_HINT = "see flagbench tasks --benchmark mlvu"


@dataclass(frozen=True)
class Row:
    """One task of one set.

    Attributes:
        set: ``dev`` or ``test``.
        name: The official ``question_type``; ``SSC`` and ``VS`` for the open tasks of the test set.
        kind: ``multiple-choice`` or ``open``.
        file: dev: name of the annotation file without ``.json``; test: what the ids of the questions begin with.
        letters: Options of a question at most; 0 for an open one.
        rows: Questions as published; 0 where no number is.
        videos: Distinct videos as published; 0 where no number is.
    """

    set: Set
    name: str
    kind: Kind
    file: str
    letters: int
    rows: int
    videos: int

    @property
    def task_name(self) -> str:
        """Name of the task among those of both sets."""
        return f"MLVU-{self.set}_{self.name}"

    @property
    def repo(self) -> str:
        """Hub repo of the set."""
        return _REPOS[self.set]

    @property
    def revision(self) -> str:
        """Revision of the repo."""
        return REVISION

    @property
    def main_score(self) -> str:
        """Name of the score that stands for the task: accuracy from 0 to 1, or a judge's points from 0 to 10."""
        return "accuracy" if self.kind == "multiple-choice" else "points"

    @property
    def video_folder(self) -> str:
        """Folder of its videos, below the folder of the set's: the test set has one for all."""
        return f"video/{self.file}" if self.set == "dev" else "video"

    @property
    def summary(self) -> bool:
        """True for summaries, of which each video has one."""
        return self.name in {"summary", "VS"}


def read_rows(path: Path) -> tuple[Row, ...]:
    """All rows of a tasks.toml.

    Raises:
        BadInput: An unknown or missing key, a value of another type or out of its range, or a task twice.
    """
    rows = read_table(path, "task", Row, ("set", "name"))
    for row in rows:
        numbers = {"letters", "rows", "videos"}
        values = {field.name: getattr(row, field.name) for field in fields(Row)}
        wrong = [key for key in numbers if type(values[key]) is not int or values[key] < 0]
        wrong += [key for key in values.keys() - numbers if not isinstance(values[key], str) or not values[key]]
        wrong += [key for key, among in (("set", SETS), ("kind", KINDS)) if values[key] not in among]
        if not wrong and (row.letters > 0) != (row.kind == "multiple-choice"):
            wrong = ["letters"]
        if wrong:
            named = f"{path.name}: task {row.set} {row.name}"
            raise BadInput(f"{named} has a wrong value of {', '.join(sorted(set(wrong)))}")
    return rows


@functools.cache
def datasets() -> tuple[Row, ...]:
    """All tasks, those of the dev set first."""
    return read_rows(_TASKS)


def find(task_name: str) -> Row:
    """The row of a full name.

    Raises:
        UnknownName: There is none.
    """
    rows = {row.task_name: row for row in datasets()}
    if task_name not in rows:
        raise UnknownName("task", task_name, rows, _HINT)
    return rows[task_name]


def averaged(of: Set) -> tuple[Row, ...]:
    """The tasks that a set's M-Avg is made of."""
    return tuple(row for row in datasets() if row.set == of and row.kind == "multiple-choice")


def select(*, sets: Sequence[str] = (), types: Sequence[str] = (), tasks: Sequence[str] = ()) -> tuple[Row, ...]:
    """The tasks asked for, in registry order. Case does not matter.

    Args:
        sets: ``dev``, ``test``; empty for those of the full names, or else dev.
        types: ``multiple-choice``, ``open``; here and below, empty for all.
        tasks: Full names (``MLVU-dev_plotQA``), short ones (``plotQA``), or what ids begin with (``PQA``).

    Raises:
        UnknownName: A value that no task has.
        BadInput: A task of another set than those asked for, or flags with nothing in common.
    """
    every = datasets()
    wanted_sets = _spelled("set", sets, SETS)
    wanted_types = _spelled("task type", types, KINDS)
    full = {row.task_name.lower(): row for row in every}
    by_full = [full[name.lower()] for name in tasks if name.lower() in full]
    if not wanted_sets:
        wanted_sets = {row.set for row in by_full} or {DEFAULT_SET}
    chosen: set[str] = set()
    for name in tasks:
        chosen |= {row.task_name for row in _meant(name, wanted_sets)}
    rows = tuple(
        row
        for row in every
        if row.set in wanted_sets
        and (not wanted_types or row.kind in wanted_types)
        and (not tasks or row.task_name in chosen)
    )
    if not rows:
        raise BadInput(f"--tasks {','.join(tasks)} and --types {','.join(types)} have no task in common: drop one")
    return rows


def _spelled(what: str, values: Sequence[str], known: Sequence[str]) -> set[str]:
    """The values in the registry's spelling."""
    for value in values:
        if value.lower() not in known:
            raise UnknownName(what, value, known, _HINT)
    return {value.lower() for value in values}


def _meant(name: str, sets: set[str]) -> list[Row]:
    """The tasks of some sets that a name stands for: one of each set at most.

    Raises:
        UnknownName: No set has one.
        BadInput: Only another set has.
    """
    known = [(row, {each.lower() for each in (row.task_name, row.name, row.file)}) for row in datasets()]
    named = [row for row, its in known if name.lower() in its]
    if not named:
        spelled = [each for row in datasets() for each in (row.name, row.task_name, row.file)]
        raise UnknownName("task", name, dict.fromkeys(spelled), _HINT)
    fitting = [row for row in named if row.set in sets]
    if not fitting:
        raise BadInput(f"task '{name}' is in the {named[0].set} set of MLVU only: use --sets {named[0].set}")
    return fitting
