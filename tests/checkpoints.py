"""Tiny random checkpoints, built by the tests themselves: real architectures and files, weights that mean nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    Gemma2Config,
    Gemma2Model,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2Model,
    Qwen2Tokenizer,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

_LETTERS = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?，。！？"
    "的一是不了人我在有他这中大来上个国到说们为子和你地出道也时年"
)


def bert_tokenizer(*, lowercase: bool = False) -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer of single characters, with BERT's special tokens on both sides."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = special + sorted(set(_LETTERS)) + [f"##{letter}" for letter in sorted(set(_LETTERS))]
    backend = Tokenizer(models.WordPiece({piece: row for row, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
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
    return folder


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
    return folder


# Checkpoints whose weights and tokenizers do not depend on the version of transformers, for the golden files of
# tests/parity: written by one version with FlagEmbedding beside it, rebuilt bit for bit by the one that is tested.


def fill(model: torch.nn.Module, seed: int) -> None:
    """Set every tensor of a model from its name, its shape and ``seed``, whatever the order they were made in.

    Matrices and biases are uniform with standard deviations of 2 / sqrt(fan in) and 0.1, weights of norms are near 1.
    Uniform, because each of its steps is exact or rounded once, so all processors give the same bits.
    """
    with torch.no_grad():
        for name, tensor in sorted(model.state_dict().items()):
            digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
            deviation = 2 / tensor.shape[1] ** 0.5 if tensor.ndim == 2 else 0.1
            values = (torch.rand(tensor.shape, generator=generator) - 0.5) * (deviation * 12**0.5)
            is_norm = tensor.ndim == 1 and name.endswith("weight")
            tensor.copy_(values + 1 if is_norm else values)


def weights_digest(folder: Path) -> str:
    """SHA-256 over name, type, shape and bytes of each tensor in a checkpoint's model.safetensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(folder / "model.safetensors").items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def write_filled_bert(folder: Path, *, seed: int = 0) -> Path:
    """A two-layer BertModel of 64 positions, without sentence-transformers' files, for ``FlagModel``."""
    backend = bert_tokenizer().backend_tokenizer
    return _write_filled(folder, BertModel(_bert_config(backend), add_pooling_layer=False), seed, backend, _BERT_TOKENS)


def write_filled_qwen2(folder: Path, *, seed: int = 0) -> Path:
    """A two-layer Qwen2Model over bytes, padded left, ``<|endoftext|>`` after each text, for ``FlagLLMModel``."""
    end = "<|endoftext|>"
    backend = _byte_backend([end], f"$A {end}", pattern=_QWEN2_PATTERN)
    config = Qwen2Config(
        vocab_size=backend.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=256,
        bos_token_id=None,
        eos_token_id=backend.token_to_id(end),
        pad_token_id=backend.token_to_id(end),
    )
    tokens = {
        "tokenizer_class": "Qwen2TokenizerFast",
        "bos_token": None,
        "eos_token": end,
        "pad_token": end,
        "unk_token": None,
        "padding_side": "left",
        "model_max_length": 256,
    }
    return _write_filled(folder, Qwen2Model(config), seed, backend, tokens)


def write_filled_gemma2(folder: Path, *, seed: int = 0) -> Path:
    """A two-layer Gemma2Model over bytes, padded left, ``<bos> … <eos>`` around each text, for ``FlagLLMModel``.

    The soft cap of the attention and the sliding window are small enough to matter for texts of a few words.
    """
    backend = _byte_backend(["<pad>", "<eos>", "<bos>", "<unk>"], "<bos> $A <eos>")
    config = Gemma2Config(
        vocab_size=backend.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        query_pre_attn_scalar=8,
        intermediate_size=64,
        max_position_embeddings=256,
        sliding_window=16,
        attn_logit_softcapping=2.0,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    tokens = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "padding_side": "left",
        "model_max_length": 256,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    return _write_filled(folder, Gemma2Model(config), seed, backend, tokens)


def write_bert_reranker(folder: Path, *, seed: int = 0) -> Path:
    """A two-layer BertForSequenceClassification with one label and 64 positions, for ``FlagReranker``."""
    backend = bert_tokenizer().backend_tokenizer
    model = BertForSequenceClassification(_bert_config(backend, num_labels=1))
    return _write_filled(folder, model, seed, backend, _BERT_TOKENS)


def write_xlmr_reranker(folder: Path, *, seed: int = 0) -> Path:
    """A two-layer XLMRobertaForSequenceClassification, one label, lengths up to 64, for ``FlagReranker``."""
    backend = _xlmr_backend()
    config = XLMRobertaConfig(
        vocab_size=backend.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=66,  # positions start after the padding id, 1
        type_vocab_size=1,
        num_labels=1,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )
    tokens = {
        "tokenizer_class": "XLMRobertaTokenizerFast",
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
        "model_max_length": 64,
    }
    return _write_filled(folder, XLMRobertaForSequenceClassification(config), seed, backend, tokens)


_BERT_TOKENS = {
    "tokenizer_class": "BertTokenizerFast",
    "do_lower_case": False,
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
    "model_max_length": 64,
}
_QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _bert_config(backend: Tokenizer, **settings: int) -> BertConfig:
    return BertConfig(
        vocab_size=backend.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        **settings,
    )


def _byte_backend(special: list[str], template: str, *, pattern: str = "") -> Tokenizer:
    """One token a byte, after the special tokens."""
    pieces = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    backend = Tokenizer(models.BPE({piece: row for row, piece in enumerate(pieces)}, []))
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    if pattern:  # what the class of the tokenizer puts there when it does not read it from the file
        backend.normalizer = normalizers.NFC()
        to_bytes = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), to_bytes])
    backend.pre_tokenizer = to_bytes
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(piece, row) for row, piece in enumerate(special) if piece in template]
    )
    backend.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in special])
    return backend


def _xlmr_backend() -> Tokenizer:
    """A Unigram tokenizer of letters and a few longer pieces, with the first ids and the templates of XLM-R."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    longer = [
        "▁the",
        "▁a",
        "▁is",
        "▁what",
        "ing",
        "er",
        "tion",
        "中国",
        "我们",
        "▁wh",
        "at",
        "th",
        "▁。",
        "?!",
        "20",
        "...",
    ]
    singles = ["▁", *sorted(set(_LETTERS) | set("-'\"()：；%"))]
    pieces = [(piece, 0.0) for piece in special]
    pieces += [(piece, -2 - 0.03125 * row) for row, piece in enumerate(longer)]
    pieces += [(piece, -4 - 0.015625 * row) for row, piece in enumerate(singles)]
    pieces.append(("<mask>", 0.0))
    backend = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    backend.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    backend.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in [*special, "<mask>"]])
    return backend


def _write_filled(
    folder: Path, model: PreTrainedModel, seed: int, backend: Tokenizer, tokenizer_config: dict[str, Any]
) -> Path:
    """Fill and save a model; write the tokenizer's files by hand, as versions of transformers save them differently."""
    fill(model, seed)
    model.eval().save_pretrained(folder)
    backend.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", tokenizer_config)
    return folder
