"""What the command line itself gives, beside a file that brings the rest: that wins, and a line says so."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flagbench import printable
from flagbench.runners.commands.parser import Parser, flags_in


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

    @property
    def of_watch(self) -> bool:
        """Whether it is that of a watch, which has a folder of checkpoints in the place of models."""
        return not hasattr(self.options, "models")

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
