"""Own data with a fault, as a user meets it: a line and exit code 2, of evaluate and of validate."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.commands import here
from tests.unit.suites.own.faulty_folders import UNSOUND


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
