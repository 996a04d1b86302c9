"""The flags that set a model, and the overrides that they make."""

from __future__ import annotations

import argparse
from pathlib import Path

from flagbench import BadInput
from flagbench.models.loading.overrides import WEIGHTS, Overrides, parse_weights
from flagbench.models.spec import DTYPES, HEAD_INDEXES, POOLINGS, RETRIEVALS
from flagbench.runners.arguments import layers, positive


def add_model_options(command: argparse.ArgumentParser) -> None:
    """Settings of the model."""
    model = command.add_argument_group("model settings (default: as published, or as the checkpoint's files say)")
    model.add_argument("--revision", metavar="COMMIT", help="of a model on the hub")
    model.add_argument("--name", metavar="ORG/NAME", help="name of the results folder of a local checkpoint")
    model.add_argument(
        "--family", metavar="NAME", help="settings of a family of models.toml, as flagbench models lists"
    )
    model.add_argument("--pooling", choices=POOLINGS)
    model.add_argument("--normalize", action=argparse.BooleanOptionalAction, default=None, help="L2-normalise vectors")
    model.add_argument("--max-length", type=positive, metavar="N", help="tokens kept of each text")
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
    m3.add_argument("--candidates", type=positive, metavar="N", help="dense candidates for multi-vectors (default 200)")
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
        "--cutoff-layers", type=layers, metavar="A,B", help="score after these layers, each a result, in one pass"
    )
    rerankers.add_argument(
        "--head-index", choices=HEAD_INDEXES, help="lightweight: head by place in the list (as published) or by layer"
    )
    rerankers.add_argument("--compress-layers", type=layers, metavar="A,B", help="average passage tokens before these")
    rerankers.add_argument("--compress-ratio", type=positive, metavar="N", help="tokens of a group: 1, 2, 4 or 8")


def overrides_of(options: argparse.Namespace) -> Overrides:
    """The model settings given.

    Raises:
        BadInput: They contradict one another.
    """
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
