"""The one comment of a pull request: found again by its last line, never too long, and nobody is called by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flagbench.results.gate.comment import LARGEST, marker, to_comment
from flagbench.results.gate.judge import Report, judge
from flagbench.results.gate.outputs import headline, to_markdown
from flagbench.results.gate.rules import Rule, Rules
from tests.unit.results.gate.test_gate import run_of
from tests.unit.results.test_runs import made_task


def report(names: list[str], worse: int, file: str = "gate.toml") -> Report:
    """A gate over tasks, of which the first few are worse."""
    base = run_of(*(made_task(name, 0.5) for name in names), model="org/base")
    run = run_of(*(made_task(name, 0.4 if at < worse else 0.5) for at, name in enumerate(names)), model="org/new")
    return judge(Rules(Path("somewhere") / file, (Rule("rule 1", {"tasks": ("*",)}, {"max-drop": 0.5}),)), base, run)


def test_it_is_the_verdicts_and_a_line_that_is_not_shown() -> None:
    its = report(["A", "B"], 1)
    text = to_comment(its)
    assert text == f"{to_markdown(its)}\n<!-- flagbench check: gate.toml -->\n"
    assert text.splitlines()[0].endswith(headline(its))


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("gate.toml", "gate.toml"),
        ("quick gate.toml", "quick-gate.toml"),
        ("a-->b<!--.toml", "a-b-.toml"),
        ("规则.toml", ".toml"),
        ("--", "rules"),
        ("x\n--", "x"),
    ],
)
def test_the_marker_is_one_html_comment_whatever_the_file_is_called(file: str, name: str) -> None:
    line = marker(report(["A"], 0, file))
    assert line == f"<!-- flagbench check: {name} -->"
    assert "--" not in line[4:-3]


def test_two_files_of_rules_have_a_comment_each() -> None:
    assert marker(report(["A"], 0, "quick.toml")) != marker(report(["A"], 0, "long.toml"))


def test_a_name_is_not_the_marker_of_another_gate() -> None:
    other = marker(report(["A"], 0, "other.toml"))
    text = to_comment(report([f"A {other}", other], 1))
    assert text.count("<!--") == 1
    assert other not in text
    assert "\N{ZERO WIDTH SPACE}-- flagbench check: other.toml" in text


@pytest.mark.parametrize(("tasks", "worse"), [(900, 3), (900, 900), (40, 40)])
def test_what_there_is_no_room_for_is_counted_and_passing_rows_go_first(tasks: int, worse: int) -> None:
    names = [f"task-{at}-{'x' * 100}" for at in range(tasks)]
    its = report(names, worse)
    text = to_comment(its)
    assert len(text) <= LARGEST
    assert text.endswith(f"{marker(its)}\n")
    shown = [name for name in names if f"| {name} |" in text]
    left_out = tasks - len(shown)
    assert (f"There is no room for {left_out:,} more checks" in text) == bool(left_out)
    assert shown == names[: len(shown)]
    assert len(shown) >= min(worse, 200)
    assert text.count("<details>") == text.count("</details>")
    assert len(text) > 60_000 or tasks == 40


def test_a_headline_that_fills_it_is_cut() -> None:
    its = report(["A"], 1)
    its = replace(its, notes=("n" * 70_000,))
    text = to_comment(its)
    assert len(text) == LARGEST
    assert text.endswith(f"{marker(its)}\n")


def test_nobody_is_called(tmp_path: Path) -> None:
    text = to_comment(report(["@someone", "a@b"], 2))
    assert "@someone" not in text
    assert "@\N{ZERO WIDTH SPACE}someone" in text
    assert "a@b" in text
