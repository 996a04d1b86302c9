"""The mean over the data sets of a folder: what tasks record of it, and all that shows it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from flagbench.results.compare.compare import side_by_side
from flagbench.results.data_state import DataState
from flagbench.results.page.benchmark import Benchmark
from flagbench.results.page.boards import boards
from flagbench.results.page.officials import officials
from flagbench.results.record import Average, RunRecord, TaskRecord
from flagbench.results.recorded_averages import recorded_averages
from flagbench.results.runs import Run
from tests.unit.results.page.test_boards import run, scored

KNOWN = {"cmteb": Benchmark("C-MTEB", {"Avg": ["a", "z"]}), "own": Benchmark("own data", {})}


def of(name: str, score: float, *tasks: str) -> TaskRecord:
    """A task of own data in the mean of some."""
    average = Average(benchmark="own", label="Mean", tasks=list(tasks)) if tasks else None
    return replace(scored(name, score, DataState.OWN), average=average)


def shown(each: Run) -> list[tuple[str, float | None, tuple[str, ...]]]:
    return [(mean.label, mean.score, mean.missing) for mean in officials(each, KNOWN)]


def test_a_run_has_the_mean_of_its_data_sets_when_all_are_there() -> None:
    """Whatever the benchmark that ran last into its folder."""
    for last in ("own", "cmteb", "of a package"):
        both = run("both", of("a", 0.2, "a", "b"), of("b", 0.6, "a", "b"), benchmark=last)
        assert shown(both) == [("own data Mean", pytest.approx(0.4), ())]
        one = run("one", of("a", 0.2, "a", "b"), benchmark=last)
        assert shown(one) == [("own data Mean", None, ("b",))]
    without = run("without", of("x", 0.2, "x", "y"))
    assert [mean.label for mean in officials(without, {})] == ["own Mean"]


def test_a_comparison_has_the_mean_of_its_data_sets_once() -> None:
    """Under its own name where it is over all that is shared; else beside the average of all."""
    two = [run(name, of("a", at, "a", "b"), of("b", at, "a", "b")) for name, at in (("one", 0.2), ("two", 0.4))]
    assert [(each.label, each.tasks) for each in side_by_side(two).averages] == [("Mean", 2)]
    more = [
        run(name, of("a", at, "a", "b"), of("b", at, "a", "b"), scored("c", at))
        for name, at in (("x", 0.2), ("y", 0.4))
    ]
    assert [(each.label, each.tasks) for each in side_by_side(more).averages] == [("Mean", 2), ("average", 3)]


def test_sets_of_two_folders_have_a_mean_and_a_board_each() -> None:
    """A data set that is called as a published task is on no board of that task's benchmark."""
    runs = [
        run("two", of("a", 0.2, "a", "b"), of("b", 0.6, "a", "b"), of("c", 0.5, "c", "d"), of("d", 0.1, "c", "d")),
        run("first", of("a", 0.9, "a", "b"), of("b", 0.9, "a", "b"), benchmark="own"),
        run("alone", of("z", 0.9), benchmark="own"),
    ]
    assert recorded_averages(runs[0].record.tasks.values()) == {
        "own": {"Mean of a, b": ("a", "b"), "Mean of c, d": ("c", "d")}
    }
    found = {(board.label, board.state): board for board in boards(runs, KNOWN)}
    assert set(found) == {("Mean of a, b", "own"), ("Mean of c, d", "own"), ("", "own")}
    first = found["Mean of a, b", DataState.OWN]
    assert [each.label for each in first.runs] == ["first", "two"]
    assert [its.average for its in first.standings] == pytest.approx([0.9, 0.4])
    assert {board.title for board in found.values()} == {"own data"}


def test_runs_that_record_the_same_mean_are_compared_by_it() -> None:
    one = run("one", of("a", 0.2, "a", "b"), of("b", 0.6, "a", "b"), of("c", 0.8, "c"))
    other = run("other", of("a", 0.4, "a", "b"), of("b", 0.8, "a", "b"), of("c", 0.8, "c"))
    found = {each.label: each for each in side_by_side([one, other], by_query=False).averages}
    assert found["Mean of a, b"].scores == pytest.approx((0.4, 0.6))
    assert found["average"].tasks == 3
    silent = run("silent", of("a", 0.4), of("b", 0.8), of("c", 0.8))  # has all of its tasks, and records no mean
    for pair in ([one, silent], [silent, one], [one, other, silent]):
        assert [each.label for each in side_by_side(pair, by_query=False).averages] == ["average"]
    partly = run("partly", of("a", 0.4, "a", "b"))
    assert [each.label for each in side_by_side([one, partly], by_query=False).averages] == ["average"]


def test_records_of_before_are_read_and_record_none() -> None:
    written = json.loads(run("one", of("a", 0.2, "a", "b"), of("b", 0.6, "a", "b")).record.to_json())
    again = RunRecord.from_json(json.dumps(written))
    assert again.tasks["a"].average == {"benchmark": "own", "label": "Mean", "tasks": ["a", "b"]}
    for record in written["tasks"].values():
        del record["average"]
    before = RunRecord.from_json(json.dumps(written))
    assert shown(Run(Path("before"), before, "before")) == []
    written["tasks"]["a"]["average"] = {"benchmark": "own", "label": "Mean", "tasks": "a"}
    with pytest.raises(ValueError, match="average"):
        RunRecord.from_json(json.dumps(written))
