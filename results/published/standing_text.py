"""The rank of a run for a terminal: tables, and the notes needed to read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flagbench import first_few
from flagbench.results.figures import PERCENT, percent
from flagbench.results.published.standing import Ranking
from flagbench.results.uncertainty import Uncertainty

if TYPE_CHECKING:
    from rich.table import Table


def render(ranking: Ranking, neighbours: int) -> list[Table]:
    """Rich tables: the run's means and places, and the models around it. Scores are in percent."""
    from rich.markup import escape
    from rich.table import Table

    whole, ranked = len(ranking.table.kinds), len(ranking.tasks)
    others = len(ranking.entries)
    table = Table(title=f"{escape(ranking.model)} among published models", title_justify="left", title_style="bold")
    for heading in ("mean over", "score", "place"):
        table.add_column(heading, justify="left" if heading == "mean over" else "right")
    for group, mean in ranking.ours.means.items():
        of = _tasks(ranking.ranked(group), len(ranking.table.groups[group]))
        score = _within(mean, ranking.within_groups.get(group))
        table.add_row(f"{group}, {of}", score, f"{ranking.place_in(group)} of {others}")
    table.add_section()
    if ranked < whole:
        table.add_row(f"all {whole} tasks", "", "")
    label = f"all {whole} tasks" if ranked == whole else f"the {_tasks(ranked, whole)} ranked here"
    if ranked == whole and ranking.table.average:
        label = f"{ranking.table.average}, {label}"
    span = ranking.places
    to = f" ({span[0]} to {span[1]})" if span and span[0] < span[1] else ""
    table.add_row(label, _within(ranking.ours.mean, ranking.within), f"{ranking.ours.place} of {others}{to}")
    table.add_row("Borda count", f"{ranking.ours.points:,.1f}", f"{ranking.ours.borda} of {others}")
    those = "this task" if ranked == 1 else f"these {ranked} tasks"
    title = "The models around it" if ranked == whole else f"The models around it, by {those} alone"
    near = Table(title=title, title_justify="left", title_style="bold")
    short = ranking.table.headings  # leaves space for the names of models
    marks = ["zero-shot"] if ranking.zero_shot else []
    groups = [short.get(group, group) for group in ranking.ours.means]
    for heading in ("place", "model", *marks, "mean", "Borda", *groups):
        near.add_column(heading, justify="left" if heading == "model" else "right", overflow="fold")
    for entry in ranking.around(neighbours):
        mine = entry is ranking.ours
        near.add_row(
            str(entry.place),
            escape(entry.model) + (" (this run)" if mine else ""),
            *([ranking.zero_shot[entry.model]] if ranking.zero_shot else []),
            *(percent(entry.mean), str(entry.borda), *map(percent, entry.means.values())),
            style="bold" if mine else "",
        )
    return [table, near]


def remarks(ranking: Ranking) -> list[str]:
    """Notes needed to read the tables, a line each."""
    ranked, whole = len(ranking.tasks), len(ranking.table.kinds)
    lines = [f"scores of the other {len(ranking.entries) - 1} models: {ranking.table.source}; not the live leaderboard"]
    if ranking.within:
        ends = f"{percent(ranking.within.low)} to {percent(ranking.within.high)}"
        lines.append(
            (f"tied with {first_few(ranking.tied)}: within" if ranking.tied else "no published mean is within")
            + f" this run's 95% interval ({ends}); published scores have no values per item, so it is this run's alone"
        )
    if ranking.replaces:
        lines.append(f"this run replaces the published scores of {ranking.model} itself")
    if ranked < whole:
        lines.append(
            f"no average over all {whole} tasks: every mean and place is over the same {ranked} for all models, "
            "and models that lack one of them are left out"
        )
    by_reason: dict[str, list[str]] = {}
    for task, why in ranking.left_out.items():
        by_reason.setdefault(why, []).append(task)
    lines += [f"left out, {why}: {', '.join(tasks)}" for why, tasks in by_reason.items()]
    return [*lines, *ranking.notes]


def _within(mean: float, found: Uncertainty | None) -> str:
    return PERCENT.within(mean, found.ends if found else None)


def _tasks(some: int, whole: int) -> str:
    return f"{whole} task{'' if whole == 1 else 's'}" if some == whole else f"{some} of {whole} tasks"
