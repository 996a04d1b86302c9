"""Whole runs on several workers, and runs that are killed: the files that one undisturbed process writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from flagbench.runners.store.upkeep import inventory
from tests.checkpoints import add_sentence_transformers, write_bert
from tests.conftest import ROOT
from tests.e2e.commands import MAIN, here

# Two workers share two cores; on another number of threads a sum may end in another last bit.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
TASKS = "STSB,CovidRetrieval,TNews"
# When and how long; which part of the texts this run encoded; and where.
_APART = {"evaluation_time", "date", "evaluation_phases", "seconds", "finished", "encoded", "environment"}
_APART |= {"file_digests"}  # of files with such times in them


@pytest.fixture(scope="module", autouse=True)
def one_thread_here(one_thread: None) -> Iterator[None]:
    """Of torch and of what else multiplies in this process."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_sentence_transformers(write_bert(tmp_path_factory.mktemp("model") / "bert"))


@pytest.fixture(scope="module")
def expected(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an undisturbed run on one device writes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    finished = here(*command(model, folder))
    assert finished.returncode == 0, finished.stderr
    return files(folder)


def command(model: Path, folder: Path, *flags: str) -> list[str | Path]:
    where: list[str | Path] = ["--output", folder / "results", "--store", folder / "store"]
    return ["evaluate", model, "--mini", "--tasks", TASKS, *where, *(flags or ("--device", "cpu"))]


def files(folder: Path) -> dict[str, Any]:
    """Every result file by its path, without what may differ."""
    found = {
        str(path.relative_to(folder)): without(json.loads(path.read_text(encoding="utf-8")))
        for path in (folder / "results").rglob("*.json")
    }
    assert len(found) == 9, sorted(found)  # three tasks with their values, the worst queries, the model, the run
    return found


def without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without(item) for key, item in value.items() if key not in _APART}
    return [without(item) for item in value] if isinstance(value, list) else value


def test_two_workers_write_what_one_process_writes(
    model: Path, tmp_path: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    finished = here(*command(model, tmp_path, "--devices", "cpu:2"))
    assert finished.returncode == 0, finished.stderr
    assert files(tmp_path) == expected
    (path,) = (tmp_path / "results").rglob("run.json")
    assert json.loads(path.read_text(encoding="utf-8"))["environment"]["device"] == "cpu:2"


@pytest.mark.parametrize("words", [pytest.param("[2/3]", marks=pytest.mark.slow), "[3/3]"])
def test_a_killed_run_goes_on(model: Path, tmp_path: Path, expected: dict[str, Any], words: str) -> None:
    arguments = command(model, tmp_path)
    killed = subprocess.Popen(
        [sys.executable, "-c", MAIN, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | ONE_THREAD,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert killed.stderr is not None
    assert any(words in line for line in killed.stderr)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    killed.stderr.close()
    before = sum(space.rows for space in inventory(tmp_path / "store"))
    assert before > 0
    finished = here(*arguments)
    assert finished.returncode == 0, finished.stderr
    assert "finished before with the same settings" in finished.stderr
    assert files(tmp_path) == expected
    everything = sum(space.rows for space in inventory(tmp_path / "store"))
    (path,) = (tmp_path / "results").rglob("run.json")
    tasks = json.loads(path.read_text(encoding="utf-8"))["tasks"].values()
    assert sum(task["texts"]["encoded"] for task in tasks) <= everything  # nothing was encoded twice
