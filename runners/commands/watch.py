"""``flagbench watch RUNS``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import BadInput
from flagbench.paths import near_by
from flagbench.runners.arguments import add_examples, folder, seconds
from flagbench.runners.commands.parser import Parser
from flagbench.runners.commands.recorded_arguments import add_recorded

if TYPE_CHECKING:
    from flagbench.runners.watch.until import Until


def add_watch(parser: Parser, arguments: Sequence[str]) -> None:
    """Add the flags of ``flagbench watch``: its own, and those of ``flagbench evaluate``."""
    from flagbench.runners.commands.evaluate import add_flags
    from flagbench.runners.commands.selection import benchmark_of

    start = f"flagbench watch output/bge-finetuned --benchmark {shlex.quote(benchmark_of(arguments).name)}"
    add_examples(parser, f"{start} --until 10000", f"{start} --once", f"{start} --until 12h --on-best 'cp -r -t best'")
    parser.joins = False  # the folder may be one that is not there yet
    runs = parser.add_argument(
        "runs", type=folder, metavar="RUNS", help="output folder of a training run, with its checkpoint-N folders"
    )
    if not parser.complete:
        runs.nargs = "?"
    group = parser.add_argument_group("watching")
    end = group.add_mutually_exclusive_group()
    end.add_argument(
        "--until",
        type=_until,
        metavar="WHEN",
        help="end: a step of the training, a time such as 2h30m, or a file that will be there (default: Ctrl-C)",
    )
    end.add_argument(
        "--once", action="store_true", help="evaluate the checkpoints that are there, and end (default off)"
    )
    group.add_argument(
        "--poll",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="time between two looks; a checkpoint that did not change over it is taken for written (default 10)",
    )
    group.add_argument(
        "--metric-task", metavar="NAME", help="task whose score decides (default: the mean over all tasks)"
    )
    group.add_argument(
        "--on-best",
        type=_command,
        metavar="COMMAND",
        help="command to run for each new best checkpoint, with its folder as last argument; its score is the variable "
        "FLAGBENCH_SCORE (default none)",
    )
    add_recorded(parser)
    add_flags(parser, arguments)
    parser.set_defaults(run=_watch, caches=True, goes_on=True)


def _until(text: str) -> Until:
    from flagbench.runners.watch.until import parse_until

    try:
        return parse_until(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _command(text: str) -> tuple[str, ...]:
    """A command line, split as a shell would; its program is there."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a command, not '{text}' ({error})") from error
    if not words or shutil.which(words[0]) is None:
        raise argparse.ArgumentTypeError(f"expected a command that can be run, not '{text}': no such program")
    return words


def _watch(options: argparse.Namespace) -> int:
    if getattr(options, "others", ()):
        raise BadInput(f"{options.config} has several runs, and a watch is of one: drop all tables [[run]] but one")
    if options.name or options.revision:
        raise BadInput("--name and --revision belong to one model, and each checkpoint has its own: drop them")
    runs: Path = options.runs
    if options.once and not runs.is_dir():
        raise BadInput(f"{runs}: no such folder{near_by(runs, folders=True)}; name the output folder of a training run")
    from flagbench.runners.commands.watching import watch

    return watch(options)
