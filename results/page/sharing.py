"""Which runs are put side by side."""

from __future__ import annotations

from collections.abc import Sequence

from flagbench.results.runs import Run


def sharing(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs in groups: two with a task in common are in one."""
    groups: list[tuple[set[str], list[Run]]] = []
    for run in runs:
        tasks = set(run.record.tasks)
        mine = [group for group in groups if group[0] & tasks]
        groups = [group for group in groups if not group[0] & tasks]
        groups.append((tasks.union(*(each for each, _ in mine)), [*(one for _, each in mine for one in each), run]))
    order = {id(run): at for at, run in enumerate(runs)}
    members = [sorted(each, key=lambda run: order[id(run)]) for _, each in groups]
    return sorted(members, key=lambda each: order[id(each[0])])
