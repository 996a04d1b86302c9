"""Tiny random checkpoints, built by the tests themselves: real architectures and files, weights that mean nothing."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2Model,
    Qwen2Tokenizer,
)

LETTERS = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?，。！？"
    "的一是不了人我在有他这中大来上个国到说们为子和你地出道也时年"
)


def bert_tokenizer(*, lowercase: bool = False) -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer of single characters, with BERT's special tokens on both sides."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = special + sorted(set(LETTERS)) + [f"##{letter}" for letter in sorted(set(LETTERS))]
    backend = Tokenizer(models.WordPiece({piece: row for row, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
    )


def as_transformers_4(folder: Path, name: str) -> Path:
    """Write the settings of a folder's tokenizer as transformers 4 did: its class, and the added tokens once more.

    Args:
        folder: With tokenizer.json and tokenizer_config.json.
        name: Of the class.
    """
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings.pop("backend", None)
    added = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    decoder = {str(token["id"]): {key: token[key] for key in token if key != "id"} for token in added}
    write_json(path, settings | {"added_tokens_decoder": decoder, "tokenizer_class": name})
    return folder


def write_bert(folder: Path, *, seed: int = 0, positions: int = 64, width: int = 32) -> Path:
    """A two-layer BertModel with its tokenizer, as transformers saves them: no sentence-transformers files."""
    tokenizer = bert_tokenizer()
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * width,
        max_position_embeddings=positions,
    )
    # The initial scale of 0.02 would leave all texts nearly alike.
    config.initializer_range = 0.5
    model = BertModel(config, add_pooling_layer=False).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return as_transformers_4(folder, "PreTrainedTokenizerFast")


def add_sentence_transformers(
    folder: Path,
    *,
    pooling: str = "mean",
    normalize: bool = True,
    max_length: int | None = 64,
    prompts: dict[str, str] | None = None,
    lowercase: bool = False,
) -> Path:
    """Write modules.json and the files it names, in sentence-transformers' first form."""
    modules = [("0", "", "Transformer"), ("1", "1_Pooling", "Pooling")]
    modules += [("2", "2_Normalize", "Normalize")] if normalize else []
    write_json(
        folder / "modules.json",
        [
            {"idx": int(name), "name": name, "path": path, "type": f"sentence_transformers.models.{kind}"}
            for name, path, kind in modules
        ],
    )
    keys = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "lasttoken": "lasttoken"}
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    write_json(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": config["hidden_size"]}
        | {f"pooling_mode_{key}": name == pooling for name, key in keys.items()},
    )
    (folder / "2_Normalize").mkdir(exist_ok=True)
    if max_length:
        write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": lowercase})
    write_json(folder / "config_sentence_transformers.json", {"prompts": prompts or {}})
    return folder


def write_json(path: Path, value: object) -> None:
    """Write JSON, making the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def write_byte_qwen2(folder: Path, *, seed: int = 0, padding_side: str = "left", end_token: bool = True) -> Path:
    """A two-layer Qwen2Model over bytes, with the tokenizer class that real Qwen2 checkpoints load.

    With ``end_token`` each text ends with ``<|endoftext|>``, as in Qwen3-Embedding; without it nothing is added, as in
    a plain Qwen2, and an empty text has no tokens at all.
    """
    special = "<|endoftext|>"
    vocabulary = {piece: row for row, piece in enumerate([*sorted(pre_tokenizers.ByteLevel.alphabet()), special])}
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary,
        merges=[],
        padding_side=padding_side,
        pad_token=special,
        eos_token=special,
        unk_token=special,
        model_max_length=256,
    )
    if end_token:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {special}", special_tokens=[(special, vocabulary[special])]
        )
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=256,
        initializer_range=0.5,
    )
    Qwen2Model(config).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return as_transformers_4(folder, "Qwen2Tokenizer")
