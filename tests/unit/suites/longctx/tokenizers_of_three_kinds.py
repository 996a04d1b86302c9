"""Small tokenizers of three kinds, trained on a text, as the contract has them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

KINDS = ("byte-level BPE", "WordPiece", "Unigram")

TEXT = """
A harbour wakes before its town does. The first boats come in while the lamps still burn along the quay, and the
people who wait for them speak little. There is a needle of light on the water. Best of all, the ice man says, is a
sunny day in a park after the work is done: sitting, eating, 10293 84756 56473 82910 39485 76102. The grass is green.
The sky is blue. The sun is yellow. Here we go. There and back again. Find the information and memorize it, the pass
key is hidden in the context. I will quiz you about the important thing in San Francisco: what is it? Remember it.
北方的冬天很长，河面结了冰。
"""


@dataclass(frozen=True)
class Tokens:
    """See the contract.

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
def tokens_of(kind: str) -> Tokens:
    """A tokenizer of one of ``KINDS``; WordPiece lower-cases and joins words with blanks: it does not give back all."""
    if kind == "byte-level BPE":
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
        )
    elif kind == "WordPiece":
        backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        backend.normalizer = normalizers.BertNormalizer(lowercase=True)
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=["[UNK]"], show_progress=False)
    else:
        backend = Tokenizer(models.Unigram())
        backend.pre_tokenizer = pre_tokenizers.Metaspace()
        backend.decoder = decoders.Metaspace()
        alphabet = [chr(code) for code in range(33, 127)]
        trainer = trainers.UnigramTrainer(
            vocab_size=400, initial_alphabet=alphabet, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
        )
    backend.train_from_iterator(TEXT.splitlines(), trainer)
    return Tokens(backend, kind)
