"""Own data with a fault, as a user meets it: a line and exit code 2, of evaluate and of validate."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.commands import here
from tests.unit.suites.own.faulty_folders import UNSOUND
from tests.unit.suites.own.folders import PAIRS, pairs, write


@pytest.mark.parametrize("name", UNSOUND)
def test_a_faulty_folder_is_one_line_of_both_commands(name: str, tmp_path: Path) -> None:
    make, change, said = UNSOUND[name]
    folder = tmp_path / "set"
    folder.mkdir()
    make(folder)
    change(folder)
    for command in ("validate", "evaluate"):
        where = ("--data-set", folder, "--output", tmp_path / "out", "--no-store")
        result = here(command, "flagbench/random", "--benchmark", "own", *where)
        assert result.returncode == 2, result.stderr
        lines = [line for line in result.stderr.splitlines() if line.startswith("flagbench: ")]
        assert len(lines) == 1, result.stderr
        assert re.search(said, lines[0]), lines[0]
        assert "Traceback" not in result.stderr
    assert not list((tmp_path / "out").rglob("set.json"))


def test_validate_lists_each_data_set_that_is_none_and_checks_the_others(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d", "e"):
        (tmp_path / name).mkdir()
        pairs(tmp_path / name)
    write("a/test.jsonl", [{"x": 1}])(tmp_path)
    write("b/test.jsonl", [*PAIRS, {**PAIRS[0], "score": "high"}])(tmp_path)
    write("c/task.toml", 'name = "../x"\n')(tmp_path)
    write("e/task.toml", 'metric = "bleu"\n')(tmp_path)
    where = ("flagbench/random", "--benchmark", "own", "--data-set", tmp_path, "--output", tmp_path / "out")
    result = here("validate", *where)
    assert result.returncode == 2
    lines = [line for line in result.stderr.splitlines() if line.startswith("flagbench: ")]
    for line, said in zip(
        lines, ("a is no data set", "c: '../x' cannot be", "has no metric 'bleu'", "'high'"), strict=True
    ):
        assert said in line
    assert "d: STS" in result.stdout
    result = here("evaluate", *where)
    assert result.returncode == 2
    assert [line for line in result.stderr.splitlines() if line.startswith("flagbench: ")] == lines[:1]
