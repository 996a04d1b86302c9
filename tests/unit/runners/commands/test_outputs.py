"""Streams that cannot be written, and files beside a verdict."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Callable

import pytest

from flagbench import BadInput
from flagbench.runners.commands import cli
from flagbench.runners.commands.outputs import Stream, streams, written
from flagbench.runners.terminal import console, say


class Failing(io.TextIOWrapper):
    """A stream that cannot be written."""

    def __init__(self, number: int) -> None:
        super().__init__(io.BytesIO(), encoding="ascii")
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))


def ended(
    monkeypatch: pytest.MonkeyPatch, stream: object, run: Callable[[argparse.Namespace], int], *, verdict: bool
) -> int:
    """The exit code of a command with this standard output."""

    class Parser:
        def parse_args(self, arguments: object) -> argparse.Namespace:
            return argparse.Namespace(run=run, verdict=verdict)

    monkeypatch.setattr(cli, "_parser", Parser)
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(SystemExit) as left:
        cli.main([])
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.mark.parametrize(
    ("number", "verdict", "code", "expected"),
    [
        (errno.ENOSPC, False, 0, 2),
        (errno.ENOSPC, False, 1, 1),
        (errno.ENOSPC, True, 0, 0),
        (errno.ENOSPC, True, 1, 1),
        (errno.ENOSPC, True, 2, 2),
        (errno.EIO, False, 0, 2),
        (errno.EPIPE, False, 0, 0),
        (errno.EPIPE, True, 0, 0),
        (errno.EPIPE, True, 1, 1),
    ],
)
def test_an_output_that_cannot_be_written_changes_no_verdict(
    number: int,
    verdict: bool,
    code: int,
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(_: argparse.Namespace) -> int:
        print("one")
        say(console(), "two")
        return code

    assert ended(monkeypatch, Failing(number), run, verdict=verdict) == expected
    said = capsys.readouterr().err
    if number == errno.EPIPE:
        assert said == ""
    else:
        assert said == f"flagbench: standard output cannot be written ({os.strerror(number)})\n"


def test_what_the_encoding_of_the_output_has_not_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")

    def run(_: argparse.Namespace) -> int:
        print("Δ \ud800")
        return 0

    assert ended(monkeypatch, stream, run, verdict=False) == 0
    assert stream.buffer.getvalue() == b"? ?\n"  # type: ignore[attr-defined]


def test_a_stream_that_failed_is_left_alone_and_one_with_its_own_way_keeps_it() -> None:
    tried: list[str] = []

    class Once(Failing):
        def write(self, text: str) -> int:
            tried.append(text)
            return super().write(text)

    stream = Stream(Once(errno.ENOSPC))
    assert [stream.write(text) for text in ("one", "二")] == [3, 1]
    stream.flush()
    assert tried == ["one"]
    assert isinstance(stream.fault, OSError)
    assert stream.fault.errno == errno.ENOSPC
    own = Stream(io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace"))
    assert (own.errors, own.encoding, own.fault) == ("backslashreplace", "ascii", None)


def test_a_process_without_an_output_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with streams() as out:
        out.flush()
        assert out.fault is None
        print("lost")
    assert out.fault is not None
    assert out.fault.errno == errno.EBADF


def test_files_beside_a_verdict_are_each_written_and_keep_it(capsys: pytest.CaptureFixture[str]) -> None:
    done = []

    def fails() -> None:
        raise BadInput("cannot write a.json: No space left on device")

    for code, expected in ((0, 2), (1, 1), (2, 2)):
        assert written([fails, lambda: done.append(1), fails], code) == expected
    assert len(done) == 3
    assert written([lambda: None], 0) == 0
    assert capsys.readouterr().err == "flagbench: cannot write a.json: No space left on device\n" * 6
