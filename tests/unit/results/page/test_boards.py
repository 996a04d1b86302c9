"""Leaderboards: which runs are on one, in which order, and what stands on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from flagbench.results.averages import cells_digest
from flagbench.results.data_state import DataState, in_mini
from flagbench.results.page import LANGUAGES, Language
from flagbench.results.page.benchmark import Benchmark
from flagbench.results.page.boards import Board, boards, outermost, parts_of
from flagbench.results.page.officials import officials
from flagbench.results.page.render import page
from flagbench.results.page.view import SHOWN, groups, leaderboards
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.runs import Run
from tests.unit.page_tree import read_page
from tests.unit.results.compare.test_mixed import MIXED, task

KNOWN = {
    "cmteb": Benchmark(
        "C-MTEB",
        {"STS mean": ["A", "B"], "Retrieval mean": ["C"], "Avg": ["A", "B", "C"]},
        {"STS mean": ["A"], "Retrieval mean": ["C"], "Avg": ["A", "C"]},
        ("cmteb", "mini"),
    ),
    "mlvu": Benchmark("MLVU", {"M-Avg (dev)": ["P", "Q"], "M-Avg (test)": ["R"]}),
    "other": Benchmark("Other", {}),
}
KIND = {"A": "STS", "B": "STS", "C": "Retrieval", "P": "multiple-choice", "Q": "multiple-choice"}


def scored(name: str, score: float, state: DataState = DataState.OFFICIAL, **fields: Any) -> TaskRecord:
    data = {"status": str(state), "source": fields.pop("source", "hub")}
    its = task(name, score, kind=KIND.get(name, "open"), **fields.pop("settings", {}))
    return TaskRecord(**{**vars(its), "data": data, **fields})


def run(label: str, *tasks: TaskRecord, benchmark: str = "cmteb") -> Run:
    record = RunRecord(benchmark, label, "r", {}, (), {}, {each.name: each for each in tasks})
    return Run(Path(label), record, label, {})


def whole(label: str, score: float, state: DataState = DataState.OFFICIAL) -> Run:
    return run(label, *(scored(name, score, state) for name in "ABC"))


def named(board: Board) -> tuple[str, str, str, DataState, list[str]]:
    return board.title, board.label, board.profile, board.state, [each.label for each in board.runs]


def test_a_board_for_each_benchmark_profile_and_data() -> None:
    mini = {"source": "/opt/cmteb/mini/org/data"}
    runs = [
        whole("differs", 0.9, DataState.DIFFERS),
        whole("counts", 0.9, DataState.COUNTS_AGREE),
        run("mostly", scored("A", 0.1), scored("B", 0.1, DataState.UNKNOWN), scored("C", 0.1)),
        whole("official", 0.2),
        run("quick", scored("A", 0.1, settings={"profile": "quick"})),
        run("smoke", scored("A", 0.1, sample={"profile": "smoke"})),
        run("both", scored("A", 0.3, **mini), scored("C", 0.5, **mini), scored("B", 0.5)),
        run("videos", scored("P", 0.5), scored("R", 0.5), benchmark="mlvu"),
        run("own", scored("X", 0.5), scored("A", 0.5), benchmark="other"),
        run("gone", scored("Y", 0.5), benchmark="of a package"),
    ]
    official, full = DataState.OFFICIAL, "full"
    assert [named(each) for each in boards(runs, KNOWN)] == [
        ("C-MTEB", "Avg", full, official, ["official", "both", "own"]),
        ("C-MTEB", "Avg", full, DataState.COUNTS_AGREE, ["counts"]),
        ("C-MTEB", "Avg", full, DataState.UNKNOWN, ["mostly"]),
        ("C-MTEB", "Avg", full, DataState.DIFFERS, ["differs"]),
        ("MLVU", "M-Avg (dev)", full, official, ["videos"]),
        ("MLVU", "M-Avg (test)", full, official, ["videos"]),
        ("Other", "", full, official, ["own"]),
        ("of a package", "", full, official, ["gone"]),
        ("C-MTEB", "Avg", "quick", official, ["quick"]),
        ("C-MTEB", "Avg", "smoke", official, ["smoke"]),
        ("C-MTEB", "Avg", "mini", official, ["both"]),
    ]
    assert [each.aside for each in boards(runs, KNOWN)] == [False] * 8 + [True] * 3


def test_complete_runs_come_first_and_are_ordered_by_the_benchmark_s_own_average() -> None:
    """The average is over tasks: by the mean of the types the first two would stand the other way round."""
    one = run("one", scored("A", 0.8), scored("B", 0.8), scored("C", 0.1))
    two = run("two", scored("A", 0.5), scored("B", 0.5), scored("C", 0.5))
    half = run("half", scored("A", 0.99), scored("C", 0.99))
    less = run("less", scored("A", 1.0))
    failed = run("failed", scored("A", 1.0), scored("B", 0.1), scored("C", 0, status="error", scores={}))
    (board,) = boards([less, half, two, failed, one, run("mixed", *MIXED)], KNOWN)
    assert [each.label for each in board.runs] == ["one", "two", "mixed", "half", "failed", "less"]
    assert [(each.average, each.whole) for each in board.standings] == [
        (pytest.approx(fmean((0.8, 0.8, 0.1))), 3),
        (pytest.approx(0.5), 3),
        (None, 3),
        (None, 2),
        (None, 2),
        (None, 1),
    ]
    assert board.columns == (("STS", ("A", "B")), ("Retrieval", ("C",)))
    assert board.standings[0].means == (pytest.approx(0.8), pytest.approx(0.1))
    assert board.standings[3].means == (None, pytest.approx(0.99))
    assert board.standings[2].mixed == "settings differ: max length 512 → 8"


def test_averages_and_means_have_intervals_where_all_of_their_tasks_do() -> None:
    """Student's of many items: the error of A and B together is half the root of 0.03² + 0.04²."""

    def kept(name: str, error: float) -> TaskRecord:
        its = scored(name, 0.5)
        part = {"error": error, "items": 5_000, "clusters": 5_000}
        parts = {split: dict.fromkeys(by_subset, part) for split, by_subset in its.scores.items()}
        ends = {"low": 0.5 - 1.96 * error, "high": 0.5 + 1.96 * error}
        return scored(name, 0.5, interval={**ends, "parts": parts})

    its = [kept(name, error) for name, error in (("A", 0.03), ("B", 0.04), ("C", 0.01))]
    (board,) = boards([run("one", *its), run("old", *its[:2], scored("C", 0.4))], KNOWN)
    half = 1.96 * 0.025
    whole, sts, retrieval = board.standings[0].ends
    assert sts == pytest.approx((0.5 - half, 0.5 + half), abs=1e-4)
    assert retrieval == pytest.approx((0.5 - 0.0196, 0.5 + 0.0196), abs=1e-4)
    assert whole == pytest.approx((0.5 - 1.96 * 0.0026**0.5 / 3, 0.5 + 1.96 * 0.0026**0.5 / 3), abs=1e-4)
    assert board.standings[1].ends == (None, sts, None)
    assert "50.00 ± 4.90" in read_page(page(leaderboards([run("one", *its)], KNOWN), "en")).words


def test_miniature_data_has_the_tasks_that_it_has() -> None:
    mini = {"source": "/opt/cmteb/mini/org/data"}
    (board,) = boards([run("m", scored("A", 0.2, **mini), scored("C", 0.4, **mini))], KNOWN)
    assert (board.tasks, board.standings[0].average) == (("A", "C"), pytest.approx(0.3))


def test_a_failed_task_goes_with_the_data_of_the_others() -> None:
    """It read no data, by which miniature data would be known."""
    mini = {"source": "/opt/cmteb/mini/org/data"}
    failed = scored("C", 0, status="error", scores={}, source="")
    one = run("one", scored("A", 0.2, **mini), failed)
    assert [named(each)[2] for each in boards([one], KNOWN)] == ["mini"]
    (official,) = officials(one, {"cmteb": KNOWN["cmteb"]})
    assert (official.tasks, official.missing) == (2, ("C",))
    assert [named(each)[2:4] for each in boards([run("two", failed)], KNOWN)] == [("full", DataState.UNKNOWN)]


def test_tasks_of_several_metrics_have_no_mean_that_no_benchmark_takes() -> None:
    other = {"settings": {"task": {"main_score": "accuracy"}}}
    runs = [
        run("one", scored("X", 0.5), benchmark="other"),
        run("both", scored("X", 0.1), scored("Y", 0.7, **other), benchmark="other"),
    ]
    (board,) = boards(runs, KNOWN)
    assert [each.label for each in board.runs] == ["both", "one"]
    assert [each.average for each in board.standings] == [None, None]
    assert board.standings[0].means == (0.1, 0.7)


def test_without_an_average_of_the_benchmark_the_tasks_of_all_runs_are_one() -> None:
    first = run("first", scored("X", 0.5), scored("Y", 0.7), benchmark="other")
    (board,) = boards([run("second", scored("X", 0.9), benchmark="other"), first], KNOWN)
    assert [each.label for each in board.runs] == ["first", "second"]
    assert [each.average for each in board.standings] == [pytest.approx(0.6), None]
    assert [label for label, _ in board.columns] == ["X", "Y"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_of_boards(language: Language) -> None:
    runs = [
        whole("best", 0.9),
        run("half", scored("A", 0.99)),
        whole("counts", 0.95, DataState.COUNTS_AGREE),
        run("quick", scored("A", 0.4, settings={"profile": "quick"})),
    ]
    tree = read_page(page(leaderboards(runs, KNOWN), language, version="v"))
    bodies = list(tree.all("tbody", data_run=None))
    assert [each.attributes["data-run"] for each in bodies] == ["best", "half", "counts", "quick"]
    cells = [each.words for each in tree.all("td", data_official=None)]
    partial = {"en": "–partial", "zh": "–部分"}[language]
    assert cells == ["90.00", partial, "95.00*", partial]
    aside = tree.one("details", id="asides")
    assert "open" not in aside.attributes
    assert [each.attributes["data-run"] for each in aside.all("tbody", data_run=None)] == ["quick"]
    alone = read_page(page(leaderboards(runs[-1:], KNOWN), language, version="v"))
    assert "open" in alone.one("details", id="asides").attributes  # there is nothing else to see
    headings = [each.words for each in tree.all("h2") if each.has("group")]
    assert (
        headings[0]
        == {"en": "C-MTEB Avg · full data · official data", "zh": "C-MTEB Avg · 完整数据 · 官方数据"}[language]
    )
    assert not list(tree.all("p", data_older=""))
    older = run("older", *(scored(name, 0.8, later_error="no memory" if name == "A" else "") for name in "ABC"))
    shown = read_page(page(leaderboards([*runs, older], KNOWN), language, version="v"))
    (warning,) = shown.all("p", data_older="")
    assert {"en": "failed when they were last evaluated", "zh": "最近一次评测失败"}[language] in warning.words
    assert shown.words.count("no memory") == 1
    assert not list(shown.all("p", data_first=""))
    only = read_page(page(leaderboards(runs[3:], KNOWN), language, version="v"))
    said = {"en": "No run is over full data yet.", "zh": "还没有在完整数据上的评测。"}[language]
    assert said in only.words


def test_of_many_runs_all_have_a_place_and_the_first_their_tasks() -> None:
    runs = [whole(f"m{at}", at / 100) for at in range(SHOWN + 7)]
    (group,) = leaderboards(runs, KNOWN)
    assert len(group.tasks[0].records) == len(group.tasks[0].line.cells) == len(group.runs) == SHOWN
    tree = read_page(page([group], "en", version="v"))
    bodies = list(tree.all("tbody", data_run=None))
    assert [each.attributes["data-run"] for each in bodies] == [f"m{at}" for at in reversed(range(SHOWN + 7))]
    (hint,) = tree.all("p", data_first="")
    assert hint.words.startswith("Tasks and settings are shown for the first 50 of 57 runs")


def test_boards_are_in_the_order_of_the_benchmarks_and_those_with_an_average_come_first() -> None:
    """Neither by name nor as the runs come; what is in no average of its benchmark has a board behind."""
    known = {"z": Benchmark("Last by name", {"Avg": ["A"]}), "a": Benchmark("First by name", {"Avg": ["P"]})}
    runs = [
        run("unknown", scored("Y", 0.5), benchmark="0"),
        run("more", scored("X", 0.9), scored("P", 0.5), benchmark="a"),
        run("extra", scored("X", 0.9), scored("A", 0.5), benchmark="z"),
    ]
    titles = [(each.title, each.label) for each in boards(runs, known)]
    assert titles == [("Last by name", "Avg"), ("Last by name", ""), ("First by name", "Avg"), ("First by name", ""),
                      ("0", "")]  # fmt: skip


def test_runs_that_are_as_far_are_ordered_by_what_they_have_whole_and_then_by_name() -> None:
    """A score of a part of the data puts nothing forward."""
    runs = [
        run("b", scored("A", 0.5), scored("B", 0.1)),
        run("part", scored("A", 0.5), scored("B", 0.05), scored("C", 0.99, status="partial")),
        run("a", scored("A", 0.1), scored("B", 0.5)),
        whole("tie 2", 0.5),
        whole("tie 1", 0.5),
        run("low", scored("A", 0.2), scored("B", 0.2)),
    ]
    (board,) = boards(runs, KNOWN)
    assert [each.label for each in board.runs] == ["tie 1", "tie 2", "a", "b", "part", "low"]
    assert [each.whole for each in board.standings] == [3, 3, 2, 2, 2, 2]


@pytest.mark.parametrize(("tasks", "columns"), [(1, 0), (2, 2), (12, 12), (13, 0)])
def test_a_few_tasks_of_one_type_have_columns_of_their_own(tasks: int, columns: int) -> None:
    (board,) = boards([run("one", *(scored(f"X{at}", 0.5) for at in range(tasks)), benchmark="other")], KNOWN)
    assert [its for _, its in board.columns] == [(f"X{at}",) for at in range(columns)]


@pytest.mark.parametrize(
    ("source", "mini"),
    [
        ("/opt/cmteb/mini/org/data", True),
        ("cmteb/mini/org/data", True),
        ("/opt/cmteb/mini/org/data/json/a.json", True),
        ("/opt/cmteb/mini/org", False),  # no repo: a repo has an owner
        ("/opt/cmteb/mini", False),
        ("/opt/cmteb/minis/org/data", False),
        ("/opt/mini/cmteb/org/data", False),
        ("/opt/cmteb/x/mini/org/data", False),
    ],
)
def test_miniature_data_is_known_by_the_folders_above_a_repo(source: str, mini: bool) -> None:
    assert in_mini(scored("A", 0.5, source=source), ("cmteb", "mini")) is mini
    assert not in_mini(scored("A", 0.5, source=source), ())


def test_of_averages_over_the_same_tasks_the_last_has_the_board() -> None:
    averages = {"part": ["A"], "types": ["A", "B"], "tasks": ["B", "A"], "apart": ["B", "C"]}
    assert outermost(averages) == {"tasks": ("B", "A"), "apart": ("B", "C")}


def test_a_failed_task_goes_where_most_tasks_of_the_run_are_and_keeps_its_place_among_them() -> None:
    mini, failed = {"source": "/opt/cmteb/mini/org/data"}, scored("A", 0, status="error", scores={}, source="")
    one = run("one", failed, scored("B", 0.5), scored("C", 0.5, **mini))
    more = replace(KNOWN["cmteb"], averages={"Avg": ["A", "B", "C", "D"]})
    two = run("two", failed, scored("B", 0.5), scored("C", 0.5), scored("D", 0.5, **mini))
    three = run("three", failed, scored("B", 0.5), scored("C", 0.5, **mini), scored("D", 0.5, **mini))
    for its, profile in ((one, "mini"), (two, "full"), (three, "mini")):
        parts = parts_of(its, {"cmteb": more}, {})
        assert next(iter(parts["cmteb", "Avg", profile])) == "A"
        assert sum("A" in tasks for tasks in parts.values()) == 1


def test_only_scores_of_the_parts_that_count_are_in_an_average() -> None:
    """A task that ran over other splits is on a board of its own; one that failed has no parts, and is missed."""
    parts = {"A": cells_digest({("test", "zh"), ("dev", "default")})}
    counted = Benchmark("B", {"Avg": ["A"]}, parts=parts)
    right = {"dev": {"default": 0.5}, "test": {"zh": 0.7}}
    for scores, takes in ((right, True), ({"dev": {"default": 0.5}}, False), ({**right, "x": {"y": 0.1}}, False)):
        its = scored("A", 0.5, scores=scores)
        assert counted.takes(its) is takes
        assert boards([run("one", its, benchmark="b")], {"b": counted})[0].label == ("Avg" if takes else "")
    assert counted.takes(scored("A", 0.5, status="error", scores={}))
    assert counted.takes(scored("B", 0.5))


def test_a_run_has_the_averages_of_the_miniature_data_when_all_of_its_tasks_are_over_that() -> None:
    mini = {"source": "/opt/cmteb/mini/org/data"}
    its = KNOWN["cmteb"]
    both = run("both", scored("A", 0.5, **mini), scored("C", 0.5))
    alone = run("alone", scored("A", 0.5, **mini), scored("X", 0.5), scored("B", 0, status="error", scores={}))
    failed = run("failed", scored("B", 0, status="error", scores={}))
    assert [its.averages_of(each) == its.mini_averages for each in (both, alone, failed)] == [False, True, False]
    assert its.averages_of(both) == its.averages_of(failed) == its.averages


def test_averages_of_several_benchmarks_come_in_their_order() -> None:
    known = {"z": Benchmark("Z", {"Avg": ["A", "B"]}), "a": Benchmark("A", {"Avg": ["P"]})}
    found = officials(run("one", scored("P", 0.25), scored("B", 0.5, status="partial"), scored("A", 0.5)), known)
    assert [(each.label, each.score, each.missing) for each in found] == [("Z Avg", None, ("B",)), ("A Avg", 0.25, ())]


def test_no_mean_is_over_miniature_data_and_other_data(tmp_path: Path) -> None:
    """A run whose tasks are of both kinds has none of its own; types of one kind keep theirs."""
    mini = {"source": "/opt/cmteb/mini/org/data"}
    one = run("one", scored("A", 0.25, **mini), scored("B", 0.5), scored("C", 0.75), scored("P", 0.5), scored("Q", 1.0))
    (group,) = groups([replace(one, folder=tmp_path)], KNOWN, tests=False)
    assert (group.average.scores, group.runs[0].own) == ((None,), None)
    assert {each.label: each.scores for each in group.types} == {
        "STS mean": (None,),
        "Retrieval mean": (0.75,),
        "multiple-choice mean": (0.75,),
    }
    (group,) = groups([run("two", scored("B", 0.5), scored("C", 0.75))], KNOWN, tests=False)
    assert (group.average.scores, group.runs[0].own) == ((0.625,), 0.625)
