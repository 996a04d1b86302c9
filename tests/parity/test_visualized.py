"""Visualized-BGE against what its own class gave (goldens/visualized.json), and against a naive computation."""

from __future__ import annotations

import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from safetensors.numpy import load_file, save_file

from flagbench.models.inputs import Image, Input, Item
from flagbench.models.loading.overrides import Overrides
from tests.parity.kept import golden, hold, loaded, resolved
from tests.parity.naive_visualized import NaiveVisualized
from tests.visual_checkpoints import write_golden_visualized, write_visualized

pytestmark = pytest.mark.usefixtures("one_thread")

KINDS = ("base", "m3")
WORDS = "<7> <11> <23> <5>"


def drawn_by_rule() -> list[Image]:
    """The two images of the goldens, as their recipe draws them."""
    y, x = np.mgrid[0:64, 0:64]
    one = np.stack([(4 * x) % 256, (4 * y) % 256, (2 * (x + y)) % 256], axis=-1)
    two = np.stack([255 - (3 * x) % 256, (x * y) % 256, np.full_like(x, 128)], axis=-1)
    return [stored(each.astype(np.uint8)) for each in (one, two)]


def stored(pixels: np.ndarray) -> Image:
    file = BytesIO()
    Pillow.fromarray(pixels).save(file, "PNG")
    return Image(file.getvalue())


@pytest.fixture(scope="module", params=KINDS)
def case(request: Any, tmp_path_factory: Any) -> tuple[dict[str, Any], Path]:
    kept = golden("visualized")["cases"][request.param]
    folder = tmp_path_factory.mktemp(request.param)
    return kept, write_golden_visualized(folder, request.param, kept["keys"])


@pytest.mark.parametrize("batch_size", [1, 2, None])
def test_the_goldens_of_its_own_class(case: tuple[dict[str, Any], Path], batch_size: int | None) -> None:
    kept, folder = case
    model = resolved(folder, Overrides())
    assert model.spec.family == "visualized-bge"
    encoder = loaded(model, batch_size)
    images = drawn_by_rule()
    inputs: list[Input] = [WORDS, Item("", (images[0],)), Item(WORDS, (images[0],))]
    found = encoder.encode(inputs, role="passage").dense
    wanted = np.array([kept["text"][0], kept["image"][0], kept["image_text"][0]])
    hold("visualized-bge", found, wanted)


TEXTS = ["a red square", "", "的一是不了人我在有他这" * 9, "what is it?", "Yes", "a", "国"]
SIZES = [(16, 16), (40, 17), (9, 31), (1, 1), (100, 64), (33, 33), (16, 50)]


def pictures() -> list[np.ndarray]:
    """Noise of several sizes, ``uint8[h, w, 3]``."""
    random = np.random.default_rng(5)
    return [random.integers(0, 256, (height, width, 3), dtype=np.uint8) for width, height in SIZES]


@pytest.fixture(scope="module", params=[("base", 0), ("base", 3), ("m3", 0), ("m3", 3)], ids=str)
def checkpoint(request: Any, tmp_path_factory: Any) -> Path:
    kind, seed = request.param
    return write_visualized(tmp_path_factory.mktemp(kind), kind=kind, seed=seed)


@pytest.mark.parametrize("batch_size", [1, 2, 7, None])
def test_a_naive_computation_in_float64(checkpoint: Path, batch_size: int | None) -> None:
    encoder, naive = loaded(resolved(checkpoint, Overrides()), batch_size), NaiveVisualized(checkpoint)
    drawn = pictures()
    items = [Item(text, (stored(pixels),)) for text in ("", *TEXTS[:1], TEXTS[2]) for pixels in drawn]
    found = encoder.encode([*TEXTS, *items], role="query").dense
    seen = [naive.image(Pillow.fromarray(each), text, 64) for text in ("", *TEXTS[:1], TEXTS[2]) for each in drawn]
    hold("visualized-bge", found, [*(naive.text(text, 64) for text in TEXTS), *seen])


def test_a_text_is_that_of_the_plain_model(checkpoint: Path, tmp_path: Path) -> None:
    """Of the same weights under their own names, through the adapter of BGE."""
    prefixes = {"bge_embeddings.": "embeddings.", "bge_encoder.": "encoder."}
    state = load_file(checkpoint / "model.safetensors")
    own = {
        prefixes[prefix] + name.removeprefix(prefix): state[name]
        for name in state
        for prefix in prefixes
        if name.startswith(prefix)
    }
    plain = shutil.copytree(checkpoint, tmp_path / "plain")
    save_file(own, plain / "model.safetensors", metadata={"format": "pt"})
    one, other = (loaded(resolved(folder, Overrides())) for folder in (checkpoint, plain))
    assert (one.spec.adapter, other.spec.adapter) == ("visualized", "dense")
    texts = [*TEXTS, "a b c " * 40]
    difference = np.abs(one.encode(texts, role="query").dense - other.encode(texts, role="query").dense).max()
    assert difference <= 1e-6


def test_the_published_form_gives_the_same(checkpoint: Path, tmp_path: Path) -> None:
    """A ``.pth`` beside the text model's own weights, which are not read then."""
    other = shutil.copytree(checkpoint, tmp_path / "other")
    state = load_file(other / "model.safetensors")
    torch.save({name: torch.from_numpy(each) for name, each in state.items()}, other / "Visualized_any.pth")
    save_file(
        {"embeddings.word_embeddings.weight": state["bge_embeddings.word_embeddings.weight"]},
        other / "model.safetensors",
    )
    inputs: list[Input] = ["a", Item("a", (stored(pictures()[1]),))]
    one, two = (loaded(resolved(each, Overrides())).encode(inputs, role="query").dense for each in (checkpoint, other))
    assert np.array_equal(one, two)
