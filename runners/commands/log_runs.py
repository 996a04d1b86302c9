"""``--log``: the scores of runs, given to trackers once they are on disk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from flagbench import BadInput, first_few, in_one_line
from flagbench.results.averages import Averages
from flagbench.results.runs import Run, find_run
from flagbench.runners.run.plan import Plan
from flagbench.runners.terminal import console, say
from flagbench.runners.trackers.log import log, log_all
from flagbench.runners.trackers.of_run import point_of
from flagbench.runners.trackers.point import Point
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
    point = _point(run, averages, names)
    if point is None or not log(point, targets, _warn):
        return False
    _say_logged(point, targets)
    return True


def log_finished(runs: Iterable[tuple[Run, Averages]], targets: Sequence[Target]) -> None:
    """Give the scores of finished runs to trackers, all of them to a tracker in one process.

    Args:
        runs: They, with the averages of their benchmarks.
        targets: The trackers.
    """
    points = [point for run, averages in runs if (point := _point(run, averages, None))]
    for point, taken in zip(points, log_all(points, targets, _warn), strict=True):
        if taken:
            _say_logged(point, targets)


def _point(run: Run, averages: Averages, names: Collection[str] | None) -> Point | None:
    try:
        return point_of(run, averages, names)
    except BadInput as error:
        _warn(f"nothing is logged: {in_one_line(error)}")
        return None


def _warn(line: str) -> None:
    say(console(stderr=True), f"flagbench: {line}")


def _say_logged(point: Point, targets: Sequence[Target]) -> None:
    where = first_few(map(str, targets), 3)
    step = f", step {point.step:,}" if point.step else ""
    say(console(stderr=True), f"logged    {len(point.scores):,} scores of {point.series}{step} to {where}")
