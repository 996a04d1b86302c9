"""Series as text: rows of CSV, JSON, Markdown, and tables for a terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from flagbench import counted, first_few, in_bytes, printable
from flagbench.results.compare.compare import ALPHA
from flagbench.results.compare.text import escaped, of_spreadsheet
from flagbench.results.intervals import LEVEL
from flagbench.results.runs import Run
from flagbench.results.series.axes import Series
from flagbench.results.series.curves import Curve, Curves, Drawn, Measure, Point
from flagbench.results.series.setups import Value
from flagbench.results.statistics import PERMUTATIONS, RESAMPLES

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

WORSE = "‡"
"""Of a point that is significantly worse than the best of its curve: another family of tests than that of ``†``, which
stands for all runs and tasks side by side.
"""

_HEAD = (
    *("axis", "value", "second_axis", "second_value", "task", "type", "main_score", "run", "model", "revision"),
    *("score", "low", "high", "items", "bytes_per_million_passages", "difference", "difference_low"),
    *("difference_high", "p", "p_holm", "best", "smallest_not_worse", "gap"),
)
_BARS = "▁▂▃▄▅▆▇█"
_WIDEST = 24
"""Columns of a line of bars."""

_TEXTS = ("task", "scores")


def to_csv(drawn: Drawn, runs: Sequence[Run]) -> str:
    """One row for each point and task or average, to compute with: numbers as they are recorded, not in percent."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_HEAD)
    for curves in drawn.curves:
        for measure in curves.measures:
            for curve in measure.curves:
                for place, point in enumerate(curve.points):
                    writer.writerow(map(of_spreadsheet, _row(curves.series, measure, curve, place, point, runs)))
    return out.getvalue()


def _row(
    series: Series, measure: Measure, curve: Curve, place: int, point: Point, runs: Sequence[Run]
) -> Iterator[object]:
    """The cells of one point."""
    yield from (series.axis.name, point.value, series.other.name if series.other else "", curve.other)
    yield from (measure.label, measure.kind, measure.metric)
    run = None if point.run is None else runs[point.run]
    yield from (run.label, run.record.model, run.record.revision) if run else ("", "", "")
    yield from (point.score, point.low, point.high, point.items, point.size)
    test = point.against
    yield from (test.difference, test.low, test.high, test.p, test.adjusted) if test else (None,) * 5
    scored = point.score is not None
    yield str(place == curve.best).lower() if scored else ""
    yield str(place == curve.smallest).lower() if scored and curve.smallest is not None else ""
    yield point.gap


def document(drawn: Drawn, runs: Sequence[Run]) -> dict[str, Any]:
    """All that was found, as plain values for JSON; scores as they are recorded, which is not in percent."""
    return {
        "series": [
            {
                "axis": asdict(curves.series.axis),
                "second_axis": asdict(curves.series.other) if curves.series.other else None,
                "measures": [asdict(measure) | {"curves": _curves(measure, runs)} for measure in curves.measures],
            }
            for curves in drawn.curves
        ],
        "undrawn": list(drawn.layout.undrawn),
        "left_out": [{"label": label, "reason": reason} for label, reason in drawn.layout.left_out],
    }


def _curves(measure: Measure, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Curves with the labels of runs."""
    return [
        asdict(curve)
        | {
            "points": [
                {"label": None if point.run is None else runs[point.run].label} | asdict(point)
                for point in curve.points
            ]
        }
        for curve in measure.curves
    ]


def to_markdown(drawn: Drawn, runs: Sequence[Run]) -> str:
    """Tables and notes; scores in percent where they have no unit behind them. Empty without series."""
    parts = []
    for title, headings, rows in _tables(drawn):
        lines = [f"| {' | '.join(map(escaped, row))} |" for row in (headings, *rows)]
        rule = f"| {' | '.join('---' if name in _TEXTS else '---:' for name in headings)} |"
        parts.append("\n".join([f"**{escaped(title)}**", "", lines[0], rule, *lines[1:], ""]))
    notes = "".join(f"- {escaped(note)}\n" for note in _notes(drawn, runs))
    return "\n".join([*parts, notes]) if parts or notes else ""


def render(drawn: Drawn, runs: Sequence[Run]) -> list[Table | Text]:
    """The content of ``to_markdown``, for a terminal of 80 columns."""
    from rich.table import Table
    from rich.text import Text

    made: list[Table | Text] = []
    for title, headings, rows in _tables(drawn):
        table = Table(title=Text(title), title_justify="left", title_style="bold")
        for name in headings:
            table.add_column(Text(name), justify="left" if name in _TEXTS else "right", overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        made.append(table)
    return [*made, *map(Text, _notes(drawn, runs))]


def shown(value: Value | None) -> str:
    """A place on an axis, for people."""
    return "" if value is None else value if isinstance(value, str) else f"{value:.10g}"


def bars(scores: Sequence[float | None]) -> str:
    """Scores as a line of bars from the lowest to the highest; a gap is a space, and many points share a bar."""
    step = max(1, -(-len(scores) // _WIDEST))
    parts = [[each for each in scores[at : at + step] if each is not None] for at in range(0, len(scores), step)]
    means = [sum(part) / len(part) if part else None for part in parts]
    known = [mean for mean in means if mean is not None]
    if not known:
        return ""
    low, spread = min(known), max(known) - min(known)
    places = (len(_BARS) - 1) / spread if spread else 0.0
    return "".join(" " if mean is None else _BARS[round((mean - low) * places)] for mean in means)


def _tables(drawn: Drawn) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Of each series the points of its first measure, an average where it has one, and a line for each measure."""
    for curves in drawn.curves:
        first = curves.measures[0]
        for curve in first.curves:
            yield _points(curves.series, first, curve)
        if len(curves.measures) > 1 or len(first.curves) > 1:
            yield _lines(curves)


def title_of(series: Series, measure: Measure, curve: Curve | None = None) -> str:
    """What a table or a plot shows."""
    whole = f" of {counted(measure.tasks, 'task')}" if measure.averaged else ""
    second = f", {series.other.name} {shown(curve.other)}" if series.other and curve else ""
    return f"{printable(measure.label)}{whole} by {series.axis.name}{second}"


def _points(series: Series, measure: Measure, curve: Curve) -> tuple[str, list[str], list[list[str]]]:
    sized = measure.cheapest is not None and any(point.size is not None for point in curve.points)
    valued = any(point.low is not None for point in curve.points)
    rows = []
    for place, point in enumerate(curve.points):
        marks = ["best"] * (place == curve.best) + ["smallest"] * (place == curve.smallest)
        row = [shown(point.value), measure.scale.figure(point.score) or "–"]
        row += [_interval(point, measure), _difference(point, measure)] if valued else []
        rows.append([*row, *([in_bytes(point.size)] if sized else []), ", ".join(marks)])
    headings = [series.axis.name, "score", *([f"{LEVEL:.0%} interval", "Δ to best"] if valued else [])]
    return title_of(series, measure, curve), [*headings, *(["size"] if sized else []), ""], rows


def _interval(point: Point, measure: Measure) -> str:
    if point.low is None or point.high is None:
        return ""
    return f"{measure.scale.figure(point.low)} to {measure.scale.figure(point.high)}"


def _difference(point: Point, measure: Measure) -> str:
    test = point.against
    return "" if test is None else measure.scale.gain(test.difference) + (WORSE if test.worse else "")


def _lines(curves: Curves) -> tuple[str, list[str], list[list[str]]]:
    axis, other = curves.series.axis, curves.series.other
    rows = []
    for measure in curves.measures:
        for curve in measure.curves:
            best = None if curve.best is None else curve.points[curve.best]
            smallest = None if curve.smallest is None else curve.points[curve.smallest]
            rows.append(
                [
                    printable(measure.label),
                    *([shown(curve.other)] if other else []),
                    bars([point.score for point in curve.points]),
                    measure.scale.figure(best.score) if best else "",
                    shown(best.value) if best else "",
                    shown(smallest.value) if smallest else "?",
                ]
            )
    headings = ["task", *([other.name] if other else []), "scores", "best", "at", "smallest not worse"]
    return f"by {axis.name} ({shown(axis.values[0])} to {shown(axis.values[-1])})", headings, rows


def setting_of(series: Series, curve: Curve, place: int) -> str:
    """The setting of a point, such as ``dimensions 64, vectors int8``."""
    second = f", {series.other.name} {shown(curve.other)}" if series.other else ""
    return f"{series.axis.name} {shown(curve.points[place].value)}{second}"


def _cheapest(curves: Curves) -> str:
    """The fewest bytes that are not significantly worse, of the first measure; empty where none are known."""
    measure = curves.measures[0]
    if measure.cheapest is None:
        return ""
    (number, place), smallest = measure.cheapest.best, measure.cheapest.smallest
    best = measure.curves[number]
    line = (
        f"size: of the vectors of a million passages; {printable(measure.label)} is best with "
        f"{setting_of(curves.series, best, place)} ({in_bytes(best.points[place].size)}); "
    )
    if smallest is None:
        return f"{line}the smallest size that is not significantly worse: inconclusive, {measure.cheapest.why}"
    curve, point = measure.curves[smallest[0]], measure.curves[smallest[0]].points[smallest[1]]
    return (
        f"{line}the smallest size that is not significantly worse: {setting_of(curves.series, curve, smallest[1])} "
        f"({in_bytes(point.size)}){_price(measure, point)}"
    )


def _price(measure: Measure, point: Point) -> str:
    """What the smallest size costs of the score, as far as the items tell; empty for the best itself."""
    chosen, scale = measure.cheapest, measure.scale
    if chosen is None or chosen.against is None:
        return ""
    test = chosen.against
    line = (
        f": {scale.figure(point.score)}, {scale.gain(test.difference)} to the best, {LEVEL:.0%} interval "
        f"{scale.gain(test.low)} to {scale.gain(test.high)}, p (Holm) {test.adjusted:.4f}"
    )
    if test.low >= 0:
        return line
    return f"{line}; {counted(chosen.items, 'item')} do not rule out a loss of {scale.figure(-test.low)}"


def _notes(drawn: Drawn, runs: Sequence[Run]) -> list[str]:
    """Notes below the tables, one line each."""
    notes: list[str] = []
    points = [
        (measure, curve, point)
        for curves in drawn.curves
        for measure in curves.measures
        for curve in measure.curves
        for point in curve.points
    ]
    if drawn.curves and drawn.by_query:
        names = ", ".join(dict.fromkeys(curves.series.axis.name for curves in drawn.curves))
        notes.append(
            f"smallest: the smallest setting ({names}) whose score is not significantly lower than the best; {WORSE}: "
            f"it is, p (Holm) at most {ALPHA} by two-sided sign flips ({PERMUTATIONS:,} drawn, or all), Holm's "
            "correction for the points of a curve on one score († corrects for all runs and tasks side by side, so "
            f"that a difference may have {WORSE} alone), seed {drawn.seed}; interval: bootstrap, {RESAMPLES:,} "
            "resamples, each of the same items for all points"
        )
    notes += [line for curves in drawn.curves if (line := _cheapest(curves))]
    inconclusive: dict[str, dict[str, None]] = {}
    gaps: dict[str, dict[str, None]] = {}
    for measure, curve, point in points:
        if curve.why and curve.best is not None:
            inconclusive.setdefault(curve.why, {})[measure.label] = None
        if point.gap and point.run is not None and not measure.averaged:
            gaps.setdefault(f"{runs[point.run].label}: {printable(point.gap)}", {})[measure.label] = None
    for why, labels in inconclusive.items():
        notes.append(f"?: inconclusive, {printable(why)}: {first_few(map(printable, labels))}")
    notes += [f"{why}: {first_few(map(printable, labels))}" for why, labels in gaps.items()]
    notes += [f"{label} is on no curve: {printable(reason)}" for label, reason in drawn.layout.left_out]
    return [*notes, *map(printable, drawn.layout.undrawn)]
