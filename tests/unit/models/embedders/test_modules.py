"""Weights of sentence-transformers' modules on disk: every way in which they may be wrong is one line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from flagbench import BadInput
from flagbench.models.embedders.modules import Features, build, dimension, mask_without_prompt, pool
from flagbench.models.modules import SENTENCE, TOKENS, Module

Write = Callable[[Path], None]
GOOD = {"norm.weight": torch.tensor([1.0, 2.0, 4.0]), "norm.bias": torch.tensor([0.5, 0.0, 0.0])}


def layer_norm(folder: Path, write: Write, name: str, dimension: int = 3) -> Path:
    """A LayerNorm with weights of one's own."""
    (folder / "2_LayerNorm").mkdir()
    (folder / "2_LayerNorm" / "config.json").write_text(json.dumps({"dimension": dimension}))
    write(folder / "2_LayerNorm" / name)
    return folder / "2_LayerNorm" / name


def built(folder: Path, *, allow_pickle: bool = False, options: Any = ()) -> torch.Tensor:
    (step,) = build([Module("LayerNorm", "2_LayerNorm", options)], folder, device="cpu", allow_pickle=allow_pickle)
    features = Features(torch.ones(1, 1), {SENTENCE: torch.tensor([[1.0, 2.0, 3.0]])})
    with torch.inference_mode():
        step(features)
    return features.vectors[SENTENCE]


def safetensors(tensors: dict[str, torch.Tensor]) -> Write:
    return lambda path: save_file(tensors, path)


def pickled(value: Any) -> Write:
    return lambda path: torch.save(value, path)


def raw(data: bytes) -> Write:
    return lambda path: path.write_bytes(data) and None


def test_weights_are_read_from_safetensors_and_with_leave_from_a_pickle_where_there_are_none(tmp_path: Path) -> None:
    normed = (torch.tensor([1.0, 2.0, 3.0]) - 2) / (2 / 3 + 1e-5) ** 0.5
    expected = normed * GOOD["norm.weight"] + GOOD["norm.bias"]
    layer_norm(tmp_path, pickled(GOOD), "pytorch_model.bin")
    with pytest.raises(BadInput, match=r"2_LayerNorm/model\.safetensors"):
        built(tmp_path)
    assert torch.allclose(built(tmp_path, allow_pickle=True), expected[None], atol=1e-5)
    # Where there are both, the pickle is never read.
    save_file(GOOD, tmp_path / "2_LayerNorm" / "model.safetensors")
    (tmp_path / "2_LayerNorm" / "pytorch_model.bin").write_bytes(b"not a pickle")
    for allow_pickle in (False, True):
        assert torch.allclose(built(tmp_path, allow_pickle=allow_pickle), expected[None], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("model.safetensors", raw(b"")),
        ("model.safetensors", raw(b"\xff" * 64)),
        ("model.safetensors", safetensors({})),
        ("model.safetensors", safetensors({"norm.weight": torch.ones(3)})),
        ("model.safetensors", safetensors({"norm.weight": torch.ones(4), "norm.bias": torch.ones(4)})),
        ("model.safetensors", safetensors({**GOOD, "more": torch.ones(1)})),
        ("pytorch_model.bin", raw(b"")),
        ("pytorch_model.bin", raw(b"no pickle at all")),
        ("pytorch_model.bin", pickled({"norm.weight": torch.ones(3)})),
        ("pytorch_model.bin", pickled(torch.ones(3))),
        ("pytorch_model.bin", pickled([1, 2])),
        ("pytorch_model.bin", pickled({"norm.weight": "text", "norm.bias": "text"})),
        ("pytorch_model.bin", pickled(Path("x"))),
    ],
)
def test_weights_that_are_damaged_or_others_are_named(name: str, write: Write, tmp_path: Path) -> None:
    path = layer_norm(tmp_path, write, name)
    with pytest.raises(BadInput) as caught:
        built(tmp_path, allow_pickle=True)
    said = str(caught.value)
    assert re.match(rf"{re.escape(str(path))} is (damaged, or |no flat dict of tensors by name)", said)
    assert "\n" not in said


def test_modules_that_do_not_fit_are_named_by_their_folder(tmp_path: Path) -> None:
    layer_norm(
        tmp_path, safetensors({"norm.weight": torch.ones(5), "norm.bias": torch.ones(5)}), "model.safetensors", 5
    )
    pooling = Module("Pooling", options=(("pooling_mode", ("mean", "cls")),))
    steps = build([pooling, Module("LayerNorm", "2_LayerNorm")], tmp_path, device="cpu", allow_pickle=False)
    with pytest.raises(BadInput, match=rf"^{tmp_path}: its modules do not fit one another \(.+\): "):
        dimension(steps, 3, -1, "cpu", tmp_path)
    assert dimension(steps[:1], 3, -1, "cpu", tmp_path) == 6


@pytest.mark.parametrize(("number", "start"), [(2, 0), (2, 1), (2, 2)])
def test_layers_are_averaged_by_their_weights_from_the_first_one_on(number: int, start: int, tmp_path: Path) -> None:
    (tmp_path / "1_Layers").mkdir()
    (tmp_path / "1_Layers" / "config.json").write_text(json.dumps({"num_hidden_layers": number}))
    weights = torch.arange(1.0, number + 2 - start)
    save_file({"layer_weights": weights}, tmp_path / "1_Layers" / "model.safetensors")
    module = Module("WeightedLayerPooling", "1_Layers", (("layer_start", start),))
    (step,) = build([module], tmp_path, device="cpu", allow_pickle=False)
    layers = [torch.full((1, 2, 3), float(10**place)) for place in range(number + 1)]
    features = Features(torch.ones(1, 2), {TOKENS: layers[-1]}, layers)
    with torch.inference_mode():
        step(features)
    chosen = [10**place for place in range(start, number + 1)]
    wanted = sum(weight * value for weight, value in zip(weights.tolist(), chosen, strict=True)) / sum(weights.tolist())
    assert features.vectors[TOKENS].flatten().tolist() == pytest.approx([wanted] * 6)
    # A transformer that does not give all its layers is left alone.
    alone = Features(torch.ones(1, 2), {TOKENS: layers[-1]})
    step(alone)
    assert alone.vectors[TOKENS] is layers[-1]


def test_an_average_needs_as_many_layers_as_it_begins_after(tmp_path: Path) -> None:
    (tmp_path / "1_Layers").mkdir()
    (tmp_path / "1_Layers" / "config.json").write_text(json.dumps({"num_hidden_layers": 3}))
    with pytest.raises(BadInput, match="num_hidden_layers"):
        build(
            [Module("WeightedLayerPooling", "1_Layers", (("layer_start", 4),))],
            tmp_path,
            device="cpu",
            allow_pickle=False,
        )


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_last_eight_tokens_are_averaged_or_as_many_as_there_are(side: str) -> None:
    lengths, width = [12, 8, 9, 1], 12
    hidden = torch.randn(4, width, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1] * length + [0] * (width - length) for length in lengths])
    mask = mask.flip(1) if side == "left" else mask
    wanted = torch.stack([states[flags.bool()][-8:].mean(dim=0) for states, flags in zip(hidden, mask, strict=True)])
    torch.testing.assert_close(pool(hidden, mask, "last8"), wanted)


def test_tokens_of_the_instruction_are_left_out_on_either_side_of_the_padding() -> None:
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    assert mask_without_prompt(mask, 2).tolist() == [[0, 0, 0, 0, 1], [0, 0, 1, 0, 0], [0, 0, 1, 1, 1]]
    assert mask_without_prompt(mask, 0) is mask
    nothing, hidden = mask_without_prompt(mask[:2], 3), torch.arange(1.0, 11.0).reshape(2, 5, 1)
    assert not nothing.any()
    assert pool(hidden, nothing, "lasttoken").tolist() == pool(hidden, nothing, "mean").tolist() == [[0.0], [0.0]]
    assert pool(hidden, nothing, "cls").tolist() == [[1.0], [6.0]]
