"""bge-en-icl: queries in the form of solved examples, each text built as FlagICLModel builds it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flagbench.models.backbone.room import refuse_without_room
from flagbench.models.contract import Loading, Role
from flagbench.models.embedders import dense
from flagbench.models.embedders.dense import DenseEncoder, Encoded, tokenize
from flagbench.models.spec import ModelSpec

INSTRUCT = "<instruct>"
SUFFIX = "\n<response>"


def tokenize_icl(tokenizer: Any, spec: ModelSpec, texts: Sequence[str], role: Role, instruction: str) -> Encoded:
    """Ids by the steps of ``FlagEmbedding/inference/embedder/decoder_only/icl.py`` (1.4.2).

    The instruction and the query are cut to the query length, decoded again, put between the solved examples and
    ``<response>``, and tokenised once more, with a limit that leaves room for the examples. Passages are plain text.

    Args:
        tokenizer: Of the checkpoint.
        spec: Lengths.
        texts: Queries or passages.
        role: ``passage`` for passages; other texts are queries.
        instruction: ``<instruct>task\\n<query>``, with solved examples of the same form before it in few-shot use.
    """
    if role == "passage" or not texts:
        return tokenize(tokenizer, spec, texts, role, instruction)
    examples, mark, task = instruction.rpartition(INSTRUCT)
    limit = spec.max_length(role)
    room = limit - _count(tokenizer, "<s>") - _count(tokenizer, SUFFIX + "</s>")
    frame = mark + task
    taken = limit - room + _count(tokenizer, frame)
    refuse_without_room(spec, limit, taken, f"the instruction {task[:40]!r} and the form of a query ({taken})")
    bodies = tokenizer([frame + text for text in texts], truncation=True, max_length=room, add_special_tokens=False)[
        "input_ids"
    ]
    whole = [examples + body + SUFFIX for body in tokenizer.batch_decode(bodies)]
    total = (_count(tokenizer, examples) + _count(tokenizer, SUFFIX) + limit + 8) // 8 * 8 + 8
    encoded: Encoded = tokenizer(whole, truncation=True, max_length=total, padding=False)
    return encoded


def _count(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])


def load(spec: ModelSpec, directory: Path, loading: Loading) -> DenseEncoder:
    """See ``dense.load``; texts are built as FlagICLModel builds them."""
    return dense.load(spec, directory, loading, tokenize=tokenize_icl)
