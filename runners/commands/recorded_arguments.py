"""Arguments that ``--config FILE`` and ``--like RUN`` bring. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flagbench import BadInput
from flagbench.files import user_path
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
        help="settings file: TOML with models and flags by their long names, and a table [[run]] for each of several "
        "runs (default none)",
    )
    group.add_argument(
        "--like",
        type=any_path,
        metavar="RUN",
        help="finished run whose settings are repeated: run.json, its folder, or an --output folder with one "
        "(default none)",
    )


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
        from flagbench.runners.commands.settings_file import arguments_of

        return arguments_of(user_path(value_of("--config", arguments, "")), parser, arguments)
    from flagbench.runners.commands.like import arguments_like

    return [arguments_like(user_path(value_of("--like", arguments, "")), parser, arguments)]


def unlike(like: Path | None, plan: Plan) -> Iterator[str]:
    """Lines on what differs now from the run that is repeated.

    Args:
        like: Its path; None where none is.
        plan: What will run.
    """
    if like is not None:
        from flagbench.runners.commands.like import differences

        yield from differences(like, plan)
