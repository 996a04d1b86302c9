"""A signal ends a run inside native code at once; before and after it, signals are Python's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flagbench.runners.commands.interrupt import Terminated, ends_at_once, ends_in_order
from tests.conftest import ROOT

# One call of hours: Python runs none of its own code, so no handler of its own either, until it ends.
CODE = (
    "import hashlib, signal\n"
    "from flagbench.runners.commands.interrupt import ends_at_once\n"
    "with ends_at_once(lambda number: print(f'ended by {number.name}', flush=True)):\n"
    "    print('begun', flush=True)\n"
    "    hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)\n"
)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_long_native_call_with_its_last_words(number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CODE], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, f"ended by {number.name}\n", "")


def test_last_words_that_fail_do_not_keep_it_alive() -> None:
    code = CODE.replace("print(f'ended by {number.name}', flush=True)", "1 / 0")
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130


def test_a_command_with_temporary_files_ends_by_an_exception_that_removes_them() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), ends_in_order():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_after_it_the_signals_are_as_before() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start without it
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGCONT)
    before = [signal.getsignal(number) for number in numbers]
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with ends_at_once(lambda number: None):
        assert [signal.getsignal(number) for number in numbers] != before
    assert [signal.getsignal(number) for number in numbers] == before
    assert signal.set_wakeup_fd(-1) == -1
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_an_error_inside_passes_and_restores_them_too() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="mine"), ends_at_once(lambda number: None):
        raise ValueError("mine")
    assert signal.getsignal(signal.SIGINT) is before


def test_other_signals_end_nothing_and_each_of_the_two_has_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[object] = []
    monkeypatch.setattr(os, "_exit", events.append)
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with ends_at_once(events.append):
            signal.raise_signal(signal.SIGUSR1)
        assert events == []
        with ends_at_once(events.append, lambda: events.append("continued")):
            signal.raise_signal(signal.SIGCONT)
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert events == ["continued", signal.SIGTERM, 143, signal.SIGINT, 130]
