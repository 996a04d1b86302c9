"""Arguments that a file brings: a run file (``--config``), or a finished run (``--like``). Imported for every --help:
nothing heavy here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flagbench import BadInput, printable
from flagbench.runners.arguments import any_path
from flagbench.runners.commands.parser import Parser, flags_in, value_of

if TYPE_CHECKING:
    from pathlib import Path

    from flagbench.runners.run.plan import Plan

_HELP = {"-h", "--help", "--help-all"}


def add_recorded(parser: argparse.ArgumentParser) -> None:
    """Add ``--config`` and ``--like`` to a parser."""
    group = parser.add_argument_group("settings from a file").add_mutually_exclusive_group()
    group.add_argument(
        "--config",
        type=any_path,
        metavar="FILE",
        help="run file: TOML with models and flags by their long names, and a table [[run]] for each of several runs "
        "(default none)",
    )
    group.add_argument(
        "--like",
        type=any_path,
        metavar="RUN",
        help="finished run whose settings are repeated: run.json, its folder, or an --output folder with one "
        "(default none)",
    )


@dataclass(frozen=True)
class Given:
    """What the command line itself gives.

    Attributes:
        parser: With all flags that it may have.
        arguments: It.
        options: The same, parsed.
        actions: Of the flags that are among them.
    """

    parser: Parser
    arguments: Sequence[str]
    options: argparse.Namespace
    actions: frozenset[argparse.Action]

    def without(self, actions: Sequence[argparse.Action], source: str) -> Iterator[argparse.Action]:
        """Those of some actions that the command line leaves to a file; of the others a line says that it wins.

        Args:
            actions: Of flags that the file has.
            source: The file, for the lines.
        """
        for action in actions:
            rivals = {action}.union(
                *(
                    group._group_actions
                    for group in self.parser._mutually_exclusive_groups
                    if action in group._group_actions
                )
            )
            if self.actions.isdisjoint(rivals):
                yield action
            else:
                won = next(iter(self.actions & rivals))
                say_that_it_wins(won.option_strings[0], source)


def given_by(parser: Parser, arguments: Sequence[str], benchmark: str) -> Given:
    """Parse the command line without the file that it names.

    Args:
        parser: Of the command.
        arguments: Of the command line.
        benchmark: The one that the file names, for a command line that names none; empty for none.

    Raises:
        BadInput: They are wrong.
    """
    twin = parser.twin()
    twin.complete = False
    named = "--benchmark" in flags_in(arguments)
    options = twin.parse_args([*([] if named or not benchmark else [f"--benchmark={benchmark}"]), *arguments])
    known = twin._option_string_actions
    actions = frozenset(known[flag] for flag in flags_in(arguments) if flag in known)
    return Given(twin, arguments, options, actions)


def expanded(parser: Parser, arguments: Sequence[str]) -> Sequence[Sequence[str]]:
    """The arguments of each run, where a file brings some; else those that are given.

    Raises:
        BadInput: The file cannot be used, or contradicts itself.
    """
    flags = flags_in(arguments)
    if _HELP & set(arguments) or not {"--config", "--like"} & set(flags):
        return [arguments]
    if {"--config", "--like"} <= set(flags):
        raise BadInput("--config and --like both bring settings: drop one of them")
    if "--config" in flags:
        from flagbench.runners.commands.run_toml import arguments_of

        return arguments_of(any_path(value_of("--config", arguments, "")), parser, arguments)
    from flagbench.runners.commands.like import arguments_like

    return [arguments_like(any_path(value_of("--like", arguments, "")), parser, arguments)]


def written(action: argparse.Action, value: object) -> list[str]:
    """A flag with a value as a command line has it.

    Args:
        action: Of the flag.
        value: A text, a number, a truth value, or a list of these.

    Raises:
        ValueError: The flag takes no such value; the message says which it takes.
    """
    flags = action.option_strings
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise ValueError(f"expected true or false, not {value!r:.60}")
        if value:
            return [flags[0]]
        return [each for each in flags if each.startswith("--no-")][:1] if len(flags) > 1 else []
    values = value if isinstance(value, list) else [value]
    for each in values:
        if isinstance(each, bool) or not isinstance(each, str | int | float):
            raise ValueError(f"expected a text or a number, or a list of these, not {each!r:.60}")
    name = next(each for each in flags if each.startswith("--"))
    if isinstance(action, argparse._AppendAction):
        return [f"{name}={each}" for each in values]
    if isinstance(value, list):
        if commas := [each for each in values if "," in str(each)]:
            raise ValueError(f"{commas[0]!r:.60} has a comma, which ends an item of a list")
        return [f"{name}={','.join(map(str, values))}"]
    return [f"{name}={value}"]


def say_that_it_wins(name: str, source: str) -> None:
    """Say that what the command line gives stands, and not what a file has.

    Args:
        name: Of the flag.
        source: The file.
    """
    print(f"flagbench: {printable(f'{name} of the command line wins over {source}')}", file=sys.stderr)


def unlike(like: Path | None, plan: Plan) -> Iterator[str]:
    """Lines on what differs now from the run that is repeated.

    Args:
        like: Its path; None where none is.
        plan: What will run.
    """
    if like is not None:
        from flagbench.runners.commands.like import differences

        yield from differences(like, plan)
