"""The command line: ``flagbench COMMAND``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, NoReturn

import flagbench
from flagbench import BadInput, FlagbenchError, UnknownName, in_one_line, printable
from flagbench.runners.commands.board import add_board
from flagbench.runners.commands.by_benchmark import add_by_benchmark
from flagbench.runners.commands.cache import add_cache
from flagbench.runners.commands.check import add_baseline, add_check
from flagbench.runners.commands.cocktail import add_cocktail
from flagbench.runners.commands.compare import add_compare
from flagbench.runners.commands.completion import add_completion, complete, is_asked
from flagbench.runners.commands.data import add_data
from flagbench.runners.commands.doctor import add_doctor
from flagbench.runners.commands.evaluate import add_evaluate
from flagbench.runners.commands.finished import add_show
from flagbench.runners.commands.fuse import add_fuse
from flagbench.runners.commands.home import usable_home
from flagbench.runners.commands.interrupt import Terminated
from flagbench.runners.commands.leaks import add_leaks
from flagbench.runners.commands.match import add_match
from flagbench.runners.commands.models import add_models
from flagbench.runners.commands.outputs import streams
from flagbench.runners.commands.parser import Parser
from flagbench.runners.commands.published import add_rank, add_verify
from flagbench.runners.commands.recorded_arguments import expanded
from flagbench.runners.commands.reference import add_reference
from flagbench.runners.commands.report import add_report, add_serve
from flagbench.runners.commands.run_plan import INTERRUPTED_LINE
from flagbench.runners.commands.speed import add_speed
from flagbench.runners.commands.tasks import add_tasks
from flagbench.runners.commands.validate import add_validate
from flagbench.runners.commands.watch import add_watch

if TYPE_CHECKING:
    from flagbench.runners.commands.outcome import Outcome

_INTERRUPTED, _TERMINATED = 130, 143  # 128 + SIGINT and SIGTERM, as shells report them


def main(arguments: Sequence[str] | None = None, outcome: Outcome | None = None) -> NoReturn:
    """Run the command line and leave with its exit code: 0, 1 for failed tasks, 2 for bad input.

    An output stream that cannot be written, other than a pipe that its reader has closed, is exit code 2; not where
    the exit code is what the command is for, as a gate's verdict is.

    Args:
        arguments: Of the command line; None for those of the process.
        outcome: Takes note of what came of it, for the program that started the command; None where there is none.
    """
    if is_asked():
        complete(_parser())
    with streams() as out:
        code, verdict = _run(arguments, outcome)
        out.flush()
        if out.fault and not isinstance(out.fault, BrokenPipeError):
            print(f"flagbench: standard output cannot be written ({out.fault.strerror})", file=sys.stderr)
            code = code if verdict else code or BadInput.exit_code
        sys.stderr.flush()
    sys.exit(code)


def _run(arguments: Sequence[str] | None, outcome: Outcome | None) -> tuple[int, bool]:
    """The exit code, and whether it is what the command is for."""
    options = None
    try:
        options = _parser().parse_args(arguments)
        options.outcome = outcome
        store = bool(getattr(options, "store", None) or getattr(options, "no_store", False))
        with nullcontext("") if getattr(options, "own_cache", False) else usable_home(store=store) as lost:
            if lost and getattr(options, "caches", False):
                print(f"flagbench: {printable(lost)}", file=sys.stderr)
            return options.run(options), getattr(options, "verdict", False)
    except SystemExit as left:  # after --help or --version
        return left.code if isinstance(left.code, int) else 0, False
    except FlagbenchError as error:
        error = _elsewhere(error)
        print(f"flagbench: {in_one_line(error)}", file=sys.stderr)
        if outcome:
            outcome.error = error
        return error.exit_code, False
    except KeyboardInterrupt as interrupt:
        print(INTERRUPTED_LINE if getattr(options, "goes_on", False) else "flagbench: interrupted", file=sys.stderr)
        return _TERMINATED if isinstance(interrupt, Terminated) else _INTERRUPTED, False


def _elsewhere(error: FlagbenchError) -> FlagbenchError:
    """The error, or one that says where the task is that a benchmark has not."""
    if not isinstance(error, UnknownName) or error.kind not in ("task", "benchmark"):
        return error
    from flagbench.runners.registry import place_of_task

    try:
        benchmark, task = place_of_task(error.name)
    except FlagbenchError:  # another fault, where this one is enough
        return error
    more = f" --tasks {task}" if error.kind == "benchmark" else ""
    return BadInput(f"{task} is a task of {benchmark}: --benchmark {benchmark}{more}") if task else error


def _parser() -> Parser:
    parser = Parser(prog="flagbench", description="Evaluate FlagEmbedding models on the benchmarks they are judged by.")
    parser.add_argument("--version", action="version", version=f"flagbench {flagbench.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    commands.add_parser(
        "evaluate",
        help="score one or more models and write leaderboard-ready results",
        fill=add_evaluate,
        expand=expanded,
    )
    commands.add_parser(
        "validate",
        help="resolve everything without loading weights, and show what would run",
        fill=add_validate,
        expand=expanded,
    )
    commands.add_parser(
        "watch",
        help="evaluate each new checkpoint of a training run as it appears",
        fill=add_watch,
        expand=expanded,
    )
    commands.add_parser(
        "speed", help="measure latency, throughput and memory of a model, here or behind a server", fill=add_speed
    )
    commands.add_parser("tasks", help="list the tasks of a benchmark", fill=add_tasks)
    commands.add_parser("data", help="show how data stands to the official data, with its digests", fill=add_data)
    commands.add_parser("score", help="score the results of a run, without the model", fill=add_by_benchmark("score"))
    commands.add_parser("fuse", help="fuse the rankings of several runs, and score them as one", fill=add_fuse)
    commands.add_parser(
        "submit", help="check the results of a run, and pack them for the leaderboard", fill=add_by_benchmark("submit")
    )
    commands.add_parser(
        "match", help="compare a server with the checkpoint that it runs, and name the cause", fill=add_match
    )
    commands.add_parser("leaks", help="look for the texts of a benchmark in training data", fill=add_leaks)
    add_show(commands.add_parser("show", help="show a finished run, or all that is recorded of one of its tasks"))
    add_compare(commands.add_parser("compare", help="compare runs side by side, with significance tests"))
    add_check(commands.add_parser("check", help="regression gate: check a run against a baseline by rules"))
    add_baseline(commands.add_parser("baseline", help="save a run as one file, for check and compare"))
    add_rank(commands.add_parser("rank", help="rank a run among the models with published scores of its benchmark"))
    add_verify(commands.add_parser("verify", help="compare a run with a model's published scores of its benchmark"))
    add_reference(commands.add_parser("reference", help="make the table of a benchmark's published scores"))
    add_report(commands.add_parser("report", help="write runs as one self-contained HTML page"))
    add_serve(commands.add_parser("serve", help="show all runs under a folder as a local leaderboard"))
    add_board(
        commands.add_parser("board", help="write leaderboards by release as a folder of pages, for any web server")
    )
    add_models(commands.add_parser("models", help="list the families and the published checkpoints, or show one model"))
    commands.add_parser(
        "cocktail", help="mix models: weights by hand or from examples, saved as a checkpoint", fill=add_cocktail
    )
    add_doctor(commands.add_parser("doctor", help="see what this machine has and lacks, each with the fix"))
    add_completion(commands.add_parser("completion", help="print the script that completes commands in a shell"))
    add_cache(commands.add_parser("cache", help="list, clear or verify the embedding cache"))
    return parser
