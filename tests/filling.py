"""What the builders of tests/filled.py share: weights by seed, their digest, tokenizers, the files of a checkpoint.

Nothing here depends on the version of transformers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedModel

from tests.checkpoints import LETTERS, write_json


def fill(tensors: Mapping[str, torch.Tensor], seed: int, *, norm: float = 1) -> None:
    """Set every tensor of a state dict from its name, its shape and ``seed``, whatever their order.

    Matrices and biases are uniform with standard deviations of 2 / sqrt(fan in) and 0.1, weights of norms are near
    ``norm``. Uniform, because each of its steps is exact or rounded once, so all processors give the same bits.
    """
    with torch.no_grad():
        for name, tensor in sorted(tensors.items()):
            digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
            deviation = 2 / tensor.shape[1] ** 0.5 if tensor.ndim == 2 else 0.1
            values = (torch.rand(tensor.shape, generator=generator) - 0.5) * (deviation * 12**0.5)
            is_norm = tensor.ndim == 1 and name.endswith("weight")
            tensor.copy_(values + norm if is_norm else values)


def filled_tensors(shapes: Mapping[str, tuple[int, ...]], seed: int, *, norm: float = 1) -> dict[str, torch.Tensor]:
    """Filled tensors of the names and shapes given."""
    tensors = {name: torch.empty(shape) for name, shape in shapes.items()}
    fill(tensors, seed, norm=norm)
    return tensors


def weights_digest(folder: Path) -> str:
    """SHA-256 over name, type, shape and bytes of each tensor in model.safetensors, then of those in ``*.pt`` files."""
    digest = hashlib.sha256()

    def update(tensors: Mapping[str, torch.Tensor], prefix: str = "") -> None:
        for name, tensor in sorted(tensors.items()):
            digest.update(f"{prefix}{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            digest.update(tensor.contiguous().numpy().tobytes())

    update(load_file(folder / "model.safetensors"))
    for path in sorted(folder.glob("*.pt")):
        update(torch.load(path, weights_only=True), f"{path.name}/")
    return digest.hexdigest()


def write_model(
    folder: Path,
    model: PreTrainedModel,
    seed: int,
    backend: Tokenizer,
    tokenizer_config: dict[str, Any],
    *,
    norm: float = 1,
) -> Path:
    """Fill and save a model, and write its tokenizer."""
    fill(model.state_dict(), seed, norm=norm)
    model.eval().save_pretrained(folder)
    return write_tokenizer(folder, backend, tokenizer_config)


def write_tokenizer(folder: Path, backend: Tokenizer, tokenizer_config: dict[str, Any]) -> Path:
    """Write a tokenizer's files by hand, as versions of transformers save them differently."""
    backend.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", tokenizer_config)
    return folder


def write_decoder(
    folder: Path, config: dict[str, Any], seed: int, backend: Tokenizer, tokenizer_config: dict[str, Any]
) -> Path:
    """Write a decoder with a head of one value a layer: files by hand, as transformers has no such architecture.

    The heads are those of ``config["start_layer"]`` and of every layer after it, and of the state after the last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    # Gemma's norms add the 1 themselves.
    tensors = filled_tensors(_decoder_shapes(config), seed, norm=0 if "gemma" in config["model_type"] else 1)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return write_tokenizer(folder, backend, tokenizer_config)


def _decoder_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    width, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    head = config.get("head_dim", width // config["num_attention_heads"])
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    layer: dict[str, tuple[int, ...]] = {
        "self_attn.q_proj": (queries, width),
        "self_attn.k_proj": (keys, width),
        "self_attn.v_proj": (keys, width),
        "self_attn.o_proj": (width, queries),
        "mlp.gate_proj": (inner, width),
        "mlp.up_proj": (inner, width),
        "mlp.down_proj": (width, inner),
        "input_layernorm": (width,),
        "post_attention_layernorm": (width,),
    }
    if "gemma" in config["model_type"]:
        layer |= {"pre_feedforward_layernorm": (width,), "post_feedforward_layernorm": (width,)}
    shapes = {f"model.layers.{row}.{name}.weight": shape for row in range(layers) for name, shape in layer.items()}
    shapes |= {"model.embed_tokens.weight": (config["vocab_size"], width), "model.norm.weight": (width,)}
    heads = layers + 1 - config["start_layer"]
    return shapes | {f"lm_head.{row}.linear_head.weight": (1, width) for row in range(heads)}


def byte_backend(special: list[str], template: str, *, pattern: str = "", words: str = "") -> Tokenizer:
    """One token a byte, after the special tokens; then ``words``, which begin with capitals or follow a space.

    Each word is merged from its left end, so all its beginnings are tokens too. As no merge starts within a word, none
    can get in the way of another.
    """
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    chains = [word if word[0].isupper() else f"Ġ{word}" for word in words.split()]
    merges = dict.fromkeys((word[:end], word[end]) for word in chains for end in range(1, len(word)))
    pieces = [*special, *letters, *("".join(pair) for pair in merges)]
    backend = Tokenizer(models.BPE({piece: row for row, piece in enumerate(pieces)}, list(merges)))
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


def xlmr_backend() -> Tokenizer:
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
    singles = ["▁", *sorted(set(LETTERS) | set("-'\"()：；%"))]
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
