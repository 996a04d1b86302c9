"""A store, results and a baseline that FlagBench wrote before adapters had ids: see tests/former/README.md."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from flagbench.results.data_state import DataState
from flagbench.results.migrations import SCHEMA_VERSION
from tests.conftest import ROOT
from tests.e2e.commands import here, one_line

FORMER = ROOT / "tests" / "former"
WRITTEN_AT = 1_700_000_000

CMTEB = ("--benchmark", "cmteb", "--tasks")
RUNS = {
    "dense": ("flagbench/random", *CMTEB, "STSB,EcomRetrieval"),
    "reranker": ("flagbench/random", *CMTEB, "EcomRetrieval", "--reranker", "flagbench/random-reranker"),
    "m3": ("tiny-m3", "--name", "tests/tiny-m3", "--allow-pickle", *CMTEB, "STSB,EcomRetrieval"),
    "m3 hybrid": (
        *("tiny-m3", "--name", "tests/tiny-m3", "--allow-pickle", *CMTEB, "EcomRetrieval"),
        *("--retrieval", "hybrid"),
    ),
    "bm25": ("bm25", *CMTEB, "EcomRetrieval"),
    "AIR-Bench": ("flagbench/random", "--benchmark", "air-bench", "--domains", "wiki", "--languages", "zh"),
    "MLVU": ("flagbench/first-letter", "--benchmark", "mlvu"),
}
TASKS = {"dense": 2, "reranker": 1, "m3": 2, "m3 hybrid": 1, "bm25": 1, "AIR-Bench": 1, "MLVU": 9}


@pytest.fixture
def then(tmp_path: Path) -> Path:
    """Data, store, results and checkpoint as they lay on the disk; also the working folder."""
    for name in ("results", "store", "tiny-m3"):
        shutil.copytree(FORMER / name, tmp_path / name)
    for mini, target in (("cmteb/mini", "data"), ("airbench/mini", "data"), ("mlvu/mini", "data")):
        shutil.copytree(ROOT / mini, tmp_path / target, dirs_exist_ok=True)
    for path in (tmp_path / "data").rglob("*"):
        os.utime(path, (WRITTEN_AT, WRITTEN_AT))
    return tmp_path


def evaluate(then: Path, run: str, output: str = "results") -> Any:
    places = ("--data", "data", "--output", output, "--store", "store")
    result = here("evaluate", *RUNS[run], *places)
    assert result.returncode == 0, result.stderr
    return result


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """Task records below a folder, by model and task."""
    read = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("run.json"))]
    return {f"{run['model']} {name}": task for run in read for name, task in run["tasks"].items()}


@pytest.mark.parametrize("run", RUNS)
def test_finished_tasks_are_skipped(run: str, then: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(then)
    before = {path: path.read_bytes() for path in (then / "results").rglob("*.json")}
    result = evaluate(then, run)
    lines = result.stderr.splitlines()
    assert not any(line.startswith("[") for line in lines), "a task ran"
    skipped = [line for line in lines if "finished before with the same settings, skipped" in line]
    assert len(skipped) == TASKS[run]
    assert {path: path.read_bytes() for path in (then / "results").rglob("*.json")} == before


@pytest.mark.parametrize("run", ["dense", "reranker", "m3", "m3 hybrid", "AIR-Bench"])
def test_nothing_is_encoded_again(run: str, then: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into an empty output, over the store: the scores of then without the model."""
    monkeypatch.chdir(then)
    evaluate(then, run, "new")
    old, new = records(then / "results"), records(then / "new")
    assert new
    for name, task in new.items():
        assert task["texts"]["encoded"] == 0, name
        assert task["scores"] == old[name]["scores"], name
        assert task["backend"] == "", "a model was loaded"


def test_answers_that_were_kept_are_not_asked_for_again(then: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(then)
    old = records(then / "results")
    (then / "results/flagbench__first-letter/v1/flagbench/run.json").unlink()
    evaluate(then, "MLVU")
    new = records(then / "results")
    assert {name for name in old if "first-letter" in name} == {name for name in new if "first-letter" in name}
    for name, task in new.items():
        if "first-letter" in name:
            assert task["texts"]["answered"] == 0, name
            assert task["scores"] == old[name]["scores"], name


def test_a_result_that_is_written_beside_older_ones_has_todays_layout(
    then: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(then)
    path = then / "results/flagbench__random/v1/flagbench/run.json"
    assert json.loads(path.read_text(encoding="utf-8"))["spec"]["adapter"] == "models.fake:load_encoder"
    places = ("--data", "data", "--output", "results", "--store", "store")
    assert here("evaluate", "flagbench/random", *CMTEB, "Ocnli", *places).returncode == 0
    run = json.loads(path.read_text(encoding="utf-8"))
    assert (run["schema_version"], run["spec"]["adapter"]) == (SCHEMA_VERSION, "random")
    assert {task["settings"]["model"]["adapter"] for task in run["tasks"].values()} == {"random"}
    assert "finished before" in evaluate(then, "dense").stderr


def assert_as_it_was(found: Any, former: Any, where: str = "") -> None:
    """Today's output may say more, and the intervals of differences are BCa instead of percentiles."""
    if isinstance(former, dict):
        assert not former.keys() - found.keys(), where
        for key, value in former.items():
            assert_as_it_was(found[key], value, f"{where}/{key}")
    elif isinstance(former, list):
        assert len(found) == len(former), where
        for place, value in enumerate(former):
            assert_as_it_was(found[place], value, f"{where}/{place}")
    elif where.endswith(("/paired/low", "/paired/high")):
        assert found == pytest.approx(former, abs=0.015), where
    elif where == "/method/interval":
        assert (former, found) == ("bootstrap percentile", "BCa bootstrap")
    else:
        assert found == former, where


def test_compare_and_check_give_what_they_gave(then: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FORMER)
    runs = ("results/flagbench__random/v1", next((FORMER / "results/tests__tiny-m3").iterdir()).relative_to(FORMER))
    compared = then / "compare.json"
    assert here("compare", *runs, "--format", "json", "--output", compared).returncode == 0
    then_said = (
        (FORMER / "compare.json").read_text(encoding="utf-8").replace("not the published data", DataState.DIFFERS.words)
    )
    assert_as_it_was(json.loads(compared.read_text(encoding="utf-8")), json.loads(then_said))
    gate = ("check", "--baseline", "baseline.json", "--rules", "rules.toml", "--json", then / "check.json")
    assert here(*gate, "--candidate", runs[1]).returncode == 1
    # An outcome that had the name "cannot tell" is "inconclusive" today, and a state of data and verdicts have other
    # words.
    former = (FORMER / "check.json").read_text(encoding="utf-8").replace('"cannot tell"', '"inconclusive"')
    former = former.replace("not the published data", DataState.DIFFERS.words)
    for points, drop in (("28.572", "28.57"), ("0.934", "0.93")):
        former = former.replace(f"-{points} points, a drop of 1 is allowed", f"dropped {drop} points; 1 is allowed")
    assert_as_it_was(json.loads((then / "check.json").read_text(encoding="utf-8")), json.loads(former))
    assert "the same run" in one_line(here(*gate, "--candidate", runs[0], "--overwrite"))
    page = then / "page.html"
    assert here("report", *runs, "--html", page).returncode == 0
    assert "tests/tiny-m3" in page.read_text(encoding="utf-8")


def test_a_new_run_is_not_known_to_be_over_an_older_baseline_s_data(
    then: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(then)
    evaluate(then, "dense", "new")
    gate = ("check", "--baseline", FORMER / "baseline.json", "--rules", FORMER / "rules.toml", "--candidate", "new")
    result = here(*gate)
    assert result.returncode == 2, result.stdout + result.stderr
    assert "INCONCLUSIVE: 2 inconclusive of 2 checks" in result.stdout
