"""``flagbench tasks``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from flagbench import BadInput
from flagbench.runners.arguments import add_examples
from flagbench.runners.commands.parser import Parser
from flagbench.runners.terminal import WIDE, console, say

if TYPE_CHECKING:
    from flagbench.runners.benchmark import Benchmark
    from flagbench.runners.request import RunRequest
    from flagbench.runners.task import Task


def add_tasks(parser: Parser, arguments: Sequence[str]) -> None:
    """Add the flags of ``flagbench tasks``."""
    from flagbench.runners.commands.selection import add_benchmark_flags, add_selection_flags, benchmark_of

    benchmark = benchmark_of(arguments)
    start = f"flagbench tasks --benchmark {shlex.quote(benchmark.name)}"
    add_examples(parser, start, f"{start} --tasks A,B", f"{start} --tasks A B")
    add_selection_flags(parser, arguments)
    parser.add_argument(
        "--mini", action="store_true", help="tasks of the miniature data that ships with FlagBench (default off)"
    )
    add_benchmark_flags(parser, arguments, benchmark, listed=True)
    parser.set_defaults(run=_tasks)


def _tasks(options: argparse.Namespace) -> int:
    from flagbench.runners.commands.selection import options_given, selection_of
    from flagbench.runners.commands.show import show_tasks
    from flagbench.runners.registry import find_benchmark
    from flagbench.runners.request import RunRequest

    benchmark = find_benchmark(options.benchmark)
    some = options.tasks or options.types or options_given(options, benchmark)
    request = RunRequest(model="", skip_missing=True, mini=options.mini, **selection_of(options))
    known = benchmark.mini_tasks() if options.mini and not some else ()
    # Which tasks own data has, the folder of a flag says: without it, select names the flag.
    rows = known or (() if some else benchmark.tasks()) or benchmark.select(request)
    if options.mini and not known:
        rows = _miniature(benchmark, rows, request)
    show_tasks(benchmark, rows, request, console(width=WIDE))
    for line in benchmark.left_out(request) if some else ():
        say(console(), line)
    return 0


def _miniature(benchmark: Benchmark, tasks: Sequence[Task], request: RunRequest) -> tuple[Task, ...]:
    """Those of some tasks that --mini has the data of.

    Raises:
        BadInput: There are none.
    """
    from flagbench.runners.data.snapshots import Snapshots

    root = benchmark.mini_data()
    found = []
    for task in tasks if root else ():
        if root and (root / task.dataset).is_dir():
            one = replace(request, tasks=(task.name,), types=(), options=None)
            try:
                benchmark.select(one)
                benchmark.check(task, Snapshots(root), one)
            except BadInput:  # of another task with the same dataset
                continue
            found.append(task)
    if not found:
        raise BadInput(f"{benchmark.title} has no miniature data{' of these tasks' if root else ''}: drop --mini")
    return tuple(found)
