"""The mark of scores that are not comparable with published ones: at each of them, with the words of a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flagbench.results.data_state import DataState, footnotes
from flagbench.results.page.commands import no_command
from flagbench.results.page.history import Release
from flagbench.results.page.marks import marked_states, marked_tasks
from flagbench.results.page.render import page
from flagbench.results.page.site import pages
from flagbench.results.page.view import groups, leaderboards
from flagbench.results.runs import Run, find_all
from flagbench.results.table import cell, rows
from tests.unit.page_runs import page_run, page_task
from tests.unit.page_tree import Element, read_page
from tests.unit.page_views import KNOWN, made, scores_of, section, tasks_of


def folder(root: Path, name: str, **states: str) -> Path:
    """A run whose tasks are over data of these states."""
    kinds = {"A": "Retrieval", "B": "Retrieval", "C": "STS"}
    tasks = [page_task(task, 0.5, kinds[task], data={"status": state}) for task, state in states.items()]
    return page_run(root, f"org/{name}", *tasks, meta={"n_parameters": 1000})


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """Three runs, of which the last has official data alone."""
    return find_all(
        [
            folder(tmp_path, "one", A="differs", B="official", C="official"),
            folder(tmp_path, "two", A="official", B="official", C="unknown"),
            folder(tmp_path, "three", A="official", B="official", C="official"),
        ]
    )


def starred(elements: Iterator[Element]) -> list[bool]:
    return [each.words.endswith("*") for each in elements]


def test_each_score_and_each_mean_over_it_is_marked(runs: list[Run]) -> None:
    tree = read_page(page(groups(runs, KNOWN, allow_differences=True), "en"))
    bodies = tasks_of(tree)
    assert [starred(iter(scores_of(bodies[task]))) for task in "ABC"] == [
        [True, False, False],
        [False, False, False],
        [False, True, False],
    ]
    assert starred(tree.all("td", data_official=None)) == [True, True, False]
    assert starred(tree.all("td", data_average=None)) == [True, True, False]
    assert starred(tree.all("td", data_type_mean=None)) == [True, False, False, False, True, False]
    assert starred(tree.all("td", data_shade=None)) == [True, False, False, True, False, False]
    drawn = [each.one("text").text.endswith("*") for each in tree.all("g") if each.has("dot")]
    assert drawn == [True, True, False] * 2  # against parameters and against speed


def test_the_page_marks_what_a_table_of_a_terminal_marks(runs: list[Run]) -> None:
    for run in runs:
        tree = read_page(page(groups([run], KNOWN), "en"))
        shown, means = rows(list(run.record.tasks.values()), KNOWN["cmteb"].averages)
        marks = {row.label: cell(row).endswith("*") for row in (*shown, *means)}
        assert {task: "*" in scores_of(body)[0].words for task, body in tasks_of(tree).items()} == {
            task: marks[task] for task in run.record.tasks
        }
        assert tree.one("dd", data_official=None).words.endswith("*") == marks["Avg"]


def test_one_line_says_it_in_the_words_of_a_terminal(runs: list[Run]) -> None:
    states = [DataState.of(task.data) for run in runs for task in run.record.tasks.values()]
    (line,) = footnotes(states)
    tree = read_page(page(groups(runs, KNOWN, allow_differences=True), "en"))
    assert section(tree, "summary-1").one("p", data_marked=None).words == f"{line}."
    assert line == (
        "* not the official data, or not known to be the official data: scores are not comparable with published ones"
    )
    alone = read_page(page(groups(runs[2:], KNOWN), "en"))
    assert not list(alone.all("p", data_marked=None))
    assert not list(alone.all("abbr"))


def test_boards_are_marked_likewise(runs: list[Run]) -> None:
    tree = read_page(page(leaderboards(runs, KNOWN), "zh", version="v"))
    assert starred(tree.all("td", data_official=None)) == [False, True, True]  # the official board first
    (differs, unknown) = [each.words for each in tree.all("p", data_marked=None)]
    assert {differs, unknown} == {
        "* 不是官方数据：得分不能与已发表的得分比较。",
        "* 无法确认是否为官方数据：得分不能与已发表的得分比较。",
    }


def test_what_has_no_score_has_no_mark(tmp_path: Path) -> None:
    data = {"status": "differs"}
    failed = page_task("A", None, status="error", error="no memory", data=data)
    (run,) = find_all([page_run(tmp_path, "org/one", failed, page_task("B", None, data=data), page_task("C", 0.5))])
    assert marked_tasks(run) == frozenset()
    assert marked_states([run]) == ()
    tree, _ = made([run.folder])
    assert not list(tree.all("abbr"))


def test_a_site_of_releases_is_marked_likewise(runs: list[Run]) -> None:
    pages_of = dict(pages([Release("v1", tuple(runs))], KNOWN, "en", no_command))
    tree = read_page(pages_of["index.html"])
    scores = {
        body.attributes["data-model"]: [cell.words.endswith("*") for cell in body.all("td", data_label="v1")]
        for body in tree.all("tbody", data_model=None)
    }
    # A table for the average and one for each of its parts, in which but one of two scores is over such data.
    assert scores["org/three"]
    assert not any(scores["org/three"])
    whole = [table for table in tree.all("table") if table.has("history")]
    averages = [
        (body.attributes["data-model"], next(body.all("td", data_label="v1")).words.endswith("*"))
        for table in whole
        if len(list(table.all("tbody"))) == 1
        for body in table.all("tbody")
    ]
    assert ("org/one", True) in averages
    assert ("org/two", True) in averages
    assert len(list(tree.all("p", data_marked=None))) == 2


def test_points_of_releases_are_marked_likewise(tmp_path: Path) -> None:
    """The average and the mean of A and B of the first model; the other one's data is the official data alone."""
    releases = [
        Release(
            name,
            tuple(
                find_all(
                    [
                        folder(tmp_path / name, "one", A="differs", B="official", C="official"),
                        folder(tmp_path / name, "two", A="official", B="official", C="official"),
                    ]
                )
            ),
        )
        for name in ("v1", "v2")
    ]
    tree = read_page(dict(pages(releases, KNOWN, "en", no_command))["index.html"])
    labels = [dot.attributes["aria-label"] for dot in tree.all("g", role="img")]
    marked = ["org/one · v1: 50.00*", "org/one · v2: 50.00*"]
    plain = ["org/two · v1: 50.00", "org/two · v2: 50.00"]
    assert sorted(labels) == sorted([*marked, *marked, *plain, *plain])
