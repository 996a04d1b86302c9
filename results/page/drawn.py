"""The series among some runs, with the averages that benchmarks take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from flagbench import printable
from flagbench.results.averages import Weights, weights
from flagbench.results.page.boards import FULL, averages_over, parts_of
from flagbench.results.page.miniature import mixed
from flagbench.results.recorded_averages import recorded_averages
from flagbench.results.runs import Run
from flagbench.results.series.curves import Drawn, draw

if TYPE_CHECKING:
    from flagbench.results.page.benchmark import Benchmark


def drawn_of(
    runs: Sequence[Run], benchmarks: Mapping[str, Benchmark], *, seed: int = 0, by_query: bool = True
) -> Drawn:
    """The series among some runs.

    Args:
        runs: In any order.
        benchmarks: By the name that records have.
        seed: Of the tests.
        by_query: Read the values by query, without which nothing is tested.

    Raises:
        BadInput: A file of values is gone or damaged.
    """
    means = benchmark_means(runs, benchmarks)
    return draw(runs, means, apart=partial(mixed, benchmarks=benchmarks), seed=seed, by_query=by_query)


def is_series(drawn: Drawn, runs: Sequence[Run]) -> bool:
    """Tell whether all runs are on the curves of one series."""
    return len(drawn.curves) == 1 and len(drawn.placed) == len(runs)


def best_first(runs: Sequence[Run], benchmarks: Mapping[str, Benchmark]) -> list[Run]:
    """The runs of a folder, where nobody said what the others are compared with: of one series its best, and the others
    along the axis; all else as they are.

    Args:
        runs: In any order.
        benchmarks: By the name that records have.
    """
    drawn = drawn_of(runs, benchmarks, by_query=False)
    if not is_series(drawn, runs) or drawn.best is None:
        return list(runs)
    order = dict.fromkeys([drawn.best, *drawn.curves[0].series.order])
    return [runs[at] for at in order]


def benchmark_means(runs: Sequence[Run], benchmarks: Mapping[str, Benchmark]) -> dict[str, Weights]:
    """The weights of tasks in each average of a benchmark that a run has a task of; of those that lie in one another,
    the largest.

    Args:
        runs: In any order.
        benchmarks: By the name that records have.
    """
    found: dict[str, Weights] = {}
    recorded = recorded_averages(record for run in runs for record in run.record.tasks.values())
    for name, label, profile in dict.fromkeys(part for run in runs for part in parts_of(run, benchmarks, recorded)):
        averages = averages_over(name, profile, benchmarks, recorded)
        if label in averages:
            title = benchmarks[name].title if name in benchmarks else printable(name)
            found[" ".join([title, *([] if profile == FULL else [profile]), label])] = weights(averages, label)
    return found
