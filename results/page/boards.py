"""Leaderboards: the runs below a folder by benchmark, profile and data, each board with scores of one kind alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flagbench import printable
from flagbench.results.averages import Averages, Weights, alike, average, lacking, tasks_of, weights, whole_scores
from flagbench.results.compare.settings import settings_mixed
from flagbench.results.data_state import DataState
from flagbench.results.figures import PERCENT, Ends, Scale, joint_scale
from flagbench.results.record import TaskRecord
from flagbench.results.recorded_averages import Recorded, home_of, recorded_averages
from flagbench.results.runs import Run
from flagbench.results.uncertainty import Shown, of_average

if TYPE_CHECKING:
    from flagbench.results.page.benchmark import Benchmark

FULL, MINI = "full", "mini"

_MOST_COLUMNS = 12
"""Tasks of one type that have columns of their own."""


@dataclass(frozen=True)
class Standing:
    """One run on a board.

    Attributes:
        average: Over all tasks of the board; None while one is missing, and where they ran with different settings or
            have scores of different units.
        means: Over the tasks of each column, likewise.
        ends: Of the 95% intervals of the average, and of each mean; None where one is not known.
        whole: How many tasks have a score over all of their data.
        mixed: The line on settings that differ between its tasks; empty where none do.
    """

    average: float | None
    means: tuple[float | None, ...]
    ends: tuple[Ends | None, ...]
    whole: int
    mixed: str


@dataclass(frozen=True)
class Board:
    """One leaderboard.

    Attributes:
        title: The benchmark, for people.
        label: Its average that orders the board; empty where it has none: then that is the mean of all tasks on it,
            as far as they have one metric.
        profile: ``full``, ``mini``, or the name of the samples that were drawn.
        state: The state of the data, the worst of a run's tasks.
        tasks: What the average is made of.
        columns: Label and tasks of each mean beside it.
        runs: With the tasks of the board alone; complete ones first, and of these the best.
        standings: Of each run.
        scale: How the average is shown.
        scales: How each of the means is.
    """

    title: str
    label: str
    profile: str
    state: DataState
    tasks: tuple[str, ...]
    columns: tuple[tuple[str, tuple[str, ...]], ...]
    runs: tuple[Run, ...]
    standings: tuple[Standing, ...]
    scale: Scale = PERCENT
    scales: tuple[Scale, ...] = ()

    @property
    def aside(self) -> bool:
        """True for scores over miniature data and samples, which are shown when they are asked for."""
        return self.profile != FULL

    @property
    def scored(self) -> Iterator[Shown]:
        """All averages and means with their intervals."""
        for its in self.standings:
            yield from zip((self.scale, *self.scales), (its.average, *its.means), its.ends, strict=True)


def boards(runs: Sequence[Run], benchmarks: Mapping[str, Benchmark]) -> list[Board]:
    """The boards that some runs are on; a run is on one for each benchmark and profile that it has tasks of.

    Args:
        runs: In any order.
        benchmarks: By the name that records have.

    Returns:
        Those over full data first, in the order of the benchmarks; of one benchmark the official data first.
    """
    members: dict[tuple[str, str, str, DataState], list[Run]] = {}
    recorded = recorded_averages(record for run in runs for record in run.record.tasks.values())
    for run in runs:
        for (name, label, profile), tasks in parts_of(run, benchmarks, recorded).items():
            scored = [DataState.of(record.data) for record in tasks.values() if record.status != "error"]
            state = DataState.worst(scored) if scored else DataState.UNKNOWN
            part = replace(run, record=replace(run.record, tasks=tasks))
            members.setdefault((name, label, profile, state), []).append(part)
    names, states = list(benchmarks), list(DataState)

    def place(key: tuple[str, str, str, DataState]) -> tuple[bool, bool, int, bool, str, int]:
        name, label, profile, state = key
        known = names.index(name) if name in benchmarks else len(names)
        return profile != FULL, profile == MINI, known, not label, profile, -states.index(state)

    return [_board(key, members[key], benchmarks, recorded) for key in sorted(members, key=place)]


Part = tuple[str, str, str]
"""Benchmark, average (empty for tasks in none), and profile."""


def parts_of(run: Run, benchmarks: Mapping[str, Benchmark], recorded: Recorded) -> dict[Part, dict[str, TaskRecord]]:
    """The tasks of a run by the board that they are on, but for the state of their data.

    Args:
        run: The run.
        benchmarks: By the name that records have.
        recorded: Averages that the tasks of this run and of others record.
    """
    parts: dict[Part, dict[str, TaskRecord]] = {}
    averages = [
        (key, label, frozenset(tasks))
        for key, benchmark in benchmarks.items()
        for label, tasks in outermost(benchmark.averages).items()
    ]
    # A failed task may have read no data, by which miniature data is known: it goes with the others of its benchmark.
    for name, record in sorted(run.record.tasks.items(), key=lambda each: each[1].status == "error"):
        own = DataState.of(record.data) is DataState.OWN  # a name of the user's, which a published task may have
        homes = [home] if (home := home_of(record, recorded)) else []
        if not homes and not own:
            homes = [(key, label) for key, label, tasks in averages if name in tasks and benchmarks[key].takes(record)]
        for key, label in homes or [(run.record.benchmark, "")]:
            profile = _profile(record, benchmarks.get(key))
            if record.status == "error" and profile == FULL:
                profile = max((MINI, FULL), key=lambda each: len(parts.get((key, label, each), ())))
                profile = profile if (key, label, profile) in parts else FULL
            parts.setdefault((key, label, profile), {})[name] = record
    return {part: {name: its[name] for name in run.record.tasks if name in its} for part, its in parts.items()}


def _profile(record: TaskRecord, benchmark: Benchmark | None) -> str:
    if benchmark and benchmark.is_mini(record):
        return MINI
    drawn = record.settings.get("profile") or (record.sample or {}).get("profile")
    return printable(drawn) if isinstance(drawn, str) else FULL


def averages_over(name: str, profile: str, benchmarks: Mapping[str, Benchmark], recorded: Recorded) -> Averages:
    """The averages of a benchmark over all of its data, samples of it, or its miniature data, and those that are
    recorded.

    Args:
        name: Of the benchmark, which need not be one of those known.
        profile: How much of the data.
        benchmarks: By the name that records have.
        recorded: See ``parts_of``.
    """
    benchmark = benchmarks.get(name)
    known = (benchmark.mini_averages if profile == MINI else benchmark.averages) if benchmark else {}
    return {**known, **recorded.get(name, {})}


def outermost(averages: Averages) -> dict[str, tuple[str, ...]]:
    """The tasks of the averages that lie in no larger one; of those over the same tasks the last."""
    over = tasks_of(averages)
    last = {frozenset(tasks): label for label, tasks in over.items()}
    return {label: over[label] for tasks, label in last.items() if not any(tasks < others for others in last)}


def _board(
    key: tuple[str, str, str, DataState], runs: Sequence[Run], benchmarks: Mapping[str, Benchmark], recorded: Recorded
) -> Board:
    name, label, profile, state = key
    benchmark = benchmarks.get(name)
    averages = averages_over(name, profile, benchmarks, recorded)
    own = dict.fromkeys(task for run in runs for task in run.record.tasks)
    of = weights(averages, label) if label in averages else alike(own)
    kinds = {task: run.record.tasks[task].kind for run in runs for task in run.record.tasks}
    columns = tuple(_columns(of, label, averages if label else {}, kinds))
    metrics = {name: record.main_score for run in runs for name, record in run.record.tasks.items()}
    over = of if label or len(set(metrics.values())) == 1 else Weights()

    def scale(tasks: Weights) -> Scale:
        return joint_scale(metrics[name] for name in tasks if name in metrics) or PERCENT

    placed = sorted(((_standing(run, of, over, [its for _, its in columns]), run) for run in runs), key=_order)
    return Board(
        title=benchmark.title if benchmark else printable(name),
        label=label,
        profile=profile,
        state=state,
        tasks=tuple(of),
        columns=tuple((heading, tuple(its)) for heading, its in columns),
        runs=tuple(run for _, run in placed),
        standings=tuple(standing for standing, _ in placed),
        scale=scale(over),
        scales=tuple(scale(its) for _, its in columns),
    )


def _columns(of: Weights, label: str, averages: Averages, kinds: Mapping[str, str]) -> Iterator[tuple[str, Weights]]:
    """The means that the benchmark itself takes, else those by type, else a few tasks of the one type."""
    others = {other: weights(averages, other) for other in averages if other != label}
    if inside := {other: its for other, its in others.items() if its.keys() <= of.keys()}:
        yield from ((other.removesuffix(" mean"), its) for other, its in inside.items())
        return
    of_kind = {kind: alike(each for each in of if kinds.get(each) == kind) for kind in dict.fromkeys(kinds.values())}
    if len(of_kind) > 1:
        yield from of_kind.items()
    elif 1 < len(of) <= _MOST_COLUMNS:
        yield from ((task, alike([task])) for task in of)


def _standing(run: Run, tasks: Weights, over: Weights, columns: Sequence[Weights]) -> Standing:
    """A run on a board of some tasks, with the average over those that have one."""
    ran = run.record.tasks

    def mean(of: Weights) -> tuple[float | None, Ends | None]:
        whole = whole_scores(of, ran.values())
        if not of or lacking(of, whole):
            return None, None
        records = [ran[name] for name in of]
        if settings_mixed(records, run.record.spec) or not joint_scale(record.main_score for record in records):
            return None, None
        score = average(of, whole)
        found = of_average(of, score, records)
        return score, found.ends if found else None

    scored = whole_scores(alike(tasks), ran.values())
    mixed = settings_mixed((ran[name] for name in tasks if name in scored), run.record.spec)
    (whole, *means), ends = zip(*map(mean, (over, *columns)), strict=True)
    return Standing(whole, tuple(means), tuple(ends), len(scored), mixed)


def _order(placed: tuple[Standing, Run]) -> tuple[bool, float, int, float, str]:
    standing, run = placed
    sum_ = sum(record.score or 0.0 for record in run.record.tasks.values() if record.status == "success")
    return standing.average is None, -(standing.average or 0.0), -standing.whole, -sum_, run.label
