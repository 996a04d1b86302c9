"""``flagbench score BENCHMARK RUN``: a run file of any retriever, scored as a model. Imported for every --help: nothing
heavy here.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flagbench.runners.arguments import add_examples, any_path, names
from flagbench.runners.commands.parser import Parser

if TYPE_CHECKING:
    from flagbench.runners.benchmark import Benchmark
    from flagbench.runners.rankings.model import RankingsSource


def add_run_file_score(parser: Parser, arguments: Sequence[str], benchmark: Benchmark) -> None:
    """Add the flags of ``flagbench score`` for a benchmark whose retrieval tasks take rankings."""
    from flagbench.runners.commands.selection import add_benchmark_flags

    add_examples(parser, *_examples(benchmark))
    parser.add_argument(
        "path",
        type=any_path,
        metavar="RUN",
        help="run file of one task, or folder with one for each: a TREC run, JSON of scores, predictions of mteb or "
        "a file of search_results, also .gz",
    )
    parser.add_argument(
        "--tasks", "--task", type=names, default=(), metavar="A,B", help="names of tasks (default: the only one)"
    )
    add_naming(parser, "local/ and the name of the file")
    add_data(parser)
    parser.add_argument("--overwrite", action="store_true", help="score finished tasks again (default off)")
    add_benchmark_flags(parser, arguments, benchmark)
    parser.set_defaults(run=_score, benchmark=benchmark.name, types=())


def add_naming(parser: argparse._ActionsContainer, default: str) -> None:
    """The flags that say what rankings are called in results, and where these go.

    Args:
        parser: Of a command.
        default: Their name where none is given.
    """
    from flagbench.runners.request import RunRequest

    parser.add_argument(
        "--model-name",
        type=model_name,
        metavar="ORG/NAME",
        help=f"name of the rankings in results (default: {default})",
    )
    parser.add_argument(
        "--output",
        type=any_path,
        default=RunRequest.output,
        metavar="DIR",
        help=f"results folder (default {RunRequest.output})",
    )


def add_data(parser: argparse._ActionsContainer) -> None:
    """The flags that say where the data is, which is scored against."""
    parser.add_argument(
        "--data", type=any_path, metavar="DIR", help="folder of local snapshots DIR/<org>/<repo>/ (default the hub)"
    )
    parser.add_argument(
        "--mini", action="store_true", help="use the miniature data that ships with FlagBench (default off)"
    )


def model_name(text: str) -> str:
    """A model's name, ``org/name``; one without an organisation is a local one."""
    from flagbench.models.spec import is_name

    name = text if "/" in text else f"local/{text}"
    if not is_name(name):
        raise argparse.ArgumentTypeError(f"expected a name, or org/name, not '{text}'")
    return name


def _examples(benchmark: Benchmark) -> list[str]:
    where = {"own": " --data-set ./faq"}.get(benchmark.name, " --tasks NAME")
    start = f"flagbench score {benchmark.name}"
    return [
        f"{start} bm25.trec{where}",
        f"{start} results.json.gz{where} --model-name team/two-towers",
        f"{start} ./predictions{where} --output results",
    ]


def _score(options: argparse.Namespace) -> int:
    from flagbench.runners.rankings.sources import RunFiles

    rankings = RunFiles(options.path, options.model_name or "")
    return run_rankings(options, rankings, options.tasks, f"{options.path} on {options.benchmark}")


def run_rankings(options: argparse.Namespace, rankings: RankingsSource, tasks: Sequence[str], subject: str) -> int:
    """Score rankings as those of a model are, and keep them; returns the exit code.

    Args:
        options: Of a command that has the flags of this module and those that choose tasks.
        rankings: Where they are from.
        tasks: Names of the tasks, all of them where there are none.
        subject: What is scored on what, for a line.
    """
    from flagbench.runners.commands.evaluate import run_requests
    from flagbench.runners.commands.selection import selection_of
    from flagbench.runners.request import RunRequest

    request = RunRequest(
        model="",
        **selection_of(options) | {"tasks": tasks},
        mini=options.mini,
        data=options.data,
        output=options.output,
        overwrite=options.overwrite,
        save_predictions=True,
        rankings=rankings,
    )
    return run_requests(lambda: [request], subject)
