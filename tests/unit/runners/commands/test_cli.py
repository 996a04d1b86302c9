"""The one place where every command ends: its exit code, and the one line of what went wrong."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest

import flagbench
from flagbench import BadData, BadInput, FlagbenchError, ModelFault, UnknownName
from flagbench.runners.commands import cli
from flagbench.runners.commands.interrupt import Terminated
from flagbench.runners.commands.parser import Parser
from tests.e2e.commands import here


def _raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def run(_: argparse.Namespace) -> int:
        print("begun")
        raise error

    return run


@pytest.mark.parametrize("verdict", [False, True])
@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (BadInput("no such\n  folder"), 2, "flagbench: no such folder"),
        (BadData("no rows \x1b[2J"), 2, "flagbench: no rows \N{REPLACEMENT CHARACTER}[2J"),
        (UnknownName("task", "A", ["STSB"]), 2, "flagbench: unknown task 'A'; known: STSB"),
        (ModelFault("gave NaN"), 1, "flagbench: gave NaN"),
        (FlagbenchError(), 1, "flagbench: FlagbenchError"),
        (KeyboardInterrupt(), 130, "flagbench: interrupted"),
        (Terminated(), 143, "flagbench: interrupted"),
        (SystemExit(3), 3, ""),
        (SystemExit(), 0, ""),
        (SystemExit("text"), 0, ""),
    ],
    ids=repr,
)
def test_what_a_command_raises_is_an_exit_code_and_a_line(
    error: BaseException,
    code: int,
    line: str,
    verdict: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Stub:
        def parse_args(self, arguments: Sequence[str] | None) -> argparse.Namespace:
            assert arguments == ["given"]
            return argparse.Namespace(run=_raising(error), verdict=verdict)

    monkeypatch.setattr(cli, "_parser", Stub)
    with pytest.raises(SystemExit) as left:
        cli.main(["given"])
    assert left.value.code == code
    out, err = capsys.readouterr()
    assert out == "begun\n"
    assert err == (f"{line}\n" if line else "")


def test_only_a_command_that_goes_on_from_there_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = cli._parser()
    for command, goes_on in (
        (["evaluate", "m"], True),
        (["watch", "."], True),
        (["board", ".", "--output", "x"], False),
    ):
        options = parser.parse_args(command)
        options.run = _raising(KeyboardInterrupt())
        monkeypatch.setattr(cli, "_parser", lambda options=options: SimpleNamespace(parse_args=lambda _: options))
        with pytest.raises(SystemExit) as left:
            cli.main(command)
        assert left.value.code == 130
        assert ("the same command goes on from there" in capsys.readouterr().err) == goes_on, command


def test_arguments_are_those_of_the_process_where_none_are_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["flagbench", "--version"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert (left.value.code, capsys.readouterr().out) == (0, f"flagbench {flagbench.__version__}\n")


def test_help_lists_every_command_in_the_order_of_their_use() -> None:
    shown = here("--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    commands = [line.split()[0] for line in shown.stdout.split("COMMAND\n")[-1].splitlines() if line[4:5].strip()]
    assert commands == [
        *("evaluate", "validate", "watch", "speed", "tasks", "data", "score", "fuse", "submit", "match", "leaks"),
        *("show", "compare", "check", "baseline", "rank", "verify", "reference", "report", "serve", "board"),
        *("models", "cocktail", "doctor", "completion", "cache"),
    ]
    assert "Evaluate FlagEmbedding models on the benchmarks they are judged by." in shown.stdout


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({}, ""),
        ({"caches": True}, "name folders with HF_HOME and --store to keep it"),
        ({"caches": True, "no_store": True}, "name folders with HF_HOME to keep it"),
        ({"caches": True, "no_store": False, "store": "s"}, "name folders with HF_HOME to keep it"),
        ({"caches": True, "no_store": False, "store": None}, "name folders with HF_HOME and --store to keep it"),
        ({"caches": True, "own_cache": True}, ""),
    ],
)
def test_who_caches_without_a_home_is_told_what_is_lost(
    given: dict[str, object], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command on the cache itself gets no other one in its place."""
    for name in ("XDG_CACHE_HOME", "HF_HOME", "HF_DATASETS_CACHE", "FLAGBENCH_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/dev/null")
    homes: list[str] = []

    def run(_: argparse.Namespace) -> int:
        homes.append(os.environ["HOME"])
        return 0

    monkeypatch.setattr(
        cli, "_parser", lambda: SimpleNamespace(parse_args=lambda _: argparse.Namespace(run=run, **given))
    )
    with pytest.raises(SystemExit) as left:
        cli.main([])
    assert left.value.code == 0
    start = "flagbench: /dev/null/.cache cannot be written, so what is cached is gone at the end: "
    assert capsys.readouterr().err == (f"{start}{line}\n" if line else "")
    assert (homes[0] == "/dev/null") == ("own_cache" in given)


# The parser of a command.


def test_flags_are_added_once_and_know_what_was_typed() -> None:
    seen: list[list[str]] = []

    def fill(parser: Parser, arguments: Sequence[str]) -> None:
        seen.append(list(arguments))
        parser.add_argument("--tasks")

    parser = Parser(prog="flagbench x", fill=fill)
    for _ in range(2):
        assert parser.parse_args(["--tasks", "A"]).tasks == "A"
    assert seen == [["--tasks", "A"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--task", "A"], "unknown flag '--task'; did you mean --tasks?; see flagbench x --help"),
        (["--taks=A", "--odd"], "unknown flag '--taks'; did you mean --tasks?; see flagbench x --help"),
        (["--qqq"], "unknown flag '--qqq'; known: --help, --tasks, -h; see flagbench x --help"),
        (["more"], "unrecognized arguments: more (see flagbench x --help)"),
        (["--tasks"], "argument --tasks: expected one argument (see flagbench x --help)"),
    ],
)
def test_wrong_usage_names_the_flag_and_where_to_look(arguments: list[str], said: str) -> None:
    parser = Parser(prog="flagbench x")
    parser.add_argument("--tasks")
    with pytest.raises(BadInput) as caught:
        parser.parse_args(arguments)
    assert str(caught.value) == said
