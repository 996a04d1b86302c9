"""The process of an evaluation, by one that stands in for it: what is shown, what is raised, and that none is left."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from types import SimpleNamespace

import pytest

import flagbench
from flagbench import BadData, BadInput, FailedTasks, FlagbenchError, ModelFault
from flagbench.runners.python import process
from flagbench.runners.python.evaluate import evaluated
from flagbench.runners.python.process import run_command


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_CHILD", "tests.unit.runners.python.stand_in")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a program has for sys.stderr, which as in a notebook is no file of the system."""
    stream = io.StringIO()
    replace_stderr(monkeypatch, stream)
    return stream


def replace_stderr(monkeypatch: pytest.MonkeyPatch, stream: object) -> None:
    """Only for the module: what pytest captures by is put back as a test begins."""
    monkeypatch.setattr(process, "sys", SimpleNamespace(stderr=stream, __stderr__=None, executable=sys.executable))


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def said(stream: io.StringIO, word: str) -> str:
    """Wait until a word has been shown."""
    for _ in range(600):
        if word in stream.getvalue() and stream.getvalue().endswith("\n"):
            return stream.getvalue()
        time.sleep(0.05)
    raise AssertionError(stream.getvalue())


def test_what_the_process_prints_is_shown_where_the_program_has_its_errors(shown: io.StringIO) -> None:
    assert run_command(["evaluate", "--", "goes well"], progress=True).runs[0].tasks == {"A": "", "B": ""}
    assert shown.getvalue() == "模型 begins\n"


def test_nothing_is_shown_where_that_is_not_wanted(shown: io.StringIO) -> None:
    run_command(["evaluate", "--", "goes well"], progress=False)
    assert shown.getvalue() == ""


@pytest.mark.parametrize("stream", [io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True), None])
def test_a_stream_that_takes_not_everything_stops_nothing(
    stream: io.TextIOWrapper | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_stderr(monkeypatch, stream)
    assert run_command(["evaluate", "--", "goes well"], progress=True).runs
    if stream is not None:
        assert stream.buffer.getvalue() == b"?? begins\n"  # type: ignore[attr-defined]


def test_a_closed_stream_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.isatty = lambda: False  # type: ignore[method-assign]
    closed.close()
    replace_stderr(monkeypatch, closed)
    assert run_command(["evaluate", "--", "goes well"], progress=True).runs


@pytest.mark.parametrize("kind", [BadInput, BadData, ModelFault])
def test_an_error_of_the_command_is_one_of_the_call(kind: type[FlagbenchError]) -> None:
    with pytest.raises(FlagbenchError) as raised:
        run_command(["evaluate", "--", f"raises {kind.__name__}"], progress=False)
    assert type(raised.value) is kind
    assert str(raised.value) == "the message"


def test_failed_tasks_are_named() -> None:
    with pytest.raises(FailedTasks, match="1 task failed: no memory") as raised:
        evaluated(["evaluate", "--", "fails"], progress=False)
    assert raised.value.failed == {"B": "no memory"}
    assert raised.value.run is None  # there are no results in the folder
    assert isinstance(raised.value, FlagbenchError)


def test_a_process_that_was_killed_says_by_what() -> None:
    with pytest.raises(FlagbenchError, match=r"ended by SIGKILL \(often because memory ran out\)"):
        run_command(["evaluate", "--", "killed"], progress=False)


def test_a_process_that_broke_says_its_last_line() -> None:
    with pytest.raises(FlagbenchError, match="exit code 1: RuntimeError: a bug"):
        run_command(["evaluate", "--", "breaks"], progress=False)


def test_a_process_that_is_left_behind_holds_nobody(shown: io.StringIO) -> None:
    began = time.monotonic()
    assert run_command(["evaluate", "--", "leaves a process"], progress=True).runs
    assert time.monotonic() - began < 30
    os.killpg(int(shown.getvalue().split()[-1]), signal.SIGKILL)  # the group of the process, of which one is left


@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
def test_ctrl_c_is_passed_on_once_and_the_process_is_gone(
    again: bool, shown: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    send = process.subprocess.Popen.send_signal

    def counted(self: object, number: int) -> None:
        sent.append(number)
        if again and len(sent) == 1:
            raise KeyboardInterrupt
        send(self, number)  # type: ignore[arg-type]

    monkeypatch.setattr(process.subprocess.Popen, "send_signal", counted)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)}

    def interrupt() -> None:
        said(shown, "pid ")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_command(["evaluate", "--", "waits"], progress=True)
    thread.join()
    text = shown.getvalue()
    assert ("interrupted" in text) is not again
    assert gone(int(text.split("pid ")[1].split()[0]))
    assert sent[0] == signal.SIGINT
    assert {number: signal.getsignal(number) for number in handlers} == handlers


def test_a_call_in_a_thread_ends_as_any_other(shown: io.StringIO) -> None:
    found: list[object] = []

    def call() -> None:
        found.append(run_command(["evaluate", "--", "goes well"], progress=True).runs[0].tasks)
        try:
            run_command(["evaluate", "--", "raises BadData"], progress=True)
        except BadData as error:
            found.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert found[0] == {"A": "", "B": ""}
    assert isinstance(found[1], BadData)


def test_the_process_is_none_of_those_that_train_together(shown: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "TORCHELASTIC_RUN_ID", "ACCELERATE_USE_FSDP"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    run_command(["evaluate", "--", "shows its environment"], progress=True)
    names = {each.partition("=")[0] for each in shown.getvalue().split()}
    assert not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "TORCHELASTIC_RUN_ID", "ACCELERATE_USE_FSDP"} & names
    assert "CUDA_VISIBLE_DEVICES" in names
    assert os.environ["RANK"] == "1"


@pytest.mark.parametrize("own", [True, False], ids=["terminal", "notebook"])
def test_only_a_terminal_has_bars(own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setenv("FORCE_COLOR", "yes")  # as notebooks have it
    monkeypatch.delenv("NO_COLOR", raising=False)
    replace_stderr(monkeypatch, terminal)
    process.sys.__stderr__ = terminal if own else None  # type: ignore[misc]
    run_command(["evaluate", "--", "shows its environment"], progress=True)
    assert ("FORCE_COLOR=1" in terminal.getvalue().split()) is own
    assert "FORCE_COLOR=yes" not in terminal.getvalue()


def test_a_program_without_an_interpreter_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "sys", SimpleNamespace(executable=""))
    with pytest.raises(BadInput, match="no Python to start"):
        run_command(["evaluate", "--", "goes well"], progress=False)


def test_a_name_that_is_none_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'flagbench' has no attribute 'evaluates'"):
        flagbench.evaluates  # noqa: B018
    assert {"evaluate", "load", "Run", "FlagBenchCallback", "BadInput"} <= set(dir(flagbench))
