"""The command line: ``flagbench evaluate | validate | tasks | score | submit | compare | check | baseline | rank |
verify | report | serve | models | cache``."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import flagbench
from flagbench import BadInput, FlagbenchError
from flagbench.runners.arguments import add_store_option
from flagbench.runners.benchmark import COMMANDS, find_benchmark
from flagbench.runners.commands.check import add_baseline, add_check
from flagbench.runners.commands.compare import add_compare
from flagbench.runners.commands.options import (
    add_model_options,
    add_run_options,
    add_selection_options,
    overrides_of,
    requests_of,
    selection_of,
)
from flagbench.runners.commands.published import add_rank, add_verify
from flagbench.runners.commands.report import add_report, add_serve
from flagbench.runners.request import RunRequest, default_store
from flagbench.runners.terminal import console

if TYPE_CHECKING:
    from rich.console import Console

    from flagbench.results.table import Row

_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_INTERRUPTED_LINE = "flagbench: interrupted; what is done is kept, the same command goes on from there"


class _Parser(argparse.ArgumentParser):
    """Wrong usage is bad input like any other: one line, exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code: 0, 1 for failed tasks, 2 for bad input."""
    try:
        options = _parser().parse_args(arguments)
        code = options.run(options)
    except FlagbenchError as error:
        print(f"flagbench: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        print(_INTERRUPTED_LINE, file=sys.stderr)
        code = _INTERRUPTED
    except BrokenPipeError:
        code = 0
        sys.stderr.close()
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="flagbench", description="Evaluate FlagEmbedding models on the benchmarks they are judged by."
    )
    parser.add_argument("--version", action="version", version=f"flagbench {flagbench.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    evaluate = commands.add_parser("evaluate", help="score one or more models and write leaderboard-ready results")
    evaluate.set_defaults(run=_evaluate)
    validate = commands.add_parser("validate", help="resolve everything, load no weights, say what would run")
    validate.set_defaults(run=_validate)
    for command in (evaluate, validate):
        add_run_options(command)
    tasks = commands.add_parser("tasks", help="list the tasks of a benchmark")
    add_selection_options(tasks)
    tasks.set_defaults(run=_tasks)
    for verb, help_ in (
        ("score", "score what a run found, without the model"),
        ("submit", "check what a run found, and pack it for the leaderboard"),
    ):
        by_benchmark = commands.add_parser(verb, help=help_).add_subparsers(metavar="BENCHMARK", required=True)
        for name, module in COMMANDS[verb].items():
            getattr(importlib.import_module(module), f"add_{verb}")(by_benchmark.add_parser(name, help=help_))
    add_compare(commands.add_parser("compare", help="put runs side by side, and test whether they differ"))
    add_check(commands.add_parser("check", help="a regression gate: hold a run against a baseline by rules"))
    add_baseline(commands.add_parser("baseline", help="keep a run as one file, for check and compare"))
    add_rank(commands.add_parser("rank", help="place a run among the models with published scores of its benchmark"))
    add_verify(commands.add_parser("verify", help="hold a run against a model's published scores of its benchmark"))
    add_report(commands.add_parser("report", help="write runs as one self-contained HTML page"))
    add_serve(commands.add_parser("serve", help="show all runs under a folder as a local leaderboard"))
    models = commands.add_parser("models", help="list the families and the published checkpoints")
    models.set_defaults(run=_models)
    show = models.add_subparsers(metavar="show").add_parser(
        "show", help="what a checkpoint is, and every setting of it"
    )
    show.add_argument("models", nargs="+", metavar="MODEL", help="folder of a checkpoint, or hub id org/name")
    add_model_options(show)
    show.set_defaults(run=_show)
    cache = commands.add_parser("cache", help="the store of embeddings: what is in it, emptying it, checking it")
    actions = cache.add_subparsers(metavar="info|clear|verify", required=True)
    for name, run, help_ in (
        ("info", _info, "list what is kept"),
        ("clear", _clear, "remove all that is kept"),
        ("verify", _verify, "read every byte, and mend what is damaged"),
    ):
        action = actions.add_parser(name, help=help_)
        add_store_option(action)
        action.set_defaults(run=run)
    return parser


def _evaluate(options: argparse.Namespace) -> int:
    from flagbench.runners.commands.imports import import_ahead, uncollected

    with uncollected():
        from flagbench.models.loading.resolve import LoadedModels
        from flagbench.results.table import render, rows
        from flagbench.runners.commands.interrupt import ends_at_once
        from flagbench.runners.commands.show import said_after, said_before
        from flagbench.runners.progress import progress_for
        from flagbench.runners.run import engine, plan

        plans = [plan.resolve(request) for request in requests_of(options)]
        import_ahead(plans)
    out, err = console(), console(stderr=True)
    columns: dict[str, tuple[list[Row], list[Row]]] = {}
    outcomes = []
    with LoadedModels() as loaded:
        for each in plans:
            said_before(each, err)
            with ends_at_once(lambda _: _last_words(err)), progress_for(err, len(each.steps)) as progress:
                finished = engine.run(each, progress, loaded)
            twins = sum(other.name == each.name for other in plans) > 1
            label = f"{each.name}@{each.model.spec.revision[:8]}" if twins else each.name
            columns[label] = rows(finished.records, each.averages)
            outcomes.append((each, finished))
    title = plans[0].benchmark.title + (" mini" if options.mini else "")
    if any(row.score is not None for tasks, _ in columns.values() for row in tasks):
        out.print(render(title, columns))
    for each, finished in outcomes:
        said_after(each, finished, err)
    return max(finished.exit_code for _, finished in outcomes)


def _last_words(console: Console) -> None:
    console.show_cursor()
    print(f"\r{_INTERRUPTED_LINE}", file=sys.stderr, flush=True)


def _validate(options: argparse.Namespace) -> int:
    from flagbench.runners.commands.show import show_plan
    from flagbench.runners.run import plan

    for request in requests_of(options):
        show_plan(plan.resolve(request), console())
    return 0


def _tasks(options: argparse.Namespace) -> int:
    from flagbench.runners.commands.show import show_tasks

    benchmark = find_benchmark(options.benchmark)
    chosen = selection_of(options)
    some = any(value for name, value in chosen.items() if name != "benchmark")
    rows = benchmark.select(RunRequest(model="", **chosen)) if some else benchmark.tasks()
    show_tasks(benchmark, rows, console())
    return 0


def _models(options: argparse.Namespace) -> int:
    from flagbench.runners.commands.show import show_models

    show_models(console())
    return 0


def _show(options: argparse.Namespace) -> int:
    from flagbench.models.loading.resolve import resolve_model
    from flagbench.runners.commands.show import show_model

    overrides = overrides_of(options)
    for name in options.models:
        for cutoff in range(len(overrides.cutoff_layers or [0])):
            model = resolve_model(
                name,
                options.revision,
                replace(overrides, cutoff=cutoff),
                trust_remote_code=options.trust_remote_code,
                allow_pickle=options.allow_pickle,
            )
            show_model(model, console())
    return 0


def _info(options: argparse.Namespace) -> int:
    from flagbench.runners.commands.show import show_store
    from flagbench.runners.store.upkeep import inventory

    root = options.store or default_store()
    show_store(root, inventory(root), console())
    return 0


def _clear(options: argparse.Namespace) -> int:
    from flagbench.runners.commands.show import said_cleared
    from flagbench.runners.store.upkeep import clear

    root = options.store or default_store()
    said_cleared(root, clear(root), console())
    return 0


def _verify(options: argparse.Namespace) -> int:
    from flagbench.runners.commands.show import show_verified
    from flagbench.runners.store.upkeep import verify

    root = options.store or default_store()
    verified = verify(root)
    show_verified(root, verified, console())
    return 1 if verified.damaged else 0
