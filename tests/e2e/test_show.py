"""A finished run, shown again without model or data."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.commands import here, loaded_by, one_line


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder of results, and what evaluate printed of them."""
    output = tmp_path_factory.mktemp("run")
    select = ("--mini", "--tasks", "STSB,LCQMC,Ocnli", "--output", output, "--no-store")
    result = here("evaluate", "flagbench/random", *select)
    assert result.returncode == 0, result.stderr
    return output, result.stdout


def test_the_table_is_the_one_that_the_run_ended_with(run: tuple[Path, str]) -> None:
    output, printed = run
    shown = here("show", output).stdout
    table = [line for line in printed.splitlines() if line.startswith("│")]
    assert [line for line in shown.splitlines() if line.startswith("│")] == table
    assert shown.startswith("flagbench/random at v1\n")
    assert "scores are not comparable with published ones" in shown


def test_scores_for_programs(run: tuple[Path, str]) -> None:
    output, _ = run
    record = json.loads(next(output.rglob("run.json")).read_text(encoding="utf-8"))
    scores = {name: next(iter(task["scores"].values()))["default"] for name, task in record["tasks"].items()}
    found = json.loads(here("show", output, "--format", "json").stdout)
    assert {row["task"]: row["score"] for row in found["scores"] if row["task"] in scores} == scores
    assert (found["model"], found["benchmark"]) == ("flagbench/random", "cmteb")
    rows = list(csv.DictReader(io.StringIO(here("show", output, "--format", "csv").stdout)))
    assert {row["task"]: float(row["score"]) for row in rows if row["task"] in scores} == scores
    assert [row["score"] for row in rows if row["task"] == "Avg"] == [""]
    lines = here("show", output, "--format", "markdown").stdout.splitlines()
    assert lines[:2] == ["| task | type | score | note |", "| --- | --- | --- | --- |"]
    assert [line for line in lines if line.startswith(f"| STSB | STS | {100 * scores['STSB']:.2f} ± ")]


def test_several_runs_in_a_folder_are_listed(run: tuple[Path, str], tmp_path: Path) -> None:
    """The last one first, with the command that shows it; a task of several is of none."""
    output, _ = run
    for name, finished in (("old", "2001-01-01T00:00:00+00:00"), ("new", "2031-01-01T00:00:00+00:00")):
        shutil.copytree(output, tmp_path / name)
        path = next((tmp_path / name).rglob("run.json"))
        values = json.loads(path.read_text(encoding="utf-8"))
        for task in values["tasks"].values():
            task["finished"] = finished
        path.write_text(json.dumps(values), encoding="utf-8")
    runs = json.loads(here("show", tmp_path, "--format", "json").stdout)
    assert [Path(each["folder"]).relative_to(tmp_path).parts[0] for each in runs] == ["new", "old"]
    assert [(each["model"], each["benchmark"], each["tasks"]) for each in runs] == 2 * [
        ("flagbench/random", "cmteb", 3)
    ]
    printed = here("show", tmp_path).stdout
    assert printed.startswith("2 runs")
    assert f"then: flagbench show {runs[0]['folder']}" in printed
    assert len(list(csv.reader(io.StringIO(here("show", tmp_path, "--format", "csv").stdout)))) == 3
    assert len(here("show", tmp_path, "--format", "markdown").stdout.splitlines()) == 4
    assert "holds 2 runs" in one_line(here("show", tmp_path, "--task", "STSB"))


def test_all_that_is_recorded_of_a_task(run: tuple[Path, str]) -> None:
    output, _ = run
    lines = here("show", output, "--task", "stsb").stdout.splitlines()
    values = dict(line.split(None, 1) for line in lines if len(line.split(None, 1)) == 2)
    assert (values["name"], values["settings.task.main_score"]) == ("STSB", "cosine_spearman")
    assert values["data.status"] == "differs"
    assert json.loads(here("show", output, "--task", "STSB", "--format", "json").stdout)["name"] == "STSB"
    line = one_line(here("show", output, "--task", "STSBB"))
    assert "unknown task 'STSBB'" in line
    assert "did you mean STSB" in line


def test_nothing_heavy_is_imported(run: tuple[Path, str]) -> None:
    modules, out = loaded_by("show", run[0])
    assert "STSB" in out
    assert not {"torch", "transformers", "mteb", "datasets", "faiss", "scipy"} & modules


def test_a_folder_without_a_run_is_one_line(tmp_path: Path) -> None:
    assert str(tmp_path) in one_line(here("show", tmp_path))
