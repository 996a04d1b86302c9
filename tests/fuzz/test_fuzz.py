"""A fixed set of damaged files in every run of the tests; ``make fuzz`` goes on from there."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.fuzz.__main__ import _wrong
from tests.fuzz.mutations import damaged


@pytest.mark.parametrize("inputs", ["1", pytest.param("3", marks=pytest.mark.slow)])
def test_damaged_files_end_in_one_line(inputs: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--inputs", inputs],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert done.stdout.endswith("0 faults\n")


def test_an_input_is_the_same_on_every_machine() -> None:
    one, other, third = (damaged(b'{"a": [1, {"b": "c"}]}', "x.json", random.Random(f"t {n}")) for n in (7, 7, 8))
    assert one == other != third


@pytest.mark.parametrize(
    ("command", "code", "out", "err", "wrong"),
    [
        ("evaluate", 2, "", "flagbench: no such folder: x\n", ""),
        ("check", 1, "FAIL\n", "", ""),
        ("evaluate", 0, "fine\n", "", ""),
        ("evaluate", 2, "", "", "no one line: "),
        ("evaluate", 2, "", "flagbench: a\nflagbench: b\n", "no one line: flagbench: a\nflagbench: b\n"),
        ("evaluate", 1, "a failed task\n", "", "exit code 1: a failed task\n"),
        ("evaluate", 3, "", "", "exit code 3"),
        ("evaluate", 0, "", "Traceback (most recent call last)\n", "Traceback (most recent call last)\n"),
        ("evaluate", 2, "", "flagbench: a\x1b]0;b\n", "what it says cannot be printed: 'flagbench: a\\x1b]0;b\\n'"),
    ],
)
def test_what_counts_as_a_fault(command: str, code: int, out: str, err: str, wrong: str) -> None:
    assert _wrong(command, code, out, err) == wrong
