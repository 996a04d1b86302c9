"""The flags that set a model, and the overrides that they make."""

from __future__ import annotations

import argparse

from flagbench import BadInput
from flagbench.flags import add_flag, flags_of, given
from flagbench.models.adapters import generator_settings, own_settings, owned_flags
from flagbench.models.loading.mixture_terms import is_mixture
from flagbench.models.loading.overrides import Overrides
from flagbench.models.spec import DTYPES, POOLINGS, is_name
from flagbench.models.view import PRECISIONS, RESCORE_MULTIPLIER, View, views_of
from flagbench.runners.arguments import any_path, dimensions, mix_weights, positive, precisions
from flagbench.runners.benchmark import TEXT_ABILITIES, Benchmark
from flagbench.runners.registry import find_benchmark
from flagbench.runners.served import ServedOptions

_OF_RANKINGS = frozenset(
    {
        *("candidate_run", "reranker", "reranker_max_length", "rerank_top_k", "save_predictions"),
        *("store_size", "store_fp16", "backend"),
        *("pooling", "normalize", "max_length", "lowercase", "query_instruction", "passage_instruction"),
        *("query_mix", "query_mix_weights", "dims", "vectors", "rescore_multiplier"),
    }
)
"""Flags that models which answer prompts have no use for; those of a group of which one alone may be given stay, as
argparse cannot leave out a whole one."""


def add_model_options(command: argparse.ArgumentParser) -> None:
    """Add the settings of the model to a parser."""
    model = command.add_argument_group("model settings (its own: as published, or as the checkpoint's files say)")
    model.add_argument(
        "--revision", metavar="COMMIT", help="commit of a model on the hub (default: the published one, else main)"
    )
    model.add_argument(
        "--name", metavar="ORG/NAME", help="name of the model in results (default: its hub id or folder)"
    )
    model.add_argument(
        "--family",
        metavar="NAME",
        help="family whose settings apply, of those that flagbench models lists (default: detected)",
    )
    model.add_argument("--pooling", choices=POOLINGS, help="pooling of token vectors into one (default: its own)")
    model.add_argument(
        "--normalize",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="whether vectors are L2-normalised (default: its own)",
    )
    model.add_argument("--max-length", type=positive, metavar="N", help="tokens kept per text (default: its own)")
    model.add_argument(
        "--query-instruction",
        metavar="TEXT",
        help="text put before queries of retrieval and reranking tasks (default: its own)",
    )
    model.add_argument(
        "--passage-instruction", metavar="TEXT", help="text put before passages of those tasks (default: its own)"
    )
    model.add_argument(
        "--query-mix",
        type=any_path,
        metavar="FILE",
        help="generations that the vectors of retrieval queries are mixed with, JSON lines with query or query_id, and "
        "generation (default none)",
    )
    model.add_argument(
        "--query-mix-weights",
        type=mix_weights,
        metavar="G,Q",
        help="weights of the generation and of the query (default 0.2,0.8)",
    )
    model.add_argument(
        "--lowercase",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="whether texts are lower-cased (default: its own)",
    )
    model.add_argument(
        "--dtype", choices=DTYPES, help="number format of the weights (default: the family's; fp32 on the processor)"
    )
    model.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="DIR",
        help="folder of a PEFT adapter to merge; may be repeated (default none)",
    )
    model.add_argument(
        "--any-weights",
        action="store_true",
        help="allow a mixture weights that are negative, and a sum other than 1 (default off)",
    )
    model.add_argument(
        "--trust-remote-code", action="store_true", help="run Python code that the checkpoint brings (default off)"
    )
    model.add_argument(
        "--allow-pickle", action="store_true", help="read *.bin, *.pt and *.pth files, which can run code (default off)"
    )
    for kind, flags in owned_flags().items():
        group = command.add_argument_group(kind.title)
        for each in flags:
            add_flag(group, each)


def add_series_options(command: argparse.ArgumentParser) -> None:
    """Add what makes a series of results of one encoding to a parser."""
    series = command.add_argument_group("series: a result for each point, all of one encoding of the texts")
    series.add_argument(
        "--dims",
        type=dimensions,
        metavar="A,B",
        help="first numbers kept of each vector: 64,128,full (default full)",
    )
    series.add_argument(
        "--vectors",
        type=precisions,
        metavar="A,B",
        help=f"precisions of the vectors, of {', '.join(PRECISIONS)} (default fp32)",
    )
    series.add_argument(
        "--rescore-multiplier",
        type=positive,
        metavar="N",
        help=f"passages that binary+rescore rescores for each that is kept (default {RESCORE_MULTIPLIER})",
    )


def takes_served(benchmark: Benchmark) -> bool:
    """Whether the models of a benchmark may be embedders and rerankers behind a server."""
    return not TEXT_ABILITIES.isdisjoint(benchmark.abilities)


def add_served_options(command: argparse.ArgumentParser, benchmark: Benchmark) -> None:
    """Add the flags of servers to a parser, where the benchmark has no flags of its own for those of other models."""
    if takes_served(benchmark):
        group = command.add_argument_group("embedders and rerankers behind a server (docs/served.md)")
        for each in flags_of(ServedOptions):
            add_flag(group, each)


def served_of(options: argparse.Namespace, benchmark: str) -> ServedOptions | None:
    """The servers given; None for none.

    Raises:
        BadInput: There are several models, and a server runs one.
    """
    if not takes_served(find_benchmark(benchmark)):
        return None
    values = given(options, ServedOptions)
    if values and values.keys() & {"api_base"} and len(options.models) > 1:
        raise BadInput("--api-base is the server of one model, and several were given: run them one by one")
    return ServedOptions(**values) if values else None


def points_of(options: argparse.Namespace) -> list[Overrides]:
    """The model settings of each result that is asked of a model.

    Raises:
        BadInput: They contradict one another.
    """
    return list(overrides_of(options).points(_views_of(options)))


def _views_of(options: argparse.Namespace) -> tuple[View | None, ...]:
    vectors = options.vectors or ()
    if options.rescore_multiplier and "binary+rescore" not in vectors:
        raise BadInput("--rescore-multiplier is that of --vectors binary+rescore: add it, or drop the multiplier")
    return views_of(options.dims or (), vectors, options.rescore_multiplier)


def hide_flags_of_rankings(parser: argparse.ArgumentParser) -> None:
    """Leave out of help what only models that embed, score or rank have a use for.

    The flags are understood all the same, and refused where the model is.
    """
    owned = {each.field for kind, flags in owned_flags().items() if kind not in generator_settings() for each in flags}
    for action in parser._actions:
        if action.dest in owned or action.dest in _OF_RANKINGS:
            action.help = argparse.SUPPRESS


def overrides_of(options: argparse.Namespace) -> Overrides:
    """The model settings given.

    Raises:
        BadInput: They contradict one another.
    """
    if len(options.models) > 1 and (options.name or options.revision):
        raise BadInput("--name and --revision belong to one model, and several were given")
    if options.name is not None and not is_name(options.name):
        raise BadInput(f"--name {options.name}: expected the form org/name")
    reranker = getattr(options, "reranker", None) or ""
    mixes = getattr(options, "mix", None) or any(map(is_mixture, (*options.models, reranker)))
    if options.any_weights and not mixes:
        raise BadInput("--any-weights is about the weights of a mixture, and no model is one: drop it")
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
        own={name: value for kind in own_settings() for name, value in given(options, kind).items()},
        adapters=tuple(options.adapter),
        any_weights=options.any_weights,
        query_mix=options.query_mix,
        query_mix_weights=options.query_mix_weights,
    )
