"""The lines below the tables of a comparison: whose settings differ, and between which tasks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench.results.compare.compare import Comparison, compare
from flagbench.results.compare.text import escaped, of_spreadsheet, to_json, to_markdown
from flagbench.results.record import RunRecord
from flagbench.results.runs import Run
from tests.unit.results.compare.test_compare import printed, runs_of, with_values
from tests.unit.results.test_runs import made_task


def run(label: str, *lengths: int, pooling: str = "cls") -> Run:
    """A run of as many tasks, which cut texts at these lengths."""
    tasks = {}
    for name, length in zip("ABC", lengths, strict=False):
        record, _ = made_task(name, 0.5)
        model = {"adapter": "dense", "pooling": pooling, "max_length": length}
        tasks[name] = replace(record, settings=record.settings | {"model": model})
    return Run(Path(label), RunRecord("cmteb", label, "r", {}, (), {}, tasks), label, {})


def lines(comparison: Comparison) -> list[str]:
    """Those of Markdown, which the terminal has as well, in this order."""
    found = [line.removeprefix("- ") for line in to_markdown(comparison).splitlines() if line.startswith("- ")]
    assert printed(comparison).splitlines()[-len(found) :] == found
    return found


def told(comparison: Comparison) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(to_json(comparison))
    return {key: document[key] for key in ("settings", "settings_between_tasks")}


_UNTESTED = "no values per item in"


def test_settings_of_one_other_run_need_no_name() -> None:
    found = compare([run("one", 512, 512), run("two", 512, 8, pooling="mean")])
    line = "settings differ: pooling cls → mean, max length 512 → 8"
    assert lines(found) == [
        "Δ is to one",
        line,
        "two: settings differ: max length 512 → 8 (between its own tasks, so they have no average)",
        f"two: not tested, {_UNTESTED} one and two: A, B",
    ]
    assert told(found) == {
        "settings": [{"label": "two", "line": line}],
        "settings_between_tasks": [{"label": "two", "line": "settings differ: max length 512 → 8"}],
    }


def test_of_several_others_each_is_named_that_differs() -> None:
    found = compare([run("one", 512, 8), run("two", 512, 8), run("three", 8, 8), run("four", 512, 8, pooling="mean")])
    between = "(between its own tasks, so they have no average)"
    assert lines(found) == [
        "Δ is to one",
        "three: settings differ: max length 512 → 8",
        "four: settings differ: pooling cls → mean",
        f"one: settings differ: max length 512 → 8 {between}",
        f"two: settings differ: max length 512 → 8 {between}",
        f"four: settings differ: max length 512 → 8 {between}",
        f"two: not tested, {_UNTESTED} one and two: A, B",
        f"three: not tested, {_UNTESTED} one and three: A, B",
        f"four: not tested, {_UNTESTED} one and four: A, B",
    ]
    assert found.mixed == ("settings differ: max length 512 → 8", "settings differ: max length 512 → 8", "",
                           "settings differ: max length 512 → 8")  # fmt: skip
    assert [each.scores for each in found.averages] == [(None, None, 0.5, None)]
    assert [each.deltas for each in found.averages] == [(None, None, None, None)]


def test_nothing_is_said_of_settings_that_are_alike() -> None:
    found = compare([run("one", 512), run("two", 512)])
    assert lines(found) == ["Δ is to one", f"two: not tested, {_UNTESTED} one and two: A"]
    assert told(found) == {"settings": [], "settings_between_tasks": []}


@pytest.mark.parametrize(
    ("kind", "items"),
    [
        ("Reranking", "queries"),
        ("STS", "pairs"),
        ("PairClassification", "pairs"),
        ("Classification", "texts"),
        ("Clustering", "sets"),
        ("multiple-choice", "questions"),
        ("Odd", "items"),
    ],
)
def test_what_was_tested_has_the_name_that_it_has_in_tasks_of_the_type(tmp_path: Path, kind: str, items: str) -> None:
    one, two = (with_values("A", [score] * 12, kind=kind) for score in (10, 20))
    text = to_markdown(compare(runs_of(tmp_path, one=[one], two=[two])))
    assert f"| A | ndcg_at_10 | 12 {items} | 12 / 0 / 0 |" in text
    assert "+ / = / - are items that are better" in text


def test_as_many_queries_that_are_others_are_said(tmp_path: Path) -> None:
    """Each run has eight, of which they share two."""
    ids = [f"q{number}" for number in range(14)]
    tasks = [with_values("A", [10] * 8, its, status="partial") for its in (ids[:8], ids[6:])]
    found = compare(runs_of(tmp_path, one=tasks[:1], two=tasks[1:]))
    assert lines(found)[-1] == "org/two: tested on queries 2 shared of 8 and 8: A"
    assert "| A | ndcg_at_10 | 2 shared queries | 0 / 2 / 0 | +0.00 |" in to_markdown(found)


def test_data_of_every_state_that_some_run_is_over_is_said_the_worst_first(tmp_path: Path) -> None:
    states = ("official", "counts agree", "differs", "own")
    tasks = {f"m{at}": [made_task("A", data={"status": state})] for at, state in enumerate(states)}
    found = compare(runs_of(tmp_path, **tasks), allow_differences=True)
    notes = [note for note in found.lines[0].notes if "may be over" not in note]
    assert notes == ["not the official data", "only the counts agree with the official data"]


def test_versions_of_mteb_are_said_of_the_run_that_has_another_one() -> None:
    runs = [
        replace(each, record=replace(each.record, environment={"versions": {"mteb": version}}))
        for each, version in zip(
            (run("one", 8), run("two", 8), run("three", 8)), ("2.1.0", "2.1.0", "2.30.1"), strict=True
        )
    ]
    assert lines(compare(runs))[1] == "three: versions of mteb differ: 2.1.0 and 2.30.1"
    assert lines(compare([runs[0], runs[2]]))[1] == "versions of mteb differ: 2.1.0 and 2.30.1"


def test_runs_that_share_no_query_are_not_tested(tmp_path: Path) -> None:
    tasks = [with_values("A", [10] * 4, [f"{name}{at}" for at in range(4)], status="partial") for name in "ab"]
    cell = compare(runs_of(tmp_path, one=tasks[:1], two=tasks[1:])).lines[0].cells[1]
    assert (cell.test, cell.untested) == (None, "no query is in both runs")


def test_whatever_markdown_gives_a_meaning_to_is_escaped() -> None:
    assert escaped("\\ | ` * < [ & ~ $ a_b\n") == "\\\\ \\| \\` \\* \\< \\[ \\& \\~ \\$ a_b\N{REPLACEMENT CHARACTER}"
    for sign in ("=", "+", "-", "@", "＝", "＋", "－"):
        assert of_spreadsheet(f"{sign}1") == f"'{sign}1"
    assert [of_spreadsheet(each) for each in ("1-1", -1, None, "＠a")] == ["1-1", -1, None, "＠a"]
