"""One run's task against another's, query by query, and an average's over the items of all of its tasks."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flagbench.results.averages import Cell
from flagbench.results.runs import Run, shared_metric
from flagbench.results.values import Values

if TYPE_CHECKING:
    from flagbench.results.paired import Differences, Paired


@dataclass(frozen=True)
class Tested:
    """One run against the first, query by query.

    Attributes:
        metric: The metric that the values are of.
        queries: Queries with values in the first run and in this one.
        paired: Over the queries that both have.
        adjusted: P-value after Holm's correction for all tests of the comparison.
        significant: Whether that is small enough.
    """

    metric: str
    queries: tuple[int, int]
    paired: Paired
    adjusted: float = 1.0
    significant: bool = False


@dataclass(frozen=True)
class Shared:
    """The items of a task that two runs have values of.

    Attributes:
        metric: The metric that the values are of.
        queries: Queries with values in the first run and in the second.
        differences: Over those that both have.
    """

    metric: str
    queries: tuple[int, int]
    differences: Differences


def shared(
    task: str,
    runs: tuple[Run, Run],
    values: tuple[Values | None, Values | None],
    seed: int,
    shares: Mapping[Cell, float] | None = None,
) -> Shared | str:
    """Pair the items of a task.

    Args:
        task: Name.
        runs: The two.
        values: Theirs, by query.
        seed: Seed of all tests; each task's draws depend on its name as well, and on no other task.
        shares: See ``Values.of``.

    Returns:
        The items, or why there are none.
    """
    from flagbench.results.paired import Differences

    first, second = (run.record.tasks.get(task) for run in runs)
    if first is None or second is None or first.score is None or second.score is None:
        return "one of the two runs has no score"
    one, other = values
    if one is None or other is None:
        without = [run.label for run, its in zip(runs, values, strict=True) if its is None]
        return f"no values per item in {' and '.join(without)}"
    metric = shared_metric((first, second), (one, other))
    if metric is None:
        return "the scores are not the means of the values by query"
    before, after = one.of(metric, shares), other.of(metric, shares)
    ids = [id_ for id_ in before if id_ in after]
    if not ids:
        return "no query is in both runs"
    names = one.clusters_of(ids, metric) or other.clusters_of(ids, metric)
    seeds = (seed, zlib.crc32(task.encode("utf-8", "surrogatepass")))
    found = Differences([before[id_] for id_ in ids], [after[id_] for id_ in ids], clusters=names, seed=seeds)
    return Shared(metric, (len(before), len(after)), found)


def draw(several: Sequence[Shared | str]) -> None:
    """Draw for the items of several pairs of runs at once, which takes much less time and finds the same.

    Args:
        several: See ``shared``; what has no items is left as it is.
    """
    from flagbench.results.paired import draw_together

    draw_together([its.differences for its in several if not isinstance(its, str)])


def tested(its: Shared | str) -> Tested | str:
    """The test of the second run against the first on a task; why there is none where its items are not paired.

    Args:
        its: See ``shared``.
    """
    from flagbench.results.paired import Strata

    if isinstance(its, str):
        return its
    strata = Strata()
    strata.add(its.differences)
    return Tested(its.metric, its.queries, strata.result())


def corrected(tests: Sequence[Tested], alpha: float) -> list[Tested]:
    """The same tests, with Holm's correction for being many.

    Args:
        tests: All that are asked together.
        alpha: Of all of them.
    """
    from flagbench.results.statistics import holm

    ps = holm([test.paired.p for test in tests]).tolist()
    return [replace(test, adjusted=p, significant=p <= alpha) for test, p in zip(tests, ps, strict=True)]
