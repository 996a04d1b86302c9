"""Scores of runs on tasks and averages, and the values of items behind them, as far as they compare."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flagbench import first_few, printable
from flagbench.results.averages import Cell, Slice, Weights, alike, average, lacking, scores_in, shares
from flagbench.results.figures import PERCENT, joint_scale, of_one_scale, scale_of
from flagbench.results.intervals import Clusters
from flagbench.results.paired import Differences
from flagbench.results.record import TaskRecord
from flagbench.results.runs import Run, difference, other_queries, shared_metric
from flagbench.results.statistics import bootstrap_means
from flagbench.results.values import Values

Apart = Callable[[Iterable[TaskRecord]], bool]
"""Tells whether tasks are over data of which there is no common mean."""


@dataclass(frozen=True)
class Stratum:
    """The items of one task.

    Attributes:
        rows: ``float64[n]`` by place of the run, in the same order of items.
        weight: Of the task in the score.
        seed: Of its draws.
        clusters: Cluster of each item, in the order of items; None where each is one of its own.
    """

    rows: Mapping[int, NDArray[np.float64]]
    weight: float
    seed: tuple[int, int]
    clusters: Sequence[str] | None = None


@dataclass(frozen=True)
class Scores:
    """A task or an average, over the runs of a series.

    Attributes:
        label: Name of the task or the average.
        kind: Type of the task; empty for an average.
        metric: Main score; empty for an average of several that are all in percent.
        tasks: Names of its tasks, one for a task.
        scores: By place of the run.
        gaps: Why a run has none, likewise.
        strata: Values of items, whose weighted means are the scores: of runs that kept them for all tasks.
        unkept: Why a run with a score has no values.
        weights: Of its tasks.
    """

    label: str
    kind: str
    metric: str
    tasks: tuple[str, ...]
    scores: Mapping[int, float]
    gaps: Mapping[int, str]
    strata: tuple[Stratum, ...] = ()
    unkept: Mapping[int, str] = field(default_factory=dict)

    @property
    def valued(self) -> tuple[int, ...]:
        """Places of the runs whose values are known."""
        return tuple(at for at in self.scores if self.strata and all(at in each.rows for each in self.strata))

    @property
    def items(self) -> int:
        """How many items its values are of."""
        return sum(len(next(iter(each.rows.values()))) for each in self.strata if each.rows)

    @property
    def clusters(self) -> int:
        """The same of clusters of items."""
        return self.items if not any(each.clusters for each in self.strata) else sum(map(_clusters_in, self.strata))

    def untested(self, first: int, second: int) -> str:
        """Why two runs with scores have no test."""
        return self.unkept.get(first) or self.unkept.get(second) or "nothing was tested"

    def means(self) -> dict[int, NDArray[np.float64]]:
        """Scores over resampled items, or clusters of them, the same ones for all runs and drawn task by task:
        ``float64[resamples]`` by place of the run, of those whose values are known.
        """
        runs = self.valued
        if not runs:
            return {}
        total: NDArray[np.float64] | float = 0.0
        for each in self.strata:
            summed = [Clusters.of(each.rows[at], each.clusters) for at in runs]
            totals, sizes = [its.totals for its in summed], summed[0].sizes if each.clusters else None
            total = total + each.weight * bootstrap_means(totals, sizes=sizes, seed=each.seed)
        return dict(zip(runs, np.asarray(total), strict=True))

    def differences(self, first: int, others: Sequence[int]) -> Iterator[tuple[list[Differences], float]]:
        """The differences of other runs to the first on each task, and the weight of the task."""
        for each in self.strata:
            rows, clusters, seed = each.rows, each.clusters, each.seed
            yield [Differences(rows[first], rows[at], clusters=clusters, seed=seed) for at in others], each.weight


def _clusters_in(stratum: Stratum) -> int:
    return len({*stratum.clusters}) if stratum.clusters else len(next(iter(stratum.rows.values()), ()))


def task_scores(task: str, runs: Mapping[int, Run], *, seed: int, by_query: bool) -> Scores | None:
    """The scores of runs on a task; None where no run has one.

    Of runs over different data the most that are over the same are compared; the others are gaps.

    Args:
        task: Name.
        runs: By their places.
        seed: Of draws.
        by_query: Read the values of items.
    """
    gaps: dict[int, str] = {}
    whole: dict[int, TaskRecord] = {}
    for at, run in runs.items():
        record = run.record.tasks.get(task)
        if record is None or record.status != "success" or record.score is None:
            gaps[at] = _absent(record)
        else:
            whole[at] = record
    values = {at: runs[at].values(task) if by_query else None for at in whole}
    if not whole:
        return None
    first, unlike = _comparable(whole, values)
    gaps |= unlike
    whole = {at: record for at, record in whole.items() if at not in unlike}
    rows, unkept, clusters = _rows(first, whole, values) if by_query else ({}, {}, None)
    stratum = Stratum(rows, 1.0, (seed, zlib.crc32(task.encode("utf-8", "surrogatepass"))), clusters)
    return Scores(
        label=task,
        kind=whole[first].kind,
        metric=whole[first].main_score,
        tasks=(task,),
        scores={at: record.score for at, record in whole.items() if record.score is not None},
        gaps=gaps,
        strata=(stratum,) if rows else (),
        unkept=unkept,
    )


def _absent(record: TaskRecord | None) -> str:
    if record is None:
        return "not run"
    if record.status == "error":
        return f"failed: {printable(record.error)}" if record.error else "failed"
    return "over a part of its data" if record.status == "partial" else "no score"


def _comparable(records: Mapping[int, TaskRecord], values: Mapping[int, Values | None]) -> tuple[int, dict[int, str]]:
    """The first of the most runs that compare, and how each of the others differs from it."""
    classes: list[list[int]] = []
    for at, record in records.items():
        for members in classes:
            if not _unlike(records[members[0]], record, values[members[0]], values[at]):
                members.append(at)
                break
        else:
            classes.append([at])
    most = max(classes, key=len)
    first = most[0]
    return first, {
        at: _unlike(records[first], records[at], values[first], values[at]) for at in records if at not in most
    }


def _unlike(first: TaskRecord, second: TaskRecord, one: Values | None, other: Values | None) -> str:
    for phrase in (*difference(first, second), *other_queries(first, second, one, other)):
        return f"not comparable: {printable(phrase)}"
    before, after = (record.settings.get("instruction") or {} for record in (first, second))
    return "another instruction" if before != after else ""


def _rows(
    first: int,
    records: Mapping[int, TaskRecord],
    values: Mapping[int, Values | None],
    parts: Mapping[Cell, float] | None = None,
) -> tuple[dict[int, NDArray[np.float64]], dict[int, str], list[str] | None]:
    """The values of each run in one order of items, why a run has none, and the clusters of the items; ``parts`` are
    their shares.
    """
    rows: dict[int, NDArray[np.float64]] = {}
    unkept: dict[int, str] = {}
    order: list[str] = []
    metric: str | None = None
    clusters: list[str] | None = None
    base = first
    for at in (first, *(each for each in records if each != first)):
        its = values[at]
        if its is None:
            unkept[at] = "no values per item are kept"
            continue
        of = (records[at], its)
        against = (records[base], values[base] or its) if order else of
        shared = shared_metric((against[0], of[0]), (against[1], of[1]))
        if shared is None or (metric and shared != metric):
            unkept[at] = "the score is not the mean of the values per item"
            continue
        known = its.of(shared, parts)
        if not order:
            base, metric, order = at, shared, list(known)
        if not order or known.keys() != set(order):
            unkept[at] = "its values are of other items"
            continue
        rows[at] = np.array([known[id_] for id_ in order], dtype=np.float64)
        clusters = clusters or its.clusters_of(order, shared)
    return rows, unkept, clusters


def averages_of(
    tasks: Sequence[Scores], runs: Mapping[int, Run], means: Mapping[str, Weights], apart: Apart
) -> Iterator[Scores]:
    """The averages over tasks: those that are given, that of all tasks, and one for each type.

    The latter two are over the tasks that more than half of the runs have; a run that lacks one of them is a gap.

    Args:
        tasks: Their scores.
        runs: By their places.
        means: Weights of tasks by the label of an average.
        apart: See ``Apart``.
    """
    known = {each.label: each for each in tasks}
    common = of_one_scale([each for each in tasks if 2 * len(each.scores) > len(runs)], lambda each: each.metric)
    kinds = list(dict.fromkeys(each.kind for each in common))
    groups: dict[str, Weights] = {label: of for label, of in means.items() if known.keys() >= of.keys()}
    every = alike(each.label for each in common)
    if len(every) > 1 and every not in groups.values():
        groups["average"] = every
    if len(kinds) > 1:
        of_kind = {kind: alike(each.label for each in common if each.kind == kind) for kind in kinds}
        groups |= {f"{kind} mean": of for kind, of in of_kind.items() if len(of) > 1}
    for label, of in groups.items():
        made = _average(label, of, known, runs, apart)
        if made.scores and not _is_task(of):
            yield made


def scores_over(of: Weights, runs: Mapping[int, Run], *, seed: int, by_query: bool, apart: Apart) -> Scores:
    """The scores of runs in one average, or on one task.

    Args:
        of: Weights of its tasks.
        runs: By their places.
        seed: Of draws.
        by_query: Read the values of items.
        apart: See ``Apart``.

    Raises:
        BadInput: A file of values is gone or damaged.
    """
    known = {name: its for name in of if (its := task_scores(name, runs, seed=seed, by_query=by_query))}
    if _is_task(of) and known:
        return next(iter(known.values()))
    return _average("mean", of, known, runs, apart)


def _is_task(of: Weights) -> bool:
    """Whether an average is the score of one task, whole."""
    return len(of.members) == 1 and not any(isinstance(member, Slice) for member in of.members)


def _average(label: str, of: Weights, known: Mapping[str, Scores], runs: Mapping[int, Run], apart: Apart) -> Scores:
    parts = [known[name] for name in of if name in known]
    scale = joint_scale(each.metric for each in parts)
    scores: dict[int, float] = {}
    gaps: dict[int, str] = {}
    for at, run in runs.items():
        whole = [each.label for each in parts if at in each.scores]
        found = scores_in(of, {name: run.record.tasks[name].scores for name in whole})
        if absent := lacking(of, found):
            gaps[at] = f"lacks {first_few(map(printable, absent), 3)}"
        elif not scale:
            gaps[at] = "its tasks have scores of different units"
        elif apart(run.record.tasks[name] for name in of):
            gaps[at] = "over miniature and other data"
        else:
            scores[at] = average(of, found)
    kept = bool(scores) and all(each.strata for each in parts)
    unkept = {
        at: f"{each.label}: {each.unkept.get(at, 'no values per item are kept')}"
        for at in scores
        for each in reversed(parts)
        if not each.strata or at not in each.strata[0].rows
    }
    return Scores(
        label=label,
        kind="",
        metric=_metric(parts),
        tasks=tuple(of),
        scores=scores,
        gaps=gaps,
        strata=tuple(_stratum(each, of, runs) for each in parts) if kept else (),
        unkept=unkept,
    )


def _metric(parts: Sequence[Scores]) -> str:
    """The main score of tasks; of several that are all in percent none."""
    metrics = list(dict.fromkeys(each.metric for each in parts))
    return metrics[0] if metrics and (len(metrics) == 1 or scale_of(metrics[0]) is not PERCENT) else ""


def _stratum(task: Scores, of: Weights, runs: Mapping[int, Run]) -> Stratum:
    """The items of a task that count in an average, each as much as its part does.

    Raises:
        BadInput: A file of values is gone or damaged.
    """
    (stratum,) = task.strata
    records = {at: runs[at].record.tasks[task.label] for at in stratum.rows}
    first = next(iter(records))
    rows, clusters = stratum.rows, stratum.clusters
    if (of_parts := shares(of, task.label, records[first].scores)) is not None:
        values = {at: runs[at].values(task.label) for at in records}
        rows, _, clusters = _rows(first, records, values, of_parts)
    return Stratum(rows, of[task.label], stratum.seed, clusters)
