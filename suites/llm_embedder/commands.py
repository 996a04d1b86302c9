"""``flagbench score llm-embedder``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import shlex

from flagbench import BadInput
from flagbench.runners.arguments import add_examples, add_run_argument
from flagbench.runners.terminal import console, say


def add_score(parser: argparse.ArgumentParser) -> None:
    """The options of ``flagbench score llm-embedder``."""
    add_examples(
        parser,
        "flagbench score llm-embedder results",
    )
    add_run_argument(parser)
    parser.set_defaults(run=_score)


def _score(options: argparse.Namespace) -> int:
    from flagbench.results.runs import find_run
    from flagbench.suites.llm_embedder.report import read_results, tables

    run = find_run(options.path)
    if run.record.benchmark != "llm-embedder":
        raise BadInput(
            f"{options.path} is a run of {run.record.benchmark}, not of LLM-Embedder's tasks: give one of these"
        )
    found = read_results(run)
    out = console()
    for table in tables(found):
        out.print(table)
    if not found:
        folder = shlex.quote(str(run.folder))
        say(out, f"No task of {folder} was evaluated: flagbench show {folder} says why")
    return 0
