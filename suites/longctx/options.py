"""The flags of long contexts."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from flagbench.flags import flag, positive
from flagbench.runners.arguments import folder, names
from flagbench.runners.generation.server_options import ServerOptions

GROUPS = ("grid", "longbench", "longbench-e", "infinitebench", "ruler", "lm", "mmlu")
Protocol = Literal["flagembedding", "qlora", "official", "flagbench"]
Template = Literal["mistral", "gpt4"]
NewlineEnds = Literal["as-published", "every-task"]

PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
TEMPLATES: tuple[Template, ...] = get_args(Template)
NEWLINE_ENDS: tuple[NewlineEnds, ...] = get_args(NewlineEnds)


OF_ALL = ("protocol", "rows")
"""Options that all kinds of tasks read."""

OF_KIND: Mapping[str, tuple[str, ...]] = {
    "needle": ("lengths", "depths", "haystack"),
    "passkey": ("lengths", "depths", "seed"),
    "topic": ("topics",),
    "lines": ("lines",),
    "longbench": ("context_length", "newline_ends"),
    "infinitebench": ("context_length", "template"),
    "ruler": ("lengths", "seed", "haystack"),
    "perplexity": ("context_length", "stride"),
    "mmlu": ("shots",),
}
"""Options that the tasks of a kind read beside these; all others move no score of theirs."""

SPREAD = frozenset({"needle", "passkey"})
"""Kinds of which a part (``rows``) is spread over the depths."""


def whole(text: str) -> int:
    """A whole number from 0 on."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise argparse.ArgumentTypeError(f"expected a whole number, not '{text}'")
    return int(text)


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers from 1 on with commas between them, the smallest first."""
    return tuple(sorted({positive(each) for each in names(text)}))


def depths(text: str) -> tuple[int, ...]:
    """Places from 0 to 100 with commas between them, the first first."""
    found = tuple(sorted({whole(each) for each in names(text)}))
    if found[-1] > 100:
        raise argparse.ArgumentTypeError(f"expected places in percent, from 0 to 100, not '{found[-1]}'")
    return found


@dataclass(frozen=True)
class LongContextOptions(ServerOptions):
    """Options of a run over long contexts.

    Attributes:
        groups: Groups of tasks; empty for the first.
        protocol: Whose rules make prompts and scores, of a group those tasks that have it; None for the first that each
            task has.
        context_length: Tokens of a prompt at most, where the protocol cuts; None for the protocol's own.
        lengths: Tokens of a grid's contexts, or of RULER's; empty for the protocol's own.
        depths: Places in a grid, in percent; empty for the protocol's own.
        topics: Topics of the records that are asked for the first one; empty for the protocol's own.
        lines: Lines of the records that are asked for the number in one; empty for the protocol's own.
        rows: Samples of each task, or of each of its lengths; None for all that there are, or as many as published.
            Those of needles and passkeys are spread over the depths, all others are the first ones.
        shots: Examples before a question of MMLU.
        stride: Tokens between windows of perplexity, 0 for one window; None for the protocol's own.
        seed: Of everything that is drawn; None for the protocol's own.
        template: Whose prompts InfiniteBench has: YaRN-Mistral's or GPT-4's.
        newline_ends: Which tasks of LongBench a newline ends the answers of: those of the protocol, or every one, as
            FlagEmbedding's evaluation has it for a model whose generation config lists several ends (Llama-3's), since
            it adds the newline to that very list.
        haystack: Text that needles are hidden in; None for that of the data, or the package's own with --mini.
    """

    groups: tuple[str, ...] = flag(
        (), f"groups of tasks: {', '.join(GROUPS)}", shown="grid", metavar="A,B", parse=names, selects=True
    )
    protocol: Protocol | None = flag(
        None,
        "whose rules make prompts and scores: flagembedding (Activation Beacon's), qlora (Llama-3-8B-80K-QLoRA's), "
        "official (the benchmark's authors') or flagbench (where none of these is as it should be); of a group, the "
        "tasks that have it",
        shown="the first that a task has",
        choices=PROTOCOLS,
    )
    context_length: int | None = flag(
        None,
        "tokens of a prompt at most; longer ones lose their middle",
        shown="as the protocol has it",
        metavar="N",
        parse=positive,
    )
    lengths: tuple[int, ...] = flag(
        (), "tokens of the contexts of grids and of RULER", shown="as the protocol has it", metavar="N,N", parse=numbers
    )
    depths: tuple[int, ...] = flag(
        (), "places in the contexts of grids, in percent", shown="as the protocol has it", metavar="N,N", parse=depths
    )
    topics: tuple[int, ...] = flag(
        (), "topics of records that are asked for the first", shown="as published", metavar="N,N", parse=numbers
    )
    lines: tuple[int, ...] = flag(
        (), "lines of records that are asked for the number in one", shown="as published", metavar="N,N", parse=numbers
    )
    rows: int | None = flag(
        None,
        "samples of each task, or of each length of grids and of RULER, those of needles and passkeys spread over the "
        "depths; scores are of a part then",
        shown="all",
        metavar="N",
        parse=positive,
    )
    shots: int = flag(0, "examples before each question of MMLU", shown="0", metavar="N", parse=whole)
    stride: int | None = flag(
        None, "tokens between two windows of perplexity", shown="as the protocol has it", metavar="N", parse=whole
    )
    seed: int | None = flag(
        None, "seed of what is drawn in generated tasks", shown="as the protocol has it", metavar="N", parse=whole
    )
    template: Template = flag(TEMPLATES[0], "whose prompts InfiniteBench has", choices=TEMPLATES)
    newline_ends: NewlineEnds = flag(
        NEWLINE_ENDS[0],
        "tasks of LongBench whose answers end at a newline: those of the protocol, or every one, as FlagEmbedding runs "
        "models whose generation config lists several ends (Llama-3)",
        choices=NEWLINE_ENDS,
    )
    haystack: Path | None = flag(
        None,
        "text file, or folder of *.txt, that needles are hidden in; own or own-zh for FlagBench's",
        shown="that of the data",
        parse=folder,
    )
