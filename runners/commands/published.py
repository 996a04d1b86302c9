"""``flagbench rank RUN`` and ``flagbench verify RUN``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flagbench import BadInput, first_few, printable
from flagbench.runners.arguments import add_accept_counts, add_run_argument, any_path, names
from flagbench.runners.commands.outputs import written
from flagbench.runners.registry import find_benchmark
from flagbench.runners.terminal import console, say

if TYPE_CHECKING:
    from rich.console import Console

    from flagbench.results.published.scores import PublishedTable
    from flagbench.results.record import RunRecord

_NEIGHBOURS = 3


def add_rank(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``flagbench rank``."""
    _add_common(parser)
    parser.add_argument(
        "--neighbours", type=_count, default=_NEIGHBOURS, metavar="N", help="models shown above and below (default 3)"
    )
    parser.set_defaults(run=_rank)


def add_verify(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``flagbench verify``."""
    _add_common(parser)
    parser.add_argument("--against", metavar="MODEL", help="published model org/name (default: the run's own)")
    parser.add_argument(
        "--tasks", type=names, default=(), metavar="A,B", help="names of tasks to compare (default all)"
    )
    parser.add_argument(
        "--tolerance", type=_fraction, metavar="X", help="largest difference that is OK, of 1 (default 0.0005)"
    )
    parser.add_argument(
        "--near", type=_fraction, metavar="X", help="largest difference that is near; beyond it is FAIL (default 0.005)"
    )
    parser.set_defaults(run=_verify, verdict=True)


def _add_common(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument(
        "--json", type=any_path, metavar="FILE", help="file for the whole result as JSON (default: none)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace this file if it exists (default off)")
    add_accept_counts(parser)


def _rank(options: argparse.Namespace) -> int:
    from flagbench.results.published.means import with_means
    from flagbench.results.published.standing import rank
    from flagbench.results.published.standing_text import remarks, render
    from flagbench.results.store import check_target

    record = read_run(options.path)
    check_target("--json", options.json, overwrite=options.overwrite)
    table = published_table(record)
    ranking = rank(with_means(record, table), table, accept_counts=options.accept_counts)
    out = console()
    for shown in render(ranking, options.neighbours):
        out.print(shown)
    say(out, *remarks(ranking))
    _write(options.json, ranking.as_dict(), out)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from flagbench.results.published.means import with_means
    from flagbench.results.published.verify import NEAR, TOLERANCE, remarks, render, verify
    from flagbench.results.store import check_target

    record = read_run(options.path)
    check_target("--json", options.json, overwrite=options.overwrite)
    tolerance = TOLERANCE if options.tolerance is None else options.tolerance
    table = published_table(record)
    verification = verify(
        with_means(record, table),
        table.of_model(options.against or record.model, "--against MODEL names the one to hold the run against"),
        table,
        tolerance=tolerance,
        near=max(NEAR, tolerance) if options.near is None else options.near,
        only=options.tasks,
        accept_counts=options.accept_counts,
    )
    out = console()
    out.print(render(verification))
    say(out, *remarks(verification))
    write = partial(_write, options.json, verification.as_dict(), out)
    return written([write], 0 if verification.passed else 1)


def read_run(path: Path) -> RunRecord:
    """The record of one run: see ``results/runs.py``. A run.json that was copied away has no values beside it.

    Raises:
        BadInput: There is none, or its values per query contradict a score.
    """
    from flagbench.results.contradictions import contradiction
    from flagbench.results.runs import find_run
    from flagbench.results.values import Values

    run = find_run(path)
    for task in run.record.tasks:
        there = run.kept is not None or (run.folder / Values.file(task)).is_file()
        if said := contradiction(run, task) if there else "":
            raise BadInput(f"{printable(run.folder)}, {printable(task)}: {said}; evaluate it with --overwrite")
    return run.record


def published_table(record: RunRecord) -> PublishedTable:
    """The published scores of the benchmark that a run is of.

    Raises:
        BadInput: That benchmark is unknown, or has none.
    """
    from flagbench.runners.benchmark import Benchmark

    benchmark = find_benchmark(record.benchmark)
    table = benchmark.published_for(record)
    if table is None:
        others = benchmark.published_with([task.name for task in benchmark.tasks()])
        if others is not None and record.tasks:
            raise BadInput(
                f"{benchmark.title} has no published scores of {first_few(record.tasks)}, so this run cannot be "
                "compared with them: evaluate tasks that have some"
            )
        made = type(benchmark).update_published is not Benchmark.update_published
        hint = ": flagbench reference update makes a table of them" if made else ""
        raise BadInput(f"{benchmark.title} has no published scores, so a run of it cannot be compared with them{hint}")
    return table


def _write(path: Path | None, values: Mapping[str, Any], out: Console) -> None:
    from flagbench.results.store import write_atomic

    if path is not None:
        write_atomic(path, json.dumps(values, ensure_ascii=False, indent=2, allow_nan=False) + "\n")
        say(out, f"written: {path}")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 4:
        raise argparse.ArgumentTypeError(f"expected a number of models, not '{text}'")
    return int(text)


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"expected a difference of scores from 0 to 1, such as 0.0005, not '{text}'")
    return value
