"""The end of ``flagbench watch``: the checkpoints in the order of their steps, the best, and those as good as it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from flagbench import printable
from flagbench.results.figures import Scale
from flagbench.results.series.placed import Placed
from flagbench.runners.watch.checkpoints import step_of

if TYPE_CHECKING:
    from rich.table import Table

_NOTE = 120
"""Characters of a note that are shown."""


def series_table(title: str, series: Mapping[str, Placed], faults: Mapping[str, str], scale: Scale) -> Table:
    """A row for each checkpoint.

    Args:
        title: Heading.
        series: The checkpoints with results, by the names of their folders.
        faults: Why others, or tasks of these, could not be evaluated.
        scale: How scores are shown.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left")
    for name in ("step", "score", "to the best", "p (Holm)"):
        table.add_column(name, justify="right")
    table.add_column("")
    best = next((each.score for each in series.values() if each.best), None)
    for name in sorted({*series, *faults}, key=step_of):
        its, fault = series.get(name), faults.get(name, "")
        gap = "" if its is None or its.best or its.score is None else scale.gain(its.score - (best or 0.0))
        p = f"{its.against.adjusted:.4f}" if its is not None and its.against is not None else ""
        cells = [f"{step_of(name):,}", scale.figure(its.score) if its else "", gap, p]
        table.add_row(*cells, Text(printable("; ".join(filter(None, (_said(its), fault))))[:_NOTE]))
    return table


def _said(its: Placed | None) -> str:
    if its is None:
        return ""
    if its.score is None:
        return its.lacking
    if its.best:
        return "best"
    if its.worse is None:
        return f"inconclusive: {its.inconclusive}"
    return "worse" if its.worse else "not significantly worse"


def conclusion(series: Mapping[str, Placed]) -> list[str]:
    """The best checkpoint, where its results are, and those that are not significantly worse."""
    best = next((name for name, each in series.items() if each.best), None)
    if best is None:
        return []
    as_good = [name for name, each in series.items() if not each.best and each.worse is False]
    lines = [f"the best is {best}: {series[best].run.folder}"]
    if as_good:
        lines.append(f"not significantly worse: {', '.join(as_good)}")
    return lines
