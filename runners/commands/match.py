"""``flagbench match``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from flagbench import BadInput, ModelFault
from flagbench.flags import add_flag, flags_of, given, positive, real
from flagbench.models.adapters import generator_settings
from flagbench.runners.arguments import add_device, add_examples, any_path
from flagbench.runners.commands.notice import notice
from flagbench.runners.commands.outputs import written
from flagbench.runners.commands.parser import Parser
from flagbench.runners.served import ServedOptions
from flagbench.runners.terminal import console

if TYPE_CHECKING:
    from flagbench.models.loading.overrides import Overrides
    from flagbench.models.loading.resolve import Model
    from flagbench.models.served.resolve import ServedModel

_NOT_HERE = ("api_base", "reranker_api_base", "reranker_api_kind", "reranker_api_model")
"""Flags of servers that have no use: the address is an argument, and there is one server."""

_WITHOUT_USE = {"dtype", "query_mix", "query_mix_weights", "retrieval", "weights", "candidates", "counted"}
"""Settings of models that move no vector, or that are looked for here."""

_MOST_TOKENS = 131_072
"""Of a text: no embedder or reranker keeps more."""

_EXAMPLES = (
    "flagbench match http://localhost:8000/v1 ./checkpoint",
    "flagbench match http://localhost:8080 BAAI/bge-m3 --api-kind tei --json match.json",
    "flagbench match http://localhost:8080 ./reranker --api-kind tei",
)


def add_match(parser: Parser, _: Sequence[str]) -> None:
    """Add the flags of ``flagbench match``."""
    from flagbench.runners.commands.options import add_model_options

    add_examples(parser, *_EXAMPLES)
    parser.add_argument("url", metavar="URL", help="address of the server; its key is read from FLAGBENCH_API_KEY")
    parser.add_argument(
        "models", metavar="MODEL", help="folder of the checkpoint that the server is to run, or hub id org/name"
    )
    parser.add_argument(
        "--tolerance",
        type=_tolerance,
        metavar="T",
        help="what a cosine may lack of 1, or a score differ by as a part of 1 + the score (default 0.0001, of a "
        "reranker 0.01)",
    )
    parser.add_argument(
        "--longest",
        type=_longest,
        metavar="N",
        help="tokens of the longest text that is sent (default: half more than the checkpoint keeps, up to 2048)",
    )
    parser.add_argument(
        "--json",
        type=any_path,
        metavar="FILE",
        help="file for the report as JSON, which flagbench check takes with --match (default: none)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace this file if it exists (default off)")
    add_device(parser, "device that the checkpoint runs on")
    server = parser.add_argument_group("the server (docs/served.md)")
    for each in flags_of(ServedOptions):
        if each.field not in _NOT_HERE:
            add_flag(server, each)
    add_model_options(parser)
    generators = {each.field for kind in generator_settings() for each in flags_of(kind)}
    for action in parser._actions:  # understood, and refused where they are given
        if action.dest in generators | _WITHOUT_USE:
            action.help = argparse.SUPPRESS
    parser.set_defaults(run=_match, verdict=True, caches=True)


def _longest(text: str) -> int:
    value = positive(text)
    if value > _MOST_TOKENS:
        raise argparse.ArgumentTypeError(f"expected a number of tokens up to {_MOST_TOKENS:,}, not '{text:.40}'")
    return value


def _tolerance(text: str) -> float:
    try:
        value = real(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, not '{text:.40}'")
    return value


def _match(options: argparse.Namespace) -> int:
    from flagbench.results.store import check_target, write_atomic

    check_target("--json", options.json, overwrite=options.overwrite)
    with notice(f"looking at {options.models} and {options.url}") as show:
        from flagbench.models.device import resolve_device
        from flagbench.runners.commands.match_table import show_match
        from flagbench.runners.matching.match import match

        device = resolve_device(options.device)
        allowed = {"trust_remote_code": options.trust_remote_code, "allow_pickle": options.allow_pickle}
        model = _checkpoint(options, device)
        server = _server(options, model).load()
        try:
            report = match(
                model,
                lambda each: each.load(device=device, batch_size=None, **allowed),
                server,
                tolerance=options.tolerance,
                longest=options.longest,
                say=show,
            )
        except ModelFault as error:  # 1 is the exit code of a server that answers, and differs
            raise BadInput(str(error)) from error
        finally:
            server.close()
    show_match(report, console())
    write = [partial(write_atomic, options.json, report.to_json())] if options.json is not None else []
    return written(write, 0 if report.same else 1)


def _checkpoint(options: argparse.Namespace, device: str) -> Model:
    """The checkpoint, in single precision: the server's number format is what is looked for.

    Raises:
        BadInput: There is no such model, it has no files, or gives neither vectors nor scores.
    """
    from dataclasses import replace

    from flagbench.models.loading.resolve import resolve_model

    overrides = _overrides(options)
    model = resolve_model(
        options.models,
        options.revision,
        replace(overrides, dtype="fp32"),
        trust_remote_code=options.trust_remote_code,
        allow_pickle=options.allow_pickle,
        as_reranker=options.api_kind in ("cohere", "jina", "vllm"),
        on_cpu=lambda: device == "cpu",
    )
    if model.spec.ability not in ("encode", "score") or model.checkpoint is None:
        raise BadInput(f"{model.spec.name} has no files to compare a server with: name a checkpoint")
    return model


def _overrides(options: argparse.Namespace) -> Overrides:
    """The settings of the checkpoint that were given.

    Raises:
        BadInput: One is about ranking, or the number format.
    """
    from argparse import Namespace

    from flagbench.runners.commands.options import overrides_of

    if options.dtype:
        raise BadInput("--dtype: the checkpoint runs in fp32 here, so that the server's number format shows: drop it")
    overrides = overrides_of(Namespace(**{**vars(options), "models": [options.models]}))
    if overrides.query_mix or overrides.own.get("retrieval", "dense") != "dense":
        flag = "--query-mix" if overrides.query_mix else "--retrieval"
        raise BadInput(f"{flag} is about ranking, and the vectors of texts are compared: drop it")
    return overrides


def _server(options: argparse.Namespace, model: Model) -> ServedModel:
    """The model behind the server, which gives its vectors as they are.

    Raises:
        BadInput: No server answers there, or its interface has no models of this kind.
    """
    from dataclasses import replace

    from flagbench.models.loading.overrides import Overrides
    from flagbench.models.served.resolve import the_only_model

    served = ServedOptions(**{**given(options, ServedOptions), "api_base": options.url})
    if served.api_model is None:
        only = the_only_model(options.url, served.api_kind, served.rate_limit())
        served = replace(served, api_model=only or options.models)
    scores = model.spec.ability == "score"
    found = served.model(model.spec.name, Overrides(), as_reranker=scores)
    if found.spec.ability != model.spec.ability:
        does, kinds = ("scores pairs", "tei, cohere, jina or vllm") if scores else ("embeds texts", "openai or tei")
        raise BadInput(f"{model.spec.name} {does}, and the server does not: take --api-kind {kinds}")
    return replace(found, spec=replace(found.spec, normalize=False))
