"""Where a run stands among the published models: by the average over tasks, by type, and by Borda count.

The Borda count is that of MTEB's leaderboard (``_borda_rank_from_long`` in ``mteb/benchmarks/_create_table.py``, mteb
2.26): for every task a model gets a point for each model that it beats and half a point for each that it ties with; the
points of all tasks are summed; a model's place is one more than the number of models with more points, so that equal
ones share the better place. Averages are placed in the same way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any

from flagbench import BadInput, first_few
from flagbench.results.published.scores import SOURCE, Reference
from flagbench.results.record import RunRecord, TaskRecord

if TYPE_CHECKING:
    from rich.table import Table

# Published scores have 6 decimals. A run's scores are rounded to them too, or a reproduction would never tie.
_DECIMALS = 6
_MEAN_DECIMALS = 9  # sums of such numbers in another order do not differ here

# Headings, so that names of models have room.
_SHORT = {
    "Retrieval": "Retr.",
    "Reranking": "Rerank",
    "PairClassification": "Pair",
    "Clustering": "Clust.",
    "Classification": "Class.",
}


@dataclass(frozen=True)
class Entry:
    """One model among the others.

    Attributes:
        model: ``org/model``.
        mean: Over the tasks that are ranked.
        place: By that mean, from 1.
        points: Of the Borda count.
        borda: Place by these.
        means: Over those of them that are of one type, by type.
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
        tasks: Tasks that are ranked, with their types.
        all_tasks: All tasks of the benchmark, with their types.
        left_out: Why each of the others is left out.
        entries: The run and the models, the best mean first.
        ours: The run's entry.
        replaces: Whether the run stands in the place of what is published of its model.
        notes: What else the user must know.
    """

    model: str
    tasks: Mapping[str, str]
    all_tasks: Mapping[str, str]
    left_out: Mapping[str, str]
    entries: Sequence[Entry]
    ours: Entry
    replaces: bool
    notes: Sequence[str] = field(default=())

    @property
    def average(self) -> float | None:
        """The average of the benchmark; None unless every task is ranked."""
        return None if self.left_out else self.ours.mean

    def place_of_type(self, kind: str) -> int:
        """The run's place by the mean of a type."""
        return 1 + sum(entry.means[kind] > self.ours.means[kind] for entry in self.entries)

    def around(self, count: int) -> Sequence[Entry]:
        """The run with as many models above and below."""
        at = list(self.entries).index(self.ours)
        return self.entries[max(0, at - count) : at + count + 1]

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "model": self.model,
            "source": SOURCE,
            "average": self.average,
            "mean_of_ranked_tasks": self.ours.mean,
            "place": self.ours.place,
            "borda_points": self.ours.points,
            "borda_place": self.ours.borda,
            "models": len(self.entries),
            "replaces_published": self.replaces,
            "types": {
                kind: {
                    "mean": mean,
                    "place": self.place_of_type(kind),
                    "tasks": _count(self.tasks, kind),
                    "of_tasks": _count(self.all_tasks, kind),
                }
                for kind, mean in self.ours.means.items()
            },
            "ranked_tasks": list(self.tasks),
            "left_out": dict(self.left_out),
            "notes": list(self.notes),
            "ranking": [
                {"model": e.model, "this_run": e is self.ours, "mean": e.mean, "place": e.place, "points": e.points}
                | {"borda_place": e.borda, "types": dict(e.means)}
                for e in self.entries
            ],
        }


def rank(record: RunRecord, reference: Reference) -> Ranking:
    """Place a run among the published models.

    Only tasks of which the run has a comparable score are ranked, and only among models that have all of these. What is
    published of the run's own model makes way for the run.

    Raises:
        BadInput: No task of the run can be ranked.
    """
    left_out = {task: why for task in reference.kinds if (why := _why_not(record, task, reference.splits[task]))}
    tasks = {task: kind for task, kind in reference.kinds.items() if task not in left_out}
    if not tasks:
        ran = {task: why for task, why in left_out.items() if task in record.tasks}
        raise BadInput(_nothing(record, ran))
    ours = [_rounded(record.tasks[task].score) for task in tasks]
    rivals = {
        name: [_rounded(each.score(task)) for task in tasks]
        for name, each in reference.models.items()
        if name != record.model and all(task in each.scores for task in tasks)
    }
    entries, own = _entries(record.model, ours, rivals, tasks)
    return Ranking(
        model=record.model,
        tasks=tasks,
        all_tasks=reference.kinds,
        left_out=left_out,
        entries=entries,
        ours=own,
        replaces=record.model in reference.models,
        notes=_notes(tasks, reference, rivals),
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


def _entries(
    model: str, ours: list[float], rivals: Mapping[str, list[float]], tasks: Mapping[str, str]
) -> tuple[list[Entry], Entry]:
    """The run and the models, the best mean first, and the run."""
    names = [model, *rivals]
    scores = [ours, *rivals.values()]
    means = [round(fmean(each), _MEAN_DECIMALS) for each in scores]
    points = borda(scores)
    made = [
        Entry(name, mean, place, point, borda_place, _by_kind(each, tasks))
        for name, mean, place, point, borda_place, each in zip(
            names, means, places(means), points, places(points), scores, strict=True
        )
    ]
    # The sort is stable, so that the run comes before the models that it ties with.
    return sorted(made, key=lambda entry: entry.place), made[0]


def _by_kind(scores: Sequence[float], tasks: Mapping[str, str]) -> dict[str, float]:
    by_kind: dict[str, list[float]] = {}
    for kind, score in zip(tasks.values(), scores, strict=True):
        by_kind.setdefault(kind, []).append(score)
    return {kind: round(fmean(each), _MEAN_DECIMALS) for kind, each in by_kind.items()}


def _rounded(score: float | None) -> float:
    if score is None:
        raise AssertionError("a task that is ranked has a score")
    return round(score, _DECIMALS)


def _why_not(record: RunRecord, task: str, splits: Collection[str]) -> str:
    """Why a task cannot be ranked; empty where it can."""
    its = record.tasks.get(task)
    if its is None:
        return "not in the run"
    if its.status == "error":
        return f"failed: {its.error}"
    if its.status == "partial":
        return "scored on a part of its data"
    return _not_comparable(its, splits)


def _not_comparable(its: TaskRecord, splits: Collection[str]) -> str:
    if set(its.scores) != set(splits) or its.score is None:
        return f"its splits are {', '.join(its.scores) or 'none'} and not {', '.join(splits)}"
    reasons = {"exact": "", "differs": "its rows differ from the published ones"}
    return reasons.get(str(its.data.get("status")), "its rows are not known to be the published ones")


def _nothing(record: RunRecord, ran: Mapping[str, str]) -> str:
    if not ran:
        names = first_few(record.tasks, 3) or "no task"
        return f"this run (of {record.benchmark}: {names}) has no task of C-MTEB, which published scores are of"
    lines = first_few((f"{task}: {why}" for task, why in ran.items()), 3, "; ")
    return f"no task of this run can be ranked ({lines}): evaluate the published rows with --benchmark cmteb"


def _notes(tasks: Mapping[str, str], reference: Reference, rivals: Collection[str]) -> list[str]:
    notes = []
    for task in tasks:
        wanted = len(reference.splits[task])
        fewer = sum(len(reference.models[name].scores[task]) < wanted for name in rivals)
        if fewer:
            notes.append(f"{task}: {fewer} of the models have published one of its {wanted} splits alone")
    return notes


def _count(tasks: Mapping[str, str], kind: str) -> int:
    return sum(each == kind for each in tasks.values())


def render(ranking: Ranking, neighbours: int) -> list[Table]:
    """Rich tables: the run's means and places, and the models around it. Scores are in percent."""
    from rich.markup import escape
    from rich.table import Table

    whole, ranked = len(ranking.all_tasks), len(ranking.tasks)
    others = len(ranking.entries)
    table = Table(title=f"{escape(ranking.model)} among published models", title_justify="left", title_style="bold")
    for heading in ("mean over", "score", "place"):
        table.add_column(heading, justify="left" if heading == "mean over" else "right")
    for kind, mean in ranking.ours.means.items():
        of = _tasks(_count(ranking.tasks, kind), _count(ranking.all_tasks, kind))
        table.add_row(f"{kind}, {of}", _percent(mean), f"{ranking.place_of_type(kind)} of {others}")
    table.add_section()
    if ranked < whole:
        table.add_row(f"all {whole} tasks", "", "")
    label = f"all {whole} tasks" if ranked == whole else f"the {_tasks(ranked, whole)} ranked here"
    table.add_row(label, _percent(ranking.ours.mean), f"{ranking.ours.place} of {others}")
    table.add_row("Borda count", f"{ranking.ours.points:,.1f}", f"{ranking.ours.borda} of {others}")
    title = "The models around it" if ranked == whole else f"The models around it, by these {ranked} tasks alone"
    near = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("place", "model", "mean", "Borda", *(_SHORT.get(kind, kind) for kind in ranking.ours.means)):
        near.add_column(heading, justify="left" if heading == "model" else "right", overflow="fold")
    for entry in ranking.around(neighbours):
        mine = entry is ranking.ours
        near.add_row(
            str(entry.place),
            escape(entry.model) + (" (this run)" if mine else ""),
            *(_percent(entry.mean), str(entry.borda), *map(_percent, entry.means.values())),
            style="bold" if mine else "",
        )
    return [table, near]


def remarks(ranking: Ranking) -> list[str]:
    """What must be known to read the tables, a line each."""
    ranked, whole = len(ranking.tasks), len(ranking.all_tasks)
    lines = [f"scores of the other {len(ranking.entries) - 1} models: {SOURCE}; not the live leaderboard"]
    if ranking.replaces:
        lines.append(f"what is published of {ranking.model} itself makes way for this run")
    if ranked < whole:
        lines.append(
            f"no average over all {whole} tasks: every mean and place is over the same {ranked} for everybody, "
            "and models that lack one of them are left out"
        )
    by_reason: dict[str, list[str]] = {}
    for task, why in ranking.left_out.items():
        by_reason.setdefault(why, []).append(task)
    lines += [f"left out, {why}: {', '.join(tasks)}" for why, tasks in by_reason.items()]
    return [*lines, *ranking.notes]


def _tasks(some: int, whole: int) -> str:
    return f"{whole} task{'' if whole == 1 else 's'}" if some == whole else f"{some} of {whole} tasks"


def _percent(score: float) -> str:
    return f"{100 * score:.2f}"
