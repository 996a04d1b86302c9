"""Averages of runs side by side: over which tasks they are, and their tests over the items of all of these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from flagbench import printable
from flagbench.results.averages import Weights, alike, shares
from flagbench.results.compare.settings import settings_mixed
from flagbench.results.figures import PERCENT, Ends, Scale, of_one_scale, scale_of
from flagbench.results.record import TaskRecord
from flagbench.results.recorded_averages import recorded_averages
from flagbench.results.runs import Run
from flagbench.results.tested import Shared, Tested, shared
from flagbench.results.uncertainty import of_average
from flagbench.results.values import Values

if TYPE_CHECKING:
    from flagbench.results.compare.compare import Line
    from flagbench.results.paired import Strata

Key = tuple[str, int]
"""Label of an average, and place of the run that is compared with the first."""


@dataclass(frozen=True)
class Average:
    """A mean over tasks of which all runs have whole scores; of scores of several units, over those in percent.

    Attributes:
        label: Of which.
        tasks: How many.
        scores: One for each run, None without tasks, and where its tasks ran with different settings.
        deltas: To the first run's, None for that, and where one of the two has no score.
        note: Why a score is None where its tasks have no mean.
        metric: Main score of its tasks, where these are not in percent; empty where they are.
        tests: Against the first run, over the items of all tasks; None for that, and where there is none. Empty where
            nothing was tested.
        untested: Why there is no test, for each run; empty where there is one, and for the first run.
        ends: Of the 95% interval of each score; None where it is not known.
    """

    label: str
    tasks: int
    scores: tuple[float | None, ...]
    deltas: tuple[float | None, ...]
    note: str = ""
    metric: str = ""
    tests: tuple[Tested | None, ...] = ()
    untested: tuple[str, ...] = ()
    ends: tuple[Ends | None, ...] = ()

    @property
    def scale(self) -> Scale:
        """How its scores are shown."""
        return scale_of(self.metric)


def averaged(lines: Sequence[Line], runs: Sequence[Run]) -> dict[str, Sequence[Line]]:
    """The tasks of each average: of each task type, where there are several, those that all runs record, and last all.

    Args:
        lines: All tasks.
        runs: In the order of their cells.
    """
    every = [line for line in lines if all(cell.whole is not None for cell in line.cells)]
    shared_by_all = _of_one_scale(every)
    kinds = list(dict.fromkeys(line.kind for line in every))
    of_kind = {kind: _of_one_scale([line for line in every if line.kind == kind]) for kind in kinds}
    groups = {f"{kind} mean": its for kind, its in of_kind.items() if len(kinds) > 1}
    recorded = {label: _of_one_scale(its) for label, its in _recorded(every, runs)}
    # One that the runs record and that is over all of them is the average of the comparison, under its own name.
    whole = next((label for label, its in recorded.items() if len(its) == len(shared_by_all)), "average")
    groups |= {label: its for label, its in recorded.items() if label != whole}
    return {**groups, whole: shared_by_all}


def averages(
    groups: Mapping[str, Sequence[Line]], runs: Sequence[Run], tests: Mapping[Key, Tested | str]
) -> Iterator[Average]:
    """The averages.

    Args:
        groups: The tasks of each, see ``averaged``.
        runs: In the order of the cells.
        tests: Of averages, or why there is none; empty where nothing was tested.
    """
    for label, its in groups.items():
        first, *others = (_mean(its, at, run) for at, run in enumerate(runs))
        deltas = (None, *(None if first is None or score is None else score - first for score in others))
        metric = next((line.main_score for line in its if line.scale is not PERCENT), "")
        found = [tests.get((label, at), "") if delta is not None else "" for at, delta in enumerate(deltas)]
        yield Average(
            label,
            len(its),
            (first, *others),
            deltas,
            metric=metric,
            tests=tuple(None if isinstance(each, str) else each for each in found) if tests else (),
            untested=tuple(each if isinstance(each, str) else "" for each in found) if tests else (),
            ends=tuple(_ends(its, run, score) for run, score in zip(runs, (first, *others), strict=True)),
        )


def weights_of(groups: Mapping[str, Sequence[Line]]) -> dict[str, Weights]:
    """The weights of averages that are tested: those of several tasks, all alike."""
    return {label: alike([line.task for line in its]) for label, its in groups.items() if len(its) > 1}


class AverageTests:
    """Tests of averages, to which tasks are added one by one, so that the items of one are in memory at a time.

    Args:
        averages: Weights of their tasks.
    """

    def __init__(self, averages: Mapping[str, Weights]) -> None:
        self._averages = averages
        self._strata: dict[Key, Strata] = {}
        self._without: dict[Key, str] = {}
        self._queries: dict[Key, list[tuple[int, int]]] = {}

    def over(self, task: str) -> bool:
        """Tell whether an average is over a task."""
        return any(task in of for of in self._averages.values())

    def add(
        self,
        task: str,
        at: int,
        runs: tuple[Run, Run],
        values: tuple[Values | None, Values | None],
        seed: int,
        whole: Shared | str,
    ) -> None:
        """Add the items of a task.

        Args:
            task: Name.
            at: Place of the second run.
            runs, values, seed: See ``shared``.
            whole: Its items where all of its parts count alike.
        """
        from flagbench.results.paired import Strata

        for label, of in self._averages.items():
            if task not in of:
                continue
            parts = shares(of, task, _scores(runs[0].record.tasks.get(task)))
            items = whole if parts is None or isinstance(whole, str) else shared(task, runs, values, seed, parts)
            if isinstance(items, str):
                self._without.setdefault((label, at), f"{printable(task)}: {items}")
                continue
            self._strata.setdefault((label, at), Strata()).add(items.differences, of[task])
            self._queries.setdefault((label, at), []).append(items.queries)

    def results(self) -> dict[Key, Tested | str]:
        """The tests, not yet corrected for being many; of an average of which a task has none, why."""
        found: dict[Key, Tested | str] = dict(self._without)
        for key, strata in self._strata.items():
            label, _ = key
            if len(self._queries[key]) < len(self._averages[label]):
                found.setdefault(key, "not all of its tasks are there")
                continue
            one, other = (sum(counts) for counts in zip(*self._queries[key], strict=True))
            found.setdefault(key, Tested("", (one, other), strata.result()))
        return found


def _scores(record: TaskRecord | None) -> Mapping[str, Mapping[str, float]]:
    return record.scores if record else {}


def _ends(lines: Sequence[Line], run: Run, score: float | None) -> Ends | None:
    """The ends of the interval of an average of a run."""
    records = [run.record.tasks[line.task] for line in lines]
    found = of_average(alike([line.task for line in lines]), score, records) if lines else None
    return found.ends if found else None


def _of_one_scale(lines: Sequence[Line]) -> Sequence[Line]:
    """The tasks that are averaged together."""
    return of_one_scale(lines, lambda line: line.main_score)


def _recorded(lines: Sequence[Line], runs: Sequence[Run]) -> Iterator[tuple[str, Sequence[Line]]]:
    """The averages that every run records, where all runs have all of their tasks."""
    by_run = [recorded_averages(run.record.tasks.values()) for run in runs]
    there = {line.task: line for line in lines}
    for benchmark, its in by_run[0].items():
        for label, tasks in its.items():
            everywhere = all(tasks in each.get(benchmark, {}).values() for each in by_run)
            if everywhere and there.keys() >= set(tasks):
                yield label, [there[task] for task in tasks]


def _mean(lines: Sequence[Line], at: int, run: Run) -> float | None:
    """The mean of a run over tasks; None without any, or where they ran with different settings."""
    if not lines or settings_mixed((run.record.tasks[line.task] for line in lines), run.record.spec):
        return None
    return fmean(line.cells[at].score or 0.0 for line in lines)
