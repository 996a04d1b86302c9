"""``flagbench show``: what it says of a run and of one task, in each format."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench.results.averages import Averages, cells_digest
from flagbench.results.page.benchmark import Benchmark
from flagbench.results.runs import find_run
from flagbench.results.values import Values
from flagbench.runners.commands import cli, finished, report
from flagbench.suites.mteb import named
from tests.e2e.commands import here
from tests.unit.results.test_runs import made_task, write_run


def test_nothing_in_a_csv_is_a_formula(tmp_path: Path) -> None:
    run = write_run(tmp_path, "org/m", made_task("=A", None, status="error", error="=1+1"))
    for more in ((), ("--task", "=A")):
        rows = list(csv.reader(here("show", run, *more, "--format", "csv").stdout.splitlines()))
        cells = [cell for row in rows for cell in row if "=" in cell]
        assert any("=A" in cell for cell in cells)
        assert not [cell for cell in cells if cell.startswith("=")]


def test_values_that_are_not_those_of_the_score_are_named(tmp_path: Path) -> None:
    values = {"ndcg_at_10": {"q0": 0.25, "q1": 0.75}}
    run = write_run(tmp_path, "org/m", made_task("A", 0.5, values=values), made_task("B", 0.5, values=values))
    before = here("show", run)
    assert before.stderr == ""
    file = run / Values.file("B")
    file.write_text(file.read_text(encoding="utf-8").replace("0.75", "0.85"), encoding="utf-8")
    for more in ((), ("--format", "csv")):
        after = here("show", run, *more)
        assert (after.returncode, after.stdout) == (0, here("show", run, *more).stdout)
        assert after.stderr.startswith("flagbench: B: ")
        assert len(after.stderr.splitlines()) == 1
    file.unlink()
    assert here("show", run).stderr == ""


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, Benchmark]:
    """The benchmarks that are known here, instead of those that are."""
    found: dict[str, Benchmark] = {}
    monkeypatch.setattr(report, "benchmarks", lambda runs: found)
    return found


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of three tasks, evaluated out of order: one failed, and one failed after it had a score."""
    return write_run(
        tmp_path,
        "org/模型",
        made_task(
            *("B|x", 0.123456),
            data={"status": "unknown"},
            finished="2026-03-02T00:00:00+00:00",
            seconds={"encode": 1.1831975329999977},
        ),
        made_task("A", 0.75, finished="2026-03-03T00:00:00+00:00", later_error="no memory"),
        made_task("C", None, status="error", error="no disk", data={"status": "differs"}),
        benchmark="nobodys",
    )


def shown(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    options = cli._parser().parse_args(["show", *map(str, arguments)])
    assert options.run(options) == 0
    return capsys.readouterr().out


@pytest.mark.usefixtures("known")
def test_a_run_of_whatever_benchmark_in_each_format(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "not known to be the official data"
    lines = shown(capsys, run).splitlines()
    assert lines[0] == "org/模型 at v1"
    assert lines[1].strip() == "nobodys"
    end = lines.index(f"* {words} (see run.json): scores are not comparable with published ones")
    assert not any(line.startswith("* ") for line in lines[:end]), "what failed has no data to note"
    assert lines[end + 1 :] == [
        f"finished 2026-03-03T00:00:00+00:00; settings and timings in {run / 'flagbench' / 'run.json'}",
        "flagbench: A: no memory",
        "flagbench: C: no disk",
    ]
    rows = list(csv.reader(shown(capsys, run, "--format", "csv").splitlines()))
    expected = [["B|x", "0.123456", words], ["A", "0.75", ""], ["C", "", "failed: no disk"]]
    assert rows == [
        ["task", "type", "score", "note", "low", "high"],
        *([name, "Retrieval", *rest, "", ""] for name, *rest in expected),
    ]
    assert shown(capsys, run, "--format", "markdown").splitlines()[2:] == [
        f"| B\\|x | Retrieval | 12.35 | {words} |",
        "| A | Retrieval | 75.00 |  |",
        "| C | Retrieval |  | failed: no disk |",
    ]
    text = shown(capsys, run, "--format", "json")
    assert '"org/模型"' in text
    assert text.endswith("}\n")
    found = json.loads(text)
    assert (found["model"], found["revision"], found["benchmark"]) == ("org/模型", "v1", "nobodys")
    assert found["scores"] == [
        {"task": "B|x", "type": "Retrieval", "score": 0.123456, "note": words, "low": None, "high": None},
        {"task": "A", "type": "Retrieval", "score": 0.75, "note": "", "low": None, "high": None},
        {"task": "C", "type": "Retrieval", "score": None, "note": "failed: no disk", "low": None, "high": None},
    ]


def test_the_averages_are_those_within_that_of_the_board(
    known: dict[str, Benchmark], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """None is shown of tasks that the run has not, nor of a benchmark that it has no task of."""
    averages: Averages = {"Avg": ["A", "B"], "B mean": ["B"], "Other": ["C", "D"]}
    known["named"] = Benchmark("The Benchmark", averages)
    known["beside"] = Benchmark("Beside", {"Beside": ["Z"]})
    run = write_run(tmp_path, "org/m", made_task("B", 0.25), made_task("A", 0.75), benchmark="named")
    found = json.loads(shown(capsys, run, "--format", "json"))["scores"]
    assert [(row["task"], row["score"]) for row in found] == [("B", 0.25), ("A", 0.75), ("Avg", 0.5), ("B mean", 0.25)]
    assert shown(capsys, run).splitlines()[1].strip() == "The Benchmark"
    known["named"] = replace(known["named"], parts={"A": cells_digest({("test", "default")})})
    means = {row.label: row.score for row in finished.tables_of(find_run(run))[0][1]}
    assert means == {"Avg": None, "B mean": 0.25}, "A ran over other splits than those that count"


def test_what_a_run_recorded_of_its_benchmark_is_not_looked_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """That imports mteb; only runs of before, and runs of one name that recorded different averages, need it."""
    looked_up = []
    monkeypatch.setattr(named, "find", looked_up.append)
    its = Benchmark("The Benchmark", {"A mean": ["A"], "Mean": ["A mean", "B"]}, parts={"B": cells_digest([])})
    tasks = made_task("A", 0.25), made_task("B", 0.75, status="partial")
    run = write_run(tmp_path / "new", "org/m", *tasks, benchmark="MTEB(xx, v1)", definition=its.definition())
    assert "The Benchmark" in shown(capsys, run)
    means = {row["task"]: row["score"] for row in json.loads(shown(capsys, run, "--format", "json"))["scores"]}
    assert means == {"A": 0.25, "B": 0.75, "A mean": 0.25, "Mean": None}
    report.benchmarks([find_run(run), find_run(run)])
    assert looked_up == []
    other = replace(its, averages={"Mean": ["A"]})
    for definition in (None, other.definition()):
        one = write_run(tmp_path / "other", "org/m", *tasks, benchmark="MTEB(xx, v1)", definition=definition)
        assert "MTEB(xx, v1)" not in report.benchmarks([find_run(run), find_run(one)])
        assert looked_up.pop() == "MTEB(xx, v1)"


def test_a_task_has_a_line_for_each_value(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, run, "--task", "b|X").splitlines()
    values = dict(line.split(None, 1) if len(line.split(None, 1)) == 2 else (line.strip(), "") for line in lines)
    assert lines[0].split() == ["score", "12.35"]
    assert (values["name"], values["scores.dev.default"], values["settings.task.main_score"]) == (
        "B|x",
        "0.123456",
        "ndcg_at_10",
    )
    assert len({len(line) - len(line.split(None, 1)[1]) for line in lines if len(line.split(None, 1)) == 2}) == 1
    assert len(lines) == len(values)
    assert not {"", "None", "{}"} & set(values.values())
    assert values["seconds.encode"] == "1.183"
    assert "seconds.encode,1.1831975329999977" in shown(capsys, run, "--task", "B|x", "--format", "csv").splitlines()
    assert shown(capsys, run, "--task", "C", "--format", "csv").splitlines()[:2] == ["value of,is", "score,"]
    markdown = shown(capsys, run, "--task", "B|x", "--format", "markdown").splitlines()
    assert markdown[:4] == ["| value of | is |", "| --- | --- |", "| score | 12.35 |", "| name | B\\|x |"]
    document = json.loads(shown(capsys, run, "--task", "A", "--format", "json"))
    assert (document["later_error"], document["scores"]) == ("no memory", {"dev": {"default": 0.75}})


@pytest.mark.usefixtures("known")
def test_a_failed_task_whose_entry_is_removed_is_forgotten(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The way that docs/compare.md names."""
    assert "failed: no disk" in shown(capsys, run)
    file = run / "flagbench" / "run.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    del record["tasks"]["C"]
    file.write_text(json.dumps(record), encoding="utf-8")
    left = shown(capsys, run)
    assert "no disk" not in left
    assert {"B|x", "A"} <= set(left.split())


@pytest.mark.parametrize(
    ("value", "leaves"),
    [
        ({"a": {"b": 1, "c": {}}, "d": []}, [("a.b", "1"), ("a.c", "{}"), ("d", "")]),
        ({"a": [1, "二"], "b": (None, True)}, [("a", "1, 二"), ("b", "None, True")]),
        ({"a": [{"b": 1}, {"b": [2]}, 3]}, [("a.0.b", "1"), ("a.1.b", "2"), ("a.2", "3")]),
        ({3: {4: "x"}}, [("3.4", "x")]),
    ],
)
def test_the_values_of_nested_objects_have_their_place(value: Any, leaves: list[tuple[str, str]]) -> None:
    assert finished._leaves(value) == leaves


def test_a_list_that_is_too_long_for_a_line_has_a_line_for_each_of_its_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For people; a program finds it in one cell, or as the list that it is."""
    differences = [f"test: {count:,} pairs, expected 1,379; a test, of which {count} are known" for count in range(9)]
    data = {"status": "differs", "differences": differences, "source": "hub"}
    run = write_run(tmp_path, "org/m", made_task("A", 0.5, data=data))
    lines = dict(line.split(None, 1) for line in shown(capsys, run, "--task", "A").splitlines())
    assert [lines[f"data.differences.{at}"] for at in range(9)] == differences
    assert max(map(len, lines.values())) < 100
    assert f"| data.differences.8 | {differences[8]} |" in shown(capsys, run, "--task", "A", "--format", "markdown")
    rows = dict(csv.reader(shown(capsys, run, "--task", "A", "--format", "csv").splitlines()))
    assert rows["data.differences"] == ", ".join(differences)


def test_miniature_data_has_a_table_of_its_own(
    tmp_path: Path, known: dict[str, Benchmark], capsys: pytest.CaptureFixture[str]
) -> None:
    averages = {"Avg": ["A", "B"]}
    known["own"] = Benchmark("The Benchmark", averages, averages, ("bench", "mini"))
    mini = {"status": "differs", "source": "/opt/bench/mini/org/data"}
    both = write_run(tmp_path / "1", "org/m", made_task("A", 0.5), made_task("B", 0.7, data=mini), benchmark="own")
    lines = shown(capsys, both).splitlines()
    assert [line.strip() for line in lines if line.startswith("The")] == ["The Benchmark", "The Benchmark mini"]
    assert [row[2:] for row in csv.reader(shown(capsys, both, "--format", "csv").splitlines()[1:])] == [
        ["0.5", "", "", ""],
        ["0.7", "not the official data", "", ""],
        ["", "1 of 2 tasks", "", ""],
        ["", "1 of 2 tasks", "", ""],
    ]
    small = [made_task(name, 0.5, data=mini) for name in "AB"]
    pure = write_run(tmp_path / "2", "org/m", *small, benchmark="own")
    assert "The Benchmark mini" in shown(capsys, pure)
    last = list(csv.reader(shown(capsys, pure, "--format", "csv").splitlines()))[-1]
    assert last == ["Avg", "", "0.5", "not the official data", "", ""]


def test_a_log_likelihood_is_shown_in_nats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read = made_task("PG19", -2.5, kind="perplexity", of={"main_score": "log_likelihood"})
    run = write_run(tmp_path, "org/m", read)
    assert "| PG19 | perplexity | -2.5000 nats |" in shown(capsys, run, "--format", "markdown")
    assert "-2.5000 nats" in shown(capsys, run)
    assert shown(capsys, run, "--task", "PG19").split("\n")[0].endswith("  -2.5000 nats")
