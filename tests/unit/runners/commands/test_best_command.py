"""The command for a new best: it is waited for, and ended with all that it started."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flagbench.runners.commands.best_command import Command


def test_it_is_run_with_its_variables_and_its_exit_code_is_told(tmp_path: Path) -> None:
    told = tmp_path / "told"
    code = "import os, pathlib, sys; pathlib.Path(sys.argv[1]).write_text(os.environ['OF']); sys.exit(3)"
    assert Command().run([sys.executable, "-c", code, str(told)], {"OF": "it"}) == 3
    assert told.read_text() == "it"
    assert Command().run(["sh", "-c", "kill -9 $$"], {}) == -9
    with pytest.raises(FileNotFoundError):
        Command().run([str(tmp_path / "absent")], {})


@pytest.mark.parametrize("deaf", [False, True])
def test_its_end_is_that_of_its_children_also_of_those_that_are_deaf(deaf: bool, tmp_path: Path) -> None:
    there = tmp_path / "there"
    trap = "trap '' TERM; " if deaf else ""
    script = f"{trap}sh -c '{trap}echo $$ > {there}; while :; do sleep 0.05; done' & wait; wait"
    command, codes = Command(), []
    thread = threading.Thread(target=lambda: codes.append(command.run(["sh", "-c", script], {})))
    thread.start()
    _until(lambda: there.exists() and bool(there.read_text().strip()))
    began = time.monotonic()
    command.end()
    thread.join(10)
    assert codes == [0]
    assert time.monotonic() - began > 1 or not deaf
    child = int(there.read_text())
    _until(lambda: not _runs(child))
    command.end()  # nothing runs: nothing happens
    there.unlink()
    assert command.run(["touch", str(there)], {}) == 0
    assert not there.exists(), "none is begun after that"


def _runs(process: int) -> bool:
    """Whether a process runs; one that has ended and that nobody waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
