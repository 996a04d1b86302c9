"""``flagbench speed``: what a model costs in use. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from flagbench import BadInput, ModelFault, counted
from flagbench.files import MIB
from flagbench.flags import add_flag, flags_of, numbers, real
from flagbench.flags import positive as whole
from flagbench.runners.arguments import add_device, add_examples, any_path, positive, seconds
from flagbench.runners.commands.notice import notice
from flagbench.runners.commands.parser import Parser
from flagbench.runners.served import ServedOptions
from flagbench.runners.terminal import console, say

if TYPE_CHECKING:
    from flagbench.results.speed import Level, Speed
    from flagbench.runners.request import RunRequest
    from flagbench.runners.run.plan import Plan
    from flagbench.runners.speed.levels import Settings
    from flagbench.runners.speed.workload import Workload

_ROLES = ("all", "query", "passage", "symmetric")
_CONCURRENCY, _SECONDS, _REPEATS = (1, 8, 32), 60.0, 5
_MOST_CONCURRENT, _MOST_RATE, _MOST_REPEATS, _MOST_LEVELS = 4_096, 100_000.0, 100, 16
_SHORTEST = 0.1
"""Seconds of a repeat."""

_REPLY = 2 * MIB
"""Of a reply for each text of its request, as there may be thousands at the same time: 16,384 numbers are some 0.4 MiB,
and a sparse vector of 30,000 weights is 1.2 MiB."""

_NOT_MEASURED = frozenset({"concurrency", "reranker_api_base", "reranker_api_kind", "reranker_api_model"})
"""Flags of servers that have another meaning here, or none."""

_EXAMPLES = (
    "flagbench speed BAAI/bge-small-zh-v1.5",
    "flagbench speed BAAI/bge-m3 --api-base http://localhost:8000/v1 --concurrency 1,8,32,128",
    "flagbench speed BAAI/bge-m3 --api-base http://localhost:8000/v1 --role query --rate 20,50,100",
    "flagbench speed ./checkpoint --benchmark beir --tasks SciFact --data ./data --seconds 120",
)


def add_speed(parser: Parser, arguments: Sequence[str]) -> None:
    """Add the flags of ``flagbench speed``."""
    from dataclasses import replace

    from flagbench.models.contract import BACKENDS
    from flagbench.runners.commands.options import add_model_options, takes_served
    from flagbench.runners.commands.selection import add_benchmark_flags, add_selection_flags, benchmark_of
    from flagbench.runners.request import RunRequest

    benchmark = benchmark_of(arguments)
    add_examples(parser, *_EXAMPLES)
    parser.add_argument(
        "models",
        nargs=1 if parser.complete else "*",
        metavar="MODEL",
        help="folder of a checkpoint, or hub id org/name",
    )
    what = add_selection_flags(parser, arguments)
    what.add_argument(
        "--mini",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="send texts of the miniature data that ships with FlagBench (default: yes, without --data)",
    )
    what.add_argument(
        "--role", choices=_ROLES, default="all", help="role of the texts that an embedder is sent (default all)"
    )
    _add_load(parser.add_argument_group("load"))
    where = parser.add_argument_group("where")
    where.add_argument(
        "--data", type=any_path, metavar="DIR", help="folder of local snapshots DIR/<org>/<repo>/ (default: --mini)"
    )
    where.add_argument(
        "--output",
        type=any_path,
        default=RunRequest.output,
        metavar="DIR",
        help=f"results folder, in which speed.json goes beside the model's results (default {RunRequest.output})",
    )
    where.add_argument("--overwrite", action="store_true", help="measure again what was measured (default off)")
    add_device(where)
    where.add_argument(
        "--backend", choices=BACKENDS, help="matrix backend (default: torch or oneDNN, the faster exact one)"
    )
    add_model_options(parser)
    if takes_served(benchmark):
        group = parser.add_argument_group("embedders and rerankers behind a server (docs/served.md)")
        for each in flags_of(ServedOptions):
            if each.field == "reply_size":
                each = replace(each, shown=f"{_REPLY // MIB}MiB for each text of a request, up to {each.shown}")
            if each.field not in _NOT_MEASURED:
                add_flag(group, each)
    add_benchmark_flags(parser, arguments, benchmark)
    parser.set_defaults(run=_speed, caches=True)


def _add_load(load: argparse._ArgumentGroup) -> None:
    levels = load.add_mutually_exclusive_group()
    levels.add_argument(
        "--concurrency",
        dest="at_once",
        type=concurrencies,
        default=_CONCURRENCY,
        metavar="A,B",
        help="requests at the same time, measured one after the other; to a model on this machine they are one batch "
        f"(default {','.join(map(str, _CONCURRENCY))})",
    )
    levels.add_argument(
        "--rate",
        dest="rates",
        type=rates,
        default=(),
        metavar="A,B",
        help="requests that come in a second, whatever has been answered; latency counts from when each was due "
        "(default: each client sends when it has its answer)",
    )
    load.add_argument(
        "--batch-size",
        type=positive,
        metavar="N",
        help="texts of a request to a server (default 1); of a model on this machine texts per forward pass (default: "
        "by tokens)",
    )
    load.add_argument(
        "--seconds",
        type=seconds,
        default=_SECONDS,
        metavar="N",
        help=f"seconds of all measurements together, warm-up among them (default {_SECONDS:g})",
    )
    load.add_argument(
        "--repeats",
        type=repeats,
        default=_REPEATS,
        metavar="N",
        help=f"parts of each measurement, over which intervals are (default {_REPEATS})",
    )


def concurrencies(text: str) -> tuple[int, ...]:
    """Numbers of requests at the same time, with commas between them."""
    found = numbers(text)
    if max(found) > _MOST_CONCURRENT or len(found) > _MOST_LEVELS:
        raise argparse.ArgumentTypeError(
            f"expected up to {_MOST_LEVELS} numbers from 1 to {_MOST_CONCURRENT:,}, not '{text:.40}'"
        )
    return found


def rates(text: str) -> tuple[float, ...]:
    """Requests a second, with commas between them."""
    try:
        found = tuple(dict.fromkeys(real(each) for each in text.split(",")))
    except ValueError:
        found = ()
    if not found or len(found) > _MOST_LEVELS or not all(0 < each <= _MOST_RATE for each in found):
        raise argparse.ArgumentTypeError(
            f"expected up to {_MOST_LEVELS} numbers of requests a second, such as 10,50, not '{text:.40}'"
        )
    return found


def repeats(text: str) -> int:
    """A number of repeats, of which an interval takes two."""
    found = whole(text)
    if not 2 <= found <= _MOST_REPEATS:
        raise argparse.ArgumentTypeError(f"expected a number from 2 to {_MOST_REPEATS}, not '{text:.40}'")
    return found


def _request(options: argparse.Namespace) -> RunRequest:
    """The run whose texts are sent.

    Raises:
        BadInput: Options contradict one another.
    """
    from dataclasses import replace

    from flagbench.runners.commands.options import overrides_of, served_of
    from flagbench.runners.commands.selection import selection_of
    from flagbench.runners.request import RunRequest

    (model,) = options.models
    if model.startswith(("http://", "https://")):
        raise BadInput(f"MODEL is the model's name, by which its settings are known: say --api-base {model}")
    if options.query_mix:
        raise BadInput("--query-mix mixes vectors that are there: it costs the model nothing, drop it")
    overrides = overrides_of(options)
    if overrides.results > 1:
        raise BadInput("speed is measured of one model at a time, and several cutoff layers are as many: give one")
    served = served_of(options, options.benchmark)
    if served:
        largest = options.reply_size or min(served.reply_size, _REPLY * (options.batch_size or 1))
        served = replace(served, concurrency=max(_levels(options)), reply_size=largest)
    return RunRequest(
        model=model,
        **selection_of(options),
        mini=options.data is None if options.mini is None else options.mini,
        data=options.data,
        output=options.output,
        revision=options.revision,
        device=options.device,
        batch_size=options.batch_size,
        backend=options.backend,
        overrides=overrides,
        served=served,
        trust_remote_code=options.trust_remote_code,
        allow_pickle=options.allow_pickle,
        overwrite=True,
    )


def _levels(options: argparse.Namespace) -> tuple[int, ...]:
    from flagbench.runners.speed.load import MOST_AT_ONCE

    return (MOST_AT_ONCE,) if options.rates else options.at_once


def _settings(options: argparse.Namespace, plan: Plan) -> Settings:
    """How it is measured.

    Raises:
        BadInput: Its repeats would be too short.
    """
    from flagbench.runners.speed.levels import Settings

    made = Settings(
        concurrency=options.at_once,
        rates=options.rates,
        batch=(options.batch_size or 1) if plan.model.checkpoint is None else 1,
        seconds=options.seconds,
        repeats=options.repeats,
        role=options.role,
    )
    least = _SHORTEST * made.repeats * len(made.levels)
    if made.seconds < least:
        raise BadInput(
            f"--seconds {made.seconds:g} are too few for {counted(made.repeats, 'repeat')} of "
            f"{counted(len(made.levels), 'level')}: give {math.ceil(least)} or more"
        )
    if plan.model.spec.ability == "score" and options.role != "all":
        raise BadInput(f"--role is that of an embedder's texts, and {plan.model.spec.name} scores pairs: drop it")
    return made


def _speed(options: argparse.Namespace) -> int:
    subject = f"{options.models[0]} on texts of {options.benchmark}"
    with notice(f"looking at model, tasks and data: {subject}"):
        from flagbench.results.speed import FILE
        from flagbench.results.store import write_atomic
        from flagbench.runners.commands.interrupt import ends_at_once
        from flagbench.runners.commands.show_speed import show_speed
        from flagbench.runners.progress import Lines
        from flagbench.runners.run import plan as plans
        from flagbench.runners.speed.measure import measure
        from flagbench.runners.speed.workload import check_measurable

        plan = plans.resolve(_request(options))
        check_measurable(plan)
        settings = _settings(options, plan)
        target = plan.store.folder / FILE
        if os.path.lexists(target) and not options.overwrite:
            raise BadInput(f"{target} is there already: measure again with --overwrite, or choose another --output")
    err = console(stderr=True)
    plan.store.prepare()
    try:
        # No bars: what draws them takes the time of what is measured.
        say(err, f"{plan.name} on texts of {plan.benchmark.title}", *(f"  {line}" for line in plan.model.evidence))
        with Lines(err, len(plan.steps) + 1) as progress, ends_at_once(partial(_last_words, plan)):
            found = measure(plan, settings, progress, _Said(plan))
            write_atomic(target, found.to_json())
    except ModelFault as error:  # 1 is the exit code of figures that are there, with failed requests
        raise BadInput(str(error)) from error
    finally:
        plan.store.remove_empty()
        plan.store.release()
    show_speed(found, plan.benchmark.title, console())
    say(console(), f"written   {target}")
    return _clean(found)


def _clean(found: Speed) -> int:
    """The exit code: failed requests are no clean measurement."""
    if not found.failed:
        return 0
    first = next(level.failure for level in found.levels if level.failed)
    every = found.failed + sum(level.requests for level in found.levels)
    say(
        console(stderr=True),
        f"flagbench: {found.failed:,} of {every:,} requests failed, and no latency is theirs: no gate passes these "
        f"figures. The first: {first}",
    )
    return 1


class _Said:
    """Says what is measured as it comes."""

    def __init__(self, plan: Plan) -> None:
        self._console, self._plan = console(stderr=True), plan

    def __call__(self, workload: Workload, level: Level | None) -> None:
        from flagbench.runners.commands.show_speed import level_line, texts_line

        line = texts_line(workload.texts) if level is None else level_line(level, workload.texts)
        say(self._console, f"  {line}")


def _last_words(plan: Plan, _: object) -> None:
    """Say that an interrupted measurement leaves nothing, and leave nothing."""
    plan.store.remove_empty()
    print("\rflagbench: interrupted; nothing was written", file=sys.stderr, flush=True)
