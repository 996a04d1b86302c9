"""Rank of a run among the published models: by the average over tasks, by type, and by Borda count.

The Borda count is that of MTEB's leaderboard (``_borda_rank_from_long`` in ``mteb/benchmarks/_create_table.py``, mteb
2.26): for every task a model gets a point for each model that it beats and half a point for each that it ties with; the
points of all tasks are summed; a model's place is one more than the number of models with more points, so that equal
ones share the better place. Averages are placed in the same way.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from flagbench import BadInput, first_few
from flagbench.results.averages import Member, Weights, average, score_of, task_of
from flagbench.results.compare.settings import settings_mixed
from flagbench.results.data_state import DataState
from flagbench.results.published.scores import OTHER_REVISION, PublishedTable
from flagbench.results.published.variant import OTHER_SETTINGS, variant
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.uncertainty import Uncertainty, of_average

# Published scores have 6 decimals. A run's scores are rounded to them too, or a reproduction would never tie.
_DECIMALS = 6
_MEAN_DECIMALS = 9  # sums of such numbers in another order do not differ here


@dataclass(frozen=True)
class Entry:
    """One model among the others.

    Attributes:
        model: ``org/model``.
        mean: Over the tasks that are ranked.
        place: By that mean, from 1.
        points: Of the Borda count.
        borda: Place by these.
        means: Over those of them that are of one group, by group.
    """

    model: str
    mean: float
    place: int
    points: float
    borda: int
    means: Mapping[str, float]


@dataclass(frozen=True)
class Ranking:
    """A run among the models that have a score for every task that is ranked.

    Attributes:
        model: Model of the run.
        table: The published scores.
        tasks: Tasks that are ranked.
        left_out: Why each of the others is left out.
        entries: The run and the models, the best mean first.
        ours: The run's entry.
        replaces: Whether the run replaces the published scores of its model.
        notes: Notes for the user.
        zero_shot: What each model's training data has of the ranked tasks, in a word; empty where nobody asked.
        trained: Models that are left out, as their training data has some of the ranked tasks.
        within: The 95% interval of the run's mean; None where it is not known.
        within_groups: The same of its means by group, of those where it is known.
    """

    model: str
    table: PublishedTable
    tasks: Sequence[str]
    left_out: Mapping[str, str]
    entries: Sequence[Entry]
    ours: Entry
    replaces: bool
    notes: Sequence[str] = ()
    zero_shot: Mapping[str, str] = field(default_factory=dict)
    trained: Sequence[str] = ()
    within: Uncertainty | None = None
    within_groups: Mapping[str, Uncertainty] = field(default_factory=dict)

    @property
    def average(self) -> float | None:
        """The average of the benchmark; None unless every task is ranked."""
        return None if self.left_out else self.ours.mean

    def place_in(self, group: str) -> int:
        """The run's place by the mean of a group."""
        return 1 + sum(entry.means[group] > self.ours.means[group] for entry in self.entries)

    @property
    def places(self) -> tuple[int, int] | None:
        """The places from the upper to the lower end of the interval of the run's mean; None without one."""
        if self.within is None:
            return None
        means = [entry.mean for entry in self.entries if entry is not self.ours]
        best, worst = (1 + sum(mean > end for mean in means) for end in (self.within.high, self.within.low))
        return best, worst

    @property
    def tied(self) -> Sequence[str]:
        """The models whose mean is within that interval, the best first."""
        within = self.within
        if within is None:
            return ()
        others = (entry for entry in self.entries if entry is not self.ours)
        return [entry.model for entry in others if within.low <= entry.mean <= within.high]

    def ranked(self, group: str) -> int:
        """The number of ranked tasks of a group."""
        return sum(task_of(member) in self.tasks for member in self.table.groups[group])

    def around(self, count: int) -> Sequence[Entry]:
        """The run with as many models above and below."""
        at = list(self.entries).index(self.ours)
        return self.entries[max(0, at - count) : at + count + 1]

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "model": self.model,
            "source": self.table.source,
            "average": self.average,
            "mean_of_ranked_tasks": self.ours.mean,
            "interval": [self.within.low, self.within.high] if self.within else None,
            "place": self.ours.place,
            "places_within": self.places,
            "tied_with": list(self.tied),
            "borda_points": self.ours.points,
            "borda_place": self.ours.borda,
            "models": len(self.entries),
            "replaces_published": self.replaces,
            "types": {
                group: {
                    "mean": mean,
                    "interval": [its.low, its.high] if (its := self.within_groups.get(group)) else None,
                    "place": self.place_in(group),
                    "tasks": self.ranked(group),
                    "of_tasks": len(self.table.groups[group]),
                }
                for group, mean in self.ours.means.items()
            },
            "ranked_tasks": list(self.tasks),
            "left_out": dict(self.left_out),
            "notes": list(self.notes),
            **({"left_out_as_trained": list(self.trained)} if self.zero_shot else {}),
            "ranking": [
                {"model": e.model, "this_run": e is self.ours, "mean": e.mean, "place": e.place, "points": e.points}
                | {"borda_place": e.borda, "types": dict(e.means)}
                | ({"zero_shot": self.zero_shot[e.model]} if self.zero_shot else {})
                for e in self.entries
            ],
        }


def rank(
    record: RunRecord, table: PublishedTable, *, accept_counts: bool = False, without: Collection[str] = ()
) -> Ranking:
    """Place a run among the published models.

    Only tasks of which the run has a comparable score are ranked, and only among models that have all of these. The run
    replaces published scores of its own model. The mean is the benchmark's own average where all tasks are ranked.

    Args:
        record: The run.
        table: The published scores.
        accept_counts: Rank tasks as well over data of which only the counts agree with the official data.
        without: Models that it is not ranked among.

    Raises:
        BadInput: No task of the run can be ranked, those that can ran with different settings, or it is a point of a
            series or a mixture under the name of a published model.
    """
    left_out = {task: why for task in table.kinds if (why := _why_not(record, task, table, accept_counts))}
    tasks = [task for task in table.kinds if task not in left_out]
    if not tasks:
        ran = {task: why for task, why in left_out.items() if task in record.tasks}
        raise BadInput(_nothing(record, table, ran))
    if mixed := settings_mixed((record.tasks[task] for task in tasks), record.spec):
        raise BadInput(
            f"the tasks of this run have no average to be ranked by: {mixed}; evaluate all of them with the same "
            "settings"
        )
    words = variant(record, tasks)
    if words and record.model in table.models:
        raise BadInput(
            f"this run is no one of {record.model}, whose name it has and whose published scores it would replace: it "
            f"has {words}; evaluate it under another --name"
        )
    counted = _counted(table, tasks)
    members = [member for its in counted for member in its]
    ours = {member: _rounded(score_of(member, record.tasks[task_of(member)].scores)) for member in members}
    rivals = {
        name: {member: _rounded(each.score_of(member)) for member in members}
        for name, each in table.models.items()
        if name != record.model and name not in without and all(each.score_of(member) is not None for member in members)
    }
    entries, own = _entries(record.model, ours, rivals, table, counted)
    within, within_groups = _intervals(record, own, table, counted, ours)
    return Ranking(
        model=record.model,
        table=table,
        tasks=tasks,
        left_out=left_out,
        entries=entries,
        ours=own,
        replaces=record.model in table.models,
        notes=_notes(record, tasks, table, rivals),
        within=within,
        within_groups=within_groups,
    )


def borda(scores: Sequence[Sequence[float]]) -> list[float]:
    """Borda points, summed over tasks.

    Args:
        scores: Of each model, its score for each task.
    """
    points = [0.0] * len(scores)
    for column in zip(*scores, strict=True):
        for index, mine in enumerate(column):
            beaten = sum(other < mine for other in column)
            tied = sum(other == mine for other in column) - 1
            points[index] += beaten + tied / 2
    return points


def places(values: Sequence[float]) -> list[int]:
    """The place of each value: one more than the number of greater ones."""
    return [1 + sum(other > value for other in values) for value in values]


def _counted(table: PublishedTable, tasks: Collection[str]) -> list[tuple[Member, ...]]:
    """What counts as one task of those that are ranked: an aggregate is one, of as many of its parts as are ranked."""
    found = [tuple(member for member in its if task_of(member) in tasks) for its in table.counted]
    return [its for its in found if its]


def _entries(
    model: str,
    ours: Mapping[Member, float],
    rivals: Mapping[str, Mapping[Member, float]],
    table: PublishedTable,
    counted: Sequence[tuple[Member, ...]],
) -> tuple[list[Entry], Entry]:
    """The run and the models, the best mean first, and the run; all have scores for the same members."""
    names = [model, *rivals]
    scores = [ours, *rivals.values()]
    columns = [[fmean(each[member] for member in its) for its in counted] for each in scores]
    whole = _whole(ours, table)
    means = [
        round(average(table.weights, each) if whole else fmean(column), _MEAN_DECIMALS)
        for each, column in zip(scores, columns, strict=True)
    ]
    points = borda([[round(value, _MEAN_DECIMALS) for value in column] for column in columns])
    groups = _places_of(table.groups, [its[0] for its in counted])
    made = [
        Entry(name, mean, place, point, borda_place, _by_group(column, groups))
        for name, mean, place, point, borda_place, column in zip(
            names, means, places(means), points, places(points), columns, strict=True
        )
    ]
    # The sort is stable, so that the run comes before the models that it ties with.
    return sorted(made, key=lambda entry: entry.place), made[0]


def _whole(members: Collection[Member], table: PublishedTable) -> bool:
    """Tell whether the mean is the benchmark's own, with its weights."""
    return {task_of(member) for member in members} == table.kinds.keys() and bool(table.weights)


def _intervals(
    record: RunRecord,
    own: Entry,
    table: PublishedTable,
    counted: Sequence[tuple[Member, ...]],
    members: Collection[Member],
) -> tuple[Uncertainty | None, dict[str, Uncertainty]]:
    """The intervals of the run's mean, and of its means by group."""

    def within(mean: float, its: Sequence[tuple[Member, ...]]) -> Uncertainty | None:
        of = Weights({member: 1 / len(its) / len(each) for each in its for member in each})
        return of_average(of, mean, record.tasks.values())

    groups = _places_of(table.groups, [its[0] for its in counted])
    found = {group: within(own.means[group], [counted[at] for at in numbers]) for group, numbers in groups.items()}
    known = {group: its for group, its in found.items() if its}
    if _whole(members, table):
        return of_average(table.weights, own.mean, record.tasks.values()), known
    return within(own.mean, counted), known


def _places_of(groups: Mapping[str, Collection[Member]], ranked: Sequence[Member]) -> dict[str, list[int]]:
    """Places of each group's members among the ranked ones; groups without any are left out."""
    found = {group: [at for at, member in enumerate(ranked) if member in its] for group, its in groups.items()}
    return {group: numbers for group, numbers in found.items() if numbers}


def _by_group(scores: Sequence[float], groups: Mapping[str, Sequence[int]]) -> dict[str, float]:
    return {group: round(fmean(scores[at] for at in numbers), _MEAN_DECIMALS) for group, numbers in groups.items()}


def _rounded(score: float | None) -> float:
    if score is None:
        raise AssertionError("a task that is ranked has a score")
    return round(score, _DECIMALS)


def _why_not(record: RunRecord, task: str, table: PublishedTable, accept_counts: bool) -> str:
    """Why a task cannot be ranked; empty where it can."""
    its = record.tasks.get(task)
    if its is None:
        return "not in the run"
    if not table.is_published(task):
        return "no model has published it"
    if its.status == "error":
        return f"failed: {its.error}"
    if other := table.other_metric(its):
        return other
    if its.status == "partial":
        return "scored on a part of the data"
    if its.later_error:
        return f"failed when it was last evaluated: {its.later_error}"
    return _not_comparable(its, table.splits[task], accept_counts) or table.other_subsets(task, its.scores)


def _not_comparable(its: TaskRecord, splits: Collection[str], accept_counts: bool) -> str:
    if set(its.scores) != set(splits) or its.score is None:
        return f"its splits are {', '.join(its.scores) or 'none'} and not {', '.join(splits)}"
    return DataState.of(its.data).set_aside(accept_counts=accept_counts)


def _nothing(record: RunRecord, table: PublishedTable, ran: Mapping[str, str]) -> str:
    if not ran:
        names = first_few(record.tasks, 3) or "no task"
        return (
            f"this run (of {record.benchmark}: {names}) has no task of {table.title}, whose published scores these are"
        )
    lines = first_few((f"{task}: {why}" for task, why in ran.items()), 3, "; ")
    name = shlex.quote(table.benchmark)
    return f"no task of this run can be ranked ({lines}): evaluate the official data with --benchmark {name}"


def _notes(record: RunRecord, tasks: Sequence[str], table: PublishedTable, rivals: Collection[str]) -> list[str]:
    unsure = [task for task in tasks if not DataState.of(record.tasks[task].data).comparable()]
    words = variant(record, tasks)
    notes = [f"this run has {OTHER_SETTINGS}: {words}"] if words else []
    notes += [f"{DataState.COUNTS_AGREE.words}: {first_few(unsure)}"] if unsure else []
    elsewhere = table.other_revisions(record.tasks[task] for task in tasks)
    notes += [f"{OTHER_REVISION}: {first_few(elsewhere)}"] if elsewhere else []
    for task in tasks:
        wanted = len(table.splits[task])
        fewer = sum(len(table.models[name].scores[task]) < wanted for name in rivals)
        if fewer:
            notes.append(f"{task}: {fewer} of the models have published only one of its {wanted} splits")
    return notes
