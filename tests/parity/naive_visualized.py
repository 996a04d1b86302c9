"""Visualized-BGE in float64 and numpy, one input at a time, from its published description alone.

Nothing of models/ is used: tokens are cut here, pixels are prepared by plain Pillow, rotations are products of complex
numbers, and weights are read from model.safetensors.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from safetensors.numpy import load_file
from scipy.special import erf
from tokenizers import Tokenizer

from tests.parity.pictures_by_pillow import torchvision_pixels

Array = NDArray[np.float64]

PATCH, GRID, HEAD = 8, 2, 8


class NaiveVisualized:
    """The tiny model of ``tests/visual_checkpoints.py``."""

    def __init__(self, folder: Path) -> None:
        self.weights = {name: each.astype(np.float64) for name, each in load_file(folder / "model.safetensors").items()}
        self.config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.offset = 2 if self.config["model_type"] == "xlm-roberta" else 0

    def ids(self, text: str, most: int) -> list[int]:
        first, *middle, last = self.tokenizer.encode(text).ids
        return [first, *middle[: most - 2], last]

    def text(self, text: str, most: int) -> Array:
        """A text alone: positions begin behind the padding's in XLM-RoBERTa."""
        ids = self.ids(text, most)
        places = [self.offset + number for number in range(len(ids))]
        return self.encoded(np.stack([self.token(each, place) for each, place in zip(ids, places, strict=True)]))

    def image(self, picture: Pillow.Image, text: str, most: int) -> Array:
        """An image, and a text that may be empty: [CLS], the patches, the rest of the text, counted from 0."""
        first, *rest = self.ids(text, most - GRID**2)
        patches = self.patches(torchvision_pixels(picture, PATCH * GRID)) @ self.of("visual_proj.weight").T
        patches = patches + self.of("visual_proj.bias")
        positions = self.of("bge_embeddings.position_embeddings.weight")
        seen = [self.embedded(each + positions[1 + row]) for row, each in enumerate(patches)]
        said = [self.token(each, 1 + len(seen) + row) for row, each in enumerate(rest)]
        return self.encoded(np.stack([self.token(first, 0), *seen, *said]))

    def of(self, name: str) -> Array:
        return self.weights[name]

    def token(self, number: int, place: int) -> Array:
        parts = (("word", number), ("position", place), ("token_type", 0))
        return self.embedded(sum(self.of(f"bge_embeddings.{kind}_embeddings.weight")[row] for kind, row in parts))

    def embedded(self, state: Array) -> Array:
        return self.norm(state, "bge_embeddings.LayerNorm", self.config["layer_norm_eps"])

    def norm(self, states: Array, name: str, epsilon: float) -> Array:
        centred = states - states.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon)
        return scaled * self.of(f"{name}.weight") + self.of(f"{name}.bias")

    def linear(self, states: Array, name: str) -> Array:
        return states @ self.of(f"{name}.weight").T + self.of(f"{name}.bias")

    def encoded(self, states: Array) -> Array:
        """The layers of the text tower, and the unit vector of the first token."""
        for layer in range(self.config["num_hidden_layers"]):
            at = f"bge_encoder.layer.{layer}"
            queries, keys, values = (
                self.linear(states, f"{at}.attention.self.{kind}") for kind in ("query", "key", "value")
            )
            seen = attended(queries, keys, values, self.config["hidden_size"] // self.config["num_attention_heads"])
            states = self.behind(states, seen, f"{at}.attention.output")
            fed = self.linear(states, f"{at}.intermediate.dense")
            states = self.behind(states, fed * (1 + erf(fed / np.sqrt(2))) / 2, f"{at}.output")
        return states[0] / np.sqrt((states[0] ** 2).sum())

    def behind(self, states: Array, made: Array, at: str) -> Array:
        return self.norm(states + self.linear(made, f"{at}.dense"), f"{at}.LayerNorm", self.config["layer_norm_eps"])

    def patches(self, pixels: Array) -> Array:
        """Pixels ``[3, side, side]`` to the states of the patches before the final norm."""
        at = "model_visual.visual."
        filters = self.of(f"{at}patch_embed.proj.weight")
        states = [self.of(f"{at}cls_token")[0, 0]]
        for row in range(GRID):
            for column in range(GRID):
                patch = pixels[:, row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH]
                states.append((filters * patch).sum(axis=(1, 2, 3)) + self.of(f"{at}patch_embed.proj.bias"))
        found = np.stack(states) + self.of(f"{at}pos_embed")[0]
        layer = 0
        while f"{at}blocks.{layer}.norm1.weight" in self.weights:
            found = self.block(found, f"{at}blocks.{layer}")
            layer += 1
        return found[1:]

    def block(self, states: Array, at: str) -> Array:
        given = self.norm(states, f"{at}.norm1", 1e-6)
        queries = given @ self.of(f"{at}.attn.q_proj.weight").T + self.of(f"{at}.attn.q_bias")
        keys = given @ self.of(f"{at}.attn.k_proj.weight").T
        values = given @ self.of(f"{at}.attn.v_proj.weight").T + self.of(f"{at}.attn.v_bias")
        seen = self.norm(attended(rotated(queries), rotated(keys), values, HEAD), f"{at}.attn.inner_attn_ln", 1e-6)
        states = states + self.linear(seen, f"{at}.attn.proj")
        given = self.norm(states, f"{at}.norm2", 1e-6)
        gate, up = self.linear(given, f"{at}.mlp.w1"), self.linear(given, f"{at}.mlp.w2")
        fed = self.norm(gate / (1 + np.exp(-gate)) * up, f"{at}.mlp.ffn_ln", 1e-6)
        return states + self.linear(fed, f"{at}.mlp.w3")


def attended(queries: Array, keys: Array, values: Array, head: int) -> Array:
    """Softmax attention, head by head."""
    found = np.empty_like(values)
    for start in range(0, values.shape[1], head):
        part = slice(start, start + head)
        scores = queries[:, part] @ keys[:, part].T / np.sqrt(head)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        found[:, part] = weights / weights.sum(axis=1, keepdims=True) @ values[:, part]
    return found


def rotated(states: Array) -> Array:
    """Queries or keys with every pair of adjacent numbers of a patch turned: CLS, the first row, stays."""
    half = HEAD // 2
    found = states.copy()
    for patch in range(GRID * GRID):
        places = [(patch // GRID) / GRID * 16] * (half // 2) + [(patch % GRID) / GRID * 16] * (half // 2)
        turns = [place * 10000.0 ** (-2 * (pair % (half // 2)) / half) for pair, place in enumerate(places)]
        for start in range(0, states.shape[1], HEAD):
            pairs = states[1 + patch, start : start + HEAD : 2] + 1j * states[1 + patch, start + 1 : start + HEAD : 2]
            pairs = pairs * np.exp(1j * np.array(turns))
            found[1 + patch, start : start + HEAD : 2] = pairs.real
            found[1 + patch, start + 1 : start + HEAD : 2] = pairs.imag
    return found
