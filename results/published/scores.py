"""A table of published scores, as a benchmark brings it: which models have which score for which task."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from flagbench import UnknownName
from flagbench.results.averages import Member, Scores, Slice, Weights, score_of, task_of
from flagbench.results.published.means import PublishedMean
from flagbench.results.record import TaskRecord

OTHER_REVISION = "published over another revision of the data"
"""Said of a task whose published scores were made over rows that may be others than the run's."""

WHOLE = "default"
"""The subset of a score that is of all subsets."""

SUBSET = "subset"
"""What the line of a score file begins with that holds subsets."""

_LABELS = 3  # columns before the scores: model, revision, versions


@dataclass(frozen=True)
class Published:
    """Published scores of one model.

    Attributes:
        model: ``org/model``.
        revision: Revisions that were evaluated, joined by ``+``.
        made_by: Program that made the results, with its versions joined by ``+``; empty where that is not known.
        scores: Main score (0 to 1) by task and split; tasks without one are absent.
        subsets: The same by task, split and subset, of tasks of which a benchmark's averages count parts, as far as it
            is published.
    """

    model: str
    revision: str
    made_by: str
    scores: Mapping[str, Mapping[str, float]]
    subsets: Mapping[str, Scores] = field(default_factory=dict)

    @property
    def mteb(self) -> str:
        """Versions of mteb that made the results, joined by ``+``; empty where something else did, or none is known."""
        maker, _, versions = self.made_by.partition(" ")
        return versions if maker == "mteb" else ""

    def score(self, task: str) -> float | None:
        """The mean over the splits that are published, None without any."""
        by_split = self.scores.get(task)
        return fmean(by_split.values()) if by_split else None

    def score_of(self, member: Member) -> float | None:
        """The score of a task or of a part of one; None where it is not published."""
        if isinstance(member, Slice):
            return score_of(member, self.subsets.get(member.task, {}))
        return self.score(member)

    def by_subset(self, task: str) -> Scores:
        """The scores of a task by split and subset; ``WHOLE`` is all subsets of a split of which no more is known."""
        by_split = self.scores[task]
        subsets = self.subsets.get(task, {})
        return {split: subsets.get(split) or {WHOLE: score} for split, score in by_split.items()}


@dataclass(frozen=True)
class Doubt:
    """A known reason for a difference from published scores.

    Attributes:
        made_by: Beginning of the ``made_by`` of the scores that it concerns.
        kinds: The types of the tasks that differ then, and no others.
        why: The deviation of made_by.
    """

    made_by: str
    kinds: frozenset[str]
    why: str


@dataclass(frozen=True)
class PublishedTable:
    """The published scores of a benchmark.

    Attributes:
        benchmark: The benchmark that has these tasks, as on the command line.
        title: The same as people write it.
        source: Where the scores were read, and when.
        kinds: Type by task, in the benchmark's order.
        splits: Splits by task.
        models: Published scores, by model.
        groups: Tasks, or parts of them, by the name of the mean that is taken over them.
        headings: Short names of groups, for narrow tables.
        doubts: Known reasons why runs differ from these scores.
        subsets: Subsets by task that its scores are means over; of a task that is not here that is not looked at.
        average: Name of the average that stands for the benchmark, where it is not the mean of all tasks.
        weights: Weights of the tasks in it; empty where all count alike.
        aggregates: Tasks of which several, or parts, count as one, by its name.
        metrics: Main score by task, as its name; of a task that is not here that is not looked at.
        revisions: Revisions of the data by task that the scores were made over; absent where they are not published.
        means: What each of ``kinds`` is of that is no task, but a mean of which no more is published (``with_means``).
    """

    benchmark: str
    title: str
    source: str
    kinds: Mapping[str, str]
    splits: Mapping[str, tuple[str, ...]]
    models: Mapping[str, Published]
    groups: Mapping[str, Sequence[Member]]
    headings: Mapping[str, str] = field(default_factory=dict)
    doubts: Sequence[Doubt] = ()
    subsets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    average: str = ""
    weights: Weights = field(default_factory=Weights)
    aggregates: Mapping[str, Sequence[Member]] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    revisions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    means: Mapping[str, PublishedMean] = field(default_factory=dict)

    @property
    def counted(self) -> list[tuple[Member, ...]]:
        """What counts as one task: the members of each aggregate together, and all other tasks."""
        inside: dict[str, list[tuple[Member, ...]]] = {}
        for its in self.aggregates.values():
            for member in its:
                inside.setdefault(task_of(member), []).append(tuple(its))
        return list(dict.fromkeys(each for task in self.kinds for each in inside.get(task, [(task,)])))

    def is_published(self, task: str) -> bool:
        """Whether a model has a score of a task."""
        return any(task in each.scores for each in self.models.values())

    def other_subsets(self, task: str, scores: Mapping[str, Mapping[str, float]]) -> str:
        """The line on a run's scores that are over other subsets than the published ones; empty where they are not."""
        wanted = set(self.subsets.get(task, ()))
        if not wanted or all(set(by_subset) == wanted for by_subset in scores.values()):
            return ""
        return f"scored over other subsets than the {len(wanted)} that are published"

    def other_metric(self, its: TaskRecord) -> str:
        """The line on a run's score that is another metric than the published one; empty where it is the same, or one
        is not known.
        """
        ours, theirs = _recorded(its.settings, "main_score"), self.metrics.get(its.name, "")
        return f"its score is {ours}, and {theirs} is published" if ours and theirs and ours != theirs else ""

    def other_revisions(self, tasks: Iterable[TaskRecord]) -> dict[str, str]:
        """By task of a run the note that it is over another revision of the data than the published scores, which may
        differ for that alone; tasks of which one is not known are left out.
        """
        found = {its.name: _recorded(its.settings, "revision") for its in tasks if its.name in self.revisions}
        return {name: OTHER_REVISION for name, ours in found.items() if ours and ours not in self.revisions[name]}

    def of_model(self, model: str, hint: str = "") -> Published:
        """Find the published scores of a model.

        Args:
            model: ``org/model``.
            hint: Advice on a model that is not in the table.

        Raises:
            UnknownName: It is not in the table.
        """
        if model not in self.models:
            raise UnknownName(f"model in the published scores of {self.title}", model, self.models, hint)
        return self.models[model]


def _recorded(settings: Mapping[str, Any], name: str) -> str:
    """A text that a run records of its task; empty where it has none."""
    task = settings.get("task")
    found = task.get(name) if isinstance(task, Mapping) else None
    return found if isinstance(found, str) else ""


@dataclass(frozen=True)
class ScoreFile:
    """A CSV file of published scores, read.

    Its first three lines hold the tasks, their types and their splits, and each further line a model: its name, its
    revision, the versions of what made its scores, and the scores. A fourth line that begins with ``subset`` holds the
    subsets of tasks that have a column for each. Lines that begin with ``#`` are comments.

    Attributes:
        kinds: Type by task, in the file's order.
        splits: Splits by task.
        models: Published scores, by model.
    """

    kinds: Mapping[str, str]
    splits: Mapping[str, tuple[str, ...]]
    models: Mapping[str, Published]

    @property
    def by_kind(self) -> dict[str, tuple[str, ...]]:
        """The tasks of each type."""
        return by_kind(self.kinds)


def by_kind(kinds: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The tasks of each type, from the type of each task."""
    return {kind: tuple(task for task, its in kinds.items() if its == kind) for kind in dict.fromkeys(kinds.values())}


def read_scores(path: Path, maker: str) -> ScoreFile:
    """Read a file of published scores.

    Args:
        path: The file.
        maker: Name of what made the scores, whose versions the file has.
    """
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(line for line in file if not line.startswith("#")))
    tasks, kinds, splits = (line[_LABELS:] for line in lines[:3])
    subsets = [""] * len(tasks)
    rows = lines[3:]
    if rows and rows[0][0] == SUBSET:
        subsets, rows = rows[0][_LABELS:], rows[1:]
    columns = list(zip(tasks, splits, subsets, strict=True))
    models = {}
    for model, revision, versions, *cells in rows:
        scores: dict[str, dict[str, float]] = {}
        parts: dict[str, dict[str, dict[str, float]]] = {}
        for (task, split, subset), score in zip(columns, cells, strict=True):
            if score and subset:
                parts.setdefault(task, {}).setdefault(split, {})[subset] = float(score)
            elif score:
                scores.setdefault(task, {})[split] = float(score)
        for task, by_split in parts.items():
            scores[task] = {split: mean_of_subsets(its.values()) for split, its in by_split.items()}
        models[model] = Published(model, revision, f"{maker} {versions}" if versions else "", scores, parts)
    by_task: dict[str, tuple[str, ...]] = {}
    for task, split, _ in columns:
        by_task[task] = tuple(dict.fromkeys((*by_task.get(task, ()), split)))
    return ScoreFile(dict(zip(tasks, kinds, strict=True)), by_task, models)


def mean_of_subsets(scores: Iterable[float]) -> float:
    """The score of a split as it is published, of 6 decimals."""
    return round(fmean(scores), 6)


@dataclass(frozen=True)
class Updated:
    """A table of published scores that was made.

    Attributes:
        path: Its file.
        models: How many it has.
        whole: How many of them have all tasks.
        unread: Results that are left out, a line each.
        replaced: Whether it takes the place of an earlier one.
    """

    path: Path
    models: int
    whole: int
    unread: tuple[str, ...] = ()
    replaced: bool = False
