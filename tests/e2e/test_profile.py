"""``--profile`` as a user types it: samples beside the full results, with their error, and never mixed with them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MINI
from tests.e2e.commands import here, one_line


def record(folder: Path, task: str) -> dict[str, Any]:
    """A task as run.json has it."""
    (path,) = folder.glob("*/*/flagbench/run.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["tasks"][task]
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LCQMC with three times its miniature rows, and STSB, which is smaller than any sample."""
    folder = tmp_path_factory.mktemp("data")
    for repo in ("C-MTEB/LCQMC", "mteb/STSB"):
        shutil.copytree(MINI / repo, folder / repo)
    (path,) = (folder / "C-MTEB" / "LCQMC").rglob("*.jsonl")
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    more = [row | {"sentence1": f"{row['sentence1']}{mark}"} for mark in ("", "。", "？") for row in rows]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in more), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def done(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full run and a smoke run of one model, and a smoke run of another beside them."""
    output = tmp_path_factory.mktemp("out")
    run = ["evaluate", "flagbench/random", "--tasks", "LCQMC,STSB", "--data", data, "--no-store"]
    for more in (
        ["--output", output],
        ["--output", output, "--profile", "smoke"],
        ["--output", output / "other", "--profile", "smoke", "--no-normalize"],
    ):
        assert here(*run, *more).returncode == 0
    return output


def test_a_sample_lies_beside_the_full_result(done: Path) -> None:
    full, smoke = record(done, "LCQMC"), record(done / "smoke", "LCQMC")
    assert full["sample"] is None
    assert smoke["sample"].items() >= {"profile": "smoke", "items": 100, "of": 300}.items()
    assert smoke["settings"] == full["settings"] | {"profile": "smoke"}
    assert smoke["digest"] != full["digest"]
    assert smoke["data"]["status"] == "differs"
    assert smoke["data"]["differences"][-1] == "test a sample of 100 of 300 rows (profile smoke)"
    (score,), (whole,) = smoke["scores"]["test"].values(), full["scores"]["test"].values()
    assert 0 < abs(score - whole) < 2 * smoke["sample"]["error"]


def test_a_task_that_is_smaller_runs_whole(done: Path) -> None:
    full, smoke = record(done, "STSB"), record(done / "smoke", "STSB")
    assert (smoke["sample"], smoke["scores"], smoke["data"]) == (None, full["scores"], full["data"])


def test_neither_counts_as_the_other(data: Path, done: Path) -> None:
    run = ["evaluate", "flagbench/random", "--tasks", "LCQMC", "--data", data, "--no-store", "--output", done]
    for more in ([], ["--profile", "full"], ["--profile", "smoke"]):
        assert "finished before" in here(*run, *more).stderr
    assert not list(done.rglob("replaced"))


def test_the_error_stands_beside_the_score(data: Path, done: Path) -> None:
    smoke = record(done / "smoke", "LCQMC")
    (score,) = smoke["scores"]["test"].values()
    shown = f"{100 * score:.2f}* ± {100 * smoke['sample']['error']:.2f}"
    run = ["evaluate", "flagbench/random", "--tasks", "LCQMC", "--data", data, "--no-store", "--profile", "smoke"]
    one = here(*run, "--output", done)
    assert shown in one.stdout
    assert "100 of 300 items" in one.stdout
    assert "scores of samples" in one.stderr


def test_runs_of_one_profile_are_compared_and_mixed_ones_are_refused(done: Path) -> None:
    (full,), (smoke,), (other,) = (
        [path.parent for path in folder.glob("*/*/flagbench")]
        for folder in (done, done / "smoke", done / "other" / "smoke")
    )
    compared = here("compare", smoke, other, "--format", "json")
    assert compared.returncode == 0, compared.stderr
    line = next(line for line in json.loads(compared.stdout)["tasks"] if line["task"] == "LCQMC")
    assert line["cells"][1]["test"]["paired"]["queries"] == 100
    said = one_line(here("compare", full, smoke))  # STSB is whole in both
    assert "differ in LCQMC: all of its data against 100 of 300 items (profile smoke)" in said


def test_a_plan_says_so(data: Path, tmp_path: Path) -> None:
    result = here(
        "validate", "flagbench/random", "--tasks", "LCQMC", "--data", data, "--profile", "quick", "--output", tmp_path
    )
    assert re.search(r"profile +quick", result.stdout)
    assert str(tmp_path / "quick") in result.stdout.replace("\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--benchmark", "air-bench", "--mini", "--profile", "quick"], "--benchmark cmteb, mteb or own"),
        (["--benchmark", "mlvu", "--profile", "smoke"], "--benchmark cmteb, mteb or own"),
        (["--benchmark", "mteb", "--tasks", "BUCC", "--profile", "quick"], "BUCC (BitextMining, f1)"),
        (["--mini", "--profile", "fast"], "invalid choice"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(arguments: list[str], said: str) -> None:
    assert said in one_line(here("evaluate", "flagbench/random", *arguments))
