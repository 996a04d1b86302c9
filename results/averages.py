"""Averages of a benchmark: of tasks, and of other averages.

An average is a list of names; one that is the label of another average stands for that one as a whole. So a mean over
types of tasks is the mean of their means, and an aggregate of twelve tasks counts as one task in the mean over tasks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

Averages = Mapping[str, Sequence[str]]

Weights = Mapping[str, float]
"""Of tasks in an average; they add up to 1."""

Parts = Mapping[str, frozenset[tuple[str, str]]]
"""Splits and subsets of tasks."""


def alike(tasks: Iterable[str]) -> dict[str, float]:
    """Equal weights."""
    names = dict.fromkeys(tasks)
    return {name: 1 / len(names) for name in names}


def weights(averages: Averages, label: str) -> dict[str, float]:
    """The weight of each task in an average."""
    found: dict[str, float] = {}
    names = averages[label]
    for name in names:
        inner = weights(averages, name) if name in averages and name != label else {name: 1.0}
        for task, weight in inner.items():
            found[task] = found.get(task, 0.0) + weight / len(names)
    return found


def tasks_of(averages: Averages) -> dict[str, tuple[str, ...]]:
    """The tasks that each average is over, by its label."""
    return {label: tuple(weights(averages, label)) for label in averages}


def average(of: Weights, scores: Mapping[str, float]) -> float:
    """The average of the scores of tasks.

    Args:
        of: The weights of the tasks.
        scores: By task; of these and maybe others.
    """
    if len(set(of.values())) == 1:
        return fmean(scores[task] for task in of)
    return math.fsum(weight * scores[task] for task, weight in of.items())
