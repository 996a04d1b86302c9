"""What ``flagbench match`` found, for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flagbench import counted
from flagbench.results.server_match import Measure, ServerMatch
from flagbench.runners.terminal import say

if TYPE_CHECKING:
    from rich.console import Console


def show_match(report: ServerMatch, out: Console) -> None:
    """Print a table of the groups, the causes, and the verdict."""
    from rich.table import Table
    from rich.text import Text

    served = report.served
    say(out, f"checkpoint  {report.name} at {report.revision}")
    say(out, f"server      {served.url} ({served.interface}), model {served.model} there")
    cosine = report.measure == "cosine"
    table = Table()
    heads = ("texts", "", "least cosine", "median") if cosine else ("pairs", "", "largest difference", "median")
    for head in heads:
        table.add_column(head, justify="left" if head in ("texts", "pairs") else "right")
    for group in report.groups:
        style = "red" if _beyond(report, group.worst) else ""
        figures = (figure(report.measure, group.worst), figure(report.measure, group.median))
        table.add_row(group.name, str(group.count), Text(figures[0], style=style), figures[1])
    out.print(table)
    for cause in report.causes:
        say(out, f"{'noticed' if report.same else 'cause':11} {cause.said}")
    if report.left is not None:
        left = "least cosine" if cosine else "largest difference"
        say(out, f"            the checkpoint run like that: {left} {figure(report.measure, report.left)}")
    if report.unexplained:
        say(out, f"unexplained {report.unexplained}")
    for note in report.notes:
        say(out, f"note        {note}")
    out.print(Text(verdict(report), style="green" if report.same else "bold red"), soft_wrap=True)


def verdict(report: ServerMatch) -> str:
    """The whole in one line."""
    unit = "text" if report.measure == "cosine" else "pair"
    sent = f"{counted(report.texts, unit)} in {counted(report.requests, 'request')}"
    if report.same:
        return f"SAME within {report.tolerance:g} ({sent})"
    why = ", ".join(cause.kind for cause in report.causes) or "unexplained"
    return f"DIFFERS: {why} ({sent})"


def figure(measure: Measure, value: float) -> str:
    """A cosine, with all the nines that it has, or a difference."""
    if measure == "score":
        return f"{value:.2g}"
    away = 1 - value
    return f"{value:.4f}" if away >= 1e-3 else "1" if away < 1e-12 else f"1 - {away:.1e}"


def _beyond(report: ServerMatch, value: float) -> bool:
    return value < 1 - report.tolerance if report.measure == "cosine" else value > report.tolerance
