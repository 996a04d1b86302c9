"""Leaderboards over releases: the runs of each release, models as rows, and how their averages moved."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import first_few, printable
from flagbench.results.figures import Ends, Scale
from flagbench.results.page import facts
from flagbench.results.page.boards import Board, Standing, boards
from flagbench.results.page.history_plot import HistoryPlot, history_plot
from flagbench.results.runs import Run, difference
from flagbench.results.uncertainty import marks_of

if TYPE_CHECKING:
    from flagbench.results.page.benchmark import Benchmark
    from flagbench.results.readable import Unreadable


@dataclass(frozen=True)
class Release:
    """The runs of a release.

    Attributes:
        name: Its own; empty for runs that belong to none.
        runs: With labels that tell them apart.
        unreadable: Runs that are named and not shown.
    """

    name: str
    runs: tuple[Run, ...]
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def finished(self) -> str:
        """When the last of its results was."""
        return max(map(facts.finished, self.runs), default="")


@dataclass(frozen=True)
class Cell:
    """A model in a release.

    Attributes:
        run: Its run that was finished last, of those with a score where there are any; None where it has none.
        standing: Of that run on the board; None where there is none.
        score: Of that run; None where it lacks a task, or its tasks ran with different settings.
        ends: Of the 95% interval of that; None where it is not known.
        others: How many more runs of the model are in the release.
        apart: Why the score does not compare with the one before it in the row; empty where it does.
        delta: Difference to that one; None where they do not compare, or there is none.
        best: Whether no model has a higher score in the release.
    """

    run: Run | None = None
    standing: Standing | None = None
    score: float | None = None
    ends: Ends | None = None
    others: int = 0
    apart: str = ""
    delta: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Track:
    """A model over the releases.

    Attributes:
        number: From 1, the best of the last release first.
        model: Its name.
        cells: Of each release.
    """

    number: int
    model: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Measure:
    """A mean over some tasks of a board, over the releases.

    Attributes:
        number: From 1, over all of a board.
        label: Of the board or one of its columns; empty for the board's where that has no average of its own.
        tasks: What it is the mean of.
        scale: How it is shown.
        tracks: By model.
        plot: Over the releases; None where there is nothing to draw.
    """

    number: int
    label: str
    tasks: tuple[str, ...]
    scale: Scale
    tracks: tuple[Track, ...]
    plot: HistoryPlot | None

    @property
    def known(self) -> bool:
        """Whether any run has it."""
        return any(cell.score is not None for track in self.tracks for cell in track.cells)


@dataclass(frozen=True)
class History:
    """A leaderboard over releases.

    Attributes:
        number: From 1, over all of a page.
        board: With the runs of all releases.
        releases: Names of those that have a run on it, the oldest first.
        release_of: Place in ``releases`` of each run of the board.
        measures: Its average and the means of its columns, those that a run has; the average where no run has any.
    """

    number: int
    board: Board
    releases: tuple[str, ...]
    release_of: tuple[int, ...]
    measures: tuple[Measure, ...]

    @property
    def intervals(self) -> tuple[str, ...]:
        """What intervals stand behind (``uncertainty.marks_of``); nothing where there are none."""
        return marks_of(self.board.scored)

    @property
    def sampled(self) -> bool:
        """Whether a run has scores of samples."""
        return any(run.record.sampled for run in self.board.runs)


def histories(releases: Sequence[Release], benchmarks: Mapping[str, Benchmark]) -> list[History]:
    """The leaderboards over some releases: of each mean all scores are over the same tasks.

    Args:
        releases: The oldest first; no run is in two of them.
        benchmarks: By the name that records have.
    """
    release_of = {run.folder: at for at, release in enumerate(releases) for run in release.runs}
    found = boards([run for release in releases for run in release.runs], benchmarks)
    return [_history(number, board, releases, release_of) for number, board in enumerate(found, 1)]


def mean_of(standing: Standing, measure: int) -> tuple[float | None, Ends | None]:
    """A mean of a run, and the ends of its interval: the board's average for 1, that of its first column for 2, and so
    on.
    """
    return (standing.average, *standing.means)[measure - 1], standing.ends[measure - 1]


def _history(number: int, board: Board, releases: Sequence[Release], release_of: Mapping[Path, int]) -> History:
    there = sorted({release_of[run.folder] for run in board.runs})
    places = tuple(there.index(release_of[run.folder]) for run in board.runs)
    names = tuple(releases[at].name for at in there)
    means = [(board.label, board.tasks, board.scale)]
    means += [(label, tasks, scale) for (label, tasks), scale in zip(board.columns, board.scales, strict=True)]
    measures = [
        _measure(at, label, tasks, scale, _rows(board, places, len(there), at), names)
        for at, (label, tasks, scale) in enumerate(means, 1)
    ]
    return History(number, board, names, places, tuple([each for each in measures if each.known] or measures[:1]))


def _measure(
    number: int, label: str, tasks: tuple[str, ...], scale: Scale, rows: Mapping[str, list[Cell]], names: Sequence[str]
) -> Measure:
    scores = [[cells[at].score for cells in rows.values()] for at in range(len(names))]
    highest = [max((score for score in column if score is not None), default=0.0) for column in scores]
    order = sorted(rows, key=lambda model: [_worst_last(cell) for cell in reversed(rows[model])])
    tracks = tuple(Track(at, model, tuple(_marked(rows[model], highest, tasks))) for at, model in enumerate(order, 1))
    plot = history_plot(names, [[(cell.score, bool(cell.apart)) for cell in track.cells] for track in tracks])
    return Measure(number, label, tasks, scale, tracks, plot)


def _rows(board: Board, places: Sequence[int], width: int, measure: int) -> dict[str, list[Cell]]:
    """The cells of each model, before they are compared with others."""
    grouped: dict[str, list[list[tuple[Run, Standing]]]] = {}
    for run, standing, place in zip(board.runs, board.standings, places, strict=True):
        grouped.setdefault(run.record.model, [[] for _ in range(width)])[place].append((run, standing))
    return {model: [_cell(its, measure) for its in by_release] for model, by_release in grouped.items()}


def _cell(runs: Sequence[tuple[Run, Standing]], measure: int) -> Cell:
    if not runs:
        return Cell()
    run, standing = max(runs, key=lambda each: (mean_of(each[1], measure)[0] is not None, facts.finished(each[0])))
    return Cell(run, standing, *mean_of(standing, measure), len(runs) - 1)


def _marked(cells: Sequence[Cell], highest: Sequence[float], tasks: Collection[str]) -> Iterator[Cell]:
    """The cells of a row over some tasks, with what keeps each from the one before it, and which are the best."""
    before: Cell | None = None
    for cell, most in zip(cells, highest, strict=True):
        if cell.run is None or cell.score is None:
            yield cell
            continue
        apart, delta = "", None
        if before and before.run and before.score is not None:
            apart = _apart(before.run, cell.run, tasks)
            delta = None if apart else cell.score - before.score
        yield replace(cell, apart=apart, delta=delta, best=cell.score == most)
        before = cell


def _apart(before: Run, after: Run, tasks: Collection[str]) -> str:
    """Why some tasks of two runs do not compare, in one line; empty where they do."""
    both = [name for name in tasks if name in before.record.tasks and name in after.record.tasks]
    found = {name: list(difference(before.record.tasks[name], after.record.tasks[name])) for name in both}
    unlike = {name: reasons for name, reasons in found.items() if reasons}
    if not unlike:
        return ""
    name, reasons = next(iter(unlike.items()))
    more = f" (and {first_few(map(printable, list(unlike)[1:]))})" if len(unlike) > 1 else ""
    return f"{printable(name)}: {printable(reasons[0])}{more}"


def _worst_last(cell: Cell) -> tuple[bool, float]:
    return cell.score is None, -(cell.score or 0.0)
