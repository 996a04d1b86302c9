"""Grids for a terminal: numbers on colours where there is room for them, a sign for each tenth where there is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flagbench.results.effective_length import effective_length_of
from flagbench.results.figures import percent
from flagbench.results.grids import Grid, Mean

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_COLOURS = (
    "bright_white on #8c3d04",
    "bright_white on #a85a12",
    "black on #d08a3e",
    "black on #e6b981",
    "black on #f3e3c8",
    "black on #cfe6e2",
    "black on #93cbc4",
    "black on #55aaa2",
    "bright_white on #0e7d76",
    "bright_white on #07504c",
)
"""From 0 to 1 in ninths: brown and teal are told apart by all eyes."""

_SIGNS = "0123456789#"
_NARROWEST = 4  # of a cell with a number of three digits


def show(grid: Grid, out: Console) -> None:
    """Print a grid: lengths down, depths across, and at the end of each line the length's mean.

    Args:
        grid: What is shown, scores in percent.
        out: Where; the map has at most as many columns as this has, and 80 are enough for 35 depths.
    """
    from rich.text import Text

    lengths, depths = grid.columns.values, grid.rows.values
    label = max(len(each) for each in [*(f"{length:,}" for length in lengths), grid.columns.name, "mean"])
    means = [_mean(grid.column(at)) for at in range(len(lengths))]
    tail = max(len(each) for each in [*means, "mean"])
    width = (out.width - label - tail - 2) // max(1, len(depths))
    wide = width >= _NARROWEST
    width = min(width, 6) if wide else 1
    out.print(Text(f"{grid.task} ({grid.split}), {grid.metric} in percent", style="bold"))
    heading = _heading(grid, width, wide=wide)
    out.print(Text(f"{grid.columns.name:>{label}} {heading} {'mean':>{tail}}"), no_wrap=True, crop=False)
    for at, length in enumerate(lengths):
        line = Text(f"{length:>{label},} ")
        for row in range(len(depths)):
            line.append_text(_cell(grid.cell(row, at), width, wide=wide))
        line.append(f" {means[at]:>{tail}}")
        out.print(line, no_wrap=True, crop=False)
    last = Text(f"{'mean':>{label}} ")
    for row in range(len(depths)):
        last.append_text(_cell(grid.row(row), width, wide=wide))
    out.print(last, no_wrap=True, crop=False)
    for line_below in _below(grid, wide=wide):
        out.print(Text(line_below, style="dim"))


def _heading(grid: Grid, width: int, *, wide: bool) -> str:
    """The depths above the columns; of narrow ones the first and the last."""
    depths = grid.rows.values
    if wide:
        return "".join(f"{depth:>{width}}" for depth in depths)
    first, last = str(depths[0]), str(depths[-1])
    return f"{first}{last:>{max(len(depths) - len(first), len(last) + 1)}}"


def _cell(mean: Mean, width: int, *, wide: bool) -> Text:
    from rich.text import Text

    if mean.value is None:
        return Text(f"{'-':>{width}}")
    written = f"{percent(mean.value, 0):>{width}}" if wide else _SIGNS[min(int(mean.value * 10 + 1e-9), 10)]
    return Text(written, style=_COLOURS[min(max(round(mean.value * 9), 0), 9)])


def _mean(mean: Mean) -> str:
    if mean.value is None:
        return "-"
    ends = "" if mean.low is None or mean.high is None else f" ({percent(mean.low, 0)}-{percent(mean.high, 0)})"
    return percent(mean.value, 1) + ends


def _below(grid: Grid, *, wide: bool) -> Sequence[str]:
    """What the numbers are."""
    lines = [f"across: the {grid.rows.name} in percent"]
    if not wide:
        lines.append("signs: tenths, 0 for less than 10 percent and # for 100")
    if grid.share:
        lines.append("in brackets: 95% intervals of the shares (Wilson's)")
    if found := effective_length_of(grid):
        lines.append(f"effective length at RULER's threshold of 85.6: {found.said(grid.columns.values[0])}")
    return lines
