"""``flagbench report RUN…`` and ``flagbench serve DIR``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import BadInput
from flagbench.results.page import LANGUAGES
from flagbench.runners.arguments import add_examples, add_runs_argument, any_path
from flagbench.runners.terminal import console, say

if TYPE_CHECKING:
    from flagbench.results.page.benchmark import Benchmark
    from flagbench.results.readable import Unreadable
    from flagbench.results.runs import Run

_HOST = "127.0.0.1"
_PORT = 8808
_PORTS = 1 << 16


def add_report(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``flagbench report``."""
    add_examples(
        parser,
        "flagbench report results --html report.html",
        "flagbench report results/org__a/main results/org__b/main --html report.html --lang zh",
    )
    add_runs_argument(parser)
    parser.add_argument("--html", type=any_path, required=True, metavar="FILE", help="file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace this file if it exists (default off)")
    parser.add_argument(
        "--allow-differences",
        action="store_true",
        help="compare tasks even if their data, splits, subsets, items or main scores differ (default off)",
    )
    _add_language(parser)
    parser.set_defaults(run=_report)


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``flagbench serve``."""
    add_examples(
        parser,
        "flagbench serve results",
        "flagbench serve results --port 8080 --lang zh",
    )
    parser.add_argument("folder", type=any_path, metavar="DIR", help="folder whose runs are shown, at any depth")
    parser.add_argument(
        "--port",
        type=_port,
        default=_PORT,
        metavar="N",
        help=f"port to listen on; 0 for any free one (default {_PORT})",
    )
    parser.add_argument(
        "--host",
        default=_HOST,
        metavar="ADDRESS",
        help=f"address to listen on; on any other than the default, all who reach it can read (default {_HOST})",
    )
    _add_language(parser)
    parser.set_defaults(run=_serve)


def _add_language(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lang", choices=LANGUAGES, default="en", help="language of the page (default en)")


def _report(options: argparse.Namespace) -> int:
    from flagbench.results.page.render import page
    from flagbench.results.page.view import groups, look
    from flagbench.results.readable import find_readable
    from flagbench.results.store import check_target, write_atomic
    from flagbench.runners.commands.command_line import command_of

    target: Path = options.html
    check_target("--html", target, overwrite=options.overwrite)
    runs, unreadable = find_readable(options.runs, partial(look, by_query=True))
    left_out(unreadable)
    ordered = len(options.runs) > 1
    shown = groups(runs, benchmarks(runs), allow_differences=options.allow_differences, ordered=ordered)
    text = page(shown, options.lang, unreadable=unreadable, command_of=command_of)
    write_atomic(target, text)
    say(console(), f"written   {target} ({len(text.encode()) / 1000:,.0f} kB)")
    return 0


def _serve(options: argparse.Namespace) -> int:
    from flagbench.runners.commands.leaderboard import Leaderboard, listen

    board = Leaderboard(options.folder, options.lang, benchmarks)
    if not board.files():
        raise BadInput(f"{options.folder} holds no runs: name a folder with results of flagbench evaluate below it")
    with listen(board, options.host, options.port) as server:
        try:
            if not _loopback(options.host):
                say(console(), f"warning   whoever reaches {options.host} can read all results under {options.folder}")
            host = f"[{options.host}]" if ":" in options.host else options.host
            say(console(), f"serving   http://{host}:{server.server_port}/  ({options.folder}; Ctrl-C ends it)")
            server.serve_forever()
        except KeyboardInterrupt:
            say(console(), "ended")
    return 0


def left_out(runs: Sequence[Unreadable]) -> None:
    """Warn of runs that cannot be read, a line each."""
    for run in runs:
        print(f"flagbench: left out: {run.reason}", file=sys.stderr)


def benchmarks(runs: Iterable[Run] = ()) -> dict[str, Benchmark]:
    """The facts about each benchmark that a page needs, by name.

    Args:
        runs: Those on the page: they may be of benchmarks within others.
    """
    from flagbench.runners.commands.selection import warn
    from flagbench.runners.facts import facts_for, facts_of
    from flagbench.runners.registry import registered

    found = registered()
    warn(found.faults)
    known = {name: facts_of(each) for name, each in found.benchmarks.items()}
    records = [run.record for run in runs]
    for name in dict.fromkeys(record.benchmark for record in records):
        if name not in known:
            with contextlib.suppress(BadInput):  # of a package that is not installed here
                known[name] = facts_for(name, records)
    return known


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) >= _PORTS:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to {_PORTS - 1}, not '{text}'")
    return int(text)
