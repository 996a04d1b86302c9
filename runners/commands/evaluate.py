"""``flagbench evaluate`` and ``flagbench validate``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from flagbench import BadData, BadInput, in_one_line, printable
from flagbench.runners.arguments import add_store_option, any_path, positive, run_path, size
from flagbench.runners.commands.mix_series import add_mix, mixed_models
from flagbench.runners.commands.notice import notice
from flagbench.runners.commands.parser import Parser
from flagbench.runners.terminal import WIDE, console, say

if TYPE_CHECKING:
    from flagbench.models.loading.resolve import LoadedModels
    from flagbench.results.table import Row
    from flagbench.runners.benchmark import Benchmark
    from flagbench.runners.commands.outcome import Outcome
    from flagbench.runners.progress import Bars, Lines, Progress
    from flagbench.runners.request import RunRequest
    from flagbench.runners.run.finished import Finished
    from flagbench.runners.run.plan import Plan

INTERRUPTED_LINE = (
    "flagbench: interrupted; finished tasks and cached vectors are kept, the same command goes on from there"
)

MODEL_HELP = (
    "folder of a checkpoint, hub id org/name, or mixture of models: cocktail:0.6*org/name+0.4*./folder, or "
    'cocktail:FILE.toml with a line "model" = weight for each'
)
_SECONDS_TO_STOP = 1.0  # of bars


def add_evaluate(parser: Parser, arguments: Sequence[str]) -> None:
    """Add the flags of ``flagbench evaluate``."""
    from flagbench.runners.commands.dry_run import add_dry_run

    _add_flags(parser, arguments)
    add_dry_run(parser)
    parser.set_defaults(run=_evaluate, caches=True)


def add_validate(parser: Parser, arguments: Sequence[str]) -> None:
    """Add the flags of ``flagbench validate``."""
    _add_flags(parser, arguments)
    parser.set_defaults(run=_validate)


def _add_flags(parser: Parser, arguments: Sequence[str]) -> None:
    from flagbench.runners.commands.options import add_model_options, add_series_options, add_served_options
    from flagbench.runners.commands.selection import add_benchmark_flags, add_selection_flags, benchmark_of

    benchmark = benchmark_of(arguments)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _examples(benchmark, parser.prog.split()[-1])
    parser.add_argument("models", nargs="+", metavar="MODEL", help=MODEL_HELP)
    what = add_selection_flags(parser, arguments)
    add_mix(what)
    _add_what(what, benchmark)
    _add_where(parser.add_argument_group("where"))
    _add_devices(parser.add_argument_group("devices"))
    add_model_options(parser)
    add_series_options(parser)
    add_served_options(parser, benchmark)
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
    choice.add_argument("--no-store", action="store_true", help="run without the embedding cache")
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
    choice.add_argument(
        "--device", default="auto", metavar="NAME", help="device to run on: auto, cpu, cuda, cuda:N, mps (default auto)"
    )
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
    devices.add_argument("--backend", choices=BACKENDS, help="matrix backend (default: the fastest exact one)")


def _examples(benchmark: Benchmark, command: str) -> str:
    """The end of --help."""
    own = benchmark.examples or (
        f"flagbench evaluate org/model --benchmark {benchmark.name}",
        f"flagbench evaluate ./checkpoint-2000 --benchmark {benchmark.name} --output results",
        f"flagbench evaluate org/a org/b --benchmark {benchmark.name} --overwrite",
    )
    lines = [line.replace("flagbench evaluate", f"flagbench {command}", 1) for line in own]
    return "\n  ".join(["examples:", *lines])


def requests_of(options: argparse.Namespace) -> list[RunRequest]:
    """A request for each model and point of a series.

    Raises:
        BadInput: Options contradict one another.
    """
    from flagbench.runners.commands.options import points_of, served_of
    from flagbench.runners.commands.selection import selection_of
    from flagbench.runners.rankings.sources import RunFiles
    from flagbench.runners.request import RunRequest, default_store

    points = points_of(options)
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
        for model in mixed_models(options.models, options.mix, any_weights=options.any_weights)
        for overrides in points
    ]


def _evaluate(options: argparse.Namespace) -> int:
    from flagbench.runners.commands.dry_run import check_price, show_dry_run

    check_price(options)
    if options.dry_run:
        return show_dry_run(lambda: requests_of(options), _subject(options), options.price)
    return run_requests(lambda: requests_of(options), _subject(options), getattr(options, "outcome", None))


def run_requests(requests: Callable[[], Sequence[RunRequest]], subject: str, outcome: Outcome | None = None) -> int:
    """Plan and run requests, and show what comes of them.

    Args:
        requests: Makes them; their imports take a while.
        subject: What is evaluated on what, for a line.
        outcome: Takes note of each run, for the program that started the command; None where there is none.

    Returns:
        The exit code.

    Raises:
        BadInput: One of them cannot be carried out.
    """
    from flagbench.runners.commands.imports import import_ahead
    from flagbench.runners.garbage import uncollected

    with notice(f"looking at model, tasks and data: {subject}") as show, uncollected():
        from flagbench.models.loading.resolve import LoadedModels
        from flagbench.results.table import blanks, render, rows
        from flagbench.runners.commands.interrupt import ends_at_once
        from flagbench.runners.commands.points import points_table, size, vectors_line
        from flagbench.runners.commands.show import show_outcomes, show_start
        from flagbench.runners.progress import progress_for
        from flagbench.runners.run import plan
        from flagbench.runners.run.finished import finished_before, unfinished

        plans: list[Plan] = []
        for request in requests():
            plans.append(plan.resolve(request))
            _check_different(plans)
        if any(map(unfinished, plans)):
            show(f"getting ready to score: {subject}")
        import_ahead(plans)
    out, err = console(), console(stderr=True)
    columns: dict[str, tuple[list[Row], list[Row]]] = {}
    sizes: dict[str, str] = {}
    outcomes = []
    if _encodes_again(plans):
        say(err, "--no-store: each point encodes its texts anew; with the embedding cache they are encoded once")
    with LoadedModels() as loaded:
        for each in plans:
            show_start(each, err)
            with progress_for(err, len(unfinished(each))) as progress, ends_at_once(partial(_last_words, progress)):
                finished = finished_before(each, progress) or _run(each, progress, loaded)
            twins = sum(other.name == each.name for other in plans) > 1
            label = f"{each.name}@{each.model.spec.revision[:8]}" if twins else each.name
            columns[label] = rows(finished.records, each.averages)
            sizes[label] = size(finished.records)
            outcomes.append((each, finished))
            if outcome:
                outcome.add(each.store.folder, finished)
    title = plans[0].benchmark.title + (" mini" if plans[0].request.mini else "")
    if any(record.status != "error" for _, finished in outcomes for record in finished.records):
        viewed = any(each.model.spec.view for each in plans)
        out.print(points_table(title, columns, sizes) if viewed and len(plans) > 1 else render(title, columns))
        if viewed and len(plans) == 1:
            say(out, *filter(None, [vectors_line(outcomes[0][1].records)]))
        say(err, *blanks(columns))
    show_outcomes(outcomes, err)
    return max(finished.exit_code for _, finished in outcomes)


def _encodes_again(plans: Sequence[Plan]) -> bool:
    """Whether several plans are of the same vectors, which nothing keeps from one to the next."""
    specs = [plan.model.spec for plan in plans if plan.request.store is None]
    viewed = [spec.as_encoded for spec in specs if spec.view]
    return any(each in viewed[:at] or each in specs for at, each in enumerate(viewed))


def _check_different(plans: Sequence[Plan]) -> None:
    """See that the last of some plans is of another model than those before it, however it is spelled.

    Raises:
        BadInput: Its results would be in the folder of theirs.
    """
    *others, last = plans
    for other in others:
        if other.store.run_file == last.store.run_file:
            first, second = other.request.model, last.request.model
            what = f"{first} is named twice" if first == second else f"{first} and {second} are both {last.name}"
            raise BadInput(f"{what}: name different models")


def _run(plan: Plan, progress: Progress, loaded: LoadedModels) -> Finished:
    from flagbench.runners.run import engine  # what only a run takes: imported ahead

    return engine.run(plan, progress, loaded)


def _last_words(progress: Lines | Bars, _: object) -> None:
    """Say what an interrupted run leaves, on a terminal without bars; at once, also where these cannot be stopped."""
    stopping = threading.Thread(target=progress.close, daemon=True)
    stopping.start()
    stopping.join(_SECONDS_TO_STOP)
    print(f"\r{INTERRUPTED_LINE}", file=sys.stderr, flush=True)


def _validate(options: argparse.Namespace) -> int:
    from flagbench.runners.commands.show import show_plan
    from flagbench.runners.registry import find_benchmark
    from flagbench.runners.run import plan
    from flagbench.runners.run.expected import measured

    code = 0
    plans: list[Plan] = []
    for request in (replace(each, lenient=True) for each in requests_of(options)):
        benchmark = find_benchmark(request.benchmark)
        with notice(f"looking at model, tasks and data: {request.model} on {request.benchmark}"):
            unread = benchmark.unrecognised(request)
            resolved = None if unread and not benchmark.select(request) else plan.resolve(request)
        for each in unread:
            code = max(code, each.exit_code)
            print(f"flagbench: {in_one_line(each)}", file=sys.stderr)
        if resolved is None:
            continue
        plans.append(resolved)
        _check_different(plans)
        show_plan(resolved, console(width=WIDE), measured(resolved))
        for task, error in resolved.faults:
            code = max(code, error.exit_code)
            reason = in_one_line(error).removeprefix(f"{task.name}: ")
            print(f"flagbench: {task.name} cannot run: {reason}", file=sys.stderr)
        if resolved.faults:
            every = len(resolved.steps) + len(resolved.faults)
            print(f"flagbench: {plan.without_data(resolved.faults, every)}", file=sys.stderr)
        if _faulty_rows(resolved):
            code = BadData.exit_code
    return code


def _faulty_rows(resolved: Plan) -> bool:
    """Show all faults of the rows of a plan, of a benchmark that looks for them; True where there are any."""
    from flagbench.runners.benchmark import Benchmark

    faulty = False
    for step in resolved.steps:
        with notice(f"checking the rows of {step.task.name}"):
            lines = list(resolved.benchmark.faults(step.task, resolved.snapshots, resolved.request))
        for line in lines:
            print(f"flagbench: {printable(line)}", file=sys.stderr)
        faulty = faulty or bool(lines)
    if resolved.steps and not faulty and type(resolved.benchmark).faults is not Benchmark.faults:
        say(console(), "rows      no faults")
    return faulty


def _subject(options: argparse.Namespace) -> str:
    """What is evaluated on what, for a line."""
    return f"{', '.join(options.models)} on {options.benchmark}"
