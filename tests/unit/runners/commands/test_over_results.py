"""Commands that read results: what they print, what goes into which file, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flagbench.cmteb.published.table import table
from flagbench.results.compare.compare import compare
from flagbench.results.compare.text import to_csv, to_json, to_markdown
from flagbench.results.gate import ci, comment, outputs
from flagbench.results.gate.judge import judge
from flagbench.results.gate.rules import read_rules
from flagbench.results.page.render import page
from flagbench.results.page.view import groups
from flagbench.results.published.standing import rank
from flagbench.results.runs import find_all, find_run, labelled, saved
from flagbench.runners.commands import cli
from flagbench.runners.commands.report import benchmarks
from tests.unit.results.test_runs import made_task, write_run

_MODEL, _OTHER = "BAAI/bge-small-zh-v1.5", "BAAI/bge-large-zh-v1.5"
_VALUES = [{"ndcg_at_10": {f"q{number}": value for number in range(8)}} for value in (0.5, 0.4)]


def ran(*arguments: str | Path) -> int:
    options = cli._parser().parse_args([str(each) for each in arguments])
    code: int = options.run(options)
    return code


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    """Two runs whose difference is significant; one of the two tasks is of other splits."""
    tasks = [
        [made_task("A", 0.5, values=_VALUES[0]), made_task("B")],
        [made_task("A", 0.4, values=_VALUES[1]), made_task("B", {"test": {"default": 0.5}})],
    ]
    return [write_run(tmp_path / "out", f"org/m{at}", *its) for at, its in enumerate(tasks)]


def test_a_run_that_cannot_be_read_is_left_out_with_a_line(two: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    output = two[0].parents[1]
    bad = write_run(output, "org/bad", made_task("A"))
    (bad / "flagbench" / "run.json").write_text("[]", encoding="utf-8")
    assert ran("compare", output, "--allow-differences") == 0
    shown = capsys.readouterr()
    assert shown.err.startswith(f"flagbench: left out: {bad}")
    assert "org/bad" not in shown.out


_NO_SERIES = {"series": {"series": [], "undrawn": [], "left_out": []}}
"""Of runs that differ in what no curve can be drawn over."""


def test_runs_are_compared_in_each_format(two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = compare(find_all(two), allow_differences=True, seed=3)
    given = ("compare", *two, "--allow-differences", "--seed", "3")
    json_text = to_json(found, _NO_SERIES)
    for format_, text in (("csv", to_csv(found)), ("json", json_text), ("markdown", to_markdown(found))):
        assert ran(*given, "--format", format_) == 0
        assert capsys.readouterr().out == text
        target = tmp_path / f"new.{format_}"
        assert ran(*given, "--format", format_, "--output", target) == 0
        assert target.read_text(encoding="utf-8") == text
        assert capsys.readouterr().out == f"written   {target}\n"
    assert ran(*given) == 0
    shown = capsys.readouterr().out
    assert ran(*given, "--output", tmp_path / "table.txt") == 0
    written = (tmp_path / "table.txt").read_text(encoding="utf-8")
    assert [line.rstrip() for line in written.splitlines()] == [line.rstrip() for line in shown.splitlines()]
    assert "│ A " in written


def test_no_mean_is_over_miniature_and_other_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mini = {"status": "differs", "source": "folder /x/cmteb/mini/org/A"}
    for at in range(2):
        tasks = [made_task("A", 0.5, data=mini), made_task("B", 0.4), made_task("C", 0.2, kind="STS")]
        write_run(tmp_path / "out", f"org/m{at}", *tasks)
    assert ran("compare", tmp_path / "out", "--format", "markdown") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "| Retrieval mean of 2 shared |  |  |  |  |" in lines
    assert "| STS mean of 1 shared |  | 20.00 | 20.00 | +0.00 |" in lines
    assert "| average of 3 shared |  |  |  |  |" in lines
    for label in ("Retrieval mean", "average"):
        assert f"- {label}: over miniature and other data, of which there is no mean" in lines


def published_run(tmp_path: Path, off: float, model: str = _MODEL) -> Path:
    """A run of two tasks whose scores are so far from what is published of it."""
    its = table().of_model(_MODEL)
    tasks = [
        made_task(name, {split: {"default": score + off} for split, score in its.scores[name].items()}, kind="STS")
        for name in ("LCQMC", "BQ")
    ]
    return write_run(tmp_path / f"{off}", model, *tasks)


@pytest.mark.parametrize(
    ("off", "flags", "code"),
    [
        (0.0004, "", 0),
        (0.004, "", 0),
        (0.006, "", 1),
        (0.006, "--tolerance 0.01", 0),  # nothing between OK and FAIL
        (0.006, "--near 0.007", 0),
        (0.002, "--near 0.001", 1),
        (0.0004, "--tasks LCQMC", 0),
        (0.0004, f"--against {_OTHER} --tasks LCQMC,BQ", 1),
    ],
)
def test_a_run_is_verified_within_the_limits_that_are_given(
    off: float, flags: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only = [] if "--tasks" in flags else ["--tasks", "LCQMC,BQ"]
    assert ran("verify", published_run(tmp_path, off), *only, *flags.split(), "--json", tmp_path / "v.json") == code
    document = json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))
    assert document["passed"] == (code == 0)
    assert document["against"] == (_OTHER if _OTHER in flags else _MODEL)
    assert [each["task"] for each in document["tasks"]] == (["LCQMC"] if flags.endswith("LCQMC") else ["LCQMC", "BQ"])
    limits = {"--tolerance 0.01": (0.01, 0.01), "--near 0.007": (0.0005, 0.007), "--near 0.001": (0.0005, 0.001)}
    assert (document["tolerance"], document["near"]) == limits.get(flags, (0.0005, 0.005))
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == f"written: {tmp_path / 'v.json'}"
    assert ("NOT reproduced: " in said) == (code == 1)


def test_a_run_is_ranked_with_as_many_beside_it_as_are_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = published_run(tmp_path, 0.0, "me/我的")
    names = {}
    for flags in ((), ("--neighbours", "0"), ("--neighbours", "1", "--json", tmp_path / "r.json")):
        assert ran("rank", folder, *flags) == 0
        out = capsys.readouterr().out
        names[flags[1:2]] = [line for line in out.split("The models around it")[1].splitlines() if line.startswith("│")]
    assert [len(rows) for rows in names.values()] == [7, 1, 3]
    assert "me/我的 (this run)" in names["0",][0]
    text = (tmp_path / "r.json").read_text(encoding="utf-8")
    assert "me/我的" in text
    document = json.loads(text)
    ranking: Any = rank(find_run(folder).record, table())
    assert document == json.loads(json.dumps(ranking.as_dict()))


def test_a_run_is_kept_as_a_baseline(two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "base.json"
    assert ran("baseline", two[0], "--output", target) == 0
    assert target.read_text(encoding="utf-8") == saved(find_run(two[0])).to_json()
    assert capsys.readouterr().out == f"written   {target}: org/m0, 2 tasks, 1 with values per query\n"


@pytest.mark.parametrize(("limit", "code"), [(11, 0), (5, 1)])
def test_a_gate_leaves_each_of_its_files_and_its_code(
    limit: int,
    code: int,
    two: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    rules = tmp_path / "gate.toml"
    rules.write_text(f'[[rule]]\ntasks = ["A"]\nmax-drop = {limit}\n', encoding="utf-8")
    files = {name: tmp_path / name for name in ("junit", "markdown", "json")}
    targets = [part for name, path in files.items() for part in (f"--{name}", path)]
    given = ("check", "--baseline", two[0], "--candidate", two[1], "--rules", rules, "--seed", "4", *targets)
    assert ran(*given) == code
    report = judge(read_rules(rules), *labelled([find_run(two[0]), find_run(two[1])]), seed=4)
    expected = {"junit": ci.to_junit, "markdown": comment.to_comment, "json": outputs.to_json}
    for name, path in files.items():
        assert path.read_text(encoding="utf-8") == expected[name](report)
    printed = capsys.readouterr().out
    assert outputs.headline(report) in printed
    assert not (tmp_path / "summary.md").exists()
    assert ran(*given, "--overwrite", "--github") == code
    assert (tmp_path / "summary.md").read_text(encoding="utf-8") == outputs.to_markdown(report)
    first, _, rest = capsys.readouterr().out.partition("\n")
    until = first.removeprefix("::stop-commands::")
    assert rest == f"{printed}::{until}::\n" + "\n".join(ci.to_annotations(report)) + "\n"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_page_is_that_of_the_runs(
    language: Any, two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "page.html"
    assert ran("report", *two, "--html", target, "--allow-differences", "--lang", language) == 0
    text = page(groups(find_all(two), benchmarks(), allow_differences=True), language)
    assert target.read_text(encoding="utf-8") == text
    assert capsys.readouterr().out == f"written   {target} ({len(text.encode()) / 1000:,.0f} kB)\n"
