"""Checkpoints of random weights in published shapes, with tokenizers and texts, for ``gpu.py``; nothing is downloaded.

A checkpoint is what its makers publish in files: config.json, bf16 safetensors, tokenizer.json, and for embedders the
files of sentence-transformers. Matrices have a deviation of 1 / sqrt(inputs), so that states neither vanish nor
overflow. Tokenizers are real ones over a vocabulary made up here: WordPiece, Unigram or byte-level BPE over words of
syllables whose frequencies fall as 1 / rank, and one token a character for Chinese. The embedding matrix has the
published number of rows; the tokenizer uses the first of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Shape:
    """A model to build.

    Attributes:
        name: Of the published model whose shape it has.
        architecture: Class of transformers.
        tokenizer: ``characters``, ``wordpiece``, ``unigram`` or ``bpe``.
        layers: Layers of the transformer.
        width: Numbers of a hidden state.
        inner: Numbers between the products of a feed-forward.
        heads: Attention heads of queries.
        key_heads: Attention heads of keys and values.
        head: Numbers of one head.
        rows: Rows of the embedding matrix.
        texts: Texts or pairs of ``length`` tokens that are timed.
        length: Tokens kept.
    """

    name: str
    architecture: str
    tokenizer: Literal["characters", "wordpiece", "unigram", "bpe"]
    layers: int
    width: int
    inner: int
    heads: int
    key_heads: int
    head: int
    rows: int
    texts: int
    length: int = 512

    @property
    def decoder(self) -> bool:
        """Whether tokens see only those before them."""
        return self.architecture.startswith(("Qwen2", "Gemma"))

    @property
    def scores(self) -> bool:
        """Whether it scores pairs."""
        return self.architecture.endswith(("ForSequenceClassification", "ForCausalLM"))

    def operations(self, lengths: Sequence[int], *, one_token: bool = False) -> float:
        """Floating-point operations of a forward pass over texts of so many tokens, padding not counted.

        Two a product and an addition: the matrices of all layers for each token, and for each pair of tokens the two
        products of attention (half of them in a decoder). Heads, embeddings and elementwise work are not counted.

        Args:
            lengths: Tokens of each text.
            one_token: The last layer makes keys and values of all tokens, and all else of one.
        """
        keys_values = 2.0 * self.width * self.head * 2 * self.key_heads
        others = 2.0 * (2 * self.width * self.head * self.heads)
        others += 2.0 * self.width * self.inner * (3 if self.decoder else 2)
        attention = 4.0 * self.heads * self.head
        tokens = np.asarray(lengths, dtype=np.float64)
        pairs = (tokens**2).sum() * (0.5 if self.decoder else 1.0)
        whole = (keys_values + others) * tokens.sum() + attention * pairs
        last = keys_values * tokens.sum() + others * len(tokens) + attention * tokens.sum() if one_token else whole
        return float((self.layers - 1) * whole + last)

    def tiny(self) -> Shape:
        """The same architecture, small enough for a processor."""
        keys = 4 if self.key_heads == self.heads else 1
        return replace(
            self, layers=2, width=64, inner=128, heads=4, key_heads=keys, head=16, rows=6_000, texts=4, length=48
        )


# So many texts that a round takes a card of 400 TFLOP/s about 1.5 s at most: of each kind FlagBench runs nearly five
# and a peer four, and all of them have seven minutes.
SHAPES = (
    Shape("bge-large", "BertModel", "wordpiece", 24, 1024, 4096, 16, 16, 64, 30_522, 1_536),
    Shape("bge-m3", "XLMRobertaModel", "unigram", 24, 1024, 4096, 16, 16, 64, 250_002, 1_536),
    Shape("bge-small-zh", "BertModel", "characters", 4, 512, 2048, 8, 8, 64, 21_128, 4_096),
    Shape("bge-base", "BertModel", "wordpiece", 12, 768, 3072, 12, 12, 64, 30_522, 2_048),
    Shape(
        "bge-reranker-large",
        "XLMRobertaForSequenceClassification",
        "unigram",
        24,
        1024,
        4096,
        16,
        16,
        64,
        250_002,
        1_024,
    ),
    Shape("qwen2-1.5b", "Qwen2Model", "bpe", 28, 1536, 8960, 12, 2, 128, 151_936, 256),
    Shape("gemma-2b-reranker", "GemmaForCausalLM", "bpe", 18, 2048, 16384, 8, 1, 256, 256_000, 256),
)


def write_checkpoint(folder: Path, shape: Shape, device: str) -> Path:
    """Write a checkpoint; the weights are drawn on a device and depend on it, the names and the shapes alone."""
    import torch
    import transformers
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    config = _config(shape)
    with torch.device("meta"):
        model = getattr(transformers, shape.architecture)(config, **_without_pooler(shape))
    tensors = {}
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    for name, tensor in model.state_dict().items():
        if name in tied:
            continue
        seed = int.from_bytes(hashlib.sha256(f"{shape.name}/{name}".encode()).digest()[:6], "big")
        generator = torch.Generator(device).manual_seed(seed)
        values = torch.randn(tensor.shape, generator=generator, device=device, dtype=torch.float32)
        if tensor.ndim > 1:
            values *= tensor.shape[-1] ** -0.5
        elif name.endswith("weight"):  # of a norm; Gemma's add the 1 themselves
            values = values * 0.02 + (0.0 if "Gemma" in shape.architecture else 1.0)
        else:
            values *= 0.02
        tensors[name] = values.to(torch.bfloat16).cpu().contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    settings = config.to_dict() | {"architectures": [shape.architecture], "dtype": "bfloat16"}
    _write(folder / "config.json", settings)
    _write_tokenizer(folder, shape)
    if not shape.scores:
        _write_modules(folder, shape)
    return folder


def _without_pooler(shape: Shape) -> dict[str, Any]:
    return {"add_pooling_layer": False} if shape.architecture in {"BertModel", "XLMRobertaModel"} else {}


def _config(shape: Shape) -> Any:
    import transformers

    common: dict[str, Any] = {
        "vocab_size": shape.rows,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.inner,
    }
    if not shape.decoder:
        kind = "XLMRobertaConfig" if shape.architecture.startswith("XLM") else "BertConfig"
        offset = 2 if kind == "XLMRobertaConfig" else 0
        common |= {"max_position_embeddings": shape.length + offset, "type_vocab_size": 1 if offset else 2}
        common |= {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2} if offset else {"pad_token_id": 0}
        return getattr(transformers, kind)(**common, **({"num_labels": 1} if shape.scores else {}))
    common |= {"num_key_value_heads": shape.key_heads, "max_position_embeddings": 8_192}
    common |= {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
    if shape.architecture.startswith("Qwen2"):
        return transformers.Qwen2Config(**common, tie_word_embeddings=False)
    return transformers.GemmaConfig(**common, head_dim=shape.head, tie_word_embeddings=True)


def _write_modules(folder: Path, shape: Shape) -> None:
    names = [("0", "", "Transformer"), ("1", "1_Pooling", "Pooling"), ("2", "2_Normalize", "Normalize")]
    kinds = "sentence_transformers.models."
    _write(
        folder / "modules.json",
        [{"idx": int(name), "name": name, "path": path, "type": kinds + kind} for name, path, kind in names],
    )
    pooling = "lasttoken" if shape.decoder else "cls_token"
    modes = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
    modules = {f"pooling_mode_{mode}": mode == pooling for mode in modes}
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": shape.width} | modules)
    (folder / "2_Normalize").mkdir()
    _write(folder / "sentence_bert_config.json", {"max_seq_length": shape.length, "do_lower_case": False})


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


# Texts

_ONSETS = (*"bcdfghklmnprstvz", "br", "st", "tr", "pl")
_VOWELS, _ENDS = tuple("aeiou"), ("", "", "n", "r", "s")


@cache
def words(count: int) -> tuple[str, ...]:
    """Made-up words of one to four syllables, each once."""
    generator = np.random.default_rng(0)
    syllables = [onset + vowel + end for onset in _ONSETS for vowel in _VOWELS for end in _ENDS]
    made: dict[str, None] = {}
    while len(made) < count:
        drawn = generator.integers(len(syllables), size=(count, 4))
        for parts, length in zip(drawn.tolist(), generator.integers(1, 5, size=count).tolist(), strict=True):
            made.setdefault("".join(syllables[part] for part in parts[:length]))
    return tuple(made)[:count]


def _characters(count: int) -> list[str]:
    return [chr(0x4E00 + number) for number in range(count)]


def _units(shape: Shape) -> list[str]:
    """What texts of a model are made of; the first half are tokens of their own."""
    small = shape.rows < 10_000
    if shape.tokenizer == "characters":
        return _characters(1_000 if small else 6_000)
    return list(words(400 if small else 20_000))


# Words or characters of natural texts: the median of a log-normal distribution, its deviation, the fewest, the most.
QUESTIONS, ABSTRACTS = (10, 0.4, 3, 40), (150, 0.45, 30, 450)


def texts(shape: Shape, count: int, distribution: tuple[int, float, int, int] | None, seed: int) -> list[str]:
    """Distinct texts of words whose frequencies fall as 1 / rank.

    Args:
        shape: Of the model.
        count: Texts.
        distribution: Of their lengths; None for texts that are cut to exactly ``shape.length`` tokens.
        seed: Of what is drawn.
    """
    generator = np.random.default_rng(seed)
    units = np.array(_units(shape), dtype=object)
    chances = 1.0 / (np.arange(len(units)) + 2.7)
    if distribution:
        median, deviation, least, most = distribution
        lengths = np.exp(generator.normal(np.log(median), deviation, count)).round().astype(int).clip(least, most)
    else:
        lengths = np.full(count, shape.length)
    drawn = generator.choice(len(units), size=int(lengths.sum()), p=chances / chances.sum())
    joint = "" if shape.tokenizer == "characters" else " "
    ends = np.cumsum(lengths)
    # The number keeps short texts apart: equal ones are encoded once.
    return [
        f"{joint.join(units[drawn[end - length : end]])} {number}"
        for number, (end, length) in enumerate(zip(ends, lengths, strict=True))
    ]


def _write_tokenizer(folder: Path, shape: Shape) -> None:
    make = {"characters": _wordpiece, "wordpiece": _wordpiece, "unigram": _unigram, "bpe": _byte_level}
    backend, settings = make[shape.tokenizer](_units(shape), shape)
    if backend.get_vocab_size() > shape.rows:
        raise ValueError(f"{shape.name}: {backend.get_vocab_size()} tokens, and {shape.rows} rows of embeddings")
    backend.save(str(folder / "tokenizer.json"))
    limit = {"model_max_length": shape.length, "tokenizer_class": "PreTrainedTokenizerFast"}
    _write(folder / "tokenizer_config.json", settings | limit)


def _wordpiece(units: list[str], shape: Shape) -> tuple[Any, dict[str, Any]]:
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789")
    whole = units if shape.tokenizer == "characters" else units[: len(units) // 2]
    parts = [f"##{onset}{vowel}" for onset in _ONSETS for vowel in _VOWELS]
    pieces = dict.fromkeys([*special, *letters, *(f"##{letter}" for letter in letters), *parts, *whole])
    backend = Tokenizer(models.WordPiece({piece: row for row, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    backend.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in special])
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return backend, dict(zip(names, special, strict=True))


def _unigram(units: list[str], shape: Shape) -> tuple[Any, dict[str, Any]]:
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    whole = units[: len(units) // 2]
    pieces = [(piece, 0.0) for piece in special]
    pieces += [(f"▁{word}", -5.0 - float(np.log(row + 1))) for row, word in enumerate(whole)]
    pieces += [(f"{onset}{vowel}", -12.0) for onset in _ONSETS for vowel in _VOWELS]
    pieces += [(letter, -16.0) for letter in ["▁", *"abcdefghijklmnopqrstuvwxyz0123456789"]]
    backend = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    backend.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in special])
    names = ("bos_token", "pad_token", "eos_token", "unk_token")
    settings: dict[str, Any] = dict(zip(names, special, strict=True))
    return backend, settings | {"cls_token": "<s>", "sep_token": "</s>", "model_input_names": _INPUTS}


def _byte_level(units: list[str], shape: Shape) -> tuple[Any, dict[str, Any]]:
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    spaced = [f"Ġ{word}" for word in units[: len(units) // 2]]
    spaced += ["Yes", "No"]
    merges = dict.fromkeys((word[:end], word[end]) for word in spaced for end in range(1, len(word)))
    pieces = dict.fromkeys([*special, *alphabet, *("".join(pair) for pair in merges)])
    backend = Tokenizer(models.BPE({piece: row for row, piece in enumerate(pieces)}, list(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    # A reranker's texts begin with <bos>, an embedder's end with <eos>.
    template = "<bos> $A" if shape.scores else "$A <eos>"
    backend.post_processor = processors.TemplateProcessing(single=template, special_tokens=[("<bos>", 2), ("<eos>", 1)])
    backend.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in special])
    names = ("pad_token", "eos_token", "bos_token", "unk_token")
    settings: dict[str, Any] = dict(zip(names, special, strict=True))
    return backend, settings | {"padding_side": "left", "model_input_names": _INPUTS}


_INPUTS = ["input_ids", "attention_mask"]
