"""Tiny models whose weights follow a rule, so that LM-Cocktail's own losses on them are known.

A weight ``key`` of the model ``seed`` is ``RandomState(crc32(str(seed) + key)).standard_normal(shape) * 0.2``, with 1
added in norms; the vocabulary is ``[PAD] [UNK] [CLS] [SEP] <s> </s> w0 … w59``, split on blanks.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, LlamaConfig, PreTrainedTokenizerFast

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "<s>", "</s>")
WORDS = (*SPECIAL, *(f"w{number}" for number in range(60)))
_NORMS = ("LayerNorm.weight", "layernorm.weight", "norm.weight")


def write_bert(folder: Path, seed: int, *, kind: str = "BertModel", **config: Any) -> Path:
    """A two-layer BERT of 64 positions."""
    sizes: dict[str, Any] = {
        "vocab_size": len(WORDS),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
    }
    return _write(folder, getattr(transformers, kind)(BertConfig(**sizes | config)), seed, "[CLS] $A [SEP]")


def write_reranker(folder: Path, seed: int) -> Path:
    """The same with one label."""
    return write_bert(folder, seed, kind="BertForSequenceClassification", num_labels=1)


def write_llama(folder: Path, seed: int, **config: Any) -> Path:
    """A two-layer Llama whose head is not its embeddings, unless asked for."""
    sizes: dict[str, Any] = {
        "vocab_size": len(WORDS),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "bos_token_id": 4,
        "eos_token_id": 5,
        "pad_token_id": 0,
    }
    model = transformers.LlamaForCausalLM(LlamaConfig(**sizes | {"tie_word_embeddings": False} | config))
    return _write(folder, model, seed, "<s> $A")


def _write(folder: Path, model: Any, seed: int, template: str) -> Path:
    values = dict(model.named_parameters())
    with torch.no_grad():
        for key, value in values.items():
            drawn = np.random.RandomState(zlib.crc32(f"{seed}{key}".encode())).standard_normal(value.shape) * 0.2
            value.copy_(torch.tensor(drawn + key.endswith(_NORMS), dtype=torch.float32))
    model.save_pretrained(folder)
    backend = Tokenizer(models.WordLevel({word: row for row, word in enumerate(WORDS)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ends = [(token, WORDS.index(token)) for token in ("[CLS]", "[SEP]", "<s>")]
    pair = "[CLS] $A [SEP] $B:1 [SEP]:1" if "[CLS]" in template else None
    backend.post_processor = processors.TemplateProcessing(single=template, pair=pair, special_tokens=ends)
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", eos_token="</s>", model_max_length=64
    ).save_pretrained(folder)
    return folder
