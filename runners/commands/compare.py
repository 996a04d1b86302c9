"""``flagbench compare``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import BadInput
from flagbench.runners.arguments import add_examples, add_runs_argument, any_path
from flagbench.runners.terminal import console, encodable, say

if TYPE_CHECKING:
    from rich.console import Console

    from flagbench.results.compare.compare import Comparison
    from flagbench.results.compare.text import Words
    from flagbench.results.series.curves import Drawn

_FILE_WIDTH = 200

_BY_ITEM = 4
"""Runs of a series, of more than these tests by task and run are left to the other formats."""


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``flagbench compare``."""
    add_examples(
        parser,
        "flagbench compare results/org__a/main results/org__b/main",
        "flagbench compare results/org__a/main results/org__b/main --format markdown --output compare.md",
    )
    add_runs_argument(parser)
    parser.add_argument(
        "--format",
        choices=("table", "markdown", "csv", "json"),
        default="table",
        help="format of the output (default table)",
    )
    parser.add_argument("--output", type=any_path, metavar="FILE", help="file to write (default: print)")
    parser.add_argument(
        "--csv",
        type=any_path,
        metavar="FILE",
        help="file for the scores of runs that differ in one setting, a row for each of its values and each task "
        "(default none)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace these files if they exist (default off)")
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
    from flagbench.results.compare.text import Words
    from flagbench.results.page.drawn import best_first, drawn_of, is_series
    from flagbench.results.page.miniature import of_one_kind
    from flagbench.results.readable import check_values, find_readable
    from flagbench.results.series.text import to_csv
    from flagbench.results.store import check_target, write_atomic
    from flagbench.runners.commands.report import benchmarks, left_out

    target: Path | None = options.output
    check_target("--output", target, overwrite=options.overwrite)
    check_target("--csv", options.csv, overwrite=options.overwrite)
    runs, unreadable = find_readable(options.runs, check_values)
    left_out(unreadable)
    known = benchmarks(runs)
    if len(options.runs) == 1:
        runs = best_first(runs, known)
    comparison = compare(runs, allow_differences=options.allow_differences, seed=options.seed)
    drawn = drawn_of(runs, known, seed=options.seed)
    if options.csv is not None:
        if not drawn.curves:
            reason = "".join(f" ({line})" for line in drawn.layout.undrawn[:1])
            raise BadInput(
                f"--csv {options.csv} is for runs of one model that differ in one setting, and none of these do"
                f"{reason}: name such runs, or use --format csv for the comparison"
            )
        write_atomic(options.csv, encodable(to_csv(drawn, runs)))
        say(console(stderr=True), f"written   {options.csv}")
    comparison = of_one_kind(comparison, known)
    words = Words()
    if is_series(drawn, runs):
        best = len(options.runs) == 1 and drawn.best == 0
        words = Words(
            ", the best of the series" if best else "",
            f"the runs differ in {drawn.settings} alone" if len(runs) > 2 else "",
        )
    if target is not None:
        write_atomic(target, _text(comparison, drawn, options.format, words))
        say(console(), f"written   {target}")
    elif options.format == "table":
        _print(comparison, drawn, console(), words)
    else:
        sys.stdout.write(_text(comparison, drawn, options.format, words))
    return 0


def _text(comparison: Comparison, drawn: Drawn, format_: str, words: Words) -> str:
    from flagbench.results.compare.text import to_csv, to_json, to_markdown
    from flagbench.results.series import text as series

    if format_ == "table":
        file = io.StringIO()
        _print(comparison, drawn, console(file=file, width=_FILE_WIDTH), words)
        return encodable(file.getvalue())
    if format_ == "markdown":
        parts = [to_markdown(comparison, words), series.to_markdown(drawn, comparison.runs)]
        return encodable("\n".join(filter(None, parts)))
    return encodable(
        to_csv(comparison)
        if format_ == "csv"
        else to_json(comparison, {"series": series.document(drawn, comparison.runs)})
    )


def _print(comparison: Comparison, drawn: Drawn, out: Console, words: Words) -> None:
    from flagbench.results.compare.screen import render
    from flagbench.results.page.drawn import is_series
    from flagbench.results.series import text as series

    curved = is_series(drawn, comparison.runs) and len(comparison.runs) > _BY_ITEM
    shown = render(comparison, out.width, words, by_item=not curved)
    for part in (*shown, *series.render(drawn, comparison.runs)):
        out.print(part, soft_wrap=not hasattr(part, "columns"))
