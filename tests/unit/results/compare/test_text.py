"""The four forms of a comparison, whole: every cell of a table, every column of a row, every key of the document."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
from rich.table import Table

from flagbench.results.compare.compare import Comparison, compare
from flagbench.results.compare.screen import render
from flagbench.results.compare.text import to_csv, to_json, to_markdown
from tests.unit.results.compare.test_compare import printed, runs_of, with_values
from tests.unit.results.test_runs import made_task

_TWELVE, _TEN = ([f"q{number}" for number in range(count)] for count in (12, 10))


@pytest.fixture
def three(tmp_path: Path) -> Comparison:
    """Three runs: tested, partial, untested, failed and missing tasks, of two types.

    The p-values are 2 / 2^12 of 12 gains, 2 / 2^8 of 8 losses, and 1 - 18 / 2^10: of one gain of 70 and nine losses
    of 10, which sum to -20, the 9 patterns of either sign that sum to 0 are the only ones that are nearer to 0.
    """
    one = [
        with_values("A", [10] * 12),
        with_values("B", [20] * 10, _TEN),
        made_task("C", 0.25, kind="STS"),
        made_task("D", 0.5),
        made_task("E", 0.5, kind="STS"),
    ]
    two = [
        with_values("A", [30] * 12),
        with_values("B", [10] * 9 + [90], _TEN),
        made_task("C", 0.75, kind="STS"),
        made_task("D", None, status="error", error="no memory", note="not shown"),
    ]
    last = [
        with_values("A", [5] * 8, _TWELVE[:8], status="partial", note="8 of 12"),
        with_values("B", [20] * 10, _TEN),
        made_task("C", 0.25, kind="STS"),
    ]
    return compare(runs_of(tmp_path, one=one, two=two, three=last), seed=7)


_SCORES = """\
| task | type | org/one | org/two | Δ | org/three | Δ |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
| A | Retrieval | 10.00 | 30.00 | +20.00† | 5.00 (partial) |  |
| B | Retrieval | 20.00 | 18.00 | -2.00 | 20.00 | +0.00 |
| C | STS | 25.00 | 75.00 | +50.00 | 25.00 | +0.00 |
| D | Retrieval | 50.00 | failed |  |  |  |
| E | STS | 50.00 |  |  |  |  |
| Retrieval mean of 1 shared |  | 20.00 | 18.00 | -2.00 | 20.00 | +0.00 |
| STS mean of 1 shared |  | 25.00 | 75.00 | +50.00 | 25.00 | +0.00 |
| average of 2 shared |  | 22.50 | 46.50 | +24.00 | 22.50 | +0.00 |
| tasks won / tied / lost |  |  |  | 2 / 0 / 1 |  | 0 / 2 / 0 |
"""

_TESTS = """\
| task | run | metric | items | + / = / - | mean Δ | 95% interval | p | p (Holm) |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
| A | org/two | ndcg_at_10 | 12 queries | 12 / 0 / 0 | +20.00 | +20.00 to +20.00 | 0.0005 | 0.0020 |
| A | org/three | ndcg_at_10 | 8 shared queries | 0 / 0 / 8 | -5.00 | -5.00 to -5.00 | 0.0078 | 0.0234 |
| B | org/two | ndcg_at_10 | 10 queries | 1 / 0 / 9 | -2.00 | -20.10 to +16.10 | 0.9824 | 1.0000 |
| B | org/three | ndcg_at_10 | 10 queries | 0 / 10 / 0 | +0.00 | +0.00 to +0.00 | 1.0000 | 1.0000 |
"""

_NOTES = [
    "Δ is to org/one; + / = / - are items that are better, equal and worse",
    "† significant: p (Holm) at most 0.05, two-sided sign flips (19,999 drawn, or all), Holm's correction for 4 "
    "tests, seed 7; interval: BCa bootstrap, 9,999 resamples (fewer than 30 items: Student's t)",
    "org/three: of a part of the data, not averaged: A",
    "org/three: tested on queries 8 shared of 12 and 8: A",
    "org/two: not tested, no values per item in org/one and org/two: C",
    "org/three: not tested, no values per item in org/one and org/three: C",
    "org/two: failed: D",
    "org/three: not run: D, E",
    "org/two: not run: E",
    "org/two: not tested, C: no values per item in org/one and org/two: average",
    "org/three: not tested, C: no values per item in org/one and org/three: average",
]

_TITLES = ["scores in percent", "org/two, org/three against org/one, item by item"]


def test_markdown_whole(three: Comparison) -> None:
    notes = "".join(f"- {note}\n" for note in _NOTES)
    assert to_markdown(three) == f"**{_TITLES[0]}**\n\n{_SCORES}\n**{_TITLES[1]}**\n\n{_TESTS}\n{notes}"


def test_many_runs_have_numbers_in_a_terminal_and_their_names_below(tmp_path: Path) -> None:
    names = ["one", "two", "three", "four", "five"]
    found = runs_of(tmp_path, **{name: [made_task("A", 0.5)] for name in names})
    labels = [run.label for run in found]
    few, many = (render(compare(found[:count])) for count in (4, 5))
    tables = [part for part in (few[0], many[0]) if isinstance(part, Table)]
    headings = [[str(column.header) for column in table.columns] for table in tables]
    assert labels[0] in headings[0]
    assert headings[1] == ["task", "type", "#1", "#2", "Δ", "#3", "Δ", "#4", "Δ", "#5", "Δ"]
    lines = [str(part) for part in many]
    assert [f"#{at} is {label}" for at, label in enumerate(labels, 1)] == [line for line in lines if " is org/" in line]
    assert "Δ is to #1" in lines
    assert all(f" {label} " in f" {to_markdown(compare(found))} " for label in labels)


def test_the_terminal_shows_what_markdown_shows(three: Comparison) -> None:
    tables = [part for part in render(three) if isinstance(part, Table)]
    expected = [[row[2:-2].split(" | ") for row in text.splitlines()] for text in (_SCORES, _TESTS)]
    assert [str(table.title) for table in tables] == _TITLES
    for table, (headings, rule, *rows) in zip(tables, expected, strict=True):
        assert [str(column.header) for column in table.columns] == headings
        assert ["---:" if column.justify == "right" else "---" for column in table.columns] == rule
        cells = zip(*([str(cell) for cell in column.cells] for column in table.columns), strict=True)
        assert [list(row) for row in cells] == [[cell.strip() for cell in row] for row in rows]
    assert printed(three).splitlines()[-len(_NOTES) :] == _NOTES


def test_a_test_that_can_never_be_significant_says_so(tmp_path: Path) -> None:
    """Over 3 items p is 2 / 2^3 at least; of 40 of which 5 differ it is 2 / 2^5, and the interval is over 0."""
    ids = _TWELVE + [f"r{number}" for number in range(8)]
    base = [
        with_values("A", [10] * 3, _TEN[:3]),
        with_values("B", [10] * 40, _forty()),
        with_values("C", [1] * 20, ids),
    ]
    other = [
        with_values("A", [30, 40, 50], _TEN[:3]),
        with_values("B", [12] * 5 + [10] * 35, _forty()),
        with_values("C", [2] * 20, ids),
    ]
    found = compare(runs_of(tmp_path, one=base, two=other, three=other))
    notes = [note for note in to_markdown(found).splitlines() if "significant (p is" in note]
    assert notes == [
        "- a test over 3 items can never be significant (p is at least 0.25): A",
        "- a test in which 5 items differ can never be significant (p is at least 0.0625): B",
    ]
    assert "a test over 3 items can never be significant (p is at least 0.25): A" in printed(found).splitlines()
    (line, *_) = json.loads(to_json(found))["tasks"]
    assert line["cells"][1]["test"]["paired"]["smallest_p"] == 0.25


def _forty() -> list[str]:
    return [f"s{number}" for number in range(40)]


def test_csv_whole(three: Comparison) -> None:
    """Floats are as they come of subtracting: 0.3 - 0.1, and 0.18 - 0.2."""
    gain, loss, mean = 0.3 - 0.1, 0.18 - 0.2, (9 * (0.1 - 0.2) + (0.9 - 0.2)) / 10
    test, cell = three.lines[1].cells[1].test, three.lines[1].cells[1]
    assert test is not None
    assert cell.delta == loss
    assert test.paired.difference == pytest.approx(mean)
    b_two = f"ndcg_at_10,10,{test.paired.difference},{test.paired.low},{test.paired.high},0.982421875,1,0,9,1.0,false"
    of_two = fmean([0.18, 0.75])
    without = "," * 12  # no metric, no numbers of a test, no verdict
    head, *rows = to_csv(three).splitlines()
    assert head == (
        "task,type,main_score,run,model,revision,status,score,delta,metric,"
        "queries,difference,low,high,p,better,same,worse,p_holm,significant,untested,note,score_low,score_high,"
        "smallest_p"
    )
    parts = [row.rpartition(",,,") for row in rows]  # no score of these has an interval
    tested = {row.split(",")[0] + row.split(",")[3]: float(least) for row, _, least in parts if least}
    assert tested == {"Aorg/two": 2 / 2**12, "Aorg/three": 2 / 2**8, "Borg/two": 2 / 2**10, "Borg/three": 1}
    assert [row for row, _, _ in parts] == [
        f"A,Retrieval,ndcg_at_10,org/one,org/one,v1,success,0.1,{without},",
        f"A,Retrieval,ndcg_at_10,org/two,org/two,v1,success,0.3,{gain},"
        f"ndcg_at_10,12,{gain},{gain},{gain},{2 / 2**12},12,0,0,{4 * 2 / 2**12},true,,",
        "A,Retrieval,ndcg_at_10,org/three,org/three,v1,partial,0.05,,"
        f"ndcg_at_10,8,-0.05,-0.05,-0.05,{2 / 2**8},0,0,8,{3 * 2 / 2**8},true,,8 of 12",
        f"B,Retrieval,ndcg_at_10,org/one,org/one,v1,success,0.2,{without},",
        f"B,Retrieval,ndcg_at_10,org/two,org/two,v1,success,0.18,{loss},{b_two},,",
        "B,Retrieval,ndcg_at_10,org/three,org/three,v1,success,0.2,0.0,"
        "ndcg_at_10,10,0.0,0.0,0.0,1.0,0,10,0,1.0,false,,",
        f"C,STS,ndcg_at_10,org/one,org/one,v1,success,0.25,{without},",
        f"C,STS,ndcg_at_10,org/two,org/two,v1,success,0.75,0.5{without}no values per item in org/one and org/two,",
        "C,STS,ndcg_at_10,org/three,org/three,v1,success,0.25,0.0"
        f"{without}no values per item in org/one and org/three,",
        f"D,Retrieval,ndcg_at_10,org/one,org/one,v1,success,0.5,{without},",
        f"D,Retrieval,ndcg_at_10,org/two,org/two,v1,error,,{without}one of the two runs has no score,no memory",
        f"D,Retrieval,ndcg_at_10,org/three,org/three,v1,missing,,{without}one of the two runs has no score,",
        f"E,STS,ndcg_at_10,org/one,org/one,v1,success,0.5,{without},",
        f"E,STS,ndcg_at_10,org/two,org/two,v1,missing,,{without}one of the two runs has no score,",
        f"E,STS,ndcg_at_10,org/three,org/three,v1,missing,,{without}one of the two runs has no score,",
        # Of the averages that of several tasks, B and C.
        f"average,average,,org/one,org/one,v1,,0.225,{without},",
        f"average,average,,org/two,org/two,v1,,{of_two},{of_two - 0.225}"
        f"{without}C: no values per item in org/one and org/two,",
        f"average,average,,org/three,org/three,v1,,0.225,0.0{without}C: no values per item in org/one and org/three,",
    ]


def test_csv_has_the_intervals_and_tests_of_averages(three: Comparison) -> None:
    *means, average = three.averages
    test = three.lines[1].cells[1].test
    assert test is not None
    average = replace(average, tests=(None, test, None), untested=("", "", "why"), ends=((0.125, 0.25), None, None))
    rows = list(csv.DictReader(io.StringIO(to_csv(replace(three, averages=(*means, average))))))
    first, second, third = (row for row in rows if row["type"] == "average")
    assert (first["score_low"], first["score_high"], first["p"]) == ("0.125", "0.25", "")
    assert (second["score_low"], second["p"], second["significant"]) == ("", "0.982421875", "false")
    assert float(second["low"]) == test.paired.low
    assert (third["untested"], third["p_holm"]) == ("why", "")


def test_json_whole(three: Comparison, tmp_path: Path) -> None:
    found = json.loads(to_json(three))
    assert found["runs"] == [
        {"benchmark": "cmteb", "model": f"org/{name}", "revision": "v1", "label": f"org/{name}"}
        | {"folder": str(tmp_path / "out" / f"org__{name}" / "v1"), "missing": missing}
        | {"won": won, "tied": tied, "lost": lost}
        for name, missing, won, tied, lost in (
            ("one", [], 0, 0, 0),
            ("two", ["E"], 2, 0, 1),
            ("three", ["D", "E"], 0, 2, 0),
        )
    ]
    assert found["method"] == {
        "test": "sign flips",
        "permutations": 19_999,
        "interval": "BCa bootstrap",
        "level": 0.95,
        "resamples": 9_999,
        "correction": "Holm",
        "alpha": 0.05,
        "seed": 7,
    }
    assert found["averages"][2].pop("untested") == [
        "",
        "C: no values per item in org/one and org/two",
        "C: no values per item in org/one and org/three",
    ]
    assert found["averages"] == [
        {"label": label, "tasks": tasks, "scores": pytest.approx(scores), "deltas": [None, *deltas]}
        for label, tasks, scores, deltas in (
            ("Retrieval mean", 1, [0.2, 0.18, 0.2], [pytest.approx(-0.02), 0]),
            ("STS mean", 1, [0.25, 0.75, 0.25], [0.5, 0]),
            ("average", 2, [0.225, 0.465, 0.225], [pytest.approx(0.24), 0]),
        )
    ]
    assert found["differences"] == []
    parts = ("task", "kind", "main_score", "notes", "differences")
    assert [[line[part] for part in parts] for line in found["tasks"]] == [
        ["A", "Retrieval", "ndcg_at_10", [], []],
        ["B", "Retrieval", "ndcg_at_10", [], []],
        ["C", "STS", "ndcg_at_10", [], []],
        ["D", "Retrieval", "ndcg_at_10", [], []],
        ["E", "STS", "ndcg_at_10", [], []],
    ]
    plain = {"status": "success", "score": None, "delta": None, "test": None, "untested": "", "note": "", "ends": None}
    first, second, part = found["tasks"][0]["cells"]
    assert first == plain | {"score": 0.1}
    assert part | {"test": None} == plain | {"status": "partial", "score": 0.05, "note": "8 of 12"}
    gain = 0.3 - 0.1
    assert second == plain | {
        "score": 0.3,
        "delta": gain,
        "test": {
            "metric": "ndcg_at_10",
            "queries": [12, 12],
            "paired": {
                "queries": 12,
                "difference": gain,
                "low": pytest.approx(gain),
                "high": pytest.approx(gain),
                "p": 2 / 2**12,
                "permutations": 2**12,
                "exact": True,
                "better": 12,
                "same": 0,
                "worse": 0,
                "clusters": 12,
                "moving": 12,
                "error": 0.0,
                "freedom": None,
                "interval": "Student",
                "smallest_p": 2 / 2**12,
            },
            "adjusted": 4 * 2 / 2**12,
            "significant": True,
        },
    }
    no_score = "one of the two runs has no score"
    assert found["tasks"][3]["cells"][1:] == [
        plain | {"status": "error", "untested": no_score, "note": "no memory"},
        plain | {"status": "missing", "untested": no_score},
    ]


def test_without_tests_there_is_one_table_and_no_word_of_them(tmp_path: Path) -> None:
    """What differs, and was allowed to, comes last."""
    runs = runs_of(tmp_path, one=[made_task("A|", 0.5)], two=[made_task("A|", 0.25, of={"main_score": "map"})])
    assert to_markdown(compare(runs, allow_differences=True)) == (
        "**scores in percent**\n\n"
        "| task | type | org/one | org/two | Δ |\n"
        "| --- | --- | ---: | ---: | ---: |\n"
        "| A\\| | Retrieval | 50.00 | 25.00 | -25.00 |\n"
        "| average of 1 shared |  | 50.00 | 25.00 | -25.00 |\n"
        "| tasks won / tied / lost |  |  |  | 0 / 0 / 1 |\n\n"
        "- Δ is to org/one\n"
        "- org/two: not tested, no values per item in org/one and org/two: A\\|\n"
        "- org/one and org/two differ in A\\|: main score ndcg_at_10 against map\n"
    )
