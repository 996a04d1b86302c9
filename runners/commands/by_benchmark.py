"""``flagbench score`` and ``flagbench submit``: the benchmarks bring these commands. Nothing heavy here."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import partial

from flagbench import BadInput
from flagbench.runners.commands.parser import Fill, Parser, flags_in
from flagbench.runners.commands.run_files import add_run_file_score


def add_by_benchmark(verb: str) -> Fill:
    """Add the subcommands of a command that benchmarks bring; without one of its own, a benchmark whose retrieval takes
    rankings has a ``score`` of run files.

    Args:
        verb: ``score`` or ``submit``.
    """
    return partial(_add, verb)


def _add(verb: str, parser: Parser, arguments: Sequence[str]) -> None:
    from flagbench.runners.commands.selection import warn
    from flagbench.runners.registry import OWN, find_benchmark, registered

    if "--benchmark" in flags_in(arguments):
        raise BadInput(f"the benchmark of {verb} is the word after it, such as {verb} mteb RUN: drop --benchmark")
    if arguments and arguments[0] in OWN:
        benchmarks = {name: find_benchmark(name) for name in OWN}
    else:
        found = registered()
        benchmarks = dict(found.benchmarks)
        warn(found.faults)
    commands = parser.add_subparsers(metavar="BENCHMARK", required=True)
    for name, benchmark in benchmarks.items():
        if verb in benchmark.commands:
            try:
                add = getattr(importlib.import_module(benchmark.commands[verb]), f"add_{verb}")
            except (ImportError, AttributeError) as error:
                if name in OWN:
                    raise
                warn([f"the benchmark '{name}' brings no {verb} that can be loaded: {error}"])
                continue
            add(commands.add_parser(name, help=f"results of {benchmark.title}"))
        elif verb == "score" and "replay" in benchmark.abilities:
            fill = partial(add_run_file_score, benchmark=benchmark)
            commands.add_parser(name, help=f"run files over {benchmark.title}", fill=fill)
