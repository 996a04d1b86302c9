"""``flagbench evaluate``, and the flags that it shares with others. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from flagbench import BadInput
from flagbench.runners.arguments import add_device, add_examples, add_store_option, any_path, positive, run_path, size
from flagbench.runners.commands.mix_series import add_mix, mixed_models
from flagbench.runners.commands.notice import notice
from flagbench.runners.commands.parser import Parser
from flagbench.runners.commands.points import join
from flagbench.runners.commands.recorded_arguments import add_recorded, unlike
from flagbench.runners.terminal import console, say
from flagbench.runners.trackers.target import add_log

if TYPE_CHECKING:
    from pathlib import Path

    from flagbench.results.table import Row
    from flagbench.runners.benchmark import Benchmark
    from flagbench.runners.commands.outcome import Outcome
    from flagbench.runners.request import RunRequest
    from flagbench.runners.run.finished import Finished
    from flagbench.runners.run.plan import Plan
    from flagbench.runners.trackers.target import Target

MODEL_HELP = (
    "folder of a checkpoint, hub id org/name, or mixture of models: cocktail:0.6*org/name+0.4*./folder, or "
    'cocktail:FILE.toml with a line "model" = weight for each'
)


def add_evaluate(parser: Parser, arguments: Sequence[str]) -> None:
    """Add the flags of ``flagbench evaluate``."""
    from flagbench.runners.commands.dry_run import add_dry_run

    add_models(parser, arguments)
    add_flags(parser, arguments)
    add_dry_run(parser)
    parser.set_defaults(run=_evaluate, caches=True, goes_on=True)


def add_models(parser: Parser, arguments: Sequence[str]) -> None:
    """Add the models to a parser, and where they and their flags may come from.

    Args:
        parser: Of a command.
        arguments: Of the command.
    """
    from flagbench.runners.commands.selection import benchmark_of

    add_examples(parser, *_examples(benchmark_of(arguments), parser.prog.split()[-1]))
    parser.joins = "--api-base" not in arguments  # a server's model may have any name
    models = parser.add_argument("models", nargs="+", metavar="MODEL", help=MODEL_HELP)
    if not parser.complete:
        models.nargs = "*"
    add_mix(parser.add_argument_group("series of mixtures"))
    add_recorded(parser)


def add_flags(parser: Parser, arguments: Sequence[str]) -> None:
    """Add all that an evaluation is asked for with, but the models: ``requests_of`` reads it.

    Args:
        parser: Of a command.
        arguments: Of the command: they choose the benchmark, whose own flags are among them.

    Raises:
        UnknownName: There is no such benchmark.
    """
    from flagbench.runners.commands.options import (
        add_model_options,
        add_series_options,
        add_served_options,
        hide_flags_of_rankings,
    )
    from flagbench.runners.commands.selection import add_benchmark_flags, add_selection_flags, benchmark_of

    benchmark = benchmark_of(arguments)
    what = add_selection_flags(parser, arguments)
    _add_what(what, benchmark)
    where = parser.add_argument_group("where")
    _add_where(where)
    add_log(where)
    _add_devices(parser.add_argument_group("devices"))
    add_model_options(parser)
    add_series_options(parser)
    add_served_options(parser, benchmark)
    if benchmark.abilities <= {"generate"} and "--help-all" not in arguments:
        hide_flags_of_rankings(parser)
    add_benchmark_flags(parser, arguments, benchmark)


def _add_what(what: argparse._ArgumentGroup, benchmark: Benchmark) -> None:
    from flagbench.runners.request import PROFILES, RunRequest

    parts = "part of each task's data: full is all of it, smoke and quick are samples (default full)"
    what.add_argument(
        "--profile",
        choices=PROFILES,
        default=RunRequest.profile,
        help=parts if len(benchmark.profiles) > 1 else argparse.SUPPRESS,
    )
    what.add_argument(
        "--mini", action="store_true", help="use the miniature data that ships with FlagBench (default off)"
    )
    what.add_argument("--overwrite", action="store_true", help="evaluate finished tasks again (default off)")
    what.add_argument(
        "--skip-missing", action="store_true", help="leave out tasks whose data is not there (default off)"
    )
    what.add_argument(
        "--candidates",
        dest="candidate_run",
        type=run_path,
        metavar="RUN",
        help="run file whose first passages MODEL, a reranker, re-ranks, or folder with one for each task "
        "(default none)",
    )
    what.add_argument("--reranker", metavar="MODEL", help="reranker of the retrieved passages (default none)")
    what.add_argument("--reranker-max-length", type=positive, metavar="N", help="tokens per pair (default 512)")
    what.add_argument(
        "--rerank-top-k",
        type=positive,
        default=RunRequest.rerank_top_k,
        metavar="N",
        help="passages re-ranked per query (default 100)",
    )


def _add_where(where: argparse._ArgumentGroup) -> None:
    from flagbench.runners.request import RunRequest

    where.add_argument(
        "--data", type=any_path, metavar="DIR", help="folder of local snapshots DIR/<org>/<repo>/ (default the hub)"
    )
    where.add_argument(
        "--output",
        type=any_path,
        default=RunRequest.output,
        metavar="DIR",
        help=f"results folder (default {RunRequest.output})",
    )
    where.add_argument(
        "--save-predictions",
        action="store_true",
        help="save rankings and pair scores, which may be large (default off)",
    )
    choice = where.add_mutually_exclusive_group()
    add_store_option(choice)
    choice.add_argument("--no-store", action="store_true", help="run without the embedding cache (default off)")
    where.add_argument(
        "--store-size", type=size, metavar="SIZE", help="largest size of the embedding cache (default 100GB)"
    )
    where.add_argument(
        "--store-fp16",
        action="store_true",
        help="cache vectors in half precision, which moves scores slightly (default off)",
    )


def _add_devices(devices: argparse._ArgumentGroup) -> None:
    from flagbench.models.contract import BACKENDS
    from flagbench.runners.request import ENGINES

    choice = devices.add_mutually_exclusive_group()
    add_device(choice)
    choice.add_argument(
        "--devices",
        metavar="A,B",
        help="devices, a worker on each: cuda:0,cuda:1 or cpu:2 (default: the one of --device)",
    )
    devices.add_argument(
        "--engine",
        choices=ENGINES,
        default="local",
        help="engine that runs the model: this machine, or the nodes of a Ray cluster (default local)",
    )
    devices.add_argument(
        "--ray-address",
        metavar="HOST:PORT",
        help="address of a running Ray cluster (default: a new one on this machine)",
    )
    devices.add_argument("--batch-size", type=positive, metavar="N", help="texts per forward pass (default: by tokens)")
    devices.add_argument(
        "--backend", choices=BACKENDS, help="matrix backend (default: torch or oneDNN, the faster exact one)"
    )


def _examples(benchmark: Benchmark, command: str) -> list[str]:
    """Command lines for --help."""
    own = benchmark.examples or (
        f"flagbench evaluate org/model --benchmark {benchmark.name}",
        f"flagbench evaluate ./checkpoint-2000 --benchmark {benchmark.name} --output results",
        f"flagbench evaluate org/a org/b --benchmark {benchmark.name} --overwrite",
    )
    return [line.replace("flagbench evaluate", f"flagbench {command}", 1) for line in own]


def requests_of(options: argparse.Namespace) -> list[RunRequest]:
    """A request for each model and point of a series.

    Raises:
        BadInput: Options contradict one another.
    """
    from flagbench.runners.commands.options import points_of, served_of
    from flagbench.runners.commands.selection import selection_of
    from flagbench.runners.rankings.sources import RunFiles
    from flagbench.runners.request import RunRequest, default_store

    points, mix = points_of(options), getattr(options, "mix", None)  # which a watch has not
    if options.no_store and options.store_size:
        raise BadInput("--store-size is the size of the embedding cache, and --no-store turns it off: drop one of them")
    store = None if options.no_store else options.store or default_store()
    return [
        RunRequest(
            model=model,
            **selection_of(options),
            profile=options.profile,
            mini=options.mini,
            data=options.data,
            output=options.output,
            revision=options.revision,
            device=options.device,
            devices=options.devices,
            engine=options.engine,
            ray_address=options.ray_address,
            batch_size=options.batch_size,
            backend=options.backend,
            overrides=overrides,
            reranker=options.reranker,
            reranker_max_length=options.reranker_max_length,
            rerank_top_k=options.rerank_top_k,
            served=served_of(options, options.benchmark),
            rankings=RunFiles(options.candidate_run) if options.candidate_run else None,
            trust_remote_code=options.trust_remote_code,
            allow_pickle=options.allow_pickle,
            overwrite=options.overwrite,
            skip_missing=options.skip_missing,
            save_predictions=options.save_predictions,
            store=store,
            store_bytes=options.store_size or RunRequest.store_bytes,
            store_fp16=options.store_fp16,
        )
        for model in mixed_models(options.models, mix, any_weights=options.any_weights)
        for overrides in points
    ]


def _evaluate(options: argparse.Namespace) -> int:
    if others := getattr(options, "others", ()):
        check_apart([options, *others])
    outcome = getattr(options, "outcome", None)
    return max(_evaluate_one(each, outcome) for each in (options, *others))


def check_apart(runs: Sequence[argparse.Namespace]) -> None:
    """See that several runs can be carried out, and that none replaces the results of another, before the first begins.

    Raises:
        BadInput: One cannot, or two are of the same tasks and in the same folder.
    """
    from flagbench.runners.run import plan

    tasks: dict[tuple[Path, str], str] = {}
    with notice("looking at models, tasks and data of all runs"):
        plans: list[Plan] = []
        for options in runs:
            its: list[Plan] = []
            for request in requests_of(options):
                join(its, plan.resolve(request))
            plans += its
        for made in plans:
            for step in made.steps:
                place = (made.store.run_file, step.task.name)
                if place in tasks:
                    raise BadInput(
                        f"two runs are of {made.name} on {step.task.name}, so that the second replaces the first: give "
                        "them different output folders"
                    )
                tasks[place] = made.name


def _evaluate_one(options: argparse.Namespace, outcome: Outcome | None) -> int:
    from flagbench.runners.commands.dry_run import check_price, show_dry_run

    check_price(options)
    if options.dry_run:
        return show_dry_run(lambda: requests_of(options), _subject(options), options.price)
    after = partial(_keep, outcome, options.log or ())
    return run_requests(lambda: requests_of(options), _subject(options), partial(unlike, options.like), after)


def _keep(outcome: Outcome | None, targets: Sequence[Target], plan: Plan, finished: Finished) -> None:
    """Tell the program that started the command of a run, and trackers of its scores, where there are any."""
    if outcome:
        outcome.add(plan.store.folder, finished)
    if targets:
        from flagbench.runners.commands.log_runs import log_plan

        log_plan(plan, targets)


def run_requests(
    requests: Callable[[], Sequence[RunRequest]],
    subject: str,
    remarks: Callable[[Plan], Iterable[str]] = lambda _: (),
    after: Callable[[Plan, Finished], None] = lambda *_: None,
) -> int:
    """Plan and run requests, and show what comes of them.

    Args:
        requests: Makes them; their imports take a while.
        subject: What is evaluated on what, for a line.
        remarks: Lines on a plan, before it runs.
        after: Called with each plan that has run, and what came of it.

    Returns:
        The exit code.

    Raises:
        BadInput: One of them cannot be carried out.
    """
    from flagbench.runners.commands.imports import import_ahead
    from flagbench.runners.garbage import uncollected

    with notice(f"looking at model, tasks and data: {subject}") as show, uncollected():
        from flagbench.models.loading.resolve import LoadedModels
        from flagbench.runners.commands.points import to_compare
        from flagbench.runners.commands.run_plan import run_plan
        from flagbench.runners.commands.show import show_outcomes
        from flagbench.runners.run import plan
        from flagbench.runners.run.finished import unfinished

        plans: list[Plan] = []
        for request in requests():
            join(plans, plan.resolve(request))
        if any(map(unfinished, plans)):
            show(f"getting ready to score: {subject}{f', {len(plans):,} runs' if len(plans) > 1 else ''}")
        import_ahead(plans)
    err = console(stderr=True)
    outcomes = []
    if _encodes_again(plans):
        say(err, "--no-store: each point encodes its texts anew; with the embedding cache they are encoded once")
    with LoadedModels() as loaded:
        for each in plans:
            say(err, *remarks(each))
            finished = run_plan(each, loaded)
            after(each, finished)
            outcomes.append((each, finished))
    if any(record.status != "error" for _, finished in outcomes for record in finished.records):
        _show_scores(outcomes)
    show_outcomes(outcomes, err)
    if len(plans) > 1 and (compared := to_compare(outcomes)):
        say(err, f"then: flagbench compare {shlex.join(map(str, compared))}")
    return max(finished.exit_code for _, finished in outcomes)


def _show_scores(outcomes: Sequence[tuple[Plan, Finished]]) -> None:
    """Show the scores of runs in one table, or in several where the terminal is narrow, a column for each run."""
    from flagbench.results.table import incomplete, intervals, render, rows
    from flagbench.results.tables import side_by_side
    from flagbench.runners.commands.points import size, vectors_line

    plans = [plan for plan, _ in outcomes]
    columns: dict[str, tuple[list[Row], list[Row]]] = {}
    sizes: dict[str, str] = {}
    for each, finished in outcomes:
        twins = sum(other.name == each.name for other in plans) > 1
        label = f"{each.name}@{each.model.spec.revision[:8]}" if twins else each.name
        columns[label] = rows(finished.records, each.averages)
        sizes[label] = size(finished.records)
    title = plans[0].benchmark.title + (" mini" if plans[0].request.mini else "")
    viewed = any(each.model.spec.view for each in plans)
    out = console()
    several = side_by_side(title, columns, out.width, sizes if viewed else None) if len(plans) > 1 else ()
    for part in several or [render(title, columns, out.width)]:
        out.print(part)
    say(out, *intervals(columns.values()))
    if viewed and len(plans) == 1:
        say(out, *filter(None, [vectors_line(outcomes[0][1].records)]))
    say(console(stderr=True), *incomplete(columns))


def _encodes_again(plans: Sequence[Plan]) -> bool:
    """Whether several plans are of the same vectors, which nothing keeps from one to the next."""
    specs = [plan.model.spec for plan in plans if plan.request.store is None]
    viewed = [spec.as_encoded for spec in specs if spec.view]
    return any(each in viewed[:at] or each in specs for at, each in enumerate(viewed))


def _subject(options: argparse.Namespace) -> str:
    """What is evaluated on what, for a line."""
    return f"{', '.join(options.models)} on {options.benchmark}"
