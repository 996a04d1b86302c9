"""CLIP, SigLIP and BGE-VL against a computation in float64, transformers' own classes, and sentence-transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize
from tokenizers import Tokenizer
from transformers import AutoTokenizer, CLIPModel, SiglipModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from flagbench.models.inputs import Image, Item
from flagbench.models.loading.image_settings import preparation
from flagbench.models.loading.overrides import Overrides
from flagbench.models.pixels import pixels_of, to_levels
from tests.parity.kept import hold, loaded, resolved
from tests.parity.pictures_by_pillow import transformers_pixels
from tests.parity.test_visualized import pictures, stored
from tests.visual_checkpoints import write_clip, write_siglip

pytestmark = pytest.mark.usefixtures("one_thread")

Array = NDArray[np.float64]

TEXTS = ["a red square", "", "what is it?  Two\nlines", "x" * 200, "的一是"]
_WRITERS: dict[str, Any] = {
    "clip": write_clip,
    "bge-vl": lambda folder: write_clip(folder, seed=2, projection=24, architecture="MMRet_CLIP"),
    "siglip": write_siglip,
}


class NaiveClip:
    """A CLIP in float64, one input at a time, from its description: pre-norm layers, quick GELU, causal text."""

    def __init__(self, folder: Path) -> None:
        self.weights = {name: each.astype(np.float64) for name, each in load_file(folder / "model.safetensors").items()}
        self.config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def text(self, text: str) -> Array:
        first, *middle, end = self.tokenizer.encode(text).ids
        ids = [first, *middle[: self.config["text_config"]["max_position_embeddings"] - 2], end]
        at = "text_model.embeddings"
        states = self.weights[f"{at}.token_embedding.weight"][ids]
        states = states + self.weights[f"{at}.position_embedding.weight"][: len(ids)]
        states = self.layers(states, "text_model", "text_config", causal=True)
        found = self.norm(states, "text_model.final_layer_norm")[ids.index(end)]
        return self.weights["text_projection.weight"] @ found

    def image(self, picture: Pillow.Image) -> Array:
        its = self.config["vision_config"]
        side, patch, at = its["image_size"], its["patch_size"], "vision_model.embeddings"
        pixels = transformers_pixels(picture, "clip", side).astype(np.float64)
        filters = self.weights[f"{at}.patch_embedding.weight"]
        states = [self.weights[f"{at}.class_embedding"]]
        starts = range(0, side, patch)
        states += [
            (filters * pixels[:, top : top + patch, left : left + patch]).sum(axis=(1, 2, 3))
            for top in starts
            for left in starts
        ]
        found = np.stack(states) + self.weights[f"{at}.position_embedding.weight"]
        found = self.norm(found, "vision_model.pre_layrnorm")
        found = self.layers(found, "vision_model", "vision_config", causal=False)
        return self.weights["visual_projection.weight"] @ self.norm(found[0], "vision_model.post_layernorm")

    def layers(self, states: Array, tower: str, section: str, *, causal: bool) -> Array:
        its = self.config[section]
        for layer in range(its["num_hidden_layers"]):
            at = f"{tower}.encoder.layers.{layer}"
            given = self.norm(states, f"{at}.layer_norm1")
            queries, keys, values = (self.linear(given, f"{at}.self_attn.{name}_proj") for name in "qkv")
            seen, head = np.empty_like(values), states.shape[1] // its["num_attention_heads"]
            for start in range(0, states.shape[1], head):
                part = slice(start, start + head)
                scores = queries[:, part] @ keys[:, part].T / np.sqrt(head)
                if causal:
                    scores[np.triu_indices(len(scores), 1)] = -np.inf
                weights = np.exp(scores - scores.max(axis=1, keepdims=True))
                seen[:, part] = weights / weights.sum(axis=1, keepdims=True) @ values[:, part]
            states = states + self.linear(seen, f"{at}.self_attn.out_proj")
            fed = self.linear(self.norm(states, f"{at}.layer_norm2"), f"{at}.mlp.fc1")
            states = states + self.linear(fed / (1 + np.exp(-1.702 * fed)), f"{at}.mlp.fc2")
        return states

    def norm(self, states: Array, name: str) -> Array:
        centred = states - states.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def linear(self, states: Array, name: str) -> Array:
        return states @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: Any) -> dict[str, Path]:
    return {name: write(tmp_path_factory.mktemp(name)) for name, write in _WRITERS.items()}


def unit(vector: Array) -> Array:
    return vector / np.sqrt((vector**2).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("batch_size", [1, 2, 7, None])
@pytest.mark.parametrize("kind", ["clip", "bge-vl"])
def test_a_naive_computation_in_float64(folders: dict[str, Path], kind: str, batch_size: int | None) -> None:
    """Texts, images, and the sum of both before it is normalised."""
    naive = NaiveClip(folders[kind])
    encoder = loaded(resolved(folders[kind], Overrides()), batch_size)
    assert encoder.spec.family == kind
    drawn = pictures()
    images = [stored(each) for each in drawn]
    items = [Item(text, (image,)) for text in ("", TEXTS[0], TEXTS[3]) for image in images]
    found = encoder.encode([*TEXTS, *items], role="query").dense
    seen = np.stack([naive.image(Pillow.fromarray(each)) for each in drawn])
    said = {text: naive.text(text) for text in TEXTS}
    wanted = np.concatenate([np.stack(list(said.values())), seen, seen + said[TEXTS[0]], seen + said[TEXTS[3]]])
    hold(kind, found, unit(wanted) if kind == "bge-vl" else wanted)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_the_parts_are_those_of_transformers(folders: dict[str, Path], kind: str) -> None:
    """Its own model and tokenizer with the arguments of mteb's wrappers, and its own processor on Pillow."""
    folder = folders[kind]
    encoder = loaded(resolved(folder, Overrides()))
    model = (CLIPModel if kind == "clip" else SiglipModel).from_pretrained(folder).eval()
    processor = (CLIPImageProcessorPil if kind == "clip" else SiglipImageProcessorPil).from_pretrained(folder)
    padding = True if kind == "clip" else "max_length"
    tokens = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=padding, truncation=True, return_tensors="pt")
    drawn = pictures()
    with torch.inference_mode():
        said = model.get_text_features(**tokens).pooler_output.numpy()
        pixels = processor(images=[Pillow.fromarray(each) for each in drawn], return_tensors="pt")
        seen = model.get_image_features(**pixels).pooler_output.numpy()
    images = [stored(each) for each in drawn]
    found = encoder.encode([*TEXTS, *(Item("", (each,)) for each in images)], role="passage").dense
    hold("clip", found, np.concatenate([said, seen]))
    both = encoder.encode([Item(TEXTS[0], (each,)) for each in images], role="passage").dense
    hold("clip", both, seen + said[0])


@pytest.mark.parametrize("kind", ["clip", "siglip"])
@pytest.mark.parametrize("square", [None, True, False])
def test_pixels_are_those_of_transformers_own_processor(
    folders: dict[str, Path], tmp_path: Path, kind: str, square: bool | None
) -> None:
    """On Pillow, to the last bit; the one on torchvision is another. A size may be a number, of one side or of both."""
    folder = shutil.copytree(folders[kind], tmp_path / kind)
    if square is not None and (kind == "clip" or square):
        path = folder / "preprocessor_config.json"
        settings = json.loads(path.read_text(encoding="utf-8")) | {"default_to_square": square}
        side = settings["crop_size"]["height"] if kind == "clip" else settings["size"]["height"]
        path.write_text(json.dumps(settings | {"size": side}), encoding="utf-8")
    prepared, _ = preparation(folder, json.loads((folder / "config.json").read_text(encoding="utf-8")))
    processor = (CLIPImageProcessorPil if kind == "clip" else SiglipImageProcessorPil).from_pretrained(folder)
    images = [Image(stored(each).read()) for each in pictures()]
    found = to_levels(torch.from_numpy(pixels_of(images, prepared)), torch.from_numpy(prepared.levels))
    wanted = processor(images=[each.decoded() for each in images], return_tensors="pt")["pixel_values"]
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("normalized", [False, True])
def test_what_sentence_transformers_saves_is_read_as_it_reads_it(
    folders: dict[str, Path], tmp_path: Path, normalized: bool
) -> None:
    peer = SentenceTransformer(str(folders["clip"]), device="cpu")
    if normalized:
        peer.append(Normalize())
    peer.save(str(tmp_path / "saved"))
    model = resolved(tmp_path / "saved", Overrides())
    assert model.spec.normalize is normalized
    drawn = pictures()
    found = loaded(model).encode([*TEXTS, *(Item("", (stored(each),)) for each in drawn)], role="query").dense
    peer = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    wanted = [peer.encode(TEXTS), peer.encode([Pillow.fromarray(each) for each in drawn])]
    hold("clip", found, np.concatenate(wanted))


def test_the_former_layout_of_sentence_transformers(folders: dict[str, Path], tmp_path: Path) -> None:
    """``0_CLIPModel`` below modules.json, as clip-ViT-B-32 has it."""
    (tmp_path / "former").mkdir()
    shutil.copytree(folders["clip"], tmp_path / "former" / "0_CLIPModel")
    rows = [{"idx": 0, "name": "0", "path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}]
    (tmp_path / "former" / "modules.json").write_text(json.dumps(rows), encoding="utf-8")
    one, other = (loaded(resolved(each, Overrides())) for each in (folders["clip"], tmp_path / "former"))
    inputs = [*TEXTS, Item("a", (stored(pictures()[2]),))]
    assert np.array_equal(one.encode(inputs, role="query").dense, other.encode(inputs, role="query").dense)
