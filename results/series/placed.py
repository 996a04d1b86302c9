"""Runs of one model after the other, as the checkpoints of a training run are: the best, and what is as good as it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flagbench import BadInput
from flagbench.results.averages import Averages, Weights, alike, weights
from flagbench.results.figures import Scale, joint_scale
from flagbench.results.record import TaskRecord
from flagbench.results.runs import Run
from flagbench.results.series.choice import Against, choose
from flagbench.results.series.scores import scores_over


@dataclass(frozen=True)
class Placed:
    """A run of a series.

    Attributes:
        run: It.
        score: The weighted mean of the scores of its tasks; None where it has none that compares.
        lacking: Why it has no score; empty where it has one.
        best: Whether it is the best, of equal ones the first.
        against: The test against the best; None for the best itself, and where there is none.
        inconclusive: Why it is not known whether it is worse than the best; empty where it is, and for the best.
    """

    run: Run
    score: float | None
    lacking: str = ""
    best: bool = False
    against: Against | None = None
    inconclusive: str = ""

    @property
    def worse(self) -> bool | None:
        """Whether it is significantly worse than the best; None where that is not known."""
        if self.best:
            return False
        return None if self.against is None or self.inconclusive else self.against.worse


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
    """Find the best run, and test it against each of the others, as is done for the points of a curve.

    Args:
        runs: In the order of the series, all evaluated alike.
        of: Weights of the tasks of the mean; they add up to 1.
        tests: False to find the best alone, which is quick.
        seed: Of the draws.

    Returns:
        One for each run, in order.

    Raises:
        BadInput: A file of values per query is damaged.
    """
    scores = scores_over(of, dict(enumerate(runs)), seed=seed, by_query=tests, apart=lambda _: False)
    chosen = choose(scores, range(len(runs)), scores.means())
    best = chosen.best
    made = []
    for at, run in enumerate(runs):
        if best is None or at not in scores.scores:
            made.append(Placed(run, None, scores.gaps[at]))
        elif at == best:
            made.append(Placed(run, scores.scores[at], best=True))
        else:
            why = chosen.too_few if at in chosen.tests else scores.untested(at, best)
            made.append(Placed(run, scores.scores[at], against=chosen.tests.get(at), inconclusive=why))
    return made
