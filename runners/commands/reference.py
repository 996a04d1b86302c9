"""``flagbench reference update``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import sys

from flagbench import BadInput, counted, printable
from flagbench.runners.arguments import add_examples, any_path
from flagbench.runners.commands.parser import Parser
from flagbench.runners.terminal import console, say


def add_reference(parser: Parser) -> None:
    """Add the flags of ``flagbench reference``."""
    actions = parser.add_subparsers(metavar="update", required=True)
    update = actions.add_parser(
        "update",
        help="make the table of a benchmark's published scores",
        description="Make the table of a benchmark's published scores, which rank, verify and gates read: a CSV file "
        "in $XDG_CACHE_HOME/flagbench/reference (by default ~/.cache/flagbench/reference), in the place of an earlier "
        "one.",
    )
    add_examples(update, 'flagbench reference update ./results --benchmark "MTEB(eng, v2)"')
    update.add_argument(
        "checkout", type=any_path, metavar="DIR", help="checkout of the repository in which the results are published"
    )
    update.add_argument(
        "--benchmark",
        required=True,
        metavar="NAME",
        help='benchmark with published results, such as "MTEB(eng, v2)"',
    )
    update.set_defaults(run=_update)


def _update(options: argparse.Namespace) -> int:
    from flagbench.runners.registry import find_benchmark

    benchmark = find_benchmark(options.benchmark)
    made = benchmark.update_published(options.checkout)
    if made is None:
        raise BadInput(f"{benchmark.title} makes no table of published scores: name one of mteb's benchmarks")
    for line in made.unread:
        print(f"flagbench: {printable(line)}", file=sys.stderr)
    done = "replaced" if made.replaced else "written"
    say(console(), f"{done:<9} {made.path}: {counted(made.models, 'model')}, {made.whole:,} of them with all tasks")
    return 0
