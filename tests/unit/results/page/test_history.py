"""Leaderboards over releases: which scores stand in a row, which are joined, and where their points are."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from flagbench.results.page.benchmark import Benchmark
from flagbench.results.page.history import History, Release, histories
from flagbench.results.page.history_plot import BOTTOM, HEIGHT, LINES, TOP, history_plot
from flagbench.results.page.labels import width
from flagbench.results.page.plot import LEFT, RIGHT, WIDTH
from flagbench.results.runs import find_runs
from tests.unit.page_runs import page_run, page_task

_KNOWN = {"cmteb": Benchmark("C-MTEB", {"Avg": ["A", "B"]})}


def add(root: Path, release: str, model: str, a: float | None, b: float | None = 0.5, **fields: object) -> None:
    """A run of two tasks; None for one that it lacks."""
    tasks = [page_task(name, score, **fields) for name, score in (("A", a), ("B", b)) if score is not None]  # type: ignore[arg-type]
    page_run(root / release, model, *tasks, revision=str(len(list(root.rglob("run.json")))))


def history(root: Path, *names: str) -> History:
    (found,) = histories([Release(name, tuple(find_runs(root / name))) for name in names], _KNOWN)
    return found


def rows(its: History) -> dict[str, list[float | None]]:
    return {track.model: [cell.score for cell in track.cells] for track in its.measures[0].tracks}


def test_models_are_rows_and_the_best_of_the_last_release_comes_first(tmp_path: Path) -> None:
    for release, one, other in (("v1", 0.3, 0.7), ("v2", 0.5, 0.5), ("v3", 0.9, 0.1)):
        add(tmp_path, release, "org/one", one)
        add(tmp_path, release, "org/other", other)
    its = history(tmp_path, "v1", "v2", "v3")
    assert its.releases == ("v1", "v2", "v3")
    assert rows(its) == {"org/one": pytest.approx([0.4, 0.5, 0.7]), "org/other": pytest.approx([0.6, 0.5, 0.3])}
    assert [track.number for track in its.measures[0].tracks] == [1, 2]
    one, other = (track.cells for track in its.measures[0].tracks)
    assert [cell.delta for cell in one] == [None, pytest.approx(0.1), pytest.approx(0.2)]
    assert [(first.best, second.best) for first, second in zip(one, other, strict=True)] == [
        (False, True),
        (True, True),
        (True, False),
    ]


def test_a_release_without_the_model_or_without_all_tasks_is_a_gap(tmp_path: Path) -> None:
    add(tmp_path, "v1", "org/one", 0.3)
    add(tmp_path, "v2", "org/one", 0.4, None)
    add(tmp_path, "v3", "org/one", 0.5)
    add(tmp_path, "v3", "org/two", 0.5)
    its = history(tmp_path, "v1", "v2", "v3")
    assert rows(its) == {"org/one": [0.4, None, 0.5], "org/two": [None, None, 0.5]}
    cells = its.measures[0].tracks[0].cells
    assert cells[1].run is not None
    assert cells[2].delta == pytest.approx(0.1)  # to the last release with a score
    assert its.measures[0].plot is not None
    assert its.measures[0].plot.paths == ((), ())
    assert [len(marks) for marks in its.measures[0].plot.marks] == [2, 1]


def test_scores_over_other_data_are_not_joined(tmp_path: Path) -> None:
    add(tmp_path, "v1", "org/one", 0.3)
    page_run(tmp_path / "v2", "org/one", *(page_task(name, scores={"test": {"default": 0.4}}) for name in "AB"))
    page_run(tmp_path / "v3", "org/one", *(page_task(name, scores={"test": {"default": 0.6}}) for name in "AB"))
    its = history(tmp_path, "v1", "v2", "v3")
    first, second, third = its.measures[0].tracks[0].cells
    assert (first.apart, first.delta) == ("", None)
    assert second.apart.startswith("A: splits ")
    assert second.apart.endswith(" (and B)")
    assert second.delta is None
    assert (third.apart, third.delta) == ("", pytest.approx(0.2))
    assert its.measures[0].plot is not None
    (mark, *others), (paths,) = its.measures[0].plot.marks[0], its.measures[0].plot.paths
    assert paths == (" ".join(f"{each.x:g},{each.y:g}" for each in others),)
    assert mark.release == 0


def test_of_several_runs_in_a_release_the_last_finished_is_shown(tmp_path: Path) -> None:
    add(tmp_path, "v1", "org/one", 0.3, finished="2026-01-02T00:00:00+00:00")
    add(tmp_path, "v1", "org/one", 0.9, finished="2026-01-01T00:00:00+00:00")
    add(tmp_path, "v1", "org/one", 0.8, None, finished="2026-01-03T00:00:00+00:00")  # lacks a task
    (cell,) = history(tmp_path, "v1").measures[0].tracks[0].cells
    assert (cell.score, cell.others) == (pytest.approx(0.4), 2)


def test_boards_of_other_data_are_other_histories(tmp_path: Path) -> None:
    add(tmp_path, "v1", "org/one", 0.3)
    add(tmp_path, "v2", "org/one", 0.4, data={"status": "differs", "differences": ["rows"]})
    found = histories([Release(name, tuple(find_runs(tmp_path / name))) for name in ("v1", "v2")], _KNOWN)
    assert [(each.board.state.name, each.releases) for each in found] == [("OFFICIAL", ("v1",)), ("DIFFERS", ("v2",))]
    assert [each.measures[0].plot for each in found] == [None, None]


# The drawing.


def test_points_lie_in_the_frame_where_their_scores_are() -> None:
    plot = history_plot(["a", "b", "c"], [[(0.2, False), (0.4, False), (0.3, False)]])
    assert plot is not None
    (marks,) = plot.marks
    assert [mark.x for mark in marks] == pytest.approx(
        [LEFT + (WIDTH - LEFT - RIGHT) * share for share in (1 / 6, 3 / 6, 5 / 6)], abs=0.06
    )
    low, high, middle = (mark.y for mark in marks)
    assert TOP < high < middle < low < HEIGHT - BOTTOM
    assert middle == pytest.approx((low + high) / 2, abs=0.1)
    assert plot.paths == ((" ".join(f"{mark.x:g},{mark.y:g}" for mark in marks),),)
    ticks = [(tick.value, tick.at) for tick in plot.up]
    slope = {round((at - low) / (value - 0.2), 1) for value, at in ticks if abs(value - 0.2) > 0.05}
    assert max(slope) - min(slope) < 5


@pytest.mark.parametrize(
    ("releases", "row"),
    [(["a"], [(0.5, False)]), (["a", "b"], [(0.5, False), (None, False)]), (["a", "b"], [(None, False)] * 2)],
)
def test_one_point_is_no_history(releases: list[str], row: list[tuple[float | None, bool]]) -> None:
    assert history_plot(releases, [row]) is None


def test_a_line_ends_where_scores_do_not_compare() -> None:
    row = [(0.1, False), (0.2, False), (0.3, True), (0.4, False), (None, False), (0.5, False)]
    plot = history_plot(list("abcdef"), [row])
    assert plot is not None
    (marks,), (paths,) = plot.marks, plot.paths
    assert [mark.release for mark in marks] == [0, 1, 2, 3, 5]
    assert [path.count(",") for path in paths] == [2, 2]


def test_as_many_models_as_there_are_colours_are_drawn() -> None:
    plot = history_plot(["a", "b"], [[(0.5, False), (0.6, False)]] * (LINES + 3))
    assert plot is not None
    assert len(plot.marks) == LINES


@pytest.mark.parametrize("count", [2, 6, 12, 60])
@pytest.mark.parametrize("name", ["v{}", "release-2026-{:02}-candidate", "第{}版"])
def test_names_of_releases_do_not_overlap(count: int, name: str) -> None:
    names = [name.format(at) for at in range(count)]
    plot = history_plot(names, [[(0.5, False)] * count])
    assert plot is not None
    assert len(plot.across) >= min(count, 4)
    for row in (0, 1):
        its = [label for label in plot.across if label.row == row]
        for before, after in itertools.pairwise(its):
            assert after.at - before.at > (width(before.text) + width(after.text)) / 2
    assert plot.across[-1].at == max(mark.x for mark in plot.marks[0])
