"""Published C-MTEB scores: what the leaderboard's results repository has of the models on it.

The table is ``reference/cmteb.csv``, with the tasks, their types and their splits in its first three lines.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean

from flagbench import UnknownName

SOURCE = "embeddings-benchmark/results, read 2026-08"

_TABLE = Path(__file__).parents[1] / "reference" / "cmteb.csv"
_LABELS = 3  # columns before the scores: model, revision, mteb


@dataclass(frozen=True)
class Published:
    """What is published of one model.

    Attributes:
        model: ``org/model``.
        revision: Revisions that the results are of, joined by ``+``.
        mteb: Versions of mteb that made them, joined by ``+``; empty where that is not known.
        scores: Main score (0 to 1) by task and split; tasks without one are absent.
    """

    model: str
    revision: str
    mteb: str
    scores: Mapping[str, Mapping[str, float]]

    def score(self, task: str) -> float | None:
        """The mean over the splits that are published, None without any."""
        by_split = self.scores.get(task)
        return fmean(by_split.values()) if by_split else None


@dataclass(frozen=True)
class Reference:
    """The table.

    Attributes:
        kinds: Type by task, in C-MTEB's order.
        splits: Splits by task.
        models: What is published, by model.
    """

    kinds: Mapping[str, str]
    splits: Mapping[str, tuple[str, ...]]
    models: Mapping[str, Published]


@cache
def reference() -> Reference:
    """Read the table; once a process."""
    with _TABLE.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(line for line in file if not line.startswith("#")))
    tasks, kinds, splits = (line[_LABELS:] for line in lines[:3])
    models = {}
    for line in lines[3:]:
        scores: dict[str, dict[str, float]] = {}
        for task, split, score in zip(tasks, splits, line[_LABELS:], strict=True):
            if score:
                scores.setdefault(task, {})[split] = float(score)
        models[line[0]] = Published(line[0], line[1], line[2], scores)
    its_splits: dict[str, tuple[str, ...]] = {}
    for task, split in zip(tasks, splits, strict=True):
        its_splits[task] = (*its_splits.get(task, ()), split)
    return Reference(dict(zip(tasks, kinds, strict=True)), its_splits, models)


def published(model: str, hint: str = "") -> Published:
    """What is published of a model.

    Args:
        model: ``org/model``.
        hint: What to do about a model that is not in the table.

    Raises:
        UnknownName: It is not in the table.
    """
    models = reference().models
    if model not in models:
        raise UnknownName("model in the published C-MTEB scores", model, models, hint)
    return models[model]
