"""``flagbench compare``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench.runners.arguments import add_runs_argument, any_path
from flagbench.runners.terminal import console, encodable, say

if TYPE_CHECKING:
    from rich.console import Console

    from flagbench.results.compare.compare import Comparison

_FILE_WIDTH = 200


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``flagbench compare``."""
    add_runs_argument(parser)
    parser.add_argument(
        "--format",
        choices=("table", "markdown", "csv", "json"),
        default="table",
        help="format of the output (default table)",
    )
    parser.add_argument("--output", type=any_path, metavar="FILE", help="file to write (default: print)")
    parser.add_argument("--overwrite", action="store_true", help="replace this file if it exists (default off)")
    parser.add_argument(
        "--allow-differences",
        action="store_true",
        help="compare tasks even if their data, splits, subsets, items or main scores differ (default off)",
    )
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="seed of the significance tests (default 0)")
    parser.set_defaults(run=_compare)


def seed(text: str) -> int:
    """A flag that seeds draws."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of 0 or more, not '{text}'")
    return int(text)


def _compare(options: argparse.Namespace) -> int:
    from flagbench.results.compare.compare import compare
    from flagbench.results.page.miniature import of_one_kind
    from flagbench.results.readable import check_values, find_readable
    from flagbench.results.store import check_target, write_atomic
    from flagbench.runners.commands.report import benchmarks, left_out

    target: Path | None = options.output
    check_target("--output", target, overwrite=options.overwrite)
    runs, unreadable = find_readable(options.runs, check_values)
    left_out(unreadable)
    comparison = compare(runs, allow_differences=options.allow_differences, seed=options.seed)
    comparison = of_one_kind(comparison, benchmarks(runs))
    if target is not None:
        write_atomic(target, _text(comparison, options.format))
        say(console(), f"written   {target}")
    elif options.format == "table":
        _print(comparison, console())
    else:
        sys.stdout.write(_text(comparison, options.format))
    return 0


def _text(comparison: Comparison, format_: str) -> str:
    from flagbench.results.compare.text import to_csv, to_json, to_markdown

    if format_ == "table":
        file = io.StringIO()
        _print(comparison, console(file=file, width=_FILE_WIDTH))
        text = file.getvalue()
    else:
        text = {"markdown": to_markdown, "csv": to_csv, "json": to_json}[format_](comparison)
    return encodable(str(text))


def _print(comparison: Comparison, out: Console) -> None:
    from flagbench.results.compare.text import render

    for part in render(comparison):
        out.print(part, soft_wrap=not hasattr(part, "columns"))
