"""The command line: ``flagbench evaluate | validate | tasks | models | cache``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import flagbench
from flagbench import BadInput, FlagbenchError
from models.contract import BACKENDS
from models.overrides import WEIGHTS, Overrides, parse_weights
from models.spec import DTYPES, HEAD_INDEXES, POOLINGS, RETRIEVALS
from runners.benchmark import BENCHMARKS, find_benchmark
from runners.request import ENGINES, RunRequest, default_store, parse_size

if TYPE_CHECKING:
    from rich.console import Console

    from results.table import Row

_WIDTH_WITHOUT_TERMINAL = 140
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
        _add_run_options(command)
    tasks = commands.add_parser("tasks", help="list the tasks of a benchmark")
    tasks.add_argument("--benchmark", default="cmteb", metavar="NAME", help="one of " + ", ".join(BENCHMARKS))
    tasks.set_defaults(run=_tasks)
    models = commands.add_parser("models", help="list the families and the published checkpoints")
    models.set_defaults(run=_models)
    show = models.add_subparsers(metavar="show").add_parser(
        "show", help="what a checkpoint is, and every setting of it"
    )
    show.add_argument("models", nargs="+", metavar="MODEL", help="folder of a checkpoint, or hub id org/name")
    _add_model_options(show)
    show.set_defaults(run=_show)
    cache = commands.add_parser("cache", help="the store of embeddings: what is in it, emptying it, checking it")
    actions = cache.add_subparsers(metavar="info|clear|verify", required=True)
    for name, run, help_ in (
        ("info", _info, "list what is kept"),
        ("clear", _clear, "remove all that is kept"),
        ("verify", _verify, "read every byte, and mend what is damaged"),
    ):
        action = actions.add_parser(name, help=help_)
        _add_store_option(action)
        action.set_defaults(run=run)
    return parser


def _add_run_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("models", nargs="+", metavar="MODEL", help="folder of a checkpoint, or hub id org/name")
    what = command.add_argument_group("what to run")
    what.add_argument("--benchmark", default="cmteb", metavar="NAME", help="cmteb (default) or mteb (any mteb task)")
    what.add_argument("--tasks", type=_names, default=(), metavar="A,B", help="only these tasks")
    what.add_argument("--types", type=_names, default=(), metavar="A,B", help="only these task types (sts,retrieval,…)")
    what.add_argument("--group", metavar="NAME", help="core (default), multilingual, crosslingual or clustering-v2")
    what.add_argument("--subsets", type=_names, default=(), metavar="A,B", help="language subsets of mteb tasks")
    what.add_argument("--mini", action="store_true", help="the miniature data that ships with FlagBench")
    what.add_argument("--overwrite", action="store_true", help="evaluate finished tasks again")
    what.add_argument("--reranker", metavar="MODEL", help="re-rank what the model retrieves (retrieval tasks)")
    what.add_argument("--reranker-max-length", type=_positive, metavar="N", help="tokens of a pair (default 512)")
    what.add_argument("--rerank-top-k", type=_positive, default=RunRequest.rerank_top_k, metavar="N", help="of a query")
    where = command.add_argument_group("where")
    where.add_argument("--data", type=Path, metavar="DIR", help="local snapshots DIR/<org>/<repo>/ instead of the hub")
    where.add_argument("--output", type=Path, default=RunRequest.output, metavar="DIR", help="results folder")
    where.add_argument("--save-predictions", action="store_true", help="keep runs and pair scores (may be large)")
    choice = where.add_mutually_exclusive_group()
    _add_store_option(choice)
    choice.add_argument("--no-store", action="store_true", help="keep no vectors")
    where.add_argument("--store-size", type=_size, metavar="SIZE", help="of the store, at most (default 100GB)")
    where.add_argument("--store-fp16", action="store_true", help="keep half precision, which moves scores slightly")
    device = where.add_mutually_exclusive_group()
    device.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda, cuda:N, mps")
    device.add_argument("--devices", metavar="A,B", help="a worker on each: cuda:0,cuda:1 or cpu:2")
    where.add_argument("--engine", choices=ENGINES, default="local", help="ray: run the model on a Ray cluster")
    where.add_argument("--ray-address", metavar="HOST:PORT", help="of a running cluster (default: one on this machine)")
    where.add_argument("--batch-size", type=_positive, metavar="N", help="texts a forward pass (default: by tokens)")
    where.add_argument("--backend", choices=BACKENDS, help="what multiplies matrices (default: the fastest exact one)")
    _add_model_options(command)


def _add_store_option(command: argparse._ActionsContainer) -> None:
    command.add_argument(
        "--store",
        type=_folder,
        metavar="DIR",
        help="where vectors are kept (default: $FLAGBENCH_STORE, or flagbench/store in $XDG_CACHE_HOME or ~/.cache)",
    )


def _add_model_options(command: argparse.ArgumentParser) -> None:
    model = command.add_argument_group("model settings (default: as published, or as the checkpoint's files say)")
    model.add_argument("--revision", metavar="COMMIT", help="of a model on the hub")
    model.add_argument("--name", metavar="ORG/NAME", help="name of the results folder of a local checkpoint")
    model.add_argument(
        "--family", metavar="NAME", help="settings of a family of models.toml, as flagbench models lists"
    )
    model.add_argument("--pooling", choices=POOLINGS)
    model.add_argument("--normalize", action=argparse.BooleanOptionalAction, default=None, help="L2-normalise vectors")
    model.add_argument("--max-length", type=_positive, metavar="N", help="tokens kept of each text")
    model.add_argument("--query-instruction", metavar="TEXT", help="before queries of retrieval and reranking tasks")
    model.add_argument("--passage-instruction", metavar="TEXT", help="before passages of those tasks")
    model.add_argument("--lowercase", action=argparse.BooleanOptionalAction, default=None, help="lower-case texts")
    model.add_argument("--dtype", choices=DTYPES, help="default: the family's; fp32 on the processor")
    model.add_argument(
        "--adapter", action="append", default=[], metavar="DIR", help="merge a PEFT adapter (may repeat)"
    )
    model.add_argument("--trust-remote-code", action="store_true", help="let code that the checkpoint brings run")
    model.add_argument("--allow-pickle", action="store_true", help="read *.bin and *.pt files, which can run code")
    m3 = command.add_argument_group("BGE-M3")
    m3.add_argument("--retrieval", choices=RETRIEVALS, help="how passages are ranked (default dense)")
    m3.add_argument(
        "--weights",
        type=parse_weights,
        metavar="D,S,M",
        help=f"of dense, sparse and multi-vector scores in hybrid (default 1,0.3,1), or {', '.join(WEIGHTS)}",
    )
    m3.add_argument(
        "--candidates", type=_positive, metavar="N", help="dense candidates for multi-vectors (default 200)"
    )
    decoders = command.add_argument_group("bge-en-icl and pseudo-moe")
    decoders.add_argument(
        "--examples", type=Path, metavar="DIR", help="solved examples <Task>.csv or .jsonl (few-shot)"
    )
    decoders.add_argument(
        "--domain", metavar="NAME", help="expert of a pseudo-moe model: general, coding, reasoning, …"
    )
    rerankers = command.add_argument_group("LLM rerankers (of --reranker, where one is given)")
    rerankers.add_argument("--prompt", metavar="TEXT", help="what the reranker is asked after each pair")
    rerankers.add_argument(
        "--cutoff-layers", type=_layers, metavar="A,B", help="score after these layers, each a result, in one pass"
    )
    rerankers.add_argument(
        "--head-index", choices=HEAD_INDEXES, help="lightweight: head by place in the list (as published) or by layer"
    )
    rerankers.add_argument("--compress-layers", type=_layers, metavar="A,B", help="average passage tokens before these")
    rerankers.add_argument("--compress-ratio", type=_positive, metavar="N", help="tokens of a group: 1, 2, 4 or 8")


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise argparse.ArgumentTypeError("expected names with commas between them")
    return names


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, not '{text}'")
    return value


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _folder(text: str) -> Path:
    try:
        if text:
            return Path(text).expanduser()
    except RuntimeError:
        pass
    raise argparse.ArgumentTypeError(f"expected a folder, not '{text}'")


def _layers(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(_positive(number) for number in text.split(",")))


def _overrides(options: argparse.Namespace) -> Overrides:
    if len(options.models) > 1 and (options.name or options.revision):
        raise BadInput("--name and --revision belong to one model, and several were given")
    if options.name and options.name.count("/") != 1:
        raise BadInput(f"--name {options.name}: expected the form org/name")
    return Overrides(
        pooling=options.pooling,
        normalize=options.normalize,
        max_length=options.max_length,
        query_instruction=options.query_instruction,
        passage_instruction=options.passage_instruction,
        lowercase=options.lowercase,
        dtype=options.dtype,
        family=options.family,
        name=options.name,
        retrieval=options.retrieval,
        weights=options.weights,
        candidates=options.candidates,
        examples=options.examples,
        domain=options.domain,
        prompt=options.prompt,
        cutoff_layers=options.cutoff_layers,
        head_index=options.head_index,
        compress_layers=options.compress_layers,
        compress_ratio=options.compress_ratio,
        adapters=tuple(options.adapter),
    )


def _requests(options: argparse.Namespace) -> list[RunRequest]:
    overrides = _overrides(options)
    if options.no_store and options.store_size:
        raise BadInput("--store-size is about vectors that are kept, and --no-store keeps none: drop one of them")
    store = None if options.no_store else options.store or default_store()
    return [
        RunRequest(
            model=model,
            benchmark=options.benchmark,
            tasks=options.tasks,
            types=options.types,
            group=options.group,
            subsets=options.subsets,
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
            overrides=replace(overrides, cutoff=cutoff),
            reranker=options.reranker,
            reranker_max_length=options.reranker_max_length,
            rerank_top_k=options.rerank_top_k,
            trust_remote_code=options.trust_remote_code,
            allow_pickle=options.allow_pickle,
            overwrite=options.overwrite,
            save_predictions=options.save_predictions,
            store=store,
            store_bytes=options.store_size or RunRequest.store_bytes,
            store_fp16=options.store_fp16,
        )
        for model in options.models
        for cutoff in range(len(overrides.cutoff_layers or [0]))
    ]


def _evaluate(options: argparse.Namespace) -> int:
    from models.resolve import Shelf
    from results.table import render, rows
    from runners import engine, plan
    from runners.interrupt import ends_at_once
    from runners.progress import progress_for
    from runners.report import said_after, said_before

    out, err = _console(), _console(stderr=True)
    plans = [plan.resolve(request) for request in _requests(options)]
    shelf = Shelf()
    columns: dict[str, tuple[list[Row], list[Row]]] = {}
    outcomes = []
    for each in plans:
        said_before(each, err)
        with ends_at_once(lambda _: _last_words(err)), progress_for(err, len(each.steps)) as progress:
            finished = engine.run(each, progress, shelf)
        twins = sum(other.name == each.name for other in plans) > 1
        label = f"{each.name}@{each.model.spec.revision[:8]}" if twins else each.name
        columns[label] = rows(finished.records, each.average_over)
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
    from runners import plan
    from runners.report import show_plan

    for request in _requests(options):
        show_plan(plan.resolve(request), _console())
    return 0


def _tasks(options: argparse.Namespace) -> int:
    from runners.report import show_tasks

    show_tasks(find_benchmark(options.benchmark), _console())
    return 0


def _models(options: argparse.Namespace) -> int:
    from runners.report import show_models

    show_models(_console())
    return 0


def _show(options: argparse.Namespace) -> int:
    from models.resolve import resolve_model
    from runners.report import show_model

    overrides = _overrides(options)
    for name in options.models:
        for cutoff in range(len(overrides.cutoff_layers or [0])):
            model = resolve_model(
                name,
                options.revision,
                replace(overrides, cutoff=cutoff),
                trust_remote_code=options.trust_remote_code,
                allow_pickle=options.allow_pickle,
            )
            show_model(model, _console())
    return 0


def _info(options: argparse.Namespace) -> int:
    from runners.report import show_store
    from runners.upkeep import inventory

    root = options.store or default_store()
    show_store(root, inventory(root), _console())
    return 0


def _clear(options: argparse.Namespace) -> int:
    from runners.report import said_cleared
    from runners.upkeep import clear

    root = options.store or default_store()
    said_cleared(root, clear(root), _console())
    return 0


def _verify(options: argparse.Namespace) -> int:
    from runners.report import show_verified
    from runners.upkeep import verify

    root = options.store or default_store()
    verified = verify(root)
    show_verified(root, verified, _console())
    return 1 if verified.damaged else 0


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    return console
