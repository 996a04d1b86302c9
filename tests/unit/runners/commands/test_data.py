"""``flagbench data``: the state, the rows and the digests of what a user has."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from flagbench.runners.commands.cli import main
from tests.conftest import MINI


def _ended(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["data", *arguments])
    return int(ended.value.code or 0)


def test_the_same_in_three_formats(capsys: pytest.CaptureFixture[str]) -> None:
    assert _ended("--mini", "--tasks", "STSB", "--format", "json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["task"], row["status"]) == ("STSB", "differs")
    assert any(line.startswith("test num_samples: ") for line in row["differences"])
    assert _ended("--mini", "--tasks", "STSB", "--format", "toml") == 0
    (printed,) = tomllib.loads(capsys.readouterr().out)["official"]
    assert printed == {key: row[key] for key in ("task", "revision", "content")}
    assert _ended("--mini", "--tasks", "STSB") == 0
    assert row["content"]["test"]["digest"] in capsys.readouterr().out


def test_what_is_not_there_is_passed_over_unless_it_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mteb").mkdir()
    (tmp_path / "mteb" / "STSB").symlink_to(MINI / "mteb" / "STSB")
    assert _ended("--data", str(tmp_path), "--types", "sts", "--format", "json") == 0
    out, err = capsys.readouterr()
    assert [row["task"] for row in json.loads(out)] == ["STSB"]
    assert "C-MTEB/LCQMC is not in" in err
    assert _ended("--data", str(tmp_path), "--tasks", "STSB,LCQMC") == 2
    assert "C-MTEB/LCQMC is not in" in capsys.readouterr().err
