"""Tokenizers of three kinds that put special tokens around texts, as the contract has them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from tests.checkpoints import bert_tokenizer
from tests.filling import byte_backend, xlmr_backend

KINDS = ("bytes", "pieces", "wordpiece")


@dataclass(frozen=True)
class BackendTokens:
    """See ``Tokens`` of the contract.

    Attributes:
        backend: The tokenizer.
        identity: A name.
    """

    backend: Tokenizer
    identity: str

    def encode(self, text: str, *, specials: bool = False) -> list[int]:
        return list(self.backend.encode(text, add_special_tokens=specials).ids)

    def decode(self, ids: Sequence[int], *, skip_specials: bool = True) -> str:
        return str(self.backend.decode(list(ids), skip_special_tokens=skip_specials))


@functools.cache
def tokens_of(kind: str) -> BackendTokens:
    """A tokenizer of one of ``KINDS``: one token a byte behind ``<s>``, Unigram and WordPiece between two."""
    if kind == "bytes":
        return BackendTokens(byte_backend(["<s>", "</s>"], "<s> $A"), kind)
    return BackendTokens(xlmr_backend() if kind == "pieces" else bert_tokenizer().backend_tokenizer, kind)
