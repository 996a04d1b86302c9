"""``flagbench compare`` as a user types it, over runs as evaluate leaves them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.commands import here, loaded_by, one_line
from tests.unit.results.test_runs import made_task, write_run
from tests.unit.series_runs import dims_run

_VALUES = {"ndcg_at_10": {f"q{number}": 0.1 for number in range(10)}}
_BETTER = {"ndcg_at_10": {f"q{number}": 0.4 for number in range(10)}}


def compare(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return here("compare", *arguments)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Two runs: one task with values by query, and one without."""
    folder = tmp_path / "results"
    write_run(folder, "org/first", made_task("A", 0.1, values=_VALUES), made_task("B", 0.5))
    write_run(folder, "org/second[bold]", made_task("A", 0.4, values=_BETTER), made_task("B", 0.25))
    return folder


def test_the_table_is_printed(output: Path) -> None:
    result = compare(output)
    assert (result.returncode, result.stderr) == (0, "")
    for text in ("org/second[bold]", "+30.00†", "-25.00", "0.0020", "1 / 0 / 1", "no values per item"):
        assert text in result.stdout


def test_the_first_run_named_is_what_others_are_held_against(output: Path) -> None:
    result = compare(next(output.glob("*second*")), output)
    assert "-30.00†" in result.stdout
    assert "Δ is to org/second[bold]" in result.stdout


def test_formats(output: Path) -> None:
    assert "| A | Retrieval | 10.00 | 40.00 | +30.00† |" in compare(output, "--format", "markdown").stdout
    rows = list(csv.DictReader(io.StringIO(compare(output, "--format", "csv").stdout)))
    assert [(row["task"], row["run"], row["score"]) for row in rows[:2]] == [
        ("A", "org/first", "0.1"),
        ("A", "org/second[bold]", "0.4"),
    ]
    found = json.loads(compare(output, "--format", "json", "--seed", "7").stdout)
    assert found["method"]["seed"] == 7
    assert found["tasks"][0]["cells"][1]["test"]["paired"]["p"] == 2 / 2**10


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "json"])
def test_a_file_is_written_once(output: Path, tmp_path: Path, form: str) -> None:
    target = tmp_path / "comparison"
    command = (output, "--format", form, "--output", target)
    result = compare(*command)
    assert (result.returncode, result.stderr) == (0, "")
    assert str(target) in result.stdout
    text = target.read_text(encoding="utf-8")
    assert "org/second" in text
    assert "\x1b" not in text
    assert "exists already: use --overwrite" in one_line(compare(*command))
    target.write_text("old", encoding="utf-8")
    assert compare(*command, "--overwrite").returncode == 0
    assert target.read_text(encoding="utf-8") == text


def test_bad_input_is_one_line(output: Path, tmp_path: Path) -> None:
    single, empty, broken = tmp_path / "single", tmp_path / "empty", tmp_path / "broken"
    write_run(single, "org/first", made_task("A", 0.1))
    empty.mkdir()
    (write_run(broken, "org/broken", made_task()) / "flagbench" / "run.json").write_text("{", encoding="utf-8")
    other = write_run(tmp_path / "other", "org/other", made_task("A", scores={"test": {"default": 0.5}}))
    future = write_run(tmp_path / "future", "org/future", made_task()) / "flagbench" / "run.json"
    future.write_text(json.dumps(json.loads(future.read_text(encoding="utf-8")) | {"schema_version": 99}))
    for arguments, said in (
        ((single,), "one run only"),
        ((single, single), "one run only"),
        ((output, empty), "holds no runs"),
        ((output, tmp_path / "gone"), "does not exist"),
        ((output, broken), "not a run.json that can be read"),
        ((output, future), "update FlagBench"),
        ((output, other), "splits dev against test"),
        ((output, "--seed", "-1"), "whole number"),
        ((output, "--output", tmp_path), "exists already"),
        ((output, "--output", tmp_path / "gone" / "file"), "is not a folder"),
        ((), "RUN"),
    ):
        assert said in one_line(compare(*arguments))


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Three numbers of dimensions of one model."""
    folder = tmp_path / "series"
    for dims, mean in ((64, 0.4), (128, 0.6), (None, 0.6)):
        dims_run(folder, dims, "fp32", {"A": mean, "B": mean - 0.1})
    return folder


def test_runs_that_differ_in_one_setting_are_a_series(series: Path, tmp_path: Path) -> None:
    target = tmp_path / "points.csv"
    result = compare(series, "--csv", target)
    assert (result.returncode, result.stderr) == (0, f"written   {target}\n")
    assert "average of 2 tasks by dimensions" in result.stdout
    assert any("128" in line and "best, smallest" in line for line in result.stdout.splitlines())
    rows = list(csv.DictReader(io.StringIO(target.read_text(encoding="utf-8"))))
    assert [(row["task"], row["value"]) for row in rows[:3]] == [("average", each) for each in ("64", "128", "full")]
    assert "exists already: use --overwrite" in one_line(compare(series, "--csv", target))
    found = json.loads(compare(series, "--format", "json").stdout)
    (curves,) = found["series"]["series"]
    assert curves["axis"]["values"] == [64, 128, "full"]
    assert "**average of 2 tasks by dimensions**" in compare(series, "--format", "markdown").stdout


def test_csv_of_runs_that_are_no_series_is_refused(output: Path, tmp_path: Path) -> None:
    said = one_line(compare(output, "--csv", tmp_path / "points.csv"))
    assert "is for runs of one model that differ in one setting, and none of these do" in said
    assert not (tmp_path / "points.csv").exists()


def test_differences_can_be_allowed(output: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", "org/other", made_task("A", scores={"test": {"default": 0.5}}))
    result = compare(output, other, "--allow-differences")
    assert result.returncode == 0
    assert "splits dev against test" in result.stdout


def test_nothing_heavy_is_loaded(output: Path) -> None:
    heavy = {"torch", "transformers", "mteb", "faiss", "datasets", "scipy"}
    assert not heavy & loaded_by("compare", output)[0]
    assert not (heavy | {"numpy", "rich"}) & loaded_by("compare", "--help")[0]


def test_runs_of_evaluate(tmp_path: Path) -> None:
    for model in ("flagbench/random", "flagbench/bm25"):
        assert not here("evaluate", model, "--benchmark", "air-bench", "--mini", "--output", str(tmp_path)).returncode
    result = compare(next(tmp_path.glob("*random*")), tmp_path, "--format", "json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert [run["model"] for run in found["runs"]] == ["flagbench/random", "flagbench/bm25"]
    scored = [line for line in found["tasks"] if line["cells"][1]["score"] is not None]
    assert len(scored) == 4
    for line in scored:
        cell = line["cells"][1]
        assert cell["test"]["metric"] == line["main_score"]
        assert cell["test"]["paired"]["difference"] == pytest.approx(cell["delta"], abs=2e-5)


@pytest.mark.filterwarnings("ignore")
def test_runs_of_c_mteb_are_tested_whatever_the_kind_of_task(tmp_path: Path, tiny_bert: Path) -> None:
    tasks = ["CovidRetrieval", "T2Reranking", "Ocnli", "CLSClusteringS2S", "LCQMC", "TNews"]
    for model in ("flagbench/random", str(tiny_bert)):
        command = ["evaluate", model, "--mini", "--tasks", ",".join(tasks), "--output", str(tmp_path / "out")]
        assert not here(*command).returncode
    result = compare(next((tmp_path / "out").glob("*random*")), tmp_path / "out", "--format", "json")
    assert result.returncode == 0, result.stderr
    lines = json.loads(result.stdout)["tasks"]
    assert sorted(line["task"] for line in lines) == sorted(tasks)
    for line in lines:
        cell = line["cells"][1]
        assert (cell["test"]["metric"], cell["untested"]) == (line["main_score"], "")
        assert cell["test"]["paired"]["difference"] == pytest.approx(cell["delta"], abs=2e-5)
