"""``--log``: the scores of runs, given to trackers once they are on disk."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from flagbench import BadInput, first_few, in_one_line
from flagbench.results.averages import Averages
from flagbench.results.runs import Run, find_run
from flagbench.runners.run.plan import Plan
from flagbench.runners.terminal import console, say
from flagbench.runners.trackers.log import log
from flagbench.runners.trackers.of_run import point_of
from flagbench.runners.trackers.target import Target


def log_plan(plan: Plan, targets: Sequence[Target]) -> bool:
    """Give the scores of a plan that has run to trackers.

    Args:
        plan: What ran.
        targets: The trackers; none is fine.

    Returns:
        Whether all of them have the scores. What keeps one from them is a line, and nothing else.
    """
    if not targets:
        return True
    try:
        run = find_run(plan.store.run_file)
    except BadInput as error:  # no task has a result
        say(console(stderr=True), f"flagbench: nothing is logged: {in_one_line(error)}")
        return False
    return log_run(run, plan.averages, targets, [step.task.name for step in plan.steps])


def log_run(run: Run, averages: Averages, targets: Sequence[Target], names: Collection[str] | None = None) -> bool:
    """Give the scores of a finished run to trackers: see ``log_plan``.

    Args:
        run: It.
        averages: Of its benchmark.
        targets: The trackers.
        names: Of the tasks that count; None for all.
    """
    err = console(stderr=True)
    try:
        point = point_of(run, averages, names)
    except BadInput as error:
        say(err, f"flagbench: nothing is logged: {in_one_line(error)}")
        return False
    if not log(point, targets, lambda line: say(err, f"flagbench: {line}")):
        return False
    where = first_few(map(str, targets), 3)
    step = f", step {point.step:,}" if point.step else ""
    say(err, f"logged    {len(point.scores):,} scores of {point.series}{step} to {where}")
    return True
