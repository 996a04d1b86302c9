"""Weights that are read run no code that their config.json names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import save_file

from flagbench.models.backbone.pretrained import read_tensors
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from tests.checkpoints import write_bert, write_json

pytestmark = pytest.mark.usefixtures("one_thread")


def vectors(folder: Path) -> NDArray[np.float32]:
    model = resolve_model(str(folder), None, Overrides(), trust_remote_code=False, allow_pickle=False)
    ready = model.load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=False)
    found: NDArray[np.float32] = ready.encode(["a text", "x"], role="query").dense
    return found


@pytest.mark.parametrize("key", ["_attn_implementation", "attn_implementation", "experts_implementation"])
@pytest.mark.parametrize(
    "named",
    ["kernels-community/flash-attn", "org/repo@main:attention", {"": "org/repo"}, "flash_attention_2", "paged|eager"],
)
def test_kernels_that_a_config_names_are_not_asked_for(
    key: str, named: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_bert(tmp_path / "x")
    wanted = vectors(folder)
    path = folder / "config.json"
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | {key: named})
    asked: list[str] = []
    monkeypatch.setattr(
        transformers.modeling_utils, "lazy_import_flash_attention", lambda name, **_: asked.append(name)
    )
    np.testing.assert_array_equal(vectors(folder), wanted)
    assert not asked


def test_tensors_are_read_by_the_beginning_of_their_names_from_all_files(tmp_path: Path) -> None:
    def part(number: float) -> dict[str, torch.Tensor]:
        return {f"lm_head.{number:g}": torch.tensor([number]), f"model.lm_head.{number:g}": torch.zeros(1)}

    for number in (1.0, 2.0):
        torch.save(part(number), tmp_path / f"pytorch_model-{number:g}.bin")
    assert read_tensors(tmp_path, "lm_head.", allow_pickle=False) == {}
    assert read_tensors(tmp_path, "lm_head.", allow_pickle=True) == {
        "lm_head.1": torch.tensor([1.0]),
        "lm_head.2": torch.tensor([2.0]),
    }
    for number in (3.0, 4.0):
        save_file(part(number), tmp_path / f"model-{number:g}.safetensors")
    assert list(read_tensors(tmp_path, "lm_head.", allow_pickle=True)) == ["lm_head.3", "lm_head.4"]
