"""Runs of one model after the other, as the checkpoints of a training run are: the best, and what is as good as it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flagbench import BadInput, first_few, printable
from flagbench.results.averages import Averages, Weights, alike, average, lacking, weights, whole_scores
from flagbench.results.compare.compare import ALPHA, EQUAL
from flagbench.results.figures import Scale, joint_scale
from flagbench.results.record import TaskRecord
from flagbench.results.runs import Run, difference, other_queries, shared_metric

if TYPE_CHECKING:
    from flagbench.results.statistics import Paired


@dataclass(frozen=True)
class Placed:
    """A run of a series.

    Attributes:
        run: It.
        score: The weighted mean of the scores of its tasks; None while one of them has none over all of its data.
        lacking: Why it has no score; empty where it has one.
        best: Whether it is the best, of equal ones the first.
        paired: The best against it, query by query; None for the best itself, and where there is no test.
        adjusted: P-value after Holm's correction for all tests of the series.
        untested: Why there is no test; empty where there is one, and for the best.
    """

    run: Run
    score: float | None
    lacking: str = ""
    best: bool = False
    paired: Paired | None = None
    adjusted: float = 1.0
    untested: str = ""

    @property
    def worse(self) -> bool | None:
        """Whether it is significantly worse than the best; None where there is no test."""
        if self.best:
            return False
        return None if self.paired is None else self.adjusted <= ALPHA


def weights_over(tasks: Sequence[str], averages: Averages) -> Weights:
    """The weights of tasks in their mean: the benchmark's own where one of its averages is over just these, else alike.

    Args:
        tasks: Names, one or more.
        averages: Of the benchmark; of several over the same tasks the last counts, as on its leaderboard.
    """
    own = [weights(averages, label) for label in averages]
    return next((of for of in reversed(own) if of.keys() == set(tasks)), alike(tasks))


def scale_over(records: Sequence[TaskRecord]) -> Scale:
    """How the mean of tasks is shown.

    Raises:
        BadInput: They have scores of several units, which have no mean.
    """
    scale = joint_scale(record.main_score for record in records)
    if scale is None:
        raise BadInput("the tasks have scores of different units, which have no mean: choose one with --metric-task")
    return scale


def placed(runs: Sequence[Run], of: Weights, *, tests: bool = True, seed: int = 0) -> list[Placed]:
    """Find the best run, and test it against each of the others.

    A test is the one of ``flagbench compare`` (sign flips of the paired differences, by query), over the queries of all
    tasks together: each weighs as much as it does in the mean, so that what is tested is the difference of the means.

    Args:
        runs: In the order of the series.
        of: Weights of the tasks of the mean; they add up to 1.
        tests: False to find the best alone, which is quick.
        seed: Of the draws.

    Returns:
        One for each run, in order.

    Raises:
        BadInput: A file of values per query is damaged.
    """
    from flagbench.results.statistics import holm

    found = [_scored(run, of) for run in runs]
    scores = [each.score for each in found if each.score is not None]
    if not scores:
        return found
    best = next(at for at, each in enumerate(found) if each.score is not None and each.score >= max(scores) - EQUAL)
    found[best] = replace(found[best], best=True)
    others = [at for at, each in enumerate(found) if tests and at != best and each.score is not None]
    for at in others:
        result = _tested(found[at].run, found[best].run, of, seed)
        found[at] = replace(found[at], **({"untested": result} if isinstance(result, str) else {"paired": result}))
    tested = [at for at in others if found[at].paired]
    adjusted = holm([its.p for at in tested if (its := found[at].paired)]).tolist()
    for at, p in zip(tested, adjusted, strict=True):
        found[at] = replace(found[at], adjusted=p)
    return found


def _scored(run: Run, of: Weights) -> Placed:
    scores = whole_scores(of, run.record.tasks.values())
    if absent := lacking(of, scores):
        return Placed(run, None, f"{first_few(map(printable, absent), 3)} without a score over all of its data")
    return Placed(run, average(of, scores))


def _tested(first: Run, second: Run, of: Weights, seed: int) -> Paired | str:
    """The second run against the first in the mean over tasks, or why there is no test."""
    from flagbench.results.statistics import paired

    rows: list[tuple[float, Sequence[float], Sequence[float]]] = []
    for task, weight in of.items():
        pair = _by_query(task, first, second)
        if isinstance(pair, str):
            return f"{printable(task)}: {pair}"
        rows.append((weight, *pair))
    total = sum(len(before) for _, before, _ in rows)
    both: tuple[list[float], list[float]] = ([], [])
    for weight, *values in rows:
        # So the mean of all is the weighted mean of the means of tasks.
        factor = weight * total / len(values[0])
        for side, its in zip(both, values, strict=True):
            side += [factor * value for value in its]
    return paired(*both, seed=seed)


def _by_query(task: str, first: Run, second: Run) -> tuple[list[float], list[float]] | str:
    records = first.record.tasks[task], second.record.tasks[task]
    values = first.values(task), second.values(task)
    if differ := [*difference(*records), *other_queries(*records, *values)]:
        return differ[0]
    if values[0] is None or values[1] is None:
        return "it leaves no values per item"
    metric = shared_metric(records, (values[0], values[1]))
    if metric is None:
        return "its score is not the mean of the values per item"
    before, after = values[0].of(metric), values[1].of(metric)
    ids = [each for each in before if each in after]
    return ([before[each] for each in ids], [after[each] for each in ids]) if ids else "no item is in both runs"
