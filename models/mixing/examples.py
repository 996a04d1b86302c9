"""Weights of a mixture from a few examples of a task: the smaller a model's loss on them, the larger its share.

As LM-Cocktail has it (``compute_weights`` of FlagEmbedding's ``research/LM_Cocktail/LM_Cocktail/utils.py``): the
softmax of ``-loss / temperature`` over the models. Its loss of encoders is contrastive over the vectors of first
tokens, that of decoders the one of the output after the input. It has none of rerankers: theirs is FlagBench's own, the
cross-entropy of the scores of the positive and the negatives of each query.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flagbench import BadInput, printable
from flagbench.files import parse_json, read_text
from flagbench.flags import flag, positive, real
from flagbench.paths import check_there

Kind = Literal["encoder", "decoder", "reranker"]

KINDS: tuple[Kind, ...] = ("encoder", "decoder", "reranker")

SHARPNESS = 0.05
"""What the similarities of the contrastive loss are divided by."""

_FIX = "fix the file of --from-examples"


def _temperature(text: str) -> float:
    try:
        value = real(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, not '{text:.40}'")
    return value


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, not '{text:.40}'")
    return int(text)


@dataclass(frozen=True)
class Rule:
    """How weights come from examples, with FlagEmbedding's defaults.

    Attributes:
        temperature: Losses are divided by it before the softmax.
        batch_size: Examples of a batch; of encoders, all its passages are negatives of its other queries.
        max_input_length: Tokens kept of a text, or of input and output together.
        negatives: Drawn of each example, once for all models.
        seed: Of the draw.
    """

    temperature: float = flag(
        5.0, "number that losses are divided by before the softmax", metavar="T", parse=_temperature
    )
    batch_size: int = flag(2, "examples of a batch", metavar="N", parse=positive)
    max_input_length: int = flag(
        2048, "tokens kept of a text; of decoders, of input and output", metavar="N", parse=positive
    )
    negatives: int = flag(7, "negatives drawn of each example, for encoders and rerankers", metavar="N", parse=positive)
    seed: int = flag(0, "seed of that draw", metavar="N", parse=_seed)


@dataclass(frozen=True)
class Ranked:
    """An example of encoders and rerankers: a query, the passage that it finds, and some that it does not."""

    query: str
    positive: str
    negatives: tuple[str, ...]


@dataclass(frozen=True)
class Written:
    """An example of decoders: an input and the output that is to follow."""

    input: str
    output: str


Example = Ranked | Written


def read_examples(path: Path, kind: Kind, rule: Rule) -> list[Example]:
    """The examples of a file, their negatives drawn.

    Args:
        path: JSON lines, or JSON: a list of examples, or such lists by task. Of encoders and rerankers each has
            ``query``, ``pos`` and ``neg`` (texts), of which the first ``pos`` counts; of decoders ``input`` and
            ``output``.
        kind: Of the models.
        rule: How many negatives are drawn, and how.

    Raises:
        BadInput: It is no such file, or an example has fewer negatives than are drawn.
    """
    drawing = random.Random(rule.seed)
    made = [
        _written(where, row) if kind == "decoder" else _ranked(where, row, rule, drawing) for where, row in _rows(path)
    ]
    if not made:
        raise BadInput(f"{path} has no examples: {_FIX}")
    return made


def weights_of(losses: Sequence[float], temperature: float) -> list[float]:
    """The share of each model by its loss: softmax of ``-loss / temperature``, in fp32.

    Args:
        losses: Of the models, finite.
        temperature: Above 0.
    """
    import torch

    return [float(each) for each in torch.softmax(torch.tensor(losses, dtype=torch.float32) / -temperature, dim=0)]


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    check_there(path, "name the file of examples with --from-examples")
    text = read_text(path, _FIX)
    try:
        value = parse_json(text)
        found = value
        if isinstance(value, dict) and not {"query", "input"} & value.keys():
            found = [each for its in value.values() for each in (its if isinstance(its, list) else [its])]
        rows = list(enumerate(found if isinstance(found, list) else [found], 1))
    except ValueError:
        rows = []
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                rows.append((number, parse_json(line)))
            except ValueError as error:
                raise BadInput(f"{path}, line {number} {error}: {_FIX}") from error
    for number, row in rows:
        where = f"{path}, example {number}"
        if not isinstance(row, dict):
            raise BadInput(f"{where} is no object: {_FIX}")
        yield where, row


def _ranked(where: str, row: Mapping[str, Any], rule: Rule, drawing: random.Random) -> Ranked:
    query, positives, negatives = (row.get(name) for name in ("query", "pos", "neg"))
    for name, value in (("pos", positives), ("neg", negatives)):
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise BadInput(f"{where} has {printable(repr(value)):.60} instead of a list of texts in {name}: {_FIX}")
    if not isinstance(query, str) or not positives:
        raise BadInput(f"{where} has no query and pos: {_FIX}")
    assert isinstance(negatives, list)
    if len(negatives) < rule.negatives:
        raise BadInput(
            f"{where} has {len(negatives)} negatives, and {rule.negatives} are drawn of each: lower --negatives"
        )
    return Ranked(query, positives[0], tuple(drawing.sample(negatives, rule.negatives)))


def _written(where: str, row: Mapping[str, Any]) -> Written:
    values = [row.get(name) for name in ("input", "output")]
    if not all(isinstance(value, str) for value in values):
        raise BadInput(f"{where} has no texts as input and output: {_FIX}")
    return Written(*map(str, values))


def check_losses(losses: Mapping[str, float]) -> None:
    """See that models can be weighed by their losses.

    Raises:
        BadInput: One is no number.
    """
    if odd := next((name for name, loss in losses.items() if not math.isfinite(loss)), None):
        raise BadInput(
            f"the loss of {odd} on the examples is {losses[odd]}, which gives no weight: leave the model out"
        )
