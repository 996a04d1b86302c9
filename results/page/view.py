"""Content of a page, as values: the numbers are those of ``results/compare/compare.py`` and of the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from flagbench import printable
from flagbench.results.compare.averages import Average
from flagbench.results.compare.compare import Comparison, Line, side_by_side
from flagbench.results.compare.text import scored
from flagbench.results.figures import Scale
from flagbench.results.page import facts, grids
from flagbench.results.page.benchmark import Benchmark
from flagbench.results.page.boards import Board, boards
from flagbench.results.page.cost import cost_plots
from flagbench.results.page.curves import DrawnView, view_of
from flagbench.results.page.drawn import best_first, drawn_of
from flagbench.results.page.heat import Heat, heat_map
from flagbench.results.page.marks import is_any_marked, marked_states, marked_tasks, tasks_behind
from flagbench.results.page.miniature import is_mini, mixed, of_one_kind
from flagbench.results.page.officials import Official, officials
from flagbench.results.page.plot import Plot, plot
from flagbench.results.page.sharing import sharing
from flagbench.results.page.worst import Worst, by_run, of_members, worst
from flagbench.results.readable import check_values
from flagbench.results.record import TaskRecord
from flagbench.results.runs import Run
from flagbench.results.speed import own_speed_of
from flagbench.results.uncertainty import marks_of

DELTAS_UP_TO = 4
"""Runs whose differences have columns of their own; of more, a task's details have them."""

SHOWN = 50
"""Runs whose tasks and settings are shown; of more, the summary has a line each."""


@dataclass(frozen=True)
class RunView:
    """One run of a group.

    Attributes:
        number: From 1.
        run: The run.
        official: Averages of its benchmark, those of which it has a task.
        own: Mean over its own whole tasks, which other runs may not have.
        own_tasks: How many they are.
        own_scale: How that mean is shown.
        score: The group's average; None where no task is in all of its runs.
        shared: Difference of the group's average to the first run's.
        tally: Tasks won, tied and lost against the first run.
        significant: Tasks significantly better and worse than the first run's.
        statuses: Number of tasks by status.
        verdicts: Number of tasks by data verdict.
        speed: How fast its model was.
        size: How large it is.
        vectors: Those that its scores were made with; None where that is not recorded.
        device: Where it ran.
        seconds: Wall time.
        finished: When.
        marked: Its tasks whose scores published ones do not compare with.
    """

    number: int
    run: Run
    official: tuple[Official, ...]
    own: float | None
    own_tasks: int
    own_scale: Scale
    score: float | None
    shared: float | None
    tally: tuple[int, int, int]
    significant: tuple[int, int]
    statuses: Mapping[str, int]
    verdicts: Mapping[str, int]
    speed: facts.Speed | None
    size: facts.Size
    vectors: facts.Vectors | None
    device: str
    seconds: float | None
    finished: str
    marked: frozenset[str]


@dataclass(frozen=True)
class Part:
    """The scores of a split and subset, None where a run has none."""

    split: str
    subset: str
    scores: tuple[float | None, ...]


@dataclass(frozen=True)
class TaskView:
    """One task of a group.

    Attributes:
        key: Unlike those of other tasks of the page.
        line: Its scores.
        records: Of each run, None where it has not got it.
        verdict: Of the run whose data is the furthest from the official data (``facts.verdict``); empty
            without scores.
        mini: Whether a run has it over miniature data.
        parts: Scores by split and subset, where there are several.
        worst: Worst queries by place of the run.
    """

    key: str
    line: Line
    records: tuple[TaskRecord | None, ...]
    verdict: str
    mini: bool
    parts: tuple[Part, ...]
    worst: Mapping[int, Worst]


@dataclass(frozen=True)
class Group:
    """Runs that share tasks.

    Attributes:
        titles: Their benchmarks.
        comparison: The runs side by side; of a leaderboard its first ones.
        runs: As in the comparison.
        tasks: As its lines, of the runs shown.
        average: Over the tasks that all runs have.
        types: The same by task type; empty where there is one type alone.
        plots: Score against size, speed, and what ``flagbench speed`` measured.
        settings: Of the models of the runs shown.
        environments: Of the runs shown.
        number: From 1, over all groups of a page.
        grids: Scores by length and depth, of the runs shown.
        board: The leaderboard that these runs are on; None where they are only put side by side.
        drawn: The series among all of its runs; None where there are none.
        heat: Scores of many runs by type or task; None of few runs, and on a leaderboard, whose columns are these.
    """

    titles: tuple[str, ...]
    comparison: Comparison
    runs: tuple[RunView, ...]
    tasks: tuple[TaskView, ...]
    average: Average
    types: tuple[Average, ...]
    plots: tuple[Plot, ...]
    settings: tuple[facts.Setting, ...]
    environments: tuple[facts.Setting, ...]
    number: int
    grids: tuple[grids.TaskGrids, ...] = ()
    board: Board | None = None
    drawn: DrawnView | None = None
    heat: Heat | None = None

    @property
    def mini(self) -> int:
        """Tasks over miniature data."""
        return sum(task.mini for task in self.tasks)

    @property
    def whole_mini(self) -> bool:
        """Whether all tasks with a score are over miniature data."""
        scored = [task for task in self.tasks if task.verdict]
        return bool(scored) and all(task.mini for task in scored)

    @property
    def states(self) -> tuple[str, ...]:
        """The states of data behind the marks of scores (``marks.marked_states``)."""
        return marked_states(self.board.runs if self.board else self.comparison.runs)

    def is_marked(self, view: RunView, average: Average) -> bool:
        """Tell whether an average of a run is over a score that is marked."""
        return bool(view.marked) and is_any_marked(view.marked, tasks_behind(self.comparison, average.label))

    @property
    def scale(self) -> Scale:
        """How the average that runs are ordered by is shown."""
        return self.board.scale if self.board else self.average.scale

    @property
    def deltas(self) -> bool:
        """True when differences to the first run have columns of their own."""
        return 1 < len(self.runs) <= DELTAS_UP_TO

    @property
    def shown(self) -> tuple[RunView, ...]:
        """The runs whose tasks and settings are shown."""
        return self.runs[:SHOWN]

    @property
    def total(self) -> int:
        """How many runs there are."""
        return len(self.board.runs if self.board else self.runs)

    @property
    def intervals(self) -> tuple[str, ...]:
        """What intervals that are shown stand behind (``uncertainty.marks_of``); nothing where there are none."""
        officials = [each.scored for view in self.runs for each in view.official]
        return marks_of([*scored(self.comparison), *officials, *(self.board.scored if self.board else ())])

    @property
    def sampled(self) -> bool:
        """Whether a run has scores of samples."""
        return any(run.record.sampled for run in (self.board.runs if self.board else self.comparison.runs))

    @property
    def averages_tested(self) -> tuple[Average, ...]:
        """The averages of which a run was tested against the first, the whole one first."""
        return tuple(each for each in (self.average, *self.types) if any(each.tests))

    @cached_property
    def tested(self) -> int:
        """Tests in it; asked for at each cell."""
        return sum(cell.test is not None for line in self.comparison.lines for cell in line.cells)


def look(run: Run, *, by_query: bool) -> None:
    """Read what a page shows of a run beside its record, so that damage keeps this run alone off the page.

    Args:
        run: The run.
        by_query: Values by query are read too, which are needed for tests.

    Raises:
        BadInput: A file is gone or damaged.
    """
    own_speed_of(run)
    worst([run])
    grids.by_run([run])
    if by_query:
        check_values(run)


def groups(
    runs: Sequence[Run],
    benchmarks: Mapping[str, Benchmark],
    *,
    allow_differences: bool = False,
    seed: int = 0,
    tests: bool = True,
    ordered: bool = True,
) -> list[Group]:
    """Collect the content of a page of runs.

    Args:
        runs: One or more; the others are compared with the first of those that share tasks.
        benchmarks: By the name that records have.
        allow_differences: See ``compare``.
        seed: See ``compare``.
        tests: Test whether differences are more than chance.
        ordered: Whether the first run is meant to be the first; else it is the best where all are one series.

    Raises:
        BadInput: Data differ and may not, or a file is damaged.
    """
    kept, mapped = by_run(runs), grids.by_run(runs)
    made: list[Group] = []
    for found in sharing(runs):
        members = found if ordered else best_first(found, benchmarks)
        comparison = side_by_side(members, allow_differences=allow_differences, seed=seed, by_query=tests)
        group = _group(len(made), comparison, of_members(members, kept), benchmarks)
        drawn = view_of(group.number, drawn_of(members, benchmarks, seed=seed, by_query=tests), members)
        made.append(replace(group, grids=grids.of_members(members[:SHOWN], mapped), drawn=drawn))
    return made


def leaderboards(runs: Sequence[Run], benchmarks: Mapping[str, Benchmark]) -> list[Group]:
    """The same content by leaderboard: nothing is compared that a board does not hold, and nothing is tested.

    Args:
        runs: In any order.
        benchmarks: See ``groups``.

    Raises:
        BadInput: A file is damaged.
    """
    found = boards(runs, benchmarks)
    shown = [run for board in found for run in board.runs[:SHOWN]]
    kept, mapped = by_run(shown), grids.by_run(shown)
    made: list[Group] = []
    for board in found:
        first = board.runs[:SHOWN]
        comparison = side_by_side(first, allow_differences=True, by_query=False)
        group = _group(len(made), comparison, of_members(first, kept), benchmarks, board)
        title = " ".join(filter(None, (board.title, board.label)))
        drawn = view_of(group.number, drawn_of(board.runs, benchmarks, by_query=False), board.runs)
        made.append(replace(group, titles=(title,), types=(), grids=grids.of_members(first, mapped), drawn=drawn))
    return made


def _group(
    at: int,
    comparison: Comparison,
    its: Mapping[tuple[int, str], Worst],
    benchmarks: Mapping[str, Benchmark],
    board: Board | None = None,
) -> Group:
    comparison = of_one_kind(comparison, benchmarks)
    *means, average = comparison.averages
    types = [each for each in means if each.label.endswith(" mean")]
    runs = tuple(_run_view(place, comparison, average, benchmarks) for place in range(len(comparison.runs)))
    if board:
        runs = tuple(replace(view, score=its.average) for view, its in zip(runs, board.standings, strict=False))
    benchmarks_of = dict.fromkeys(run.record.benchmark for run in comparison.runs)
    sizes = [(each.number, each.size.parameters, each.score) for each in runs]
    names = [view.run.label for view in runs]
    behind = board.tasks if board else tasks_behind(comparison, average.label)
    marked = {view.number for view in runs if is_any_marked(view.marked, behind)}
    plots = [plot("parameters", sizes, names, marked)]
    for unit in ("texts", "answers"):
        speeds = [
            (each.number, each.speed.per_second if each.speed and each.speed.unit == unit else None, each.score)
            for each in runs
        ]
        plots.append(plot(unit, speeds, names, marked))
    plots += cost_plots([(each.number, own_speed_of(each.run), each.score) for each in runs], names, marked)
    return Group(
        titles=tuple(benchmarks[name].title if name in benchmarks else printable(name) for name in benchmarks_of),
        comparison=comparison,
        runs=runs,
        tasks=tuple(
            _task_view(f"{at + 1}-{n + 1}", n, comparison, its, benchmarks) for n in range(len(comparison.lines))
        ),
        average=average,
        types=tuple(types),
        plots=tuple(each for each in plots if each),
        settings=tuple(facts.settings(comparison.runs[:SHOWN])),
        environments=tuple(facts.environments(comparison.runs[:SHOWN])),
        number=at + 1,
        board=board,
        heat=None if board else heat_map(comparison, types),
    )


def _run_view(at: int, comparison: Comparison, average: Average, benchmarks: Mapping[str, Benchmark]) -> RunView:
    run = comparison.runs[at]
    own, own_tasks, own_scale = facts.own_mean(run)
    own = None if mixed(run.record.tasks.values(), benchmarks) else own
    cells = [line.cells[at] for line in comparison.lines]
    surely = [cell.delta for cell in cells if cell.test and cell.test.significant and cell.delta is not None]
    verdicts = [facts.verdict(record) for record in run.record.tasks.values()]
    environment = facts.mapping(run.record.environment)
    device = environment.get("device_name") or environment.get("device") or ""
    return RunView(
        number=at + 1,
        run=run,
        official=tuple(officials(run, benchmarks)),
        own=own,
        own_tasks=own_tasks,
        own_scale=own_scale,
        score=average.scores[at],
        shared=average.deltas[at],
        tally=comparison.tallies[at],
        significant=(sum(delta > 0 for delta in surely), sum(delta < 0 for delta in surely)),
        statuses=Counter(record.status for record in run.record.tasks.values()),
        verdicts=Counter(filter(None, verdicts)),
        speed=facts.speed(run),
        size=facts.size(run),
        vectors=facts.vectors(run),
        device=device if isinstance(device, str) else "",
        seconds=facts.seconds(run),
        finished=facts.finished(run),
        marked=marked_tasks(run),
    )


def _task_view(
    key: str,
    at: int,
    comparison: Comparison,
    its: Mapping[tuple[int, str], Worst],
    benchmarks: Mapping[str, Benchmark],
) -> TaskView:
    line = comparison.lines[at]
    line = replace(line, cells=line.cells[:SHOWN], notes=line.notes[:SHOWN], differences=line.differences[:SHOWN])
    records = tuple(run.record.tasks.get(line.task) for run in comparison.runs[:SHOWN])
    verdicts = {facts.verdict(record) for record in records}
    pairs = dict.fromkeys(
        (split, subset)
        for record in records
        if record
        for split, by_subset in record.scores.items()
        for subset in by_subset
    )
    parts = (
        Part(split, subset, tuple(record.scores.get(split, {}).get(subset) if record else None for record in records))
        for split, subset in pairs
    )
    return TaskView(
        key=f"task-{key}",
        line=line,
        records=records,
        verdict=next((each for each in facts.VERDICTS if each in verdicts), ""),
        mini=any(is_mini(record, benchmarks) for record in records if record),
        parts=tuple(parts) if len(pairs) > 1 else (),
        worst={run: each for (run, task), each in its.items() if task == line.task},
    )
