"""One run's task against another's, query by query."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flagbench.results.runs import Run, shared_metric
from flagbench.results.values import Values

if TYPE_CHECKING:
    from flagbench.results.statistics import Paired


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


def tested(
    task: str,
    runs: tuple[Run, Run],
    values: tuple[Values | None, Values | None],
    seed: int,
) -> Tested | str:
    """Test the second run against the first over the queries that both have.

    Args:
        task: Name.
        runs: The two.
        values: Theirs, by query.
        seed: Seed of all tests; each task's draws depend on its name as well, and on no other task.

    Returns:
        The test, or why there is none.
    """
    from flagbench.results.statistics import paired

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
    before, after = one.of(metric), other.of(metric)
    ids = [id_ for id_ in before if id_ in after]
    if not ids:
        return "no query is in both runs"
    seeds = (seed, zlib.crc32(task.encode("utf-8", "surrogatepass")))
    found = paired([before[id_] for id_ in ids], [after[id_] for id_ in ids], seed=seeds)
    return Tested(metric, (len(before), len(after)), found)
