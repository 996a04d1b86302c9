"""``flagbench cocktail``: the weights of a mixture, by hand or from examples, and the mixture as a checkpoint.

Imported for every --help: nothing heavy here.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flagbench import BadInput, printable
from flagbench.flags import add_flags, given, real
from flagbench.models.loading.mixture_terms import Term, check_terms, written
from flagbench.models.mixing.examples import KINDS, Kind, Rule
from flagbench.runners.arguments import add_device, add_examples, any_path, folder
from flagbench.runners.commands.notice import notice
from flagbench.runners.commands.parser import Parser
from flagbench.runners.terminal import console, say

if TYPE_CHECKING:
    from rich.console import Console

    from flagbench.models.contract import Loading
    from flagbench.models.loading.resolve import Model

_EXAMPLES = (
    "flagbench cocktail BAAI/bge-base-en-v1.5 ./tuned --weights 0.6,0.4 --save ./mixed",
    "flagbench cocktail ./a ./b ./c --from-examples examples.jsonl --negatives 3 --json weights.json",
)


def _weights(text: str) -> tuple[float, ...]:
    try:
        weights = tuple(real(each) for each in text.split(","))
    except ValueError:
        weights = (math.nan,)
    if not all(map(math.isfinite, weights)):
        raise argparse.ArgumentTypeError(f"expected numbers with commas between them, as 0.6,0.4, not '{text:.40}'")
    return weights


def add_cocktail(parser: Parser, _: Sequence[str]) -> None:
    """Add the flags of ``flagbench cocktail``."""
    add_examples(parser, *_EXAMPLES)
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="two or more folders of checkpoints or hub ids, the first one's files",
    )
    weights = parser.add_argument_group("weights").add_mutually_exclusive_group(required=True)
    weights.add_argument(
        "--weights",
        type=_weights,
        metavar="A,B",
        help="weight of each model, in their order (default: --from-examples)",
    )
    weights.add_argument(
        "--from-examples",
        type=any_path,
        metavar="FILE",
        help="examples that the models are weighed by, JSON or JSON lines with query, pos and neg, or input and "
        "output (default: --weights)",
    )
    parser.add_argument(
        "--any-weights", action="store_true", help="allow negative --weights, and a sum other than 1 (default off)"
    )
    parser.add_argument(
        "--kind",
        choices=KINDS,
        help="kind of the models, which decides on the loss (default: by the first one's files)",
    )
    add_flags(parser.add_argument_group("weights from examples"), Rule)
    where = parser.add_argument_group("where")
    where.add_argument(
        "--save",
        type=folder,
        metavar="DIR",
        help="folder for the mixture as a checkpoint, absent or empty (default none)",
    )
    where.add_argument("--json", type=any_path, metavar="FILE", help="file for the result as JSON (default none)")
    where.add_argument("--overwrite", action="store_true", help="replace this file if it exists (default off)")
    add_device(where, "device of the losses")
    parser.add_argument(
        "--trust-remote-code", action="store_true", help="run Python code that the checkpoints bring (default off)"
    )
    parser.add_argument(
        "--allow-pickle", action="store_true", help="read *.bin, *.pt and *.pth files, which can run code (default off)"
    )
    parser.set_defaults(run=_cocktail)


def _cocktail(options: argparse.Namespace) -> int:
    from flagbench.models.contract import Loading
    from flagbench.models.device import resolve_device
    from flagbench.models.mixing.save import check_folder, save_mixture
    from flagbench.results.store import check_target

    check_target("--json", options.json, overwrite=options.overwrite)
    if options.save is not None:
        check_folder(options.save)
    rule = given(options, Rule)
    if options.weights and rule:
        raise BadInput(f"--{next(iter(rule)).replace('_', '-')} belongs to --from-examples: drop it, or --weights")
    loading = Loading(resolve_device(options.device), None, options.trust_remote_code, options.allow_pickle)
    kind = options.kind or _kind(options)
    losses: list[float] = []
    weights, how = options.weights, "with weights by hand"
    if weights is None:
        losses, weights = _weighed(options, kind, rule, loading)
        how = f"with weights from {options.from_examples.name} by the loss of {_LOSS[kind]}"
    if len(weights) != len(options.models):
        raise BadInput(
            f"--weights has {len(weights)} numbers, and there are {len(options.models)} models: give one each"
        )
    terms = [Term(weight, model) for weight, model in zip(weights, options.models, strict=True)]
    check_terms(terms, any_weights=options.any_weights)
    with notice("looking at the models"):
        mixture = _found(written(terms), kind, options, loading)
    out = console()
    for place, (weight, label) in enumerate(mixture.spec.mixture):
        say(out, f"{weight:.6f}  {label}" + (f"  loss {losses[place]:.6f}" if losses else ""))
    allowed = [f"--{name.replace('_', '-')}" for name in _ALLOWED if getattr(options, name)]
    say(out, f"evaluate it with: flagbench evaluate {shlex.join([written(terms), *allowed])}")
    if options.save is not None:
        with notice("mixing the weights"):
            save_mixture(mixture, options.save, loading, how)
        say(out, f"saved in {options.save}")
    _write_json(options.json, mixture, losses, kind, str(options.save) if options.save else None, out)
    return 0


_ALLOWED = ("any_weights", "trust_remote_code", "allow_pickle")
"""Flags without which ``flagbench evaluate`` would refuse what was mixed with them."""

_LOSS = {
    "encoder": "encoders (LM-Cocktail)",
    "decoder": "decoders (LM-Cocktail)",
    "reranker": "rerankers (FlagBench's own)",
}


def _kind(options: argparse.Namespace) -> Kind:
    from flagbench.models.loading.checkpoint import locate
    from flagbench.models.loading.folder import read_config
    from flagbench.models.loading.kinds import kind_of

    first = locate(options.models[0], None, allow_pickle=options.allow_pickle)
    found = kind_of(read_config(first.transformer))
    return "encoder" if found in {"encoder", "two-towers"} else "decoder" if found == "causal" else "reranker"


def _weighed(
    options: argparse.Namespace, kind: Kind, given_rule: dict[str, Any], loading: Loading
) -> tuple[list[float], tuple[float, ...]]:
    """Losses and weights of the models, by the examples; each is loaded once, one after the other."""
    from flagbench.models.mixing.examples import check_losses, read_examples, weights_of
    from flagbench.models.mixing.losses import example_loss

    rule = Rule(**given_rule)
    examples = read_examples(options.from_examples, kind, rule)
    found = {name: _found(name, kind, options, loading) for name in dict.fromkeys(options.models)}
    losses = {}
    for name, model in found.items():
        with notice(f"{printable(name)} on {len(examples)} examples"):
            losses[name] = example_loss(model, kind, examples, rule, loading)
    check_losses(losses)
    each = [losses[name] for name in options.models]
    return each, tuple(weights_of(each, rule.temperature))


def _found(model: str, kind: Kind, options: argparse.Namespace, loading: Loading) -> Model:
    """A model, or a mixture of several, by what it is for."""
    from flagbench.models.loading.overrides import Overrides
    from flagbench.models.loading.resolve import resolve_model
    from flagbench.models.text_models import resolve_text_generator

    allowed = {"trust_remote_code": options.trust_remote_code, "allow_pickle": options.allow_pickle}
    overrides = Overrides(any_weights=options.any_weights)
    if kind == "decoder":
        return resolve_text_generator(model, None, overrides, on_cpu=lambda: loading.device == "cpu", **allowed)
    as_reranker = kind == "reranker"
    return resolve_model(
        model, None, overrides, as_reranker=as_reranker, on_cpu=lambda: loading.device == "cpu", **allowed
    )


def _write_json(
    path: Path | None, mixture: Model, losses: Sequence[float], kind: Kind, saved: str | None, out: Console
) -> None:
    from flagbench.results.store import write_atomic

    if path is None:
        return
    value = {
        "name": mixture.spec.name,
        "revision": mixture.spec.revision,
        "kind": kind,
        "models": [
            {"model": label, "weight": weight} | ({"loss": losses[place]} if losses else {})
            for place, (weight, label) in enumerate(mixture.spec.mixture)
        ],
        "saved": saved,
    }
    write_atomic(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")
    say(out, f"written: {path}")
