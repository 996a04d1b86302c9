"""``flagbench score composed`` and ``flagbench submit composed``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import BadInput, first_few
from flagbench.runners.arguments import add_examples, add_run_argument, any_path
from flagbench.runners.terminal import console, say

if TYPE_CHECKING:
    from flagbench.results.runs import Run


def add_score(parser: argparse.ArgumentParser) -> None:
    """The options of ``flagbench score composed``."""
    add_examples(
        parser,
        "flagbench score composed results",
    )
    add_run_argument(parser)
    parser.set_defaults(run=_score)


def add_submit(parser: argparse.ArgumentParser) -> None:
    """The options of ``flagbench submit composed``."""
    add_examples(
        parser,
        "flagbench submit composed results --output submission",
    )
    add_run_argument(parser)
    parser.add_argument(
        "--output", type=any_path, default=Path(), metavar="DIR", help="folder of the files (default: here)"
    )
    parser.add_argument(
        "--allow-partial",
        action="store_true",
        help="write files that lack queries or candidates, and list what they lack (default off)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the files if they exist (default off)")
    parser.set_defaults(run=_submit)


def _run(path: Path) -> Run:
    from flagbench.results.runs import find_run

    run = find_run(path)
    if run.record.benchmark != "composed":
        raise BadInput(f"{path} is a run of {run.record.benchmark}, not of composed retrieval: give one of that")
    return run


def _score(options: argparse.Namespace) -> int:
    from flagbench.suites.composed.report import read_metrics, tables

    run = _run(options.path)
    found = read_metrics(run)
    out = console()
    for table in tables(found):
        out.print(table)
    for line in _left_out(run, found):
        say(out, line)
    return 0


def _left_out(run: Run, scored: Collection[str]) -> list[str]:
    """Why tasks have no metrics here: only a server has the labels, or they have not been evaluated."""
    from flagbench.suites.composed.submission import SERVERS

    folder = shlex.quote(str(run.folder))
    lines = [
        f"{task} is scored by {SERVERS[task]} alone, which has its labels: flagbench submit composed {folder} writes "
        "the files for it"
        for task, record in run.record.tasks.items()
        if task in SERVERS and record.status == "success"
    ]
    if not scored and not lines:
        lines.append(f"No task of {folder} was evaluated: flagbench show {folder} says why")
    return lines


def _submit(options: argparse.Namespace) -> int:
    from flagbench.suites.composed.submission import SERVERS, Rankings, files_of, write

    run = _run(options.path)
    tasks = [task for task, record in run.record.tasks.items() if task in SERVERS and record.status == "success"]
    if not tasks:
        raise BadInput(f"{options.path} has no test task: run {' or '.join(SERVERS)} first (--groups cir-test)")
    files = {task: files_of(Rankings.read(run.folder, task)) for task in tasks}
    every = [each for its in files.values() for each in its]
    short = [line for each in every for line in each.short]
    if short and not options.allow_partial:
        raise BadInput(
            f"{options.path} cannot be submitted: {first_few(short, 2, '; ')}; evaluate the official data, or use "
            "--allow-partial"
        )
    written = write(every, options.output, overwrite=options.overwrite)
    out = console()
    for line in _lines(run.folder, files, short, written):
        say(out, line)
    return 0


def _lines(
    folder: Path, files: Mapping[str, Sequence[object]], short: Sequence[str], written: Sequence[Path]
) -> list[str]:
    from flagbench.suites.composed.submission import SERVERS

    return [
        f"results   {folder}",
        *(f"PARTIAL   {line}: the server refuses it" for line in short),
        *(f"written   {path}, {path.stat().st_size:,} bytes" for path in written),
        *(f"submit    {task}: by hand at {SERVERS[task]}" for task in files),
    ]
