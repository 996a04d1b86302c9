"""Parsers of the command line: wrong usage is bad input, and a subcommand gets its flags when it is the one to run."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Collection, Sequence
from typing import Any, NoReturn

from flagbench import BadInput, UnknownName, printable
from flagbench.runners.arguments import names
from flagbench.runners.terminal import encodable

Fill = Callable[["Parser", Sequence[str]], None]

Expand = Callable[["Parser", Sequence[str]], Sequence[Sequence[str]]]


class Parser(argparse.ArgumentParser):
    """Wrong usage is bad input like any other: one line, exit code 2.

    Args:
        fill: Adds the flags, which may depend on the arguments; called once, before they are parsed.
        expand: Makes the arguments of one or several runs of the command of those that were given, which may name a
            file; None where they are those of one.
        options: As ``argparse`` has them.

    Attributes:
        complete: False where a part of the arguments alone is parsed, so that none is required.
        joins: Whether names behind the first of a list, which no model or folder has, are more of the list
            (``--tasks A B``).
    """

    def __init__(self, *, fill: Fill | None = None, expand: Expand | None = None, **options: Any) -> None:
        # An abbreviation of a flag is another flag in the next release.
        super().__init__(**{"allow_abbrev": False, **options})
        self._fill, self._expand = fill, expand
        self.complete = True
        self.joins = True
        self._given: Sequence[str] = ()

    def twin(self) -> Parser:
        """A parser of the same command, without its flags until it parses."""
        return Parser(prog=self.prog, fill=self._fill)

    def command(self, name: str) -> Parser | None:
        """The parser of a command of this one; None where there is none of this name."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction) and name in action.choices:
                found: Parser = action.choices[name]
                return found
        return None

    def fill_for(self, arguments: Sequence[str]) -> None:
        """Add the flags without parsing.

        Args:
            arguments: Of the command, as far as they are known.

        Raises:
            BadInput: They name what there is not.
        """
        self._expand = None
        if self._fill:
            self._fill(self, arguments)
            self._fill = None

    def error(self, message: str) -> NoReturn:
        """Refuse wrong usage.

        Raises:
            UnknownName: A flag that is required is missing, and another is none of this command's.
            BadInput: Else.
        """
        if "required" in message and not self._subparsers:  # what is missing may be there, and misspelt
            unknown = [flag for flag in flags_in(self._given) if flag not in self._option_string_actions]
            if unknown and " " not in unknown[0]:
                raise self._unknown(unknown[0])
        raise BadInput(f"{message} (see {self.prog} --help)")

    def _unknown(self, flag: str) -> UnknownName:
        return UnknownName("flag", flag, self._option_string_actions, f"see {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """See that a value is one of the choices; a command that is none is met with the nearest.

        Raises:
            UnknownName: There is no such command.
            BadInput: It is none of the choices.
        """
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            what = str(action.metavar)  # BENCHMARK, or the names of all commands
            raise UnknownName(
                what.lower() if what.isupper() else "command", value, action.choices, f"see {self.prog} --help"
            )
        super()._check_value(action, value)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, after the flags are there; further runs of the command are ``others`` of the first.

        Raises:
            UnknownName: A flag is none of this command's.
        """
        if self._expand:
            expand, self._expand = self._expand, None
            args, *others = expand(self, args or ())
            twins = [self.twin() for _ in others]
            found, rest = self.parse_known_args(args, namespace)
            found.others = [twin.parse_args(each) for twin, each in zip(twins, others, strict=True)]
            return found, rest
        if self._fill:
            fill, self._fill = self._fill, None
            fill(self, args or ())
        if self.joins and args:
            args = _joined(args, {flag for flag, its in self._option_string_actions.items() if its.type is names})
        self._given = args or ()
        found, rest = super().parse_known_args(args, namespace)
        if unknown := [each.split("=")[0] for each in rest if each.startswith("--")]:
            raise self._unknown(unknown[0])
        if rest and self.complete and not self._subparsers:  # the parser of all commands would name its own help
            self.error(f"unrecognized arguments: {' '.join(map(printable, rest))}")
        self._check_texts(found)
        return found, rest

    def _check_texts(self, found: argparse.Namespace) -> None:
        """See that texts are UTF-8, as records keep them; paths may have any name that a disk has.

        Raises:
            BadInput: One is not.
        """
        for action in self._actions:
            value = getattr(found, action.dest, None)
            for text in value if isinstance(value, list | tuple) else (value,):
                if isinstance(text, str) and encodable(text) != text:
                    name = "/".join(action.option_strings) or action.metavar or action.dest
                    self.error(f"argument {name}: '{printable(text)}' is not UTF-8: write it so, or rename what it is")


def _joined(arguments: Sequence[str], lists: Collection[str]) -> list[str]:
    """The arguments with the names that follow the first of a list joined to it by commas.

    Args:
        arguments: Of a command.
        lists: Flags whose values are names.
    """
    joined: list[str] = []
    flag = ""
    for argument in arguments:
        if flag and joined[-1] != flag and _is_bare(argument):
            joined[-1] = f"{joined[-1].rstrip(',')},{argument}"
            continue
        if argument in lists:
            flag = argument
        elif not flag or joined[-1] != flag:
            flag = ""
        joined.append(argument)
    return joined


def _is_bare(argument: str) -> bool:
    """Whether an argument can be neither a flag nor a model: no path, no ``org/name`` and no name of a baseline."""
    from flagbench.models.loading.registry import registry

    path = any(sign in argument for sign in ("/", "\\", ":")) or argument.startswith((".", "~", "-"))
    return not (path or os.path.lexists(argument) or argument in registry().short)


def flags_in(arguments: Sequence[str]) -> list[str]:
    """Every argument that looks like a flag, without its value."""
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    return [argument.split("=")[0] for argument in arguments[:end] if argument.startswith("--")]


def value_of(flag: str, arguments: Sequence[str], default: str) -> str:
    """The value of a flag, before the parser has all of its flags.

    Args:
        flag: ``--benchmark``.
        arguments: Of the command.
        default: Where it is not given.
    """
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument(flag, dest="value", default=default)
    try:
        return str(parser.parse_known_args(list(arguments))[0].value)
    except argparse.ArgumentError:  # no value follows: the whole parser says so
        return default
