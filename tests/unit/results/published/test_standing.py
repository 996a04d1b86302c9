"""A run among the published models: means, places and Borda points against a naive count, and what is left out."""

from __future__ import annotations

import io
import random
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from flagbench import BadInput
from flagbench.cmteb.published.table import table as published_table
from flagbench.results.averages import Weights
from flagbench.results.published.scores import Published, PublishedTable
from flagbench.results.published.standing import Ranking, borda, places, rank
from flagbench.results.published.standing_text import remarks, render
from flagbench.results.record import PartInterval, RunRecord, TaskRecord

KINDS = {"A": "STS", "B": "STS", "C": "Retrieval"}
SPLITS = {"A": ("test",), "B": ("test",), "C": ("dev", "test")}
SMALL = PublishedTable(
    benchmark="small",
    title="Small",
    source="a small table",
    kinds=KINDS,
    splits=SPLITS,
    groups={"STS": ("A", "B"), "Retrieval": ("C",)},
    headings={"Retrieval": "Retr."},
    models={
        name: Published(name, "r", "", {task: dict.fromkeys(SPLITS[task], score) for task, score in scores.items()})
        for name, scores in {
            "o/best": {"A": 0.9, "B": 0.9, "C": 0.9},
            "o/even": {"A": 0.5, "B": 0.5, "C": 0.5},
            "o/mixed": {"A": 0.1, "B": 0.95, "C": 0.2},
            "o/part": {"A": 0.99, "B": 0.99},
        }.items()
    },
)


def test_an_aggregate_counts_as_one_task_and_a_benchmark_has_its_own_mean() -> None:
    """A and B are one task: of its two, a model may win one alone."""
    table = replace(
        SMALL,
        average="Mean (TaskType)",
        weights=Weights({"A": 0.1, "B": 0.3, "C": 0.6}),
        aggregates={"AB": ("A", "B")},
    )
    ranking = rank(whole(), table)
    means = {"o/best": 0.9, "me/mine": 0.05 + 0.18 + 0.42, "o/even": 0.5, "o/mixed": 0.01 + 0.285 + 0.12}
    assert {entry.model: entry.mean for entry in ranking.entries} == pytest.approx(means)
    # Two columns: AB is 0.9, 0.55, 0.5 and 0.525, C 0.9, 0.7, 0.5 and 0.2.
    assert {entry.model: entry.points for entry in ranking.entries} == {
        "o/best": 6, "me/mine": 4, "o/even": 1, "o/mixed": 1,
    }  # fmt: skip
    assert ranking.ours.means == pytest.approx({"STS": 0.55, "Retrieval": 0.7})
    assert "Mean (TaskType), all 3 tasks" in shown(ranking)
    # Without C there is no average, and the column of AB is of both.
    part = rank(run_of(task("A", 0.5), task("B", 0.6)), table)
    assert part.ours.mean == pytest.approx(0.55)
    assert part.average is None
    assert {entry.model: entry.mean for entry in part.entries}["o/part"] == pytest.approx(0.99)
    # Of B alone the aggregate is B.
    alone = rank(run_of(task("B", 0.6)), table)
    assert {entry.model: entry.points for entry in alone.entries}["o/mixed"] == 3


def task(
    name: str, score: float | None, kind: str = "STS", splits: tuple[str, ...] = ("test",), **values: Any
) -> TaskRecord:
    plain = {"status": "success", "settings": {}, "digest": "", "data": {"status": "official"}}
    scores = {} if score is None else {split: {"default": score} for split in splits}
    return TaskRecord(name=name, kind=kind, scores=scores, **plain | values)


def run_of(*tasks: TaskRecord, model: str = "me/mine", benchmark: str = "cmteb") -> RunRecord:
    return RunRecord(benchmark, model, "r", {}, (), {}, {each.name: each for each in tasks})


def whole(a: float = 0.5, b: float = 0.6, c: float = 0.7, model: str = "me/mine") -> RunRecord:
    return run_of(task("A", a), task("B", b), task("C", c, "Retrieval", ("dev", "test")), model=model)


def shown(ranking: Ranking, neighbours: int = 3) -> str:
    console = Console(file=io.StringIO(), width=140)
    for table in render(ranking, neighbours):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue() + "\n".join(remarks(ranking))


def test_a_whole_run_by_hand() -> None:
    ranking = rank(whole(), SMALL)
    assert ranking.average == pytest.approx(0.6)
    # o/part lacks C. Means: best 0.9, mine 0.6, even 0.5, mixed 0.4167.
    assert [entry.model for entry in ranking.entries] == ["o/best", "me/mine", "o/even", "o/mixed"]
    assert [entry.place for entry in ranking.entries] == [1, 2, 3, 4]
    # A: best 3, mine and even 1.5 each, mixed 0. B: mixed 3, best 2, mine 1, even 0. C: best 3, mine 2, even 1.
    assert {entry.model: entry.points for entry in ranking.entries} == {
        "o/best": 8.0,
        "me/mine": 4.5,
        "o/even": 2.5,
        "o/mixed": 3.0,
    }
    assert {entry.model: entry.borda for entry in ranking.entries} == {
        "o/best": 1,
        "me/mine": 2,
        "o/even": 4,
        "o/mixed": 3,
    }
    assert ranking.ours.means == {"STS": pytest.approx(0.55), "Retrieval": pytest.approx(0.7)}
    assert ranking.place_in("STS") == 2
    assert ranking.place_in("Retrieval") == 2
    assert not ranking.left_out


def test_borda_and_places_against_a_naive_count() -> None:
    draw = random.Random(3)
    scores = [[draw.choice((0.1, 0.2, 0.3, 0.4)) for _ in range(7)] for _ in range(12)]
    expected = []
    for mine in scores:
        total = 0.0
        for at in range(7):
            # n less the average rank, as mteb has it: rank 1 is the highest, ties share the mean of their ranks.
            greater = sum(other[at] > mine[at] for other in scores)
            equal = sum(other[at] == mine[at] for other in scores)
            total += 12 - (greater + (equal + 1) / 2)
        expected.append(total)
    assert borda(scores) == expected
    ordered = sorted(expected, reverse=True)
    assert places(expected) == [1 + ordered.index(value) for value in expected]


def test_equal_models_share_a_place() -> None:
    ranking = rank(whole(0.5, 0.5, 0.5), SMALL)
    assert [(entry.model, entry.place, entry.borda) for entry in ranking.entries[1:]] == [
        ("me/mine", 2, 2),
        ("o/even", 2, 2),
        ("o/mixed", 4, 4),
    ]


def test_a_run_is_rounded_as_published_scores_are() -> None:
    ranking = rank(whole(0.5 + 4e-7, 0.5 - 4e-7, 0.5), SMALL)
    assert ranking.ours.mean == 0.5
    assert ranking.ours.place == 2


def beside(scores: dict[str, dict[str, float]]) -> PublishedTable:
    """The table with these published scores of ``o/even``."""
    even = replace(SMALL.models["o/even"], scores=scores)
    return replace(SMALL, models={**SMALL.models, "o/even": even})


def test_scores_that_round_to_what_is_published_tie_task_by_task() -> None:
    """Of the run, and of a model whose mean over two splits has noise behind its decimals."""
    for off in (4e-7, -4e-7):
        ranking = rank(whole(0.5 + off, 0.5 + off, 0.5), SMALL)
        even = next(entry for entry in ranking.entries if entry.model == "o/even")
        # A and C: best 3, mine and even 1.5, mixed 0. B: mixed 3, best 2, mine and even 0.5.
        assert ranking.ours.points == even.points == 3.5
    noisy = beside({"A": {"test": 0.5}, "B": {"test": 0.5}, "C": {"dev": 0.1, "test": 0.2}})
    ranking = rank(whole(0.5, 0.5, 0.15), noisy)
    even = next(entry for entry in ranking.entries if entry.model == "o/even")
    assert ranking.ours.points == even.points == 2.5  # of C: best 3, mixed 2, mine and even 0.5


def test_means_that_are_equal_but_for_floating_point_share_a_place() -> None:
    """0.1 + 0.2 is more than 0.3 + 0 in floats, and the same mean of the same decimals."""
    for ours, theirs in (((0.1, 0.2), (0.3, 0.0)), ((0.3, 0.0), (0.1, 0.2))):
        scores = {task: {"test": score} for task, score in zip("AB", theirs, strict=True)}
        other = beside({**scores, "C": {"dev": 0.0, "test": 0.0}})
        ranking = rank(whole(*ours, 0.0), other)
        places_of = {entry.model: (entry.place, entry.mean, entry.means) for entry in ranking.entries}
        assert places_of["me/mine"] == places_of["o/even"]
        # By STS: best 0.9, mixed 0.525, mine and even 0.15.
        assert ranking.place_in("STS") == 3


def test_a_run_without_all_tasks_has_no_average_and_is_ranked_over_its_own() -> None:
    ranking = rank(run_of(task("A", 0.98), task("B", 0.98)), SMALL)
    assert ranking.average is None
    assert ranking.left_out == {"C": "not in the run"}
    # Over A and B the model without C is there as well.
    assert [entry.model for entry in ranking.entries] == ["o/part", "me/mine", "o/best", "o/mixed", "o/even"]
    assert "Retrieval" not in ranking.ours.means
    said = shown(ranking)
    assert "no average over all 3 tasks" in said
    assert "the 2 of 3 tasks ranked here" in said
    assert "left out, not in the run: C" in said


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (task("B", 0.6, data={"status": "differs"}), "not the official data"),
        (task("B", 0.6, data={"status": "unknown"}), "not known to be the official data"),
        (task("B", 0.6, status="partial"), "scored on a part of the data"),
        (task("B", None, status="error", error="no disk"), "failed: no disk"),
        (task("B", 0.6, splits=("validation",)), "its splits are validation and not test"),
    ],
)
def test_what_is_not_comparable_is_left_out_and_named(bad: TaskRecord, why: str) -> None:
    ranking = rank(run_of(task("A", 0.5), bad), SMALL)
    assert ranking.left_out == {"B": why, "C": "not in the run"}
    assert list(ranking.tasks) == ["A"]
    assert f"left out, {why}: B" in shown(ranking)
    with pytest.raises(BadInput, match=f"no task of this run can be ranked .B: {why}"):
        rank(run_of(bad), SMALL)


def test_a_run_of_another_benchmark() -> None:
    other = run_of(task("wiki_zh", 0.5, "Retrieval"), benchmark="air-bench")
    with pytest.raises(BadInput, match=r"this run \(of air-bench: wiki_zh\) has no task of Small"):
        rank(other, SMALL)
    with pytest.raises(BadInput, match=r"this run \(of cmteb: no task\)"):
        rank(run_of(), SMALL)


def test_a_run_stands_in_the_place_of_its_own_published_scores() -> None:
    ranking = rank(whole(model="o/best"), SMALL)
    assert [entry.model for entry in ranking.entries] == ["o/best", "o/even", "o/mixed"]
    assert ranking.ours.mean == pytest.approx(0.6)
    assert ranking.replaces
    assert "this run replaces the published scores" in shown(ranking)


def test_neighbours() -> None:
    ranking = rank(whole(), SMALL)
    assert [entry.model for entry in ranking.around(1)] == ["o/best", "me/mine", "o/even"]
    assert [entry.model for entry in ranking.around(0)] == ["me/mine"]
    assert ranking.around(9) == ranking.entries
    # One more above than there are: a window that went on from the other end would show the last models.
    assert ranking.around(2) == ranking.entries
    assert [entry.model for entry in rank(whole(1.0, 1.0, 1.0), SMALL).around(1)] == ["me/mine", "o/best"]
    said = shown(ranking, 1)
    assert "me/mine (this run)" in said
    assert "o/mixed" not in said


def test_models_with_fewer_splits_are_said() -> None:
    models = {
        **SMALL.models,
        "o/even": replace(SMALL.models["o/even"], scores={**SMALL.models["o/even"].scores, "C": {"dev": 0.4}}),
    }
    ranking = rank(whole(), replace(SMALL, models=models))
    assert next(entry.mean for entry in ranking.entries if entry.model == "o/even") == pytest.approx(1.4 / 3)
    assert ranking.notes == ["C: 1 of the models have published only one of its 2 splits"]


def test_the_dictionary_whole() -> None:
    """Of a run without C: the model that lacks it as well is ranked. Points: A 0.99 > 0.9 > 0.5 = 0.5 > 0.1 and B."""
    values = rank(run_of(task("A", 0.5), task("B", 0.6)), SMALL).as_dict()
    expected = (
        # model, mean, place, points of A and B, place by points
        ("o/part", 0.99, 1, 4 + 4, 1),
        ("o/best", 0.9, 2, 3 + 2, 2),
        ("me/mine", 0.55, 3, 1.5 + 1, 4),
        ("o/mixed", 0.525, 4, 0 + 3, 3),
        ("o/even", 0.5, 5, 1.5 + 0, 5),
    )
    assert values == {
        "model": "me/mine",
        "source": "a small table",
        "average": None,
        "mean_of_ranked_tasks": 0.55,
        "interval": None,
        "place": 3,
        "places_within": None,
        "tied_with": [],
        "borda_points": 2.5,
        "borda_place": 4,
        "models": 5,
        "replaces_published": False,
        "types": {"STS": {"mean": 0.55, "interval": None, "place": 3, "tasks": 2, "of_tasks": 2}},
        "ranked_tasks": ["A", "B"],
        "left_out": {"C": "not in the run"},
        "notes": [],
        "ranking": [
            {"model": model, "this_run": model == "me/mine", "mean": mean, "place": place, "points": points}
            | {"borda_place": by_points, "types": {"STS": mean}}
            for model, mean, place, points, by_points in expected
        ],
    }
    whole_run = rank(whole(model="o/best"), SMALL).as_dict()
    assert (whole_run["average"], whole_run["replaces_published"]) == (pytest.approx(0.6), True)


def cells_of(ranking: Ranking, neighbours: int) -> list[tuple[str, list[tuple[str, str]], list[list[str]]]]:
    """Title, headings with their side, and rows of each table."""
    made = []
    for table in render(ranking, neighbours):
        rows = zip(*([str(cell) for cell in column.cells] for column in table.columns), strict=True)
        headings = [(str(column.header), column.justify) for column in table.columns]
        made.append((str(table.title), headings, [list(row) for row in rows]))
    return made


def test_the_tables_of_a_whole_run() -> None:
    means, near = cells_of(rank(whole(), SMALL), 1)
    assert means == (
        "me/mine among published models",
        [("mean over", "left"), ("score", "right"), ("place", "right")],
        [
            ["STS, 2 tasks", "55.00", "2 of 4"],
            ["Retrieval, 1 task", "70.00", "2 of 4"],
            ["all 3 tasks", "60.00", "2 of 4"],
            ["Borda count", "4.5", "2 of 4"],
        ],
    )
    assert near == (
        "The models around it",
        [("place", "right"), ("model", "left"), *((name, "right") for name in ("mean", "Borda", "STS", "Retr."))],
        [
            ["1", "o/best", "90.00", "1", "90.00", "90.00"],
            ["2", "me/mine (this run)", "60.00", "2", "55.00", "70.00"],
            ["3", "o/even", "50.00", "4", "50.00", "50.00"],
        ],
    )
    assert remarks(rank(whole(), SMALL)) == ["scores of the other 3 models: a small table; not the live leaderboard"]


def _with_intervals(error: float) -> RunRecord:
    """The whole run, of whose tasks each split has a score with this standard error."""
    part: PartInterval = {"error": error, "items": 10_000, "clusters": 10_000}
    record = whole()
    tasks = {}
    for name, its in record.tasks.items():
        score, half = its.score, 1.96 * error / len(its.scores) ** 0.5
        assert score is not None
        parts = {at: {"default": part} for at in its.scores}
        tasks[name] = replace(its, interval={"low": score - half, "high": score + half, "parts": parts})
    return replace(record, tasks=tasks)


def test_models_within_the_interval_of_the_mean_are_tied_and_the_place_has_a_range() -> None:
    """A and B have an error of 0.1, C of two splits 0.1 / sqrt(2); a mean the root of their squares, summed, over n."""
    ranking = rank(_with_intervals(0.1), SMALL)
    half = 1.96 * (0.1**2 + 0.1**2 + 0.1**2 / 2) ** 0.5 / 3
    assert ranking.within is not None
    assert (ranking.within.low, ranking.within.high) == pytest.approx((0.6 - half, 0.6 + half), abs=1e-4)
    assert (ranking.tied, ranking.places) == (["o/even"], (2, 3))
    found = ranking.as_dict()
    assert (found["interval"], found["tied_with"]) == ([ranking.within.low, ranking.within.high], ["o/even"])
    assert found["places_within"] == (2, 3)
    (_, _, rows), _ = cells_of(ranking, 1)
    assert rows == [
        ["STS, 2 tasks", "55.00 ± 13.86", "2 of 4"],
        ["Retrieval, 1 task", "70.00 ± 13.86", "2 of 4"],
        ["all 3 tasks", "60.00 ± 10.33", "2 of 4 (2 to 3)"],
        ["Borda count", "4.5", "2 of 4"],
    ]
    assert remarks(ranking)[1:] == [
        "tied with o/even: within this run's 95% interval (49.67 to 70.33); published scores have no values per item, "
        "so it is this run's alone"
    ]


def test_a_mean_that_is_known_well_is_tied_with_none() -> None:
    ranking = rank(_with_intervals(0.01), SMALL)
    assert (ranking.tied, ranking.places) == ([], (2, 2))
    (_, _, rows), _ = cells_of(ranking, 1)
    assert rows[2] == ["all 3 tasks", "60.00 ± 1.03", "2 of 4"]
    assert remarks(ranking)[1].startswith("no published mean is within this run's 95% interval (58.97 to 61.03)")


def test_the_tables_of_a_run_in_part() -> None:
    ranking = rank(run_of(task("A", 0.5), task("C", 0.7, splits=("dev",)), model="o/even"), SMALL)
    means, near = cells_of(ranking, 0)
    assert means[2] == [
        ["STS, 1 of 2 tasks", "50.00", "3 of 4"],
        ["all 3 tasks", "", ""],
        ["the 1 of 3 tasks ranked here", "50.00", "3 of 4"],
        ["Borda count", "1.0", "3 of 4"],
    ]
    assert (near[0], near[2]) == (
        "The models around it, by this task alone",
        [["3", "o/even (this run)", "50.00", "3", "50.00"]],
    )
    assert remarks(ranking) == [
        "scores of the other 3 models: a small table; not the live leaderboard",
        "this run replaces the published scores of o/even itself",
        "no average over all 3 tasks: every mean and place is over the same 1 for all models, "
        "and models that lack one of them are left out",
        "left out, not in the run: B",
        "left out, its splits are dev and not dev, test: C",
    ]


def test_the_real_table_against_a_naive_sort() -> None:
    """A run with the very scores of a published model stands where that model stands."""
    table = published_table()
    its = table.of_model("BAAI/bge-large-zh-v1.5")
    record = run_of(
        *(task(name, its.score(name), kind, table.splits[name]) for name, kind in table.kinds.items()), model=its.model
    )
    ranking = rank(record, table)
    means = {
        name: sum(each.score(name_) or 0 for name_ in table.kinds) / 31
        for name, each in table.models.items()
        if len(each.scores) == 31
    }
    order = sorted(means, key=means.__getitem__, reverse=True)
    assert ranking.average == pytest.approx(0.642518, abs=5e-7)
    assert len(ranking.entries) == len(means) == 66
    assert ranking.ours.place == 1 + order.index(its.model)
    assert [entry.model for entry in ranking.entries] == order


def test_counts_that_agree_are_ranked_where_the_user_takes_them_and_said_and_so_is_what_keeps_others_out() -> None:
    counts = {"data": {"status": "counts agree"}}
    run = run_of(
        task("A", 0.5, **counts),
        task("B", 0.6, later_error="no disk"),
        task("C", 0.7, splits=("dev", "test"), **counts),
    )
    aside = "only the counts agree with the official data (--accept-counts compares it)"
    with pytest.raises(BadInput, match=re.escape(f"(A: {aside}; B: failed when")):
        rank(run, SMALL)
    half = rank(replace(run, tasks={**run.tasks, "A": task("A", 0.5)}), SMALL)
    assert (list(half.tasks), half.left_out["C"], half.notes) == (["A"], aside, [])
    ranking = rank(run, SMALL, accept_counts=True)
    assert (list(ranking.tasks), ranking.left_out) == (["A", "C"], {"B": "failed when it was last evaluated: no disk"})
    assert ranking.notes == ["only the counts agree with the official data: A, C"]
    table = replace(SMALL, subsets={"A": ("zh", "en")})
    assert (
        rank(run, table, accept_counts=True).left_out["A"] == "scored over other subsets than the 2 that are published"
    )


def viewed(record: RunRecord) -> RunRecord:
    settings = {"model": {"view": {"dims": 8, "vectors": "fp32"}}}
    return replace(record, tasks={name: replace(its, settings=settings) for name, its in record.tasks.items()})


def test_a_point_of_a_series_is_ranked_with_a_note_and_replaces_no_published_model() -> None:
    assert (
        "this run has other settings than those of published scores: the first 8 numbers of each vector (--dims)"
        in shown(rank(viewed(whole()), SMALL))
    )
    with pytest.raises(BadInput, match=r"this run is no one of o/best, .* evaluate it under another --name"):
        rank(viewed(whole(model="o/best")), SMALL)
