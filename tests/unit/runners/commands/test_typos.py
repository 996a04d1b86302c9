"""What is nearly right: flags, commands, names in any case, lists with blanks, tasks of another benchmark."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence

import pytest

from flagbench import BadInput, UnknownName
from flagbench.runners.commands import cli
from flagbench.runners.commands.parser import Parser
from flagbench.runners.registry import find_benchmark, place_of_task


def _said(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as left:
        cli.main(shlex.split(command))
    assert left.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("evaluate ./x --taks STSB", "unknown flag '--taks'; did you mean --tasks?; see flagbench evaluate --help"),
        ("report ./x --htm r.html", "unknown flag '--htm'; did you mean --html?; see flagbench report --help"),
        ("board ./x", "the following arguments are required: --output (see flagbench board --help)"),
        ("doctor x y", "unrecognized arguments: x y (see flagbench doctor --help)"),
        ("evalute ./x", "unknown command 'evalute'; did you mean evaluate?; see flagbench --help"),
        ("score onw x", "unknown benchmark 'onw'; did you mean own?; see flagbench score --help"),
        ("models list", "unknown command 'list'; known: show; see flagbench models --help"),
        ("cache inof", "unknown command 'inof'; did you mean info?; see flagbench cache --help"),
        ("tasks --tasks stsb passkey", "Passkey is a task of longctx: --benchmark longctx"),
        ("tasks --tasks mlvu-dev_PLOTQA", "MLVU-dev_plotQA is a task of mlvu: --benchmark mlvu"),
        ("tasks --benchmark longctx --tasks stsb", "STSB is a task of cmteb: --benchmark cmteb"),
        ("tasks --benchmark lcqmc", "LCQMC is a task of cmteb: --benchmark cmteb --tasks LCQMC"),
    ],
)
def test_what_is_nearly_right_leads_on(command: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _said(command, capsys) == f"flagbench: {line}"


def test_a_task_of_mteb_is_found_there() -> None:
    assert place_of_task("scifact") == ("mteb", "SciFact")
    assert place_of_task("no such task") == ("", "")


@pytest.mark.parametrize("name", ["cmteb", "CMTEB", "C-MTEB", "c_mteb"])
def test_a_benchmark_is_found_in_any_spelling(name: str) -> None:
    assert find_benchmark(name).name == "cmteb"
    with pytest.raises(UnknownName):
        find_benchmark(f"{name}z")


@pytest.mark.parametrize(
    ("arguments", "models", "tasks"),
    [
        (["./m", "--tasks", "A", "B"], ["./m"], ("A", "B")),
        (["./m", "--tasks", "A,", "B", "C,D"], ["./m"], ("A", "B", "C", "D")),
        (["--tasks", "A", "B", "org/m"], ["org/m"], ("A", "B")),
        (["--tasks", "A", "bm25"], ["bm25"], ("A",)),
        (["--tasks", "A", "cocktail:1*a+0*b"], ["cocktail:1*a+0*b"], ("A",)),
        (["--tasks=A", "./m"], ["./m"], ("A",)),
        (["--tasks", "A", "--mini", "./m", "./n"], ["./m", "./n"], ("A",)),
    ],
)
def test_names_of_tasks_may_have_blanks_between_them(
    arguments: Sequence[str], models: Sequence[str], tasks: Sequence[str]
) -> None:
    found = _parsed(["evaluate", *arguments])
    assert (found.models, found.tasks) == (models, tasks)


def test_names_are_joined_where_else_tasks_are_named_and_not_where_a_folder_may_come_later() -> None:
    found = _parsed(["verify", "./out", "--tasks", "A", "B"])
    assert found.tasks == ("A", "B")
    found = _parsed(["watch", "--tasks", "STSB", "runs"])
    assert (found.tasks, str(found.runs)) == (("STSB",), "runs")


def test_a_folder_behind_tasks_is_a_model(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoint").mkdir()
    assert _parsed(["evaluate", "--tasks", "A", "checkpoint"]).models == ["checkpoint"]


def test_the_model_of_a_server_may_have_any_name() -> None:
    found = _parsed(["evaluate", "--tasks", "A", "my-model", "--api-base", "http://localhost:8000/v1"])
    assert (found.models, found.tasks) == (["my-model"], ("A",))


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    found: argparse.Namespace = cli._parser().parse_args(arguments)
    return found


def _commands(parser: Parser, words: Sequence[str]) -> Iterator[tuple[str, Parser]]:
    """Each command that can be typed, with its parser."""
    parser.fill_for([])
    inner = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    for each in inner:
        for name, command in each.choices.items():
            yield from _commands(command, [*words, name])
    if not inner:
        yield " ".join(words), parser


def test_every_command_has_examples_that_can_be_typed_and_shows_its_defaults() -> None:
    seen = 0
    for name, parser in _commands(cli._parser(), ["flagbench"]):
        assert parser.epilog, name
        _, *lines = parser.epilog.splitlines()
        assert lines, name
        for line in lines:
            words = shlex.split(line)
            if "flagbench" in words[:1] and ">" not in words:
                try:
                    _parsed(words[1:])
                except BadInput as error:
                    raise AssertionError(f"{line}: {error}") from error
                seen += 1
        for action in parser._actions:
            plain = action.option_strings and not action.required and action.dest not in ("help", "help_all")
            if plain and action.help != argparse.SUPPRESS:
                assert "default" in str(action.help), f"{name} {action.option_strings}"
    assert seen > 50
