"""Keywords of Python as the flags of ``flagbench evaluate``: its parser has them, and no list beside it."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
from collections.abc import Iterable, Mapping
from typing import Any

from flagbench import BadInput, UnknownName
from flagbench.runners.commands.evaluate import add_evaluate
from flagbench.runners.commands.parser import Parser
from flagbench.runners.commands.recorded_arguments import expanded

_PROGRAM = "flagbench evaluate"
_SHOWN = f"see {_PROGRAM} --help"
_WITHOUT_A_RUN = ("help", "help_all", "dry_run", "price")
"""Flags after which there is nothing to return."""


def arguments_of(model: str, benchmark: str, keywords: Mapping[str, Any]) -> list[str]:
    """The arguments of ``flagbench``, checked as the command checks them.

    ``max_length=512`` is ``--max-length 512``, ``mini=True`` is ``--mini``, ``normalize=False`` is ``--no-normalize``;
    None and, of a flag without a ``--no-`` form, False leave the flag away. A list is a flag that is repeated, or its
    values with commas between them, as the flag has it.

    Args:
        model: Folder or hub id.
        benchmark: Its name.
        keywords: The flags, without their dashes.

    Raises:
        UnknownName: There is no such benchmark or flag.
        BadInput: A value is none that the flag takes, or the flag is another benchmark's.
    """
    chosen = [f"--benchmark={_text('benchmark', benchmark)}"]
    given = {name: value for name, value in keywords.items() if value is not None}
    parser = Parser(prog=_PROGRAM)
    add_evaluate(parser, [*chosen, *map(_flag, given)])
    flags = _flags_of(parser)
    for name in given:
        if name not in flags:
            raise UnknownName("keyword", name, flags, _SHOWN)
    made = [argument for name, value in given.items() for argument in _made(name, value, flags[name])]
    arguments = [*chosen, *made, "--", _text("model", model)]
    parser.parse_args(arguments)
    _check_one_run(arguments)
    return ["evaluate", *arguments]


def value_in(arguments: Iterable[str], flag: str) -> str | None:
    """The value of a flag in the arguments that ``arguments_of`` made; None where it is not given."""
    return next((each.partition("=")[2] for each in arguments if each.startswith(f"{flag}=")), None)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _flags_of(parser: Parser) -> dict[str, argparse.Action]:
    """The flags of a parser, by the keywords that they are; that of the benchmark is an argument of its own."""
    named = {
        action.option_strings[0].removeprefix("--").replace("-", "_"): action
        for action in parser._actions
        if action.option_strings
    }
    # -h is the first string of help.
    return {
        name: action
        for name, action in named.items()
        if name not in (*_WITHOUT_A_RUN, "benchmark") and not isinstance(action, argparse._HelpAction)
    }


def _made(name: str, value: Any, action: argparse.Action) -> list[str]:
    """The arguments of one keyword."""
    flag = _flag(name)
    if action.nargs == 0:  # a flag without a value
        if value not in (True, False) or not isinstance(value, bool):
            raise BadInput(f"{name} is True or False, not {value!r:.60} ({_SHOWN})")
        if isinstance(action, argparse.BooleanOptionalAction):
            return [flag if value else f"--no-{flag[2:]}"]
        return [flag] if value else []
    if isinstance(value, list | tuple):
        if isinstance(action, argparse._AppendAction):
            return [f"{flag}={_text(name, each)}" for each in value]
        if not isinstance(action.metavar, str) or "," not in action.metavar:
            raise BadInput(f"{name} takes one value, not a list of {len(value)} ({_SHOWN})")
        texts = [_text(name, each) for each in value]
        if parted := next((each for each in texts if "," in each), None):
            raise BadInput(f"{name}: '{parted:.60}' has a comma in it, which would make two values of it")
        return [f"{flag}={','.join(texts)}"]
    return [f"{flag}={_text(name, value)}"]


def _text(name: str, value: Any) -> str:
    """A value as the command line has it.

    Raises:
        BadInput: It is none that a command line can have.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, bool | bytes) or value is None or isinstance(value, Mapping | set | list | tuple):
        raise BadInput(f"{name} takes a text, a number or a path, not {value!r:.60} ({_SHOWN})")
    text = str(value)
    if "\0" in text:
        raise BadInput(f"{name}: {text!r:.60} has a character 0 in it, which no argument can have")
    return text


def _check_one_run(arguments: list[str]) -> None:
    """See that a command line makes one run.

    Raises:
        BadInput: It makes several: a series of models, layers or vectors, or the tables of a settings file.
    """
    from flagbench.runners.commands.evaluate import requests_of

    parser = Parser(prog=_PROGRAM, fill=add_evaluate, expand=expanded)
    with contextlib.redirect_stderr(io.StringIO()):  # the process says again what wins over a file
        options = parser.parse_args(arguments)
    runs = sum(len(requests_of(each)) for each in (options, *getattr(options, "others", ())))
    if runs > 1:
        raise BadInput(
            f"these settings make {runs:,} runs, and a call makes one: name one layer, one of dims, one of vectors and "
            "no mix, and call once for each"
        )
