"""Scores of runs along the setting that they differ in, with what is known of each point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from flagbench.results.averages import Weights
from flagbench.results.data_state import DataState
from flagbench.results.figures import Scale, scale_of
from flagbench.results.runs import Run
from flagbench.results.series.axes import Layout, Series, find_series
from flagbench.results.series.choice import Against, Choice, Means, choose
from flagbench.results.series.scores import Apart, Scores, averages_of, task_scores
from flagbench.results.series.setups import Value
from flagbench.results.statistics import interval_of

_NO_RUN = "no run has these settings"


@dataclass(frozen=True)
class Point:
    """A value of the axis.

    Attributes:
        value: It.
        run: Place of the run among those given; None where none has these settings.
        score: As it is recorded, 0 to 1 in most cases; None for a gap.
        gap: Why there is no score; empty where there is one.
        low: Lower end of the interval of the score; None where no values of items are kept.
        high: Upper end.
        items: How many items the score is of; None where no values of them are kept.
        against: Against the best point of the curve; None for that one, and where it was not tested.
        size: Bytes of the vectors of a million passages; None where they are not recorded.
        marked: Whether published scores do not compare with the score.
    """

    value: Value
    run: int | None
    score: float | None
    gap: str = ""
    low: float | None = None
    high: float | None = None
    items: int | None = None
    against: Against | None = None
    size: float | None = None
    marked: bool = False


@dataclass(frozen=True)
class Curve:
    """Points along the axis.

    Attributes:
        other: Value of the second setting; None where there is none.
        points: One for each value of the axis, in order.
        best: Place of the best among the points; None without scores.
        smallest: Place of the smallest that is not significantly worse; None where that is inconclusive.
        why: Why it is; empty where it is not.
    """

    other: Value | None
    points: tuple[Point, ...]
    best: int | None
    smallest: int | None
    why: str = ""


@dataclass(frozen=True)
class Cheapest:
    """The points of all curves by the bytes of their vectors.

    Attributes:
        best: Curve and place of the best point.
        smallest: The same of the one with the fewest bytes that is not significantly worse; None where that is
            inconclusive.
        why: Why it is; empty where it is not.
        against: The smallest against the best; None where it is the best itself.
        items: How many items these two are compared over.
    """

    best: tuple[int, int]
    smallest: tuple[int, int] | None
    why: str = ""
    against: Against | None = None
    items: int = 0


@dataclass(frozen=True)
class Measure:
    """A task or an average along the axis.

    Attributes:
        label: Name.
        kind: Type of the task; empty for an average.
        metric: Main score; empty for an average of several that are all in percent.
        tasks: How many it is over.
        curves: One for each value of the second setting, else one.
        cheapest: By bytes; None unless two points or more record some that are not equal.
    """

    label: str
    kind: str
    metric: str
    tasks: int
    curves: tuple[Curve, ...]
    cheapest: Cheapest | None = None

    @property
    def scale(self) -> Scale:
        """How its scores are shown."""
        return scale_of(self.metric)

    @property
    def averaged(self) -> bool:
        """Whether it is an average."""
        return not self.kind


@dataclass(frozen=True)
class Curves:
    """A series with its scores.

    Attributes:
        series: The axes.
        measures: Averages, the widest first, and then tasks.
    """

    series: Series
    measures: tuple[Measure, ...]


@dataclass(frozen=True)
class Drawn:
    """All series of some runs.

    Attributes:
        curves: Of each.
        layout: With what is not drawn.
        seed: Of the draws.
        by_query: Whether the values of items were read, without which nothing is tested.
    """

    curves: tuple[Curves, ...]
    layout: Layout
    seed: int
    by_query: bool

    @property
    def placed(self) -> frozenset[int]:
        """Places of the runs that are on a curve."""
        return frozenset(at for curves in self.curves for at in curves.series.places)

    @property
    def best(self) -> int | None:
        """Place of the best run of the first measure of the only series; None where there are several, or none."""
        if len(self.curves) != 1:
            return None
        curves = self.curves[0].measures[0].curves
        found = [point for curve in curves for point in curve.points if point.score is not None]
        return max(found, key=lambda point: point.score or 0.0).run if found else None

    @property
    def settings(self) -> str:
        """The settings that the runs of the only series differ in, such as ``dimensions and vectors``."""
        (curves,) = self.curves
        return " and ".join(axis.name for axis in (curves.series.axis, curves.series.other) if axis)


def draw(
    runs: Sequence[Run],
    means: Mapping[str, Weights],
    *,
    apart: Apart,
    seed: int = 0,
    by_query: bool = True,
) -> Drawn:
    """Find the series of some runs, and score them.

    Args:
        runs: In any order.
        means: Weights of tasks by the label of an average that benchmarks take.
        apart: Tells whether tasks are over data of which there is no common mean.
        seed: Of the permutations and the resamples.
        by_query: Read the values of items; without them there are no intervals and nothing is chosen, which is quick.

    Raises:
        BadInput: A file of values is gone or damaged.
    """
    layout = find_series(runs)
    made = []
    for series in layout.series:
        of = {at: runs[at] for at in series.places}
        names = dict.fromkeys(name for run in of.values() for name in run.record.tasks)
        tasks = [its for name in names if (its := task_scores(name, of, seed=seed, by_query=by_query))]
        averages = sorted(averages_of(tasks, of, means, apart), key=lambda each: -len(each.tasks))
        measures = [_measure(each, series, of) for each in (*averages, *tasks)]
        if measures:
            made.append(Curves(series, tuple(measures)))
    return Drawn(tuple(made), layout, seed, by_query)


def _measure(scores: Scores, series: Series, runs: Mapping[int, Run]) -> Measure:
    means = scores.means()
    sizes = {at: size for at in scores.scores if (size := _size(scores, runs[at])) is not None}
    others = series.other.values if series.other else (None,)
    curves = tuple(_curve(scores, series, other, means, sizes, runs) for other in others)
    made = Measure(scores.label, scores.kind, scores.metric, len(scores.tasks), curves)
    if len({*sizes.values()}) < 2:
        return made
    chosen = choose(scores, sorted(sizes, key=lambda at: (sizes[at], -scores.scores[at])), means)
    return Measure(**{**vars(made), "cheapest": _cheapest(chosen, curves, scores.items)})


def _curve(
    scores: Scores,
    series: Series,
    other: Value | None,
    means: Means,
    sizes: Mapping[int, float],
    runs: Mapping[int, Run],
) -> Curve:
    at_value = {value: at for at, (value, second) in series.places.items() if second == other}
    order = [at_value[value] for value in series.axis.values if value in at_value]
    chosen = choose(scores, order, means)
    found = (_point(value, at_value.get(value), scores, chosen, means, sizes) for value in series.axis.values)
    points = tuple(replace(each, marked=_marked(scores, runs, each)) for each in found)
    places = {point.run: place for place, point in enumerate(points) if point.run is not None}
    best, smallest = (None if at is None else places[at] for at in (chosen.best, chosen.smallest))
    return Curve(other, points, best, smallest, chosen.why)


def _point(
    value: Value, at: int | None, scores: Scores, chosen: Choice, means: Means, sizes: Mapping[int, float]
) -> Point:
    if at is None or at not in scores.scores:
        return Point(value, at, None, scores.gaps[at] if at is not None else _NO_RUN)
    known = at in means
    low, high = interval_of(means[at]) if known else (None, None)
    return Point(
        value=value,
        run=at,
        score=scores.scores[at],
        low=low,
        high=high,
        items=scores.items if known else None,
        against=chosen.tests.get(at),
        size=sizes.get(at),
    )


def _marked(scores: Scores, runs: Mapping[int, Run], point: Point) -> bool:
    """Whether the score of a point is over a task whose data is not the official data."""
    if point.run is None or point.score is None:
        return False
    tasks = runs[point.run].record.tasks
    return any(DataState.of(tasks[name].data).marked for name in scores.tasks)


def _cheapest(chosen: Choice, curves: Sequence[Curve], items: int) -> Cheapest | None:
    places = {
        point.run: (number, place)
        for number, curve in enumerate(curves)
        for place, point in enumerate(curve.points)
        if point.run is not None
    }
    if chosen.best is None:
        return None
    least = chosen.smallest
    against = None if least is None else chosen.tests.get(least)
    return Cheapest(places[chosen.best], None if least is None else places[least], chosen.why, against, items)


def _size(scores: Scores, run: Run) -> float | None:
    """What all tasks of a score record of the bytes of their vectors; None where they do not, or not alike."""
    vectors = [run.record.tasks[name].vectors for name in scores.tasks]
    sizes = {each["bytes_per_million"] if each else None for each in vectors}
    size = sizes.pop() if len(sizes) == 1 else None
    return float(size) if size else None
