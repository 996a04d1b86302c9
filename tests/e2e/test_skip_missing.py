"""Tasks whose data is not there are left out where the user says so, and said to be."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import MINI
from tests.e2e.commands import here, one_line

RANDOM = "flagbench/random"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two of the tasks of C-MTEB."""
    for name in ("C-MTEB/LCQMC", "mteb/STSB"):
        shutil.copytree(MINI / name, tmp_path / "data" / name)
    return tmp_path / "data"


@pytest.mark.parametrize("command", ["evaluate", "validate"])
def test_what_is_there_runs_and_what_is_not_is_said(command: str, data: Path, tmp_path: Path) -> None:
    arguments = (command, RANDOM, "--data", data, "--output", tmp_path / "out", "--no-store")
    first = here(*arguments)
    line = one_line(first) if command == "evaluate" else first.stderr.splitlines()[-1]
    assert first.returncode == 2
    assert "29 of 31 tasks have no usable data" in line
    assert "or those that are there with --skip-missing" in line
    result = here(*arguments, "--skip-missing")
    assert result.returncode == 0, result.stderr
    said = result.stdout + result.stderr
    assert "the data of these 29 tasks is not there, so no average has all of its tasks" in " ".join(said.split())
    assert "LCQMC" in said
    assert "STSB" in said
    if command == "evaluate":
        assert "Avg (2 of 31 tasks)" in result.stderr


def test_data_that_is_wrong_is_not_left_out(data: Path, tmp_path: Path) -> None:
    rows = next((data / "C-MTEB/LCQMC").rglob("test*.jsonl"))
    rows.rename(rows.with_name("dev-00000-of-00001.jsonl"))
    line = one_line(here("evaluate", RANDOM, "--data", data, "--output", tmp_path / "out", "--skip-missing"))
    assert "LCQMC" in line
    assert "has no split 'test'" in line


def test_with_no_data_at_all_there_is_nothing_to_run(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    arguments = ("evaluate", RANDOM, "--data", tmp_path / "data", "--output", tmp_path / "out", "--skip-missing")
    line = one_line(here(*arguments))
    assert "31 of 31 tasks have no usable data" in line
    assert "--skip-missing" not in line
