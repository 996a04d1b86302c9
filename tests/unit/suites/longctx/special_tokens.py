"""Tokenizers of three kinds that put special tokens around texts, as the contract has them."""

from __future__ import annotations

import functools

from tests.checkpoints import bert_tokenizer
from tests.filling import byte_backend, xlmr_backend
from tests.unit.suites.longctx.tokenizers_of_three_kinds import Tokens

KINDS = ("bytes", "pieces", "wordpiece")


@functools.cache
def tokens_of(kind: str) -> Tokens:
    """A tokenizer of one of ``KINDS``: one token a byte behind ``<s>``, Unigram and WordPiece between two."""
    if kind == "bytes":
        return Tokens(byte_backend(["<s>", "</s>"], "<s> $A"), kind)
    return Tokens(xlmr_backend() if kind == "pieces" else bert_tokenizer().backend_tokenizer, kind)
