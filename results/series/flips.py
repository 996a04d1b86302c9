"""Sign-flip tests of many runs against one, over the items of one task or of several: those of runs side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flagbench.results.paired import Differences, Flips, flip_together


def sign_flip_ps(tasks: Iterable[tuple[Sequence[Differences], float]]) -> list[float]:
    """The p-values that ``Strata`` gives of each run: drawing the patterns is what takes its time, and runs with as
    many differences that are not 0 have the same ones.

    Args:
        tasks: The differences of each run on a task, in one order of runs, and the weight of the task.
    """
    flips: list[Flips] = []
    for differences, weight in tasks:
        flips = flips or [Flips() for _ in differences]
        flip_together(differences)
        for run, its in zip(flips, differences, strict=True):
            run.add(its, weight)
    return [run.test().p for run in flips]
