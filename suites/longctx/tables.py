"""The scores of a run as tables, each as its source prints it, for ``flagbench score``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from flagbench.suites.longctx import mmlu, perplexity
from flagbench.suites.longctx.printed import Printed, published_tables
from flagbench.suites.longctx.ruler.scores import headings, over_tasks, table_row
from flagbench.suites.longctx.scored import Scored


def tables(model: str, tasks: Sequence[Scored]) -> Iterator[Printed]:
    """The tables of a run; grids have none.

    Args:
        model: Name, for tables that have a row for each model.
        tasks: All that are scored.
    """
    for protocol in dict.fromkeys(each.saved.protocol for each in tasks):
        its = {each.saved.row.name: each.scores for each in tasks if each.saved.protocol == protocol}
        yield from published_tables(protocol, its)
    yield from _ruler(model, [each for each in tasks if each.saved.row.kind == "ruler"])
    for each in tasks:
        if each.saved.row.kind == "mmlu":
            means = mmlu.categories(each.scores)
            title = f"{each.saved.row.name}, {each.saved.protocol}"
            yield Printed(title, list(means), [[f"{100 * mean:.2f}" for mean in means.values()]])
        if each.saved.row.kind == "perplexity":
            yield _perplexity(each)


def _ruler(model: str, tasks: Sequence[Scored]) -> Iterator[Printed]:
    if not tasks:
        return
    scores = {each.saved.row.part: {int(name): score for name, score in each.scores.items()} for each in tasks}
    lengths = sorted({length for its in scores.values() for length in its})
    rows = [
        [name, *(f"{100 * its[length]:.2f}" if length in its else "-" for length in lengths)]
        for name, its in scores.items()
    ]
    yield Printed("RULER, official", ["task", *(f"{length:,}" for length in lengths)], rows)
    if len({frozenset(its) for its in scores.values()}) == 1:
        over = f"RULER, means over {len(scores)} of 13 tasks" if len(scores) < 13 else "RULER, means over 13 tasks"
        yield Printed(over, headings(lengths), [table_row(model, "", over_tasks(scores))])


def _perplexity(task: Scored) -> Printed:
    by_id: Mapping[str, float] = task.metrics[perplexity.LOG_LIKELIHOOD]
    cells = [f"{len(by_id):,}", f"{fmean(by_id.values()):.4f}", f"{perplexity.perplexity(task.metrics):.4f}"]
    title = f"{task.saved.row.name}, {task.saved.protocol}"
    return Printed(title, ["texts", "log-likelihood, nats a token", "perplexity"], [cells])
