"""How probable a language model finds texts: the loss over windows that move along each of them.

The rules are those of FlagEmbedding's ``research/Long_LLM/activation_beacon`` (main/eval_lm.py, src/modeling_utils.py).
A text's tokens are read in windows that begin every ``stride`` tokens, each with the token that begins a text before
it where the tokenizer has one, and of each window only the tokens that no window before it had are scored. A text's
loss is the mean of its windows' mean losses, weighted by their scored tokens; the texts' losses are averaged, and the
perplexity is the exponential of that.

The first token of a window has nothing before it, and so no prediction. Where it is one of those to be scored (without
a token that begins a text, or where the stride is longer than a window), ``flagembedding`` counts it in the weight of
its window all the same, as its authors do; ``flagbench`` counts the tokens that had a prediction. Elsewhere both are
equal.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from flagbench import BadData, BadInput, counted
from flagbench.models.contract import Tokens, Window
from flagbench.runners.data.content import of_columns
from flagbench.runners.data.sources import Source
from flagbench.runners.data.verdict import judge
from flagbench.suites.longctx.bundle import bundle_file
from flagbench.suites.longctx.layouts import checked_rows
from flagbench.suites.longctx.options import LongContextOptions
from flagbench.suites.longctx.registry import Row, protocol_of
from flagbench.suites.longctx.sample import Answer, Asking, Content, Metrics, Sample
from flagbench.suites.longctx.scope import as_asked, setting

LOG_LIKELIHOOD = "log_likelihood"
"""Of a text: the mean over its scored tokens of the natural logarithm of their probability."""

_LENGTH, _STRIDE = 100_000, 32_768
"""Tokens of a window, and between two of them, in the published runs of Activation Beacon."""

_TARGETS = "targets"


@dataclass(frozen=True)
class LongText:
    """A text that is read.

    Attributes:
        id: Its number in the data, from 0.
        text: The whole of it.
    """

    id: str
    text: str


@dataclass(frozen=True)
class Span:
    """A window in a text.

    Attributes:
        start: Place of its first token in the text.
        end: Place behind its last.
        targets: Tokens, from its end, that no window before it had.
    """

    start: int
    end: int
    targets: int


def spans(tokens: int, length: int, stride: int) -> list[Span]:
    """The windows over a text.

    Args:
        tokens: Of the text.
        length: Tokens of the text in a window at most.
        stride: Tokens between the beginnings of two windows; 0 for one window alone, so that the rest of a longer text
            is not read.
    """
    found: list[Span] = []
    reached = 0
    for start in range(0, tokens, stride or length):
        end = min(start + length, tokens)
        found.append(Span(start, end, end - reached))
        reached = end
        if end == tokens or not stride:
            break
    return found


def windows(ids: Sequence[int], begin: Sequence[int], length: int, stride: int) -> list[Window]:
    """The same with their tokens, as a model reads them.

    Args:
        ids: Tokens of the text.
        begin: What is put before each window.
        length: Tokens of a window, those before it included.
        stride: See ``spans``.
    """
    made = []
    for span in spans(len(ids), length - len(begin), stride):
        read = (*begin, *ids[span.start : span.end])
        made.append(Window(read, min(span.targets, len(read))))
    return made


def beginning(tokens: Tokens) -> list[int]:
    """The token that a tokenizer begins every text with; none where it has none."""
    bare, whole = tokens.encode("test"), tokens.encode("test", specials=True)
    return whole[:1] if whole[1 : len(bare) + 1] == bare else []


def asking(row: Row, protocol: str) -> Asking:
    """See Kind."""
    return Asking("losses")


def published(row: Row, protocol: str, template: str) -> Mapping[str, Any]:
    """See Kind."""
    return {"context_length": _LENGTH, "stride": _STRIDE, "rows": row.rows or None}


def read(row: Row, source: Source, options: LongContextOptions, fault: Callable[[str], None] | None = None) -> Content:
    """See Kind: the published number of texts, from the first on, or all where that is not known."""
    file = bundle_file(source, f"lm/{row.part}.json")
    texts: list[LongText] = []
    for number, checked in enumerate(itertools.islice(checked_rows(file, fault), row.rows or None)):
        text = checked.text("text")
        if text is not None and not text.strip():
            checked.fault("'text' is empty")
        elif text is not None:
            texts.append(LongText(str(number), text))
    if not texts:
        raise BadData(f"{file.path} has no text: put one there, a JSON object with the key text in each line")
    lines = [f"texts: {len(texts):,} instead of {row.rows:,}"] if row.rows and len(texts) != row.rows else []
    found = {row.part: of_columns({"text": [each.text for each in texts]}, ordered=True)}
    verdict = judge(found, lines if row.rows else None, [source], "main", None)
    kept = texts[: options.rows]
    settings = setting("--context-length", options.context_length or _LENGTH, _LENGTH)
    settings += setting("--stride", _STRIDE if options.stride is None else options.stride, _STRIDE)
    verdict = as_asked(verdict, len(kept), len(texts), "texts", settings)
    notes = [f"the first {len(kept):,} of {counted(len(texts), 'text')}"] if len(kept) < len(texts) else []
    return Content(row, protocol_of(row, options.protocol), options, verdict, kept, notes)


def ids(content: Content) -> Sequence[str]:
    """See Kind."""
    return [each.id for each in content.rows]


def samples(content: Content, tokens: Tokens, wanted: Collection[str]) -> Iterator[Sample]:
    """See Kind."""
    options = content.options
    length = options.context_length or _LENGTH
    stride = _STRIDE if options.stride is None else options.stride
    begin = beginning(tokens)
    if length <= len(begin):
        raise BadInput(f"--context-length {length} leaves no room for a text: give a longer one")
    for each in content.rows:
        if each.id not in wanted:
            continue
        made = windows(tokens.encode(each.text), begin, length, stride)
        if not any(min(window.targets, len(window.ids) - 1) > 0 for window in made):
            raise BadInput(
                f"text {each.id} of {content.row.name} has no token that another one precedes in its window: give a "
                "longer text, or a longer --context-length"
            )
        yield Sample(each.id, windows=tuple(made), facts={_TARGETS: [window.targets for window in made]})


def score(row: Row, protocol: str, answers: Sequence[Answer]) -> Metrics:
    """See Kind: the log-likelihood of each text by its id, in nats a token, so that more is better.

    Raises:
        BadData: An answer has other windows than its sample.
    """
    return {LOG_LIKELIHOOD: {each.id: -_loss(each, protocol) for each in answers}}


def perplexity(metrics: Mapping[str, Mapping[str, float]]) -> float:
    """The perplexity over all texts: the exponential of the mean of their losses.

    Args:
        metrics: What ``score`` gave, or the same values of a saved run.

    Returns:
        Infinity where it is beyond all floats.
    """
    try:
        return math.exp(-fmean(metrics[LOG_LIKELIHOOD].values()))
    except OverflowError:
        return math.inf


def remark(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """The perplexity, for people."""
    return f"perplexity {perplexity(metrics):.4f}"


def _loss(answer: Answer, protocol: str) -> float:
    """The loss of a text, in nats a token."""
    parts = list(zip(answer.numbers[::2], answer.numbers[1::2], strict=False))
    targets = answer.facts.get(_TARGETS, [])
    if len(answer.numbers) != 2 * len(targets) or not any(scored > 0 for _, scored in parts):
        raise BadData(f"text {answer.id} has losses of {len(parts)} windows instead of {len(targets)}: read it again")
    weights = targets if protocol == "flagembedding" else [scored for _, scored in parts]
    total = math.fsum(
        nats / scored * weight for (nats, scored), weight in zip(parts, weights, strict=True) if scored > 0
    )
    return total / math.fsum(weights)
