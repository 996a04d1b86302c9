"""Visualized-BGE against what its own class gave (goldens/visualized.json), and against a naive computation."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from flagbench.models.inputs import Image, Input, Item
from flagbench.models.loading.overrides import Overrides
from tests.parity.kept import golden, hold, loaded, resolved
from tests.visual_checkpoints import write_golden_visualized

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
