"""``flagbench data``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from flagbench.runners.arguments import add_examples, folder
from flagbench.runners.commands.parser import Parser
from flagbench.runners.terminal import console, encodable, say


def add_data(parser: Parser, arguments: Sequence[str]) -> None:
    """Add the flags of ``flagbench data``."""
    from flagbench.runners.commands.selection import add_benchmark_flags, add_selection_flags, benchmark_of

    benchmark = benchmark_of(arguments)
    name = shlex.quote(benchmark.name)
    add_examples(
        parser,
        f"flagbench data --benchmark {name} --data hub-snapshots",
        f"flagbench data --benchmark {name} --mini --format json",
    )
    where = add_selection_flags(parser, arguments).add_mutually_exclusive_group()
    where.add_argument(
        "--data", type=folder, metavar="DIR", help="folder with <org>/<repo>/ for each dataset (default: the hub)"
    )
    where.add_argument("--mini", action="store_true", help="the miniature data that ships with FlagBench (default off)")
    parser.add_argument(
        "--format",
        choices=("table", "toml", "json"),
        default="table",
        help="format of the output; toml has rows for a benchmark's official.toml (default table)",
    )
    add_benchmark_flags(parser, arguments, benchmark, listed=True)
    parser.set_defaults(run=_data)


def _data(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from flagbench import BadInput, NoHub, in_one_line
    from flagbench.runners.commands.selection import selection_of
    from flagbench.runners.commands.show import show_data
    from flagbench.runners.data.snapshots import Snapshots
    from flagbench.runners.data.verdict import as_rows
    from flagbench.runners.registry import find_benchmark
    from flagbench.runners.request import RunRequest

    benchmark = find_benchmark(options.benchmark)
    root = benchmark.mini_data() if options.mini else options.data
    request = RunRequest(model="", data=root, mini=options.mini, **selection_of(options))
    tasks = benchmark.select(request)
    if options.mini and root is None:
        raise BadInput(f"{benchmark.title} has no miniature data: drop --mini, or give a folder with --data")
    snapshots = Snapshots(root)
    found, faults = [], []
    for task in tasks:
        try:
            found.append((task, benchmark.data(task, snapshots, request)))
        except NoHub:
            raise
        except BadInput as error:  # a user has some of the datasets of a benchmark
            faults.append(error)
    if faults and not found:
        raise faults[0]
    if options.format == "table":
        show_data(benchmark, found, console())
        for task, verdict in found:
            say(console(), *(f"{task.name}: {line}" for line in verdict.differences))
    elif options.format == "toml":
        text = "\n".join(as_rows(task.name, task.revision, verdict.content) for task, verdict in found)
        sys.stdout.write(encodable(text))
    else:
        rows: list[dict[str, Any]] = [
            {"task": task.name, "revision": task.revision, **asdict(verdict)} for task, verdict in found
        ]
        sys.stdout.write(encodable(json.dumps(rows, ensure_ascii=False, indent=2) + "\n"))
    for fault in faults:
        print(f"flagbench: {in_one_line(fault)}", file=sys.stderr)
    return BadInput.exit_code if faults and options.tasks else 0  # what is named has to be there
