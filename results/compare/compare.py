"""Runs side by side: scores, what they gained and lost against the first, and whether chance alone explains it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from flagbench import BadInput, first_few, printable
from flagbench.results.compare.settings import settings_differ, settings_mixed
from flagbench.results.contradictions import contradicted
from flagbench.results.data_state import DataState
from flagbench.results.figures import PERCENT, Scale, of_one_scale, scale_of
from flagbench.results.record import TaskRecord
from flagbench.results.recorded_averages import recorded_averages
from flagbench.results.runs import Run, difference, other_queries, surely_alike
from flagbench.results.statistics import holm
from flagbench.results.tested import Tested, tested

ALPHA = 0.05
"""Of all tests of a comparison together."""

EQUAL = 1e-9
"""Scores that are this near are equal: they differ in the order of additions."""


@dataclass(frozen=True)
class Cell:
    """One task of one run.

    Attributes:
        status: Of the task; ``missing`` where the run has not got it.
        score: As it is recorded: 0 to 1 in most cases.
        delta: To the first run; None unless both have a score of the whole task.
        test: Against the first run.
        untested: Why there is no test; empty where there is one, and for the first run.
        note: Note in the record on the score, or the error.
    """

    status: Literal["success", "partial", "error", "missing"]
    score: float | None = None
    delta: float | None = None
    test: Tested | None = None
    untested: str = ""
    note: str = ""

    @property
    def whole(self) -> float | None:
        """The score, where it is of the whole task."""
        return self.score if self.status == "success" else None


@dataclass(frozen=True)
class Line:
    """One task.

    Attributes:
        task: Name.
        kind: MTEB's task type.
        main_score: Name of the metric.
        cells: One for each run.
        notes: Notes on comparing them, besides differences.
        differences: Why their scores do not compare, where that was allowed.
    """

    task: str
    kind: str
    main_score: str
    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()

    @property
    def scale(self) -> Scale:
        """How its scores are shown."""
        return scale_of(self.main_score)


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
    """

    label: str
    tasks: int
    scores: tuple[float | None, ...]
    deltas: tuple[float | None, ...]
    note: str = ""
    metric: str = ""

    @property
    def scale(self) -> Scale:
        """How its scores are shown."""
        return scale_of(self.metric)


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        runs: The others are compared with the first.
        lines: The tasks, in the order in which the runs name them.
        averages: Of each task type, where there are several, those that all runs record (over the data sets of a
            folder), and last of all.
        tallies: Tasks won, tied and lost against the first run, for each run.
        seed: Of the tests.
    """

    runs: tuple[Run, ...]
    lines: tuple[Line, ...]
    averages: tuple[Average, ...]
    tallies: tuple[tuple[int, int, int], ...]
    seed: int

    @property
    def differences(self) -> tuple[str, ...]:
        """Why scores do not compare, where that was allowed."""
        return tuple(each for line in self.lines for each in line.differences)

    @property
    def settings(self) -> tuple[str, ...]:
        """For each run the line on settings that differ from the first run's, empty where none do."""
        first, *others = (run.record for run in self.runs)
        return ("", *(settings_differ(first, other) for other in others))

    @property
    def mixed(self) -> tuple[str, ...]:
        """For each run the line on settings that differ between its own tasks, empty where none do."""
        return tuple(settings_mixed(run.record.tasks.values(), run.record.spec) for run in self.runs)

    @property
    def missing(self) -> tuple[tuple[str, ...], ...]:
        """For each run the tasks that others have and it has not."""
        return tuple(
            tuple(line.task for line in self.lines if line.cells[at].status == "missing")
            for at in range(len(self.runs))
        )


def compare(
    runs: Sequence[Run], *, allow_differences: bool = False, seed: int = 0, tests: Collection[str] | None = None
) -> Comparison:
    """Put runs side by side.

    Args:
        runs: Two or more; the others are compared with the first.
        allow_differences: Compare tasks even if their data, splits, subsets, items or main scores differ.
        seed: Of the permutations and the resamples.
        tests: Tasks to test, where they do not differ; None for all that can be.

    Raises:
        BadInput: There is one run only, or no task in two of them, or a task differs, or a file is damaged.
    """
    if len(runs) < 2:
        raise BadInput(f"{runs[0].label if runs else 'nothing'} is one run only: name two runs or more to compare")
    names = list(dict.fromkeys(name for run in runs for name in run.record.tasks))
    if not any(sum(name in run.record.tasks for run in runs) > 1 for name in names):
        ran = "; ".join(f"{run.label} ran {first_few(map(printable, run.record.tasks)) or 'nothing'}" for run in runs)
        raise BadInput(f"the runs have no task in common ({ran}): name runs of the same tasks")
    return side_by_side(runs, allow_differences=allow_differences, seed=seed, tests=tests)


def side_by_side(
    runs: Sequence[Run],
    *,
    allow_differences: bool = False,
    seed: int = 0,
    tests: Collection[str] | None = None,
    by_query: bool = True,
) -> Comparison:
    """The same of any runs: of one alone as well, and of some that share no task.

    Args:
        runs: One or more.
        allow_differences: See ``compare``.
        seed: See ``compare``.
        tests: See ``compare``.
        by_query: Read the values by query; without them nothing is tested, which is quick.

    Raises:
        BadInput: A task differs, or a file is damaged.
    """
    lines = []
    for name in dict.fromkeys(name for run in runs for name in run.record.tasks):
        line = _line(name, runs, seed, tests if by_query else (), by_query=by_query and len(runs) > 1)
        if line.differences and not allow_differences:
            raise BadInput(f"{line.differences[0]}; compare runs over the same data, or use --allow-differences")
        lines.append(line)
    lines = _corrected(lines)
    tallies = tuple(_tally(lines, at) for at in range(len(runs)))
    return Comparison(tuple(runs), tuple(lines), tuple(_averages(lines, runs)), tallies, seed)


def _line(task: str, runs: Sequence[Run], seed: int, tests: Collection[str] | None, *, by_query: bool) -> Line:
    """One task of all runs."""
    records = [run.record.tasks.get(task) for run in runs]
    values = [run.values(task) if record and by_query else None for run, record in zip(runs, records, strict=True)]
    scored = [
        (run, record, its)
        for run, record, its in zip(runs, records, values, strict=True)
        if record and record.score is not None
    ]
    differences: list[str] = []
    notes: list[str] = []
    for run, record, its in scored[1:]:
        base, first, one = scored[0]
        found = [*difference(first, record), *other_queries(first, record, one, its)]
        differences += [f"{base.label} and {run.label} differ in {printable(task)}: {each}" for each in found]
        if not found and not surely_alike(first, record):
            notes.append(f"{run.label} and {base.label} may be over different data, as nothing recorded tells")
    states = {DataState.of(record.data) for record in records if record and record.data}
    notes += [state.words for state in DataState if state in states and state.marked]
    for run, record, its in scored:
        if said := contradicted(record, its):
            notes.append(f"{run.label}: {printable(said)}")
    cells = [_cell(record) for record in records]
    for at in range(1, len(runs)):
        if tests is None or (task in tests and not differences):
            result = tested(task, (runs[0], runs[at]), (values[0], values[at]), seed)
        else:
            result = "not asked for"
        before, after = cells[0].whole, cells[at].whole
        delta = after - before if before is not None and after is not None else None
        cells[at] = replace(
            cells[at],
            delta=delta,
            test=None if isinstance(result, str) else result,
            untested=result if isinstance(result, str) else "",
        )
    known = next(record for record in records if record)
    return Line(task, known.kind, known.main_score, tuple(cells), tuple(notes), tuple(differences))


def _cell(record: TaskRecord | None) -> Cell:
    if record is None:
        return Cell("missing")
    if record.status == "error":
        return Cell("error", note=record.error)
    return Cell(record.status, record.score, note=record.note)


def _corrected(lines: Sequence[Line]) -> list[Line]:
    """The same lines, with Holm's correction over all tests in them."""
    adjusted = iter(holm([cell.test.paired.p for line in lines for cell in line.cells if cell.test]).tolist())

    def corrected(cell: Cell) -> Cell:
        if cell.test is None:
            return cell
        p = next(adjusted)
        return replace(cell, test=replace(cell.test, adjusted=p, significant=p <= ALPHA))

    return [replace(line, cells=tuple(corrected(cell) for cell in line.cells)) for line in lines]


def _tally(lines: Sequence[Line], at: int) -> tuple[int, int, int]:
    deltas = [line.cells[at].delta for line in lines]
    known = [0.0 if abs(delta) <= EQUAL else delta for delta in deltas if delta is not None]
    return sum(each > 0 for each in known), sum(each == 0 for each in known), sum(each < 0 for each in known)


def _averages(lines: Sequence[Line], runs: Sequence[Run]) -> Iterator[Average]:
    every = [line for line in lines if all(cell.whole is not None for cell in line.cells)]
    shared = _of_one_scale(every)
    kinds = list(dict.fromkeys(line.kind for line in every))
    of_kind = {kind: _of_one_scale([line for line in every if line.kind == kind]) for kind in kinds}
    groups = {f"{kind} mean": its for kind, its in of_kind.items() if len(kinds) > 1}
    recorded = {label: _of_one_scale(its) for label, its in _recorded(every, runs)}
    # One that the runs record and that is over all of them is the average of the comparison, under its own name.
    whole = next((label for label, its in recorded.items() if len(its) == len(shared)), "average")
    groups |= {label: its for label, its in recorded.items() if label != whole}
    for label, its in {**groups, whole: shared}.items():
        first, *others = (_mean(its, at, run) for at, run in enumerate(runs))
        deltas = (None if first is None or score is None else score - first for score in others)
        metric = next((line.main_score for line in its if line.scale is not PERCENT), "")
        yield Average(label, len(its), (first, *others), (None, *deltas), metric=metric)


def _of_one_scale(lines: Sequence[Line]) -> Sequence[Line]:
    """The tasks that are averaged together."""
    return of_one_scale(lines, lambda line: line.main_score)


def _recorded(shared: Sequence[Line], runs: Sequence[Run]) -> Iterator[tuple[str, Sequence[Line]]]:
    """The averages that every run records, where all runs have all of their tasks."""
    by_run = [recorded_averages(run.record.tasks.values()) for run in runs]
    there = {line.task: line for line in shared}
    for benchmark, averages in by_run[0].items():
        for label, tasks in averages.items():
            everywhere = all(tasks in its.get(benchmark, {}).values() for its in by_run)
            if everywhere and there.keys() >= set(tasks):
                yield label, [there[task] for task in tasks]


def _mean(lines: Sequence[Line], at: int, run: Run) -> float | None:
    """The mean of a run over tasks; None without any, or where they ran with different settings."""
    if not lines or settings_mixed((run.record.tasks[line.task] for line in lines), run.record.spec):
        return None
    return fmean(line.cells[at].score or 0.0 for line in lines)
