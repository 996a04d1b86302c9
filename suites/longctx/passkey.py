"""Passkey retrieval: five digits, said twice among five sentences that are repeated to a length.

The published test (FlagEmbedding, research/Long_LLM, ``eval_passkey.py``, alike for Activation Beacon and for
Llama-3-8B-80K-QLoRA) has ways of its own, all of which are kept:

* The noise is repeated without a blank between two repeats: ``… back again.The grass …``.
* The noise behind the key does not go on where the noise before it stopped, but begins anew.
* A key is drawn for each cell in the order of the grid, from one generator: the cells of other lengths or depths have
  other keys.
* Ids are decoded to the text of the user's message, which is tokenized again: of a tokenizer that does not give back
  what it took the length may change.
* The first run of digits of an answer is the answer, whatever comes after it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flagbench.models.prompts import Prompt, Text
from flagbench.runners.data.verdict import Content as Digest
from flagbench.suites.longctx.cells import (
    Layout,
    Room,
    asked,
    cell_id,
    cells,
    generated_verdict,
    spread,
    spread_note,
    unlike,
)
from flagbench.suites.longctx.prompts import filled, prompts
from flagbench.suites.longctx.sample import Answer, Asking, Cell, Content, Metrics, Sample
from flagbench.suites.longctx.scope import as_asked

if TYPE_CHECKING:
    from collections.abc import Callable

    from flagbench.models.contract import Tokens
    from flagbench.runners.data.sources import Source
    from flagbench.suites.longctx.options import LongContextOptions
    from flagbench.suites.longctx.registry import Row

PUBLISHED = Layout(spread(8192, 131_072, 20, rounded=False), spread(0, 100, 10, rounded=False))
SEED = 123
_DIGITS = 5
_MAX_NEW_TOKENS = 50
_TOKENS_A_REPEAT = 10  # fewer than the noise has with any tokenizer of words or parts of them


@dataclass(frozen=True)
class Key:
    """The key of a cell.

    Attributes:
        cell: The cell.
        key: Its digits.
    """

    cell: Cell
    key: str


def asking(row: Row, protocol: str) -> Asking:
    """See ``Kind``."""
    return Asking("text", _MAX_NEW_TOKENS)


def published(row: Row, protocol: str, template: str) -> Mapping[str, Any]:
    """See ``Kind``."""
    return {"lengths": PUBLISHED.lengths, "depths": PUBLISHED.depths, "seed": SEED}


def read(row: Row, source: Source, options: LongContextOptions, fault: Callable[[str], None] | None = None) -> Content:
    """See ``Kind``: the keys are drawn, and nothing is read."""
    from flagbench.runners.data.content import of_columns
    from flagbench.suites.longctx.registry import protocol_of

    seed = SEED if options.seed is None else options.seed
    grid = cells(PUBLISHED, options)
    kept = asked(grid, options.rows)
    keys = [each for each in keys_of(grid, seed) if each.cell in kept]
    lines = unlike(PUBLISHED, options)
    if seed != SEED:
        lines.append(f"the keys are drawn with the seed {seed}, the published ones with {SEED}")
    parts = prompts("passkey")
    content: dict[str, Digest] = {
        "keys": of_columns(
            {
                "length": [each.cell.length for each in keys],
                "depth": [each.cell.depth for each in keys],
                "key": [each.key for each in keys],
            },
            ordered=True,
        ),
        "texts": of_columns({"text": [parts[name] for name in sorted(parts)]}, ordered=True),
    }
    verdict = as_asked(generated_verdict(source, content, lines), len(keys), len(grid), "cells")
    return Content(row, protocol_of(row, options.protocol), options, verdict, keys, spread_note(kept, grid))


def keys_of(grid: Sequence[Cell], seed: int) -> tuple[Key, ...]:
    """The keys of a grid, drawn cell by cell as the published test draws them.

    Args:
        grid: All of its cells, in order.
        seed: Of numpy's default generator.
    """
    import numpy as np

    drawn = np.random.default_rng(seed)
    return tuple(Key(cell, str(drawn.integers(10 ** (_DIGITS - 1), 10**_DIGITS))) for cell in grid)


def ids(content: Content) -> Sequence[str]:
    """See ``Kind``."""
    return [cell_id(each.cell) for each in content.rows]


def samples(content: Content, tokens: Tokens, wanted: Collection[str]) -> Iterator[Sample]:
    """See ``Kind``."""
    parts = prompts("passkey")
    description, question = tokens.encode(parts["description"]), tokens.encode(parts["question"])
    noise: list[int] = []
    length = 0
    for each in content.rows:
        if cell_id(each.cell) not in wanted:
            continue
        if each.cell.length != length:
            length = each.cell.length
            noise = tokens.encode(parts["noise"] * (length // _TOKENS_A_REPEAT))[:length]
        information = tokens.encode(filled(parts["information"], passkey=each.key))
        room = Room(len(description), len(information), len(question))
        room.noise(length)
        at = room.position(each.cell)
        after = length - at - len(information) - len(question)
        whole = [*description, *noise[: at - len(description)], *information, *noise[:after], *question]
        yield Sample(
            id=cell_id(each.cell),
            subset=str(length),
            references=(each.key,),
            prompt=Prompt(parts=(Text(tokens.decode(whole, skip_specials=False)),), form="twice"),
            cell=each.cell,
            facts={"position": at, "tokens": len(whole)},
        )


def score(row: Row, protocol: str, answers: Sequence[Answer]) -> Metrics:
    """See ``Kind``: ``accuracy`` is 1 where the first digits of the answer are the key, ``fuzz`` how much of it is in
    them: 0 to 1, rounded to two decimals.
    """
    from flagbench.suites.longctx.metrics.similarity import ratio

    found = {answer.id: first_digits(answer.text) for answer in answers}
    keys = {answer.id: answer.references[0] for answer in answers}
    return {
        "accuracy": {id_: float(text == keys[id_]) for id_, text in found.items()},
        "fuzz": {id_: round(ratio(text, keys[id_]) / 100, 2) for id_, text in found.items()},
    }


def first_digits(text: str) -> str:
    """The first run of digits of an answer; empty where it has none."""
    digits = re.search(r"\d+", text)
    return digits[0] if digits else ""
