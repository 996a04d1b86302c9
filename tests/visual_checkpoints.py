"""Tiny checkpoints of models of images: Visualized-BGE as published, CLIP and SigLIP as transformers saves them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    SiglipConfig,
    SiglipModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from flagbench.models.pixels import CLIP_MEAN, CLIP_STD
from tests.checkpoints import bert_tokenizer, write_json
from tests.filling import fill, filled_tensors, write_tokenizer, xlmr_backend

_TEXT = {"embeddings.": "bge_embeddings.", "encoder.": "bge_encoder.", "pooler.": "bge_pooler."}
_NORMS = ("norm.weight", "norm1.weight", "norm2.weight", "ln.weight", "LayerNorm.weight")
_BERT = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
_XLMR = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>"}


def rotations(grid: int, head: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cosines and sines of a tower's patches, ``[grid², head]`` each, by the published formula."""
    half = head // 2
    frequencies = np.repeat(10000.0 ** (-2 * np.arange(half // 2) / half), 2)
    places = np.arange(grid) / grid * 16
    rows = np.repeat(places, grid)[:, None] * frequencies
    columns = np.tile(places, grid)[:, None] * frequencies
    angles = np.concatenate([rows, columns], axis=1)
    return np.cos(angles), np.sin(angles)


def tower_shapes(*, width: int, depth: int, inner: int, patch: int, grid: int, out: int = 24) -> dict[str, Any]:
    """Shapes of a vision tower's tensors, but for the rotations."""
    block: dict[str, tuple[int, ...]] = {
        **{f"norm{number}.{kind}": (width,) for number in (1, 2) for kind in ("weight", "bias")},
        **{f"attn.{name}_proj.weight": (width, width) for name in "qkv"},
        **{f"attn.{name}_bias": (width,) for name in "qv"},
        **{f"attn.inner_attn_ln.{kind}": (width,) for kind in ("weight", "bias")},
        "attn.proj.weight": (width, width),
        "attn.proj.bias": (width,),
        **{f"mlp.{name}.weight": (inner, width) for name in ("w1", "w2")},
        **{f"mlp.{name}.bias": (inner,) for name in ("w1", "w2")},
        **{f"mlp.ffn_ln.{kind}": (inner,) for kind in ("weight", "bias")},
        "mlp.w3.weight": (width, inner),
        "mlp.w3.bias": (width,),
    }
    return {
        "cls_token": (1, 1, width),
        "pos_embed": (1, grid * grid + 1, width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        **{f"blocks.{layer}.{name}": shape for layer in range(depth) for name, shape in block.items()},
        **{f"norm.{kind}": (width,) for kind in ("weight", "bias")},
        "head.weight": (out, width),
        "head.bias": (out,),
    }


def write_visualized(
    folder: Path, *, kind: str = "base", seed: int = 0, pickled: str = "", positions: int = 64, depth: int = 2
) -> Path:
    """A tiny Visualized-BGE: a text tower over letters, and a vision tower of 4 patches of 8 pixels.

    Args:
        folder: To write into.
        kind: ``base`` has a BERT, ``m3`` an XLM-RoBERTa as its text tower.
        seed: Of the weights.
        pickled: Name of the published form's file; empty for model.safetensors.
        positions: Tokens that the text tower has positions for.
        depth: Layers of the vision tower.
    """
    text = _bert(positions) if kind == "base" else _xlmr(positions)
    fill(text.state_dict(), seed)
    text.config.save_pretrained(folder)
    state = {_renamed(name): tensor for name, tensor in text.state_dict().items()}
    hidden = text.config.hidden_size
    shapes = tower_shapes(width=24, depth=depth, inner=40, patch=8, grid=2)
    vision = filled_tensors({f"model_visual.visual.{name}": shape for name, shape in shapes.items()}, seed)
    projection = filled_tensors({"visual_proj.weight": (hidden, 24), "visual_proj.bias": (hidden,)}, seed)
    state |= vision | projection | with_rotations(depth, 2, 8) | {"model_visual.logit_scale": torch.tensor(4.6)}
    if pickled:
        torch.save(state, folder / pickled)
    else:
        save_file({name: each.contiguous() for name, each in state.items()}, folder / "model.safetensors")
    if kind == "base":
        return write_tokenizer(
            folder,
            bert_tokenizer().backend_tokenizer,
            _BERT | {"tokenizer_class": "BertTokenizer", "do_lower_case": False},
        )
    return write_tokenizer(folder, xlmr_backend(), _XLMR | {"tokenizer_class": "XLMRobertaTokenizer"})


def with_rotations(depth: int, grid: int, head: int) -> dict[str, torch.Tensor]:
    """The rotations of a tower, and their copies in each of its layers, as the published files have them."""
    cosines, sines = (torch.tensor(each, dtype=torch.float32) for each in rotations(grid, head))
    places = ["", *(f"blocks.{layer}.attn." for layer in range(depth))]
    named = {f"model_visual.visual.{place}rope.freqs_cos": cosines.clone() for place in places}
    return named | {f"model_visual.visual.{place}rope.freqs_sin": sines.clone() for place in places}


def write_golden_visualized(folder: Path, kind: str, keys: Mapping[str, Sequence[int]]) -> Path:
    """The model of goldens/visualized.json, whose weights follow from their names; words are ``<0>`` to ``<39>``.

    Args:
        folder: To write into.
        kind: ``base`` or ``m3``.
        keys: Shapes by name.
    """
    state = {}
    for name, shape in keys.items():
        if ".freqs_" not in name:
            values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape) * 0.05
            state[name] = torch.tensor(np.asarray(values + name.endswith(_NORMS), dtype=np.float32))
    state |= with_rotations(2, 4, 16)
    assert state.keys() == keys.keys()
    sizes: dict[str, Any] = {"vocab_size": 40, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"intermediate_size": 128}
    if kind == "base":
        config: Any = BertConfig(**sizes, max_position_embeddings=64)
    else:
        config = XLMRobertaConfig(
            **sizes,
            max_position_embeddings=66,
            type_vocab_size=1,
            pad_token_id=1,
            bos_token_id=0,
            eos_token_id=2,
            layer_norm_eps=1e-5,
        )
    config.save_pretrained(folder)
    torch.save(state, folder / "Visualized_tiny.pth")
    first, pad = ("<1>", "<0>") if kind == "base" else ("<0>", "<1>")
    backend = Tokenizer(models.WordLevel({f"<{number}>": number for number in range(40)}, unk_token="<3>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = [(token, int(token[1])) for token in (first, "<2>")]
    backend.post_processor = processors.TemplateProcessing(single=f"{first} $A <2>", special_tokens=special)
    tokens = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": pad, "unk_token": "<3>"}
    return write_tokenizer(folder, backend, tokens | {"cls_token": first, "sep_token": "<2>"})


def _renamed(name: str) -> str:
    prefix = next(each for each in _TEXT if name.startswith(each))
    return _TEXT[prefix] + name.removeprefix(prefix)


def _bert(positions: int) -> BertModel:
    size = bert_tokenizer().backend_tokenizer.get_vocab_size()
    return BertModel(BertConfig(**_sizes(size), max_position_embeddings=positions)).eval()


def _xlmr(positions: int) -> XLMRobertaModel:
    size = xlmr_backend().get_vocab_size()
    special: dict[str, int] = {"type_vocab_size": 1, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
    config = XLMRobertaConfig(**_sizes(size), **special, max_position_embeddings=positions + 2, layer_norm_eps=1e-5)
    return XLMRobertaModel(config).eval()


def _sizes(vocabulary: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    }


def clip_backend() -> Tokenizer:
    """Bytes after CLIP's own normalisation, in lower case, each between the tokens of a text's two ends."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: row for row, piece in enumerate(pieces)}
    backend = Tokenizer(models.BPE(vocabulary, [], end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    backend.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    pattern = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    end, start = ((piece, vocabulary[piece]) for piece in ("<|endoftext|>", "<|startoftext|>"))
    backend.post_processor = processors.RobertaProcessing(end, start, trim_offsets=False, add_prefix_space=False)
    return backend


def write_clip(folder: Path, *, seed: int = 0, projection: int = 32, architecture: str = "CLIPModel") -> Path:
    """A tiny CLIPModel: 64 text tokens, images of 32 pixels in patches of 8.

    Args:
        folder: To write into.
        seed: Of the weights.
        projection: Numbers of a vector.
        architecture: Of its config.json; that of BGE-VL names code of its own as well.
    """
    backend = clip_backend()
    tower = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    end, start = (backend.token_to_id(piece) for piece in ("<|endoftext|>", "<|startoftext|>"))
    text = {"vocab_size": backend.get_vocab_size(), "max_position_embeddings": 64, "eos_token_id": end}
    text |= {"bos_token_id": start, "pad_token_id": end}
    config = CLIPConfig(
        text_config=tower | text | {"hidden_size": 40},
        vision_config=tower | {"image_size": 32, "patch_size": 8},
        projection_dim=projection,
    )
    model = CLIPModel(config).eval()
    fill(model.state_dict(), seed)
    model.save_pretrained(folder)
    saved = json.loads((folder / "config.json").read_text(encoding="utf-8")) | {"architectures": [architecture]}
    if architecture != "CLIPModel":
        saved["auto_map"] = {"AutoModel": "modeling_MMRet_CLIP.CLIPModel"}
    write_json(folder / "config.json", saved)
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}, "image_std": CLIP_STD}
    write_json(folder / "preprocessor_config.json", _PROCESSOR | size | {"image_mean": CLIP_MEAN})
    tokens = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    tokens |= {"unk_token": "<|endoftext|>", "model_max_length": 64, "tokenizer_class": "CLIPTokenizer"}
    return write_tokenizer(folder, backend, tokens)


def write_siglip(folder: Path, *, seed: int = 0) -> Path:
    """A tiny SiglipModel: 64 text tokens, always padded to all of them, and images of 32 pixels in patches of 8."""
    backend = xlmr_backend()
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    tower = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    text = {"vocab_size": backend.get_vocab_size(), "eos_token_id": 2, "bos_token_id": 0, "pad_token_id": 1}
    config = SiglipConfig(text_config=tower | text, vision_config=tower | {"image_size": 32, "patch_size": 8})
    model = SiglipModel(config).eval()
    fill(model.state_dict(), seed)
    model.save_pretrained(folder)
    size = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    write_json(
        folder / "preprocessor_config.json",
        {key: value for key, value in (_PROCESSOR | size).items() if "crop" not in key}
        | {"image_processor_type": "SiglipImageProcessor"},
    )
    tokens = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "model_max_length": 64}
    tokens |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids"]}
    return write_tokenizer(folder, backend, tokens)


_PROCESSOR: dict[str, Any] = {
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_processor_type": "CLIPImageProcessor",
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
}


_HUB_CODE = """
from PIL import Image
from transformers import AutoTokenizer, BertModel, BertPreTrainedModel


class HubModel(BertPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.post_init()

    def set_processor(self, name):
        self.tokenizer = AutoTokenizer.from_pretrained(name)

    def data_process(self, images=None, text=None, q_or_c=None, task_instruction=None):
        assert q_or_c in SIDES
        seen = ""
        if images is not None:
            with Image.open(images) as picture:
                colours = picture.convert("RGB").resize((1, 1)).getpixel((0, 0))
            seen = " ".join(f"{colour // 16} {colour % 16}" for colour in colours)
        said = f"{q_or_c} {seen} {task_instruction or ''}{text or ''}"
        return self.tokenizer(said, truncation=True, max_length=64, return_tensors="pt")

    def forward(self, output_hidden_states=None, **inputs):
        assert bool(output_hidden_states) is STATES
        states = self.bert(**inputs).last_hidden_state
        return states if STATES else states[:, -1]
"""


def write_hub_code(folder: Path, *, seed: int = 0, states: bool = True) -> Path:
    """A tiny model whose code lies beside it: it reads colours as words.

    Args:
        folder: To write into.
        seed: Of the weights.
        states: Whether it is called as BGE-VL-MLLM, which gives hidden states, or as BGE-VL-Screenshot.
    """
    backend = bert_tokenizer().backend_tokenizer
    model = BertModel(
        BertConfig(**_sizes(backend.get_vocab_size()), max_position_embeddings=64), add_pooling_layer=False
    )
    fill(model.state_dict(), seed)
    model.config.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"architectures": ["HubModel"], "auto_map": {"AutoModel": "modeling_hub.HubModel"}}
    write_json(folder / "config.json", config)
    code = f"SIDES = {('q', 'c') if states else ('query', 'candidate')}\nSTATES = {states}\n"
    (folder / "modeling_hub.py").write_text(code + _HUB_CODE, encoding="utf-8")
    state = {f"bert.{name}": tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return write_tokenizer(folder, backend, _BERT | {"tokenizer_class": "BertTokenizer", "do_lower_case": False})
