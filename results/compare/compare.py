"""Runs side by side: scores, what they gained and lost against the first, and whether chance alone explains it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from flagbench import BadInput, first_few, printable
from flagbench.results.averages import Weights
from flagbench.results.compare.averages import Average, AverageTests, Key, averaged, averages, weights_of
from flagbench.results.compare.settings import settings_differ, settings_mixed
from flagbench.results.contradictions import contradicted
from flagbench.results.data_state import DataState
from flagbench.results.figures import Ends, Scale, scale_of
from flagbench.results.record import TaskRecord
from flagbench.results.runs import Run, difference, other_queries, surely_alike
from flagbench.results.statistics import smallest_p
from flagbench.results.tested import Shared, Tested, corrected, draw, shared, tested
from flagbench.results.uncertainty import of_task

ALPHA = 0.05
"""Of all tests of a comparison together."""

EQUAL = 1e-9
"""Scores that are this near are equal: they differ in the order of additions."""

_TOGETHER = 32
"""Runs whose draws for a task are made at once, and are in memory: 8 MB."""


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
        ends: Of the 95% interval of the score; None where it is not known.
    """

    status: Literal["success", "partial", "error", "missing"]
    score: float | None = None
    delta: float | None = None
    test: Tested | None = None
    untested: str = ""
    note: str = ""
    ends: Ends | None = None

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
class Comparison:
    """Runs side by side.

    Attributes:
        runs: The others are compared with the first.
        lines: The tasks, in the order in which the runs name them.
        averages: Of each task type, where there are several, those that all runs record (over the data sets of a
            folder), and last of all.
        tallies: Tasks won, tied and lost against the first run, for each run.
        seed: Of the tests.
        asked: Tests of averages that were asked for by their weights, or why there is none, by label, for each run
            after the first.
    """

    runs: tuple[Run, ...]
    lines: tuple[Line, ...]
    averages: tuple[Average, ...]
    tallies: tuple[tuple[int, int, int], ...]
    seed: int
    asked: Mapping[str, tuple[Tested | str, ...]] = field(default_factory=dict)

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


@dataclass(frozen=True)
class FewItems:
    """Why a test can not be significant.

    Attributes:
        items: Items, or clusters of them, that it is over.
        p: The least p-value that a test over so many can give.
        differ: Whether these are those alone that differ between the runs.
    """

    items: int
    p: float
    differ: bool


def too_few(test: Tested) -> FewItems | None:
    """Whether a test can not be significant, whatever the differences are: it is over too few items, or has an interval
    without 0 though too few of them differ.
    """
    its = test.paired
    if (p := smallest_p(its.clusters)) > ALPHA:
        return FewItems(its.clusters, p, False)
    apart = its.low is not None and its.high is not None and (its.low > 0 or its.high < 0)
    return FewItems(its.moving, its.smallest_p, True) if apart and its.smallest_p > ALPHA else None


def compare(
    runs: Sequence[Run],
    *,
    allow_differences: bool = False,
    seed: int = 0,
    tests: Collection[str] | None = None,
    averages: Mapping[str, Weights] | None = None,
) -> Comparison:
    """Put runs side by side.

    Args:
        runs: Two or more; the others are compared with the first.
        allow_differences: Compare tasks even if their data, splits, subsets, items or main scores differ.
        seed: Of the permutations and the resamples.
        tests: Tasks to test, where they do not differ; None for all that can be.
        averages: Averages to test, by the weights of their tasks, all together with the tasks. None for those of the
            comparison, where all tasks are tested, which are corrected by themselves.

    Raises:
        BadInput: There is one run only, or no task in two of them, or a task differs, or a file is damaged.
    """
    if len(runs) < 2:
        raise BadInput(f"{runs[0].label if runs else 'nothing'} is one run only: name two runs or more to compare")
    names = list(dict.fromkeys(name for run in runs for name in run.record.tasks))
    if not any(sum(name in run.record.tasks for run in runs) > 1 for name in names):
        ran = "; ".join(f"{run.label} ran {first_few(map(printable, run.record.tasks)) or 'nothing'}" for run in runs)
        raise BadInput(f"the runs have no task in common ({ran}): name runs of the same tasks")
    return side_by_side(runs, allow_differences=allow_differences, seed=seed, tests=tests, asked=averages)


def side_by_side(
    runs: Sequence[Run],
    *,
    allow_differences: bool = False,
    seed: int = 0,
    tests: Collection[str] | None = None,
    by_query: bool = True,
    asked: Mapping[str, Weights] | None = None,
) -> Comparison:
    """The same of any runs: of one alone as well, and of some that share no task.

    Args:
        runs: One or more.
        allow_differences: See ``compare``.
        seed: See ``compare``.
        tests: See ``compare``.
        by_query: Read the values by query; without them nothing is tested, which is quick.
        asked: See ``averages`` of ``compare``.

    Raises:
        BadInput: A task differs, or a file is damaged.
    """
    by_query = by_query and len(runs) > 1
    names = list(dict.fromkeys(name for run in runs for name in run.record.tasks))
    groups = averaged([_scored(name, runs) for name in names], runs)
    own = weights_of(groups) if asked is None and tests is None and by_query else {}
    means = AverageTests(own if asked is None else asked)
    lines = []
    for name in names:
        line = _line(name, runs, seed, tests if by_query else (), by_query=by_query, means=means)
        if line.differences and not allow_differences:
            raise BadInput(f"{line.differences[0]}; compare runs over the same data, or use --allow-differences")
        lines.append(line)
    found = means.results()
    together = found if asked is not None else {}
    lines, together = _corrected(lines, together)
    found = together if asked is not None else _corrected((), found)[1]
    groups = averaged(lines, runs)
    tallies = tuple(_tally(lines, at) for at in range(len(runs)))
    made = tuple(averages(groups, runs, found if asked is None else {}))
    places = range(1, len(runs))
    wanted = {
        label: tuple(found.get((label, at), "neither run has its tasks") for at in places) for label in asked or ()
    }
    return Comparison(tuple(runs), tuple(lines), made, tallies, seed, wanted)


def _scored(task: str, runs: Sequence[Run]) -> Line:
    """One task of all runs without anything that compares them."""
    records = [run.record.tasks.get(task) for run in runs]
    known = next(record for record in records if record)
    return Line(task, known.kind, known.main_score, tuple(map(_cell, records)))


def _line(
    task: str,
    runs: Sequence[Run],
    seed: int,
    tests: Collection[str] | None,
    *,
    by_query: bool,
    means: AverageTests,
) -> Line:
    """One task of all runs, whose items are given to the tests of averages as well."""
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
    wanted = tests is None or (task in tests and not differences)
    asked = range(1, len(runs)) if wanted or means.over(task) else range(0)
    apart = bool(differences) and tests is not None
    results: dict[int, Tested | str] = {}
    for begin in range(0, len(asked), _TOGETHER):
        pairs = {at: ((runs[0], runs[at]), (values[0], values[at])) for at in asked[begin : begin + _TOGETHER]}
        items: dict[int, Shared | str] = {
            at: "it is over other data" if apart else shared(task, *pair, seed) for at, pair in pairs.items()
        }
        draw(list(items.values()))
        for at, item in items.items():
            means.add(task, at, *pairs[at], seed, item)
            if wanted:
                results[at] = tested(item)
    for at in range(1, len(runs)):
        result = results.get(at, "not asked for")
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
    found = of_task(record)
    return Cell(record.status, record.score, note=record.note, ends=found.ends if found else None)


def _corrected(
    lines: Sequence[Line], averages: Mapping[Key, Tested | str]
) -> tuple[list[Line], dict[Key, Tested | str]]:
    """The same lines and averages, with Holm's correction over all tests in them."""
    tests = [cell.test for line in lines for cell in line.cells if cell.test]
    more = [test for test in averages.values() if isinstance(test, Tested)]
    adjusted = iter(corrected([*tests, *more], ALPHA))
    adjusted_lines = [
        replace(line, cells=tuple(replace(cell, test=next(adjusted)) if cell.test else cell for cell in line.cells))
        for line in lines
    ]
    return adjusted_lines, {key: next(adjusted) if isinstance(its, Tested) else its for key, its in averages.items()}


def _tally(lines: Sequence[Line], at: int) -> tuple[int, int, int]:
    deltas = [line.cells[at].delta for line in lines]
    known = [0.0 if abs(delta) <= EQUAL else delta for delta in deltas if delta is not None]
    return sum(each > 0 for each in known), sum(each == 0 for each in known), sum(each < 0 for each in known)
