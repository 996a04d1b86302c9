"""Facts of runs by value: speed, size, time, means, and settings side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flagbench.results.figures import PERCENT
from flagbench.results.page import facts as of
from flagbench.results.page.facts import Setting, Size, Speed, Vectors
from flagbench.results.page.render import page
from flagbench.results.page.view import groups
from flagbench.results.runs import Run, find_all, find_runs
from tests.unit.page_runs import page_run, page_task
from tests.unit.page_tree import read_page


def _run(tmp_path: Path, name: str, *tasks: Any, **fields: Any) -> Run:
    (run,) = find_runs(page_run(tmp_path, f"org/{name}", *tasks, **fields))
    return run


def test_speed_is_that_of_all_tasks_which_the_model_did_whole(tmp_path: Path) -> None:
    def encoded(name: str, distinct: int, encoded: Any, seconds: Any) -> Any:
        texts = {"asked": 900, "distinct": distinct, "encoded": encoded}
        return page_task(name, texts=texts, seconds={"encode": seconds, "answer": 1.0})

    tasks = [encoded("A", 100, 100, 2.0), encoded("B", 50, 50, 1.0), encoded("C", 50, 49, 9.0)]
    tasks += [encoded("D", 0, 0, 9.0), encoded("E", 70, 70, 0.0)]
    assert of.speed(_run(tmp_path, "one", *tasks)) == Speed(50.0, "texts")
    answered = {"texts": {"asked": 30, "answered": 30}, "seconds": {"answer": 12.0}}
    assert of.speed(_run(tmp_path, "two", page_task("Q", **answered))) == Speed(2.5, "answers")
    # What was encoded tells more than what was answered.
    assert of.speed(_run(tmp_path, "three", page_task("Q", **answered), tasks[0])) == Speed(50.0, "texts")
    assert of.speed(_run(tmp_path, "four", tasks[2], page_task("Q", texts={}, seconds={"answer": 1.0}))) is None


@pytest.mark.parametrize(
    ("meta", "size"),
    [
        ({"n_parameters": 7, "embed_dim": 3}, Size(7, 3)),
        ({"n_parameters": 7.0}, Size(7, None)),
        ({"embed_dim": 3, "n_parameters": None}, Size(None, 3)),
        ({"n_parameters": "7", "embed_dim": True}, Size(None, None)),
        ({"n_parameters": 0, "embed_dim": 0}, Size(None, None)),
        (None, Size(None, None)),
    ],
)
def test_size_is_what_the_file_beside_the_results_says(tmp_path: Path, meta: Any, size: Size) -> None:
    assert of.size(_run(tmp_path, "one", page_task("A"), meta=meta)) == size
    reranked = _run(tmp_path, "two", page_task("A"), meta=meta, reranker={"name": "org/r"})
    assert of.size(reranked) == Size(None, size.dimension)


def test_vectors_are_those_of_all_scores_or_unknown(tmp_path: Path) -> None:
    bits = {"dimensions": 1024, "precision": "binary", "bytes_per_million": 128 * 10**6}
    floats = {"dimensions": 1024, "precision": "fp32", "bytes_per_million": 4096 * 10**6}
    one, two = page_task("A", vectors=bits), page_task("B", vectors=bits)
    run = _run(tmp_path, "one", one, two, page_task("F", None, status="error", error="no memory"))
    assert of.vectors(run) == Vectors(1024, "binary", 128 * 10**6)
    assert of.vectors(_run(tmp_path, "two", one, page_task("B", vectors=floats))) is None
    assert of.vectors(_run(tmp_path, "three", one, page_task("B"))) is None
    tree = read_page(page(groups([run], {}), "en"))
    assert tree.one(data_precision=None).text == "binary"
    assert tree.one(data_vectors=None).text == "128 MB"


def test_time_and_means_of_a_run(tmp_path: Path) -> None:
    run = _run(
        tmp_path,
        "one",
        page_task("A", 0.25, seconds={"data": 1.0, "encode": 2.5}, finished="2026-01-02T03:04:59+00:00"),
        page_task("B", 0.75, seconds={"data": 0.5}, finished="2026-01-02T03:05:00+00:00"),
        page_task("C", 0.9, status="partial", seconds={}, finished="2025-12-31T23:59:59+00:00"),
        page_task("D", None, status="error", error="no disk", seconds={}, finished=""),
        page_task("E", None, seconds={}),
    )
    assert (of.seconds(run), of.finished(run), of.own_mean(run)) == (4.0, "2026-01-02 03:05", (0.5, 2, PERCENT))
    none = _run(tmp_path, "two", page_task("D", None, status="error", error="no disk", seconds={}, finished=""))
    assert (of.seconds(none), of.finished(none), of.own_mean(none)) == (None, "", (None, 0, PERCENT))


def test_settings_side_by_side_with_those_that_differ_first(tmp_path: Path) -> None:
    one = {
        "pooling": "cls",
        "normalize": False,
        "dtype": "fp16",
        "prompts": [["query", "q: "]],
        "own": {"layers": [1, 2], "note": "y" * 800},
    }
    two = {"pooling": "cls", "normalize": True, "dtype": "fp16", "prompts": [], "text": "x" * 801, "empty": "", "no": 0}
    runs = [
        _run(tmp_path, "one", page_task("A"), spec=one, environment={"versions": {"torch": "2.1"}, "threads": 2}),
        _run(tmp_path, "two", page_task("A"), spec=two, environment={"threads": 2, "device": None}),
    ]
    found = of.settings(runs)
    assert found == [
        Setting("normalize", ("false", "true"), True),
        Setting("prompts.query", ("q: ", ""), True),
        Setting("own.layers", ("[1, 2]", ""), True),
        Setting("own.note", ("y" * 800, ""), True),
        Setting("text", ("", "x" * 799 + "…"), True),
        Setting("pooling", ("cls", "cls"), False),
        Setting("dtype", ("fp16", "fp16"), False),
    ]
    assert of.environments(runs) == [
        Setting("versions.torch", ("2.1", ""), True),
        Setting("threads", ("2", "2"), False),
    ]


def test_pairs_are_settings_of_their_own_up_to_six_and_all_else_is_one_text(tmp_path: Path) -> None:
    pairs = [[f"用途{at}", f"值{at}"] for at in range(7)]
    odd = [["a", "b"], ["a", "b", "c"]]
    spec = {"six": pairs[:6], "seven": pairs, "mixed": odd, "text": ["ab", "cd"], "numbers": [["a", 1]]}
    runs = [_run(tmp_path, "one", page_task("A"), spec=spec, reranker={"name": "org/r", "top": 9})]
    found = {each.name: each.values[0] for each in of.settings(runs)}
    assert found == {
        **{f"six.用途{at}": f"值{at}" for at in range(6)},
        "seven": json.dumps(pairs, ensure_ascii=False),
        "mixed": '[["a", "b"], ["a", "b", "c"]]',
        "text": '["ab", "cd"]',
        "numbers": '[["a", 1]]',
        "reranker.name": "org/r",
        "reranker.top": "9",
    }


def test_data_of_the_run_that_is_furthest_from_the_official_data_marks_a_task(tmp_path: Path) -> None:
    states = ("official", "counts agree", "own", "unknown", "differs")  # the best first
    folders = [
        page_run(tmp_path, f"org/m{at}", page_task("A", data={"status": state}), page_task("B", 0.1 * at))
        for at, state in enumerate(states)
    ]
    failed = page_run(tmp_path, "org/failed", page_task("A", None, status="error", error="no disk"))
    for count in range(1, 6):
        for order in (1, -1):
            some = [*folders[:count][::order], failed]
            (group,) = groups(find_all(some), {}, allow_differences=True)
            assert group.tasks[0].verdict == states[count - 1].replace(" agree", "_agree")
    (group,) = groups(find_all([failed]), {})
    assert (group.tasks[0].verdict, of.verdict(None)) == ("", "")


@pytest.mark.parametrize(("count", "columns"), [(1, False), (2, True), (4, True), (5, False)])
def test_differences_have_columns_for_a_few_runs(tmp_path: Path, count: int, columns: bool) -> None:
    """And so have means by type bars, of one run as well; a heat map is of three runs or more."""
    folders = [
        page_run(tmp_path, f"org/m{at}", page_task("A", at / 10), page_task("B", 0.5, "STS")) for at in range(count)
    ]
    (group,) = groups(find_all(folders), {})
    assert group.deltas is columns
    tree = read_page(page([group], "en"))
    assert bool(list(tree.all("table", class_="types"))) is columns or count == 1
    assert bool(list(tree.all("table", class_="sortable shaded"))) is (count > 2)
    assert ("org/m0" in next(tree.all("title")).text) is (count == 1)


def test_what_is_significant_is_counted_by_its_direction(tmp_path: Path) -> None:
    values = {"A": ([0.1] * 12, [0.4] * 12), "B": ([0.5] * 12, [0.3] * 12), "C": ([0.5] * 12, [0.2] * 12),
              "D": ([0.5, 0.4] * 6, [0.4, 0.5] * 6)}  # fmt: skip
    folders = [
        page_run(
            tmp_path,
            f"org/m{at}",
            *(page_task(name, sum(its[at]) / 12) for name, its in values.items()),
            values={name: its[at] for name, its in values.items()},
            environment={"device": "cuda:0"} if at else {"device": "cpu", "device_name": "a processor"},
        )
        for at in (0, 1)
    ]
    (group,) = groups(find_all(folders), {})
    assert [view.significant for view in group.runs] == [(0, 0), (1, 2)]
    assert [view.tally for view in group.runs] == [(0, 0, 0), (1, 1, 2)]
    assert [view.device for view in group.runs] == ["a processor", "cuda:0"]
    assert group.tested == 4
    (untested,) = groups(find_all(folders), {}, tests=False)
    assert (untested.tested, untested.runs[1].significant) == (0, (0, 0))
