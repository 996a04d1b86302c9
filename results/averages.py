"""Averages of a benchmark: of tasks, of parts of them, and of other averages.

An average is a list of members: names of tasks, parts of tasks, and labels of other averages, each of which stands for
that one as a whole. So a mean over types of tasks is the mean of their means, and an aggregate of twelve tasks counts
as one task in the mean over tasks. A part of a task counts as one task does: as the mean of its scores.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flagbench.results.record import TaskRecord

Cell = tuple[str, str]
"""A split and a subset."""


@dataclass(frozen=True)
class Slice:
    """Some splits and subsets of a task, whose mean counts as one number.

    Attributes:
        task: Its name.
        cells: The splits with their subsets.
    """

    task: str
    cells: frozenset[Cell]


Member = str | Slice

Averages = Mapping[str, Sequence[Member]]

Scores = Mapping[str, Mapping[str, float]]
"""Of a task, by split and subset."""

Parts = Mapping[str, frozenset[Cell]]
"""Splits and subsets of tasks."""


def cells_digest(cells: Iterable[Cell]) -> str:
    """Hash of some splits and subsets, in any order: of a task there can be forty thousand."""
    return hashlib.sha256(json.dumps(sorted(cells)).encode()).hexdigest()[:32]


@dataclass(frozen=True, eq=False)
class Weights(Mapping[str, float]):
    """The weight of each task in an average; they add up to 1.

    Attributes:
        members: Weights of the tasks, and of the slices of those that do not count as a whole.
    """

    members: Mapping[Member, float] = field(default_factory=dict)

    @cached_property
    def _tasks(self) -> Mapping[str, float]:
        found: dict[str, float] = {}
        for member, weight in self.members.items():
            found[task_of(member)] = found.get(task_of(member), 0.0) + weight
        return found

    def __getitem__(self, task: str) -> float:
        return self._tasks[task]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tasks)

    def __len__(self) -> int:
        return len(self._tasks)

    def __eq__(self, other: object) -> bool:
        return self.members == (other.members if isinstance(other, Weights) else other)

    __hash__ = None  # type: ignore[assignment]  # as of other mappings


def task_of(member: Member) -> str:
    """The task that a member of an average is, or is a part of."""
    return member.task if isinstance(member, Slice) else member


def alike(members: Iterable[Member]) -> Weights:
    """Equal weights."""
    names = dict.fromkeys(members)
    return Weights({name: 1 / len(names) for name in names})


def weights(averages: Averages, label: str) -> Weights:
    """The weight of each task in an average."""
    found: dict[Member, float] = {}
    members = averages[label]
    for member in members:
        named = isinstance(member, str) and member in averages and member != label
        inner = weights(averages, task_of(member)).members if named else {member: 1.0}
        for each, weight in inner.items():
            found[each] = found.get(each, 0.0) + weight / len(members)
    return Weights(found)


def tasks_of(averages: Averages) -> dict[str, tuple[str, ...]]:
    """The tasks that each average is over, or over parts of, by its label."""
    return {label: tuple(weights(averages, label)) for label in averages}


def in_parts(averages: Averages) -> frozenset[str]:
    """The tasks of which parts count by themselves in an average."""
    return frozenset(member.task for its in averages.values() for member in its if isinstance(member, Slice))


def shares(of: Weights, task: str, scores: Scores) -> dict[Cell, float] | None:
    """What each split and subset of a task adds to an average, as a share of what the task adds to it.

    Args:
        of: The weights.
        task: Name of one of its tasks.
        scores: Of the task.

    Returns:
        Shares that add up to 1; None where the task counts as a whole, and so all of its parts alike.
    """
    if all(isinstance(member, str) for member in of.members if task_of(member) == task):
        return None
    every = frozenset((split, subset) for split, by_subset in scores.items() for subset in by_subset)
    found: dict[Cell, float] = {}
    for member, weight in of.members.items():
        if task_of(member) == task:
            cells = member.cells if isinstance(member, Slice) else every
            for cell in sorted(cells):
                found[cell] = found.get(cell, 0.0) + weight / len(cells) / of[task]
    return found


def score_of(member: Member, scores: Scores) -> float | None:
    """The score of a task, or of a part of it: the mean over splits and subsets, as MTEB takes it.

    Args:
        member: The task or the part.
        scores: Of the task.

    Returns:
        None where it has none, or lacks a part of it.
    """
    if isinstance(member, Slice):
        values = [scores.get(split, {}).get(subset) for split, subset in sorted(member.cells)]
        known = [value for value in values if value is not None]
        return fmean(known) if known and len(known) == len(values) else None
    every = [score for by_subset in scores.values() for score in by_subset.values()]
    return fmean(every) if every else None


def scores_in(of: Weights, scores: Mapping[str, Scores]) -> dict[Member, float]:
    """The scores that an average is made of: those of tasks, and of the parts of others that count.

    Args:
        of: The weights.
        scores: By task; of these and maybe others.

    Returns:
        By member; one without a score, or that lacks a part, is absent.
    """
    found = {member: score_of(member, scores.get(task_of(member), {})) for member in of.members}
    return {member: score for member, score in found.items() if score is not None}


def whole_scores(of: Weights, records: Iterable[TaskRecord]) -> dict[Member, float]:
    """``scores_in`` of a run: of tasks that were evaluated over all of their data.

    Args:
        of: The weights.
        records: Tasks of the run.
    """
    return scores_in(of, {record.name: record.scores for record in records if record.status == "success"})


def lacking(of: Weights, scores: Mapping[Member, float]) -> list[str]:
    """The tasks of an average that have no score in it, or not one of each part that counts.

    Args:
        of: The weights.
        scores: By member.
    """
    return list(dict.fromkeys(task_of(member) for member in of.members if member not in scores))


def average(of: Weights, scores: Mapping[Member, float]) -> float:
    """The average of scores.

    Args:
        of: The weights.
        scores: By member; of these and maybe others.
    """
    if len(set(of.members.values())) == 1:
        return fmean(scores[member] for member in of.members)
    return math.fsum(weight * scores[member] for member, weight in of.members.items())
