"""``flagbench fuse``: the kept rankings of runs as one. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import BadInput
from flagbench.flags import add_flags, given
from flagbench.runners.arguments import add_examples, any_path
from flagbench.runners.commands.parser import Parser
from flagbench.runners.commands.run_files import add_data, add_naming, run_rankings

if TYPE_CHECKING:
    from flagbench.results.runs import Run

_EXAMPLES = (
    "flagbench fuse out/flagbench__bm25/v1 out/BAAI__bge-m3/5617a9f6 --tasks T2Retrieval --output fused",
    "flagbench fuse runs/a runs/b runs/c --by dbsf --benchmark own --data-set ./faq --output fused",
    "flagbench fuse runs/a runs/b --by weights --weights 0.7,0.3 --model-name team/hybrid --output fused",
)


def add_fuse(parser: Parser, arguments: Sequence[str]) -> None:
    """Add the flags of ``flagbench fuse``."""
    from flagbench.runners.commands.selection import add_benchmark_flags, add_selection_flags, benchmark_of
    from flagbench.runners.rankings.options import FusionOptions

    benchmark = benchmark_of(arguments)
    add_examples(parser, *_EXAMPLES)
    parser.add_argument(
        "runs",
        nargs="+",
        type=any_path,
        metavar="RUN",
        help="two or more results of evaluate --save-predictions, of score or of fuse: folder of a run, output "
        "folder with one run, or run.json",
    )
    how = parser.add_argument_group("how to fuse")
    add_flags(how, FusionOptions)
    add_selection_flags(parser, arguments)
    where = parser.add_argument_group("where")
    add_naming(where, "local/ with the method and the names of the runs")
    add_data(where)
    where.add_argument("--overwrite", action="store_true", help="fuse finished tasks again (default off)")
    add_benchmark_flags(parser, arguments, benchmark)
    parser.set_defaults(run=_fuse)


def _fuse(options: argparse.Namespace) -> int:
    from flagbench.results.runs import find_run, labelled
    from flagbench.runners.commands.selection import selection_of
    from flagbench.runners.rankings.kept_runs import FusedRuns
    from flagbench.runners.rankings.options import FusionOptions
    from flagbench.runners.registry import find_benchmark
    from flagbench.runners.request import RunRequest

    how = FusionOptions(**given(options, FusionOptions))
    how.check(len(options.runs))
    runs = labelled([find_run(path) for path in options.runs])
    _check_runs(runs, options.benchmark)
    benchmark = find_benchmark(options.benchmark)
    fusion = FusedRuns(runs, how, benchmark.kept_rankings, options.model_name or "")
    subject = f"the fusion of {len(runs)} runs on {options.benchmark}"
    there = None
    if not (options.tasks or benchmark.tasks()):  # the tasks are those of the data that is named
        there = [task.name for task in benchmark.select(RunRequest(model="", **selection_of(options)))]
    return run_rankings(options, fusion, fusion.tasks(options.tasks, there), subject)


def _check_runs(runs: Sequence[Run], benchmark: str) -> None:
    """See that there are several runs, all different, of the benchmark.

    Raises:
        BadInput: There are not.
    """
    from flagbench.results.gate.known import same_results

    if len(runs) < 2:
        raise BadInput("one run is nothing to fuse: name two or more")
    seen: set[Path] = set()
    for run in runs:
        if (folder := run.folder.resolve()) in seen:
            raise BadInput(f"{run.folder} is named twice: name different runs")
        seen.add(folder)
    for one, other in combinations(runs, 2):
        if same_results(one.record, other.record):
            raise BadInput(f"{other.folder} is a copy of {one.folder}, which would count twice: name different runs")
    if benchmark not in {run.record.benchmark for run in runs}:
        raise BadInput(f"{runs[0].folder} is of --benchmark {runs[0].record.benchmark}: name it, with the data's flags")
