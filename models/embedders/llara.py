"""LLARA (Llama2Vec): a text is summarised in eight special tokens, and their states are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flagbench.models.backbone.room import refuse_without_room
from flagbench.models.contract import Loading, Role
from flagbench.models.embedders import dense
from flagbench.models.embedders.dense import DenseEncoder, Encoded
from flagbench.models.spec import ModelSpec

_PREFIX = '"'
_QUERY_SUFFIX = '", predict the following passage within eight words: <s9><s10><s11><s12><s13><s14><s15><s16>'
_PASSAGE_SUFFIX = '", summarize the above passage within eight words: <s1><s2><s3><s4><s5><s6><s7><s8>'


def tokenize_llara(tokenizer: Any, spec: ModelSpec, texts: Sequence[str], role: Role, instruction: str) -> Encoded:
    """Ids piece by piece, as FlagEmbedding's ``research/LLARA/README.md`` builds them.

    The text alone is cut to the length; what stands around it comes on top. A text of a task without queries is
    summarised like a passage. The suffix is tokenised without special tokens, as in the training code, which is the
    README's way wherever the tokenizer adds bos.

    Args:
        tokenizer: Of the checkpoint.
        spec: Lengths.
        texts: Queries or passages.
        role: Which suffix.
        instruction: Prefix of the text, inside the quotation mark.
    """
    suffix = _QUERY_SUFFIX if role == "query" else _PASSAGE_SUFFIX
    start: list[int] = tokenizer(_PREFIX)["input_ids"]
    if start and start[-1] == tokenizer.eos_token_id:  # a tokenizer that ends each text would end it here
        start = start[:-1]
    end: list[int] = tokenizer(suffix, add_special_tokens=False)["input_ids"]
    if instruction:
        taken = len(tokenizer(instruction, add_special_tokens=False)["input_ids"])
        refuse_without_room(spec, spec.max_length(role), taken, f"the instruction {instruction[:40]!r} ({taken})")
    inner: list[list[int]] = (
        tokenizer(
            [instruction + text for text in texts],
            truncation=True,
            max_length=spec.max_length(role),
            add_special_tokens=False,
        )["input_ids"]
        if texts
        else []
    )
    rows = [start + ids + end for ids in inner]
    return {"input_ids": rows, "attention_mask": [[1] * len(row) for row in rows]}


def load(spec: ModelSpec, directory: Path, loading: Loading) -> DenseEncoder:
    """See ``dense.load``; the summary tokens stand last in every row, so it is padded left."""
    return dense.load(spec, directory, loading, tokenize=tokenize_llara, padding_side="left")
