"""What a gate found, in each of its forms: numbers as they are, and names shown as they are."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from flagbench.results.gate.checks import Outcome
from flagbench.results.gate.ci import to_annotations, to_junit
from flagbench.results.gate.judge import Report, judge
from flagbench.results.gate.outputs import passed, render, to_json, to_markdown
from flagbench.results.gate.rules import Rule, Rules
from flagbench.runners.terminal import console
from tests.unit.results.gate.test_gate import run_of
from tests.unit.results.test_runs import made_task

_ODD = "<img src=x>|[red]`\x00\x1b[31m\n::error::\ud800\ufffe&amp;"
_SHOWN = "<img src=x>|[red]`��[31m�::error::��&amp;"


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """One check that fails, one that is inconclusive and one that passes, of odd names."""
    base = run_of(
        made_task("A", 0.5),
        (replace(made_task("B", 0.5)[0], name=_ODD), None),
        made_task("C", 0.25),
        model="org/a,b:c%",
    )
    run = run_of(made_task("A", 0.4), made_task("C", 0.75), model="org/two")
    rules = Rules(tmp_path / "gate.toml", (Rule(f"50% off: {_ODD}", {"tasks": ("*",)}, {"max-drop": 0.5}),))
    return judge(rules, base, run)


def test_the_table_has_what_is_broken_first(report: Report) -> None:
    out = Console(file=io.StringIO(), width=300, color_system=None)
    table, lines = render(report, width=300)
    assert table is not None
    out.print(table)
    for line in lines:
        out.print(line, soft_wrap=True)
    text = str(out.file.getvalue())  # type: ignore[attr-defined]
    rows = [row for row in text.splitlines() if row.startswith("│")]
    assert [row.split("│")[1].strip() for row in rows] == ["FAIL", "inconclusive", "pass"]
    assert "<img src=x>|[red]`��[31m�::error::��&amp;" in rows[1]
    assert "REGRESSION: 1 FAIL, 1 inconclusive, 1 pass of 3 checks of org/two against org/a,b:c%" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [60, 80, 113, 140])
def test_no_word_is_broken_however_narrow_the_terminal(report: Report, width: int) -> None:
    long, rule = "MassiveScenarioClassification"[:27], "no task of this kind falls far below what the baseline has"
    report = replace(
        report,
        verdicts=tuple(
            replace(each, subject=f"{long}{at}"[-27:], rule=rule) for at, each in enumerate(report.verdicts)
        ),
    )
    out = console(file=io.StringIO(), width=width, text=True)
    table, _ = render(report, width=width)
    assert table is not None
    out.print(table)
    text = str(out.file.getvalue())  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    words = {*re.findall(r"[^\s│]+", text)}
    for verdict in report.verdicts:
        assert words >= {verdict.outcome, *rule.replace("has", "").split(), "50.00"}
        assert {verdict.subject, f"{verdict.subject}:"} & words
    assert ("baseline" in text.splitlines()[2]) == (width > 120)


def test_markdown_has_as_many_cells_in_each_row(report: Report) -> None:
    text = to_markdown(report)
    rows = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 3 + 1 + 2 + 1
    assert {row.count("|") for row in rows} == {8}
    assert "\\<img src=x>\\|\\[red]\\`" in text
    assert "\\&amp;" in text
    assert "<img" not in text.replace("\\<img", "")
    assert "| FAIL | A |" in text
    assert text.index("<details><summary>1 task passes</summary>") < text.index("| pass | C |")


def test_json_has_everything_in_full(report: Report) -> None:
    found = json.loads(to_json(report))
    assert (found["outcome"], found["exit_code"]) == ("regression", 1)
    assert found["counts"] == {"FAIL": 1, "inconclusive": 1, "pass": 1}
    assert [each["subject"] for each in found["verdicts"]] == ["A", _ODD, "C"]
    first = found["verdicts"][0]
    assert (first["check"], first["limit"], first["baseline"], first["candidate"]) == ("max-drop", 0.5, 0.5, 0.4)
    assert (found["baseline"]["model"], found["candidate"]["model"]) == ("org/a,b:c%", "org/two")


def test_what_passes_is_a_line_unless_all_is_asked_for(report: Report) -> None:
    table, (line, *_) = render(report, width=140, passes=False)
    assert table is not None
    assert (table.row_count, line.plain) == (2, "1 task passes; --all shows it")
    good = replace(report, verdicts=tuple(each for each in report.verdicts if each.outcome == "pass"))
    assert render(good, width=140, passes=False)[0] is None
    assert "<details open>" in to_markdown(report, passes=True)
    assert "<details>" in to_markdown(report)


def test_what_a_plus_minus_is_stands_below_a_table_that_has_one(report: Report) -> None:
    ends = {"pass": (0.7, 0.8)}
    report = replace(
        report, verdicts=tuple(replace(each, candidate_ends=ends.get(each.outcome)) for each in report.verdicts)
    )
    said = {
        passes: any("95%" in line.plain for line in render(report, width=140, passes=passes)[1])
        for passes in (False, True)
    }
    assert said == {False: False, True: True}
    assert "95%" in to_markdown(report)


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ([("A", "STS", "pass"), ("A", "STS", "pass"), ("B", "STS", "pass")], "2 tasks pass"),
        ([("A", "STS", "pass"), ("average", "", "pass")], "1 task and 1 average pass"),
        ([("A", "STS", "FAIL"), ("A", "STS", "pass"), ("B", "STS", "pass")], "1 task and 1 further check pass"),
        ([("A", "STS", "FAIL"), ("A", "STS", "pass"), ("A", "STS", "pass")], "2 checks pass"),
    ],
)
def test_what_passes_in_words(report: Report, outcomes: list[tuple[str, str, Outcome]], said: str) -> None:
    verdicts = [
        replace(report.verdicts[0], subject=name, kind=kind, outcome=outcome) for name, kind, outcome in outcomes
    ]
    assert passed(replace(report, verdicts=tuple(verdicts))) == said


_ALL = ("A", "B")


@pytest.mark.parametrize(
    ("tasks", "outcome", "code", "counts"),
    [
        ({"A": 0.5, "B": 0.5}, "pass", 0, {"FAIL": 0, "inconclusive": 0, "pass": 2}),
        ({"A": 0.4, "B": 0.5}, "regression", 1, {"FAIL": 1, "inconclusive": 0, "pass": 1}),
        ({"A": 0.5}, "inconclusive", 2, {"FAIL": 0, "inconclusive": 1, "pass": 1}),
        ({"A": 0.4}, "regression", 1, {"FAIL": 1, "inconclusive": 1, "pass": 0}),
    ],
)
def test_json_says_what_the_exit_code_of_the_command_says(
    tmp_path: Path, tasks: dict[str, float], outcome: str, code: int, counts: dict[str, int]
) -> None:
    base = run_of(*(made_task(name, 0.5) for name in _ALL))
    run = run_of(*(made_task(name, score) for name, score in tasks.items()))
    rules = Rules(tmp_path / "gate.toml", (Rule("rule 1", {"tasks": _ALL}, {"max-drop": 0.5}),))
    judged = judge(rules, base, run)
    found = json.loads(to_json(judged))
    assert (found["outcome"], found["exit_code"], found["counts"]) == (outcome, code, counts)
    assert judged.exit_code == code
    word = {0: "PASS", 1: "REGRESSION", 2: "INCONCLUSIVE"}[code]
    table, (*_, last) = render(judged, width=140)
    assert last.plain.startswith(f"{word}: ")
    assert str(last.style) == {0: "green", 1: "bold red", 2: "yellow"}[code]
    assert table.row_count == len(_ALL)
    assert to_markdown(judged).startswith(f"### Regression gate: {word}: ")


def test_json_keeps_all_that_a_report_has(report: Report) -> None:
    """A field each, none of them at its default."""
    rules = replace(report.rules, alpha=0.01)
    full = replace(report, rules=rules, notes=("note one", "note two"), too_few=3, tests=4, seed=5)
    other = replace(full.baseline.record, spec={"pooling": "cls"})
    full = replace(full, baseline=replace(full.baseline, record=other))
    found = json.loads(to_json(full))
    assert found["notes"] == ["note one", "note two"]
    assert found["settings"] == full.settings
    assert found["too_few_items"] == 3
    assert found["method"] == {"tests": 4, "correction": "Holm", "alpha": 0.01, "seed": 5}
    for whose, run in (("baseline", full.baseline), ("candidate", full.candidate)):
        assert found[whose] == {
            "model": run.record.model,
            "revision": run.record.revision,
            "benchmark": run.record.benchmark,
            "path": str(run.folder),
        }


# Of the elements that Jenkins, GitLab and GitHub's reporters read.
_CHILDREN = {"testsuites": {"testsuite"}, "testsuite": {"testcase"}, "testcase": {"failure", "error", "system-out"}}
_REQUIRED = {
    "testsuites": {"name", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors"},
    "testcase": {"name", "classname"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "system-out": set(),
}


def test_junit_is_well_formed_and_counts_right(report: Report) -> None:
    root = ET.fromstring(to_junit(report).encode())
    for element in root.iter():
        assert set(element.attrib) == _REQUIRED[element.tag]
        assert {child.tag for child in element} <= _CHILDREN.get(element.tag, set())
    (suite,) = root
    assert suite.attrib == {"name": f"50% off: {_SHOWN}", "tests": "3", "failures": "1", "errors": "1"}
    assert root.attrib == {"name": "flagbench check", "tests": "3", "failures": "1", "errors": "1"}
    assert [[child.tag for child in case] for case in suite] == [["failure"], ["error"], ["system-out"]]
    assert suite[0].attrib["name"] == "A: max-drop 0.5"
    assert suite[0][0].attrib["message"] == "dropped 10 points; 0.5 is allowed"


def test_annotations_are_one_command_each(report: Report) -> None:
    fail, inconclusive = to_annotations(report)
    assert fail == (f"::error title=FAIL%3A A::50%25 off: {_SHOWN}, max-drop 0.5: dropped 10 points; 0.5 is allowed")
    assert inconclusive.startswith("::error title=inconclusive%3A <img src=x>|[red]`��[31m�%3A%3Aerror%3A%3A��&amp;::")


def test_junit_has_a_suite_for_each_rule_with_its_own_cases(tmp_path: Path) -> None:
    base, run = (run_of(made_task("A", one), made_task("B", 0.5)) for one in (0.5, 0.4))
    rules = Rules(
        tmp_path / "gate.toml",
        (Rule("drop", {"tasks": ("*",)}, {"max-drop": 0.5}), Rule("least", {"tasks": ("A",)}, {"min-score": 10.0})),
    )
    root = ET.fromstring(to_junit(judge(rules, base, run)).encode())
    assert [(each.attrib["name"], each.attrib["tests"], each.attrib["failures"]) for each in root] == [
        ("drop", "2", "1"),
        ("least", "1", "0"),
    ]
    cases = [[case.attrib["name"] for case in suite.iter("testcase")] for suite in root]
    assert cases == [["A: max-drop 0.5", "B: max-drop 0.5"], ["A: min-score 10"]]
    assert (root.attrib["tests"], root.attrib["failures"]) == ("3", "1")


@pytest.mark.parametrize(("off", "more"), [(10, 0), (11, 2), (25, 16)])
def test_annotations_are_as_many_as_are_shown(tmp_path: Path, off: int, more: int) -> None:
    tasks = [made_task(f"task{number}") for number in range(25)]
    worse = [made_task(f"task{number}", 0.1 if number < off else 0.5) for number in range(25)]
    runs = [run_of(*its) for its in (tasks, worse)]
    rules = Rules(tmp_path / "gate.toml", (Rule("rule 1", {"tasks": ("*",)}, {"max-drop": 0.5}),))
    lines = to_annotations(judge(rules, *runs))
    assert len(lines) == 10
    last = f"::error title=more::{more} more checks do not pass, see the summary"
    assert (lines[-1] == last) if more else lines[-1].startswith("::error title=FAIL%3A task9::")


def test_what_would_end_a_command_or_its_title_is_escaped(tmp_path: Path) -> None:
    rules = Rules(tmp_path / "gate.toml", (Rule("a,b:c%", {"tasks": ("*",)}, {"max-drop": 0.5}),))
    runs = [run_of(made_task("50%: a, b", score)) for score in (0.5, 0.4)]
    (line,) = to_annotations(judge(rules, *runs))
    assert line.startswith("::error title=FAIL%3A 50%25%3A a%2C b::a,b:c%25, max-drop 0.5: dropped 10 points")
