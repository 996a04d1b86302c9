"""What is printed, whatever it comes from, and streams that cannot be written."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from flagbench import BadInput
from flagbench.runners.arguments import any_path
from flagbench.runners.commands import cli
from flagbench.runners.commands.options import _is_name
from flagbench.runners.terminal import console, say, streams, written

ODD = "a\x1b[31mb\x9bd\u202ee\ud800f"
SHOWN = "a�[31mb�d�e�f"


def test_no_text_moves_a_cursor_however_it_is_printed() -> None:
    file = io.StringIO()
    out = console(file=file)
    say(out, ODD, "two\nlines", "a\rb\x07")
    table = Table(title=Text(ODD))
    table.add_column(Text(ODD))
    table.add_row(Text(ODD))
    out.print(table)
    out.print(Text(ODD))
    text = file.getvalue()
    assert text.count(SHOWN) == 1
    assert text.count("a[31mbde�f") == 4  # what takes no room in a table gets none
    assert "two\nlines\n" in text
    assert all(character.isprintable() or character == "\n" for character in text)


def test_colours_are_still_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    file = io.StringIO()
    console(file=file).print(Text("red", style="red"))
    assert file.getvalue() == "\x1b[31mred\x1b[0m\n"


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


def test_a_process_without_an_output_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with streams() as out:
        print("nothing")
    assert out.fault is None


def test_files_beside_a_verdict_are_each_written_and_keep_it(capsys: pytest.CaptureFixture[str]) -> None:
    done = []

    def fails() -> None:
        raise BadInput("cannot write a.json: No space left on device")

    for code, expected in ((0, 2), (1, 1), (2, 2)):
        assert written([fails, lambda: done.append(1), fails], code) == expected
    assert len(done) == 3
    assert written([lambda: None], 0) == 0
    assert capsys.readouterr().err == "flagbench: cannot write a.json: No space left on device\n" * 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a" * 5_000, "File name too long"),
        ("~nosuchuser/x", "there is no such home folder"),
        ("a\0b", "cannot be the name of a file"),
    ],
)
def test_a_path_that_no_file_can_have_is_refused_where_it_is_given(text: str, said: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=said) as refused:
        any_path(text)
    assert len(str(refused.value)) < 200


def test_a_path_need_not_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert any_path("~/a/b") == tmp_path / "a" / "b"
    (tmp_path / "file").touch()
    assert any_path(f"{tmp_path}/file/below") == tmp_path / "file" / "below"


@pytest.mark.parametrize("name", ["org/model", "组织/模型", "o/a b", "o/m+r", "o/m.1"])
def test_names_of_models(name: str) -> None:
    assert _is_name(name)


@pytest.mark.parametrize(
    "name", ["", "org", "org/", "/model", "/", "a/b/c", "o/..", "./m", "o/ m", "o/\x1b[31m", "o/\n"]
)
def test_names_that_no_model_can_have(name: str) -> None:
    assert not _is_name(name)
