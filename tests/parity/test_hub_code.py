"""Models of their own code against the calls of their READMEs (research/BGE_VL, Vis-IR), on a local stand-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel

from flagbench.models.inputs import Item
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from tests.parity.kept import hold
from tests.pictures import drawn, image
from tests.visual_checkpoints import write_hub_code

pytestmark = pytest.mark.usefixtures("one_thread")

INSTRUCTION = "Retrieve the image. "


def as_in_the_readme(folder: Path, path: str, sides: tuple[str, str], *, states: bool) -> np.ndarray:
    """A query of a text and an image, an image, and a text, one after the other; normalised in float64."""
    model: Any = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
    model.set_processor(str(folder))
    query, passage = sides
    calls = [
        model.data_process(text="a dog", images=path, q_or_c=query, task_instruction=INSTRUCTION),
        model.data_process(images=path, q_or_c=passage),
        model.data_process(text="a cat", q_or_c=passage),
    ]
    with torch.inference_mode():
        if states:
            found = [model(**each, output_hidden_states=True)[:, -1, :] for each in calls]
        else:
            found = [model(**each) for each in calls]
    vectors = np.concatenate([each.double().numpy() for each in found])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("family", "sides", "states"),
    [("bge-vl-mllm", ("q", "c"), True), ("bge-vl-screenshot", ("query", "candidate"), False)],
)
def test_the_calls_of_its_readme(tmp_path: Path, family: str, sides: tuple[str, str], *, states: bool) -> None:
    folder = write_hub_code(tmp_path / family, states=states)
    model = resolve_model(
        str(folder), None, Overrides(family=family), trust_remote_code=True, allow_pickle=False, on_cpu=lambda: True
    )
    encoder = model.load(device="cpu", batch_size=None, trust_remote_code=True, allow_pickle=False)
    (tmp_path / "red.png").write_bytes(drawn("red"))
    wanted = as_in_the_readme(folder, str(tmp_path / "red.png"), sides, states=states)
    red: Any = (image("red"),)
    query = encoder.encode([Item("a dog", red)], role="query", instruction=INSTRUCTION).dense
    passages = encoder.encode([Item("", red), "a cat"], role="passage").dense
    hold(family, np.concatenate([query, passages]), wanted)
