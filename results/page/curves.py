"""Series as a page shows them: a plot, a table and a file of CSV for each, as much as fits into a page."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from flagbench.results.page.curve_plot import CurvePlot, cost_plot, curve_plot
from flagbench.results.page.marks import MARK
from flagbench.results.page.words import Words
from flagbench.results.runs import Run
from flagbench.results.series.axes import Axis
from flagbench.results.series.curves import Curves, Drawn, Measure, Point
from flagbench.results.series.setups import Value
from flagbench.results.series.text import shown, to_csv

ROOM = 3_000
"""Points that the plots of a page may have."""

_ROWS = 24
"""Rows of a table that is shown; one of more is opened."""

NAMED: Mapping[str, str] = {
    "training step": "axis_step",
    "dimensions": "axis_dims",
    "vectors": "axis_vectors",
    "weight of the generation": "axis_query_mix",
    "cutoff layer": "axis_cutoff_layer",
    "cutoff layer of the reranker": "axis_reranker_layer",
    "max length": "axis_max_length",
    "passages re-ranked": "axis_top_k",
}
"""Axes that have a name in the language of the page, by their names."""


@dataclass(frozen=True)
class MeasureView:
    """One task or average of a series.

    Attributes:
        key: Unlike those of others of the page.
        measure: It.
        plot: Its curves; None without a score.
        cost: Its scores against bytes; None where these are not recorded.
        opened: Whether its table is shown.
    """

    key: str
    measure: Measure
    plot: CurvePlot | None
    cost: CurvePlot | None
    opened: bool


@dataclass(frozen=True)
class CurvesView:
    """One series.

    Attributes:
        number: From 1, within the group.
        axis: That is drawn across.
        other: The second one; None where there is none.
        measures: Those that fit.
        left: How many do not.
        file: CSV of what is shown, in Base64.
        tested: Whether points were tested.
    """

    number: int
    axis: Axis
    other: Axis | None
    measures: tuple[MeasureView, ...]
    left: int
    file: str
    tested: bool


@dataclass(frozen=True)
class DrawnView:
    """The series of a group.

    Attributes:
        series: Each of them.
        undrawn: A line on each set of runs that differ in too much.
        left_out: Label of each run that is on no curve, and why.
        runs: That points refer to.
        seed: Of the tests.
    """

    series: tuple[CurvesView, ...]
    undrawn: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    runs: Sequence[Run]
    seed: int


def view_of(group: int, drawn: Drawn, runs: Sequence[Run], room: int = ROOM) -> DrawnView | None:
    """The series of some runs; None where there is nothing to say of any.

    Args:
        group: Number of the group, for ids.
        drawn: The series.
        runs: That its points refer to.
        room: Points that all plots may have together; each series has one all the same.
    """
    if not drawn.curves and not drawn.layout.undrawn:
        return None
    made = []
    for number, curves in enumerate(drawn.curves, 1):
        points = sum(len(curve.points) for curve in curves.measures[0].curves)
        shown = curves.measures[: max(1, room // len(drawn.curves) // points)]
        made.append(_view(group, number, replace(curves, measures=shown), len(curves.measures), drawn, runs))
    return DrawnView(tuple(made), drawn.layout.undrawn, drawn.layout.left_out, runs, drawn.seed)


def _view(group: int, number: int, curves: Curves, count: int, drawn: Drawn, runs: Sequence[Run]) -> CurvesView:
    text = to_csv(replace(drawn, curves=(curves,)), runs)
    return CurvesView(
        number=number,
        axis=curves.series.axis,
        other=curves.series.other,
        measures=tuple(_measures(f"curve-{group}-{number}", curves)),
        left=count - len(curves.measures),
        file=base64.b64encode(text.encode("utf-8", "replace")).decode(),
        tested=drawn.by_query,
    )


def _measures(key: str, curves: Curves) -> Iterator[MeasureView]:
    for number, measure in enumerate(curves.measures, 1):
        rows = sum(len(curve.points) for curve in measure.curves)
        plot = curve_plot(measure, curves.series.axis)
        yield MeasureView(f"{key}-{number}", measure, plot, cost_plot(measure), rows <= _ROWS)


def axis_name(says: Words, axis: Axis) -> str:
    """The name of an axis in the language of the page, or that of its setting."""
    return says(NAMED[axis.name]) if axis.name in NAMED else axis.name


def label_of(says: Words, measure: Measure) -> str:
    """The name of a task or an average."""
    if not measure.averaged:
        return measure.label
    if measure.label == "average":
        return says("average_of", count=measure.tasks)
    return f"{measure.label} ({says('tasks_of', count=measure.tasks)})"


def setting_of(says: Words, view: CurvesView, point: Point, other: Value | None) -> str:
    """The setting of a point, such as ``dimensions 64, vectors int8``."""
    across = f"{axis_name(says, view.axis)} {shown(point.value)}"
    return f"{across}{says('comma')}{axis_name(says, view.other)} {shown(other)}" if view.other else across


def value_of(measure: Measure, point: Point) -> str:
    """Score and interval of a point, as far as they are known."""
    scale = measure.scale
    parts = [scale.figure(point.score) + MARK * point.marked]
    if point.low is not None and point.high is not None:
        parts.append(f"[{scale.figure(point.low)}, {scale.figure(point.high)}]")
    return " ".join(parts).replace("-", "\N{MINUS SIGN}")
