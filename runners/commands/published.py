"""``flagbench rank RUN`` and ``flagbench verify RUN``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flagbench import BadInput, counted, first_few, printable
from flagbench.runners.arguments import add_accept_counts, add_examples, add_run_argument, any_path, names
from flagbench.runners.commands.notice import notice
from flagbench.runners.commands.outputs import written
from flagbench.runners.registry import find_benchmark
from flagbench.runners.terminal import console, say

if TYPE_CHECKING:
    from rich.console import Console

    from flagbench.results.published.scores import PublishedTable
    from flagbench.results.published.standing import Ranking
    from flagbench.results.record import RunRecord

_NEIGHBOURS = 3


def add_rank(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``flagbench rank``."""
    add_examples(
        parser,
        "flagbench rank results",
        "flagbench rank results/org__model/main --neighbours 5 --json rank.json",
    )
    _add_common(parser)
    parser.add_argument(
        "--neighbours", type=_count, default=_NEIGHBOURS, metavar="N", help="models shown above and below (default 3)"
    )
    parser.add_argument(
        "--zero-shot",
        action="store_true",
        help="leave out models whose declared training data has tasks that are ranked, and mark those that declare "
        "nothing as unknown (default off)",
    )
    parser.add_argument(
        "--training-data",
        type=names,
        default=(),
        metavar="A,B",
        help="data sets that the run's model was trained on, as mteb names its tasks, with --zero-shot (default: what "
        "mteb knows of a model of this name)",
    )
    parser.set_defaults(run=_rank)


def add_verify(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``flagbench verify``."""
    add_examples(
        parser,
        "flagbench verify results",
        "flagbench verify results --against BAAI/bge-small-zh-v1.5 --tasks LCQMC,STSB",
    )
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
    if options.training_data and not options.zero_shot:
        raise BadInput("--training-data is what --zero-shot compares with the tasks: add --zero-shot, or drop it")
    ranking = rank(with_means(record, table), table, accept_counts=options.accept_counts)
    if options.zero_shot:
        ranking = _zero_shot(ranking, with_means(record, table), options)
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
        table.of_model(options.against or record.model, "--against MODEL names the one to compare the run with"),
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


def _zero_shot(ranking: Ranking, record: RunRecord, options: argparse.Namespace) -> Ranking:
    """The same ranking among models that were not trained on its tasks, as far as they say."""
    from flagbench.results.published.standing import rank
    from flagbench.runners.mteb.training_sets import declared, trained_on

    with notice("reading what models declare of their training data"):
        found = dict(trained_on([entry.model for entry in ranking.entries], ranking.tasks))
        if options.training_data:
            found[ranking.model] = declared(options.training_data, ranking.tasks)
    trained = sorted(name for name, tasks in found.items() if tasks and name != ranking.model)
    left = rank(record, ranking.table, accept_counts=options.accept_counts, without=trained)
    words = {name: "unknown" if tasks is None else "no" if tasks else "yes" for name, tasks in found.items()}
    own = found[ranking.model]
    notes = [f"{counted(len(trained), 'model')} left out, trained on some of the ranked tasks as declared to mteb"]
    if own:
        notes.append(f"this run's own model was trained on {first_few(sorted(own))}: its place is not zero-shot")
    elif own is None:
        notes.append(f"nothing is declared of {ranking.model}: --training-data names what it was trained on")
    return replace(left, zero_shot=words, trained=trained, notes=[*left.notes, *notes])


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
