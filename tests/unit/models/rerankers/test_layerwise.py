"""Layerwise rerankers that are read at several layers in one pass: no pair has the scores of another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from flagbench import BadInput
from flagbench.models.loading.resolve import resolve_model
from flagbench.models.rerankers.layerwise import _KINDS, _rope, compress
from tests.filled import write_filled_cost_wise_gemma, write_filled_matroyshka, write_filled_minicpm
from tests.saying import saying

pytestmark = pytest.mark.usefixtures("one_thread")

# One row of ids, and two places where the passage begins.
ALIKE = [("x", "y yy yyy\nB: z"), ("x\nB: y yy yyy", "z")]


@pytest.fixture(params=[write_filled_cost_wise_gemma, write_filled_matroyshka], ids=["gemma", "mistral"])
def load(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    folder = request.param(tmp_path / "model")

    def loaded(*layers: int) -> Any:
        asked = saying(cutoff_layers=layers, compress_layers=(2,), compress_ratio=2, head_index="layer")
        options = {"trust_remote_code": False, "allow_pickle": False}
        return resolve_model(str(folder), None, asked, on_cpu=lambda: True, **options).load(
            device="cpu", batch_size=None, **options
        )

    return loaded


def test_pairs_of_the_same_ids_with_the_passage_elsewhere_have_scores_of_their_own(load: Any) -> None:
    reranker = load(3, 5)
    one, other = reranker.encode_pairs(ALIKE)
    assert one.ids == other.ids
    assert one.query_length < other.query_length
    together = reranker.score_layers(ALIKE)
    assert np.abs(together[0] - together[1]).max() > 1e-3
    for column, layer in enumerate((3, 5)):
        np.testing.assert_allclose(load(layer).score(ALIKE), together[:, column], rtol=1e-4, atol=1e-5)


def test_pairs_that_were_scored_before_keep_their_scores_among_new_ones(load: Any) -> None:
    reranker = load(3, 5)
    pairs = [("what is time", "a passage"), ("what is time", "text"), *ALIKE, ("", ""), ("what", "is time")]
    first = reranker.score_layers(pairs[:3])
    again = reranker.score_layers(pairs[::-1])[::-1]
    assert np.array_equal(again[:3], first)
    np.testing.assert_allclose(again, load(3, 5).score_layers(pairs), rtol=1e-4, atol=1e-5)
    assert len(np.unique(again[:, 0])) == len(pairs)


COMMON = {
    "vocab_size": 50,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 9,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_act": "gelu",
    "max_position_embeddings": 300,
    "rms_norm_eps": 0.001,
    "pad_token_id": 3,
    "bos_token_id": 4,
    "eos_token_id": 5,
}
OWN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "minicpm": (
        {"scale_emb": 12, "scale_depth": 1.5, "attention_bias": True},
        {
            "embedding_multiplier": 12,
            "residual_multiplier": 0.5,
            "attention_multiplier": 6**-0.5,
            "attention_bias": True,
        },
    ),
    "cost_wise_gemma": (
        same := {
            "head_dim": 10,
            "query_pre_attn_scalar": 9,
            "sliding_window": 11,
            "attn_logit_softcapping": 2.5,
            "final_logit_softcapping": 3.5,
            "hidden_activation": "silu",
            "attention_bias": True,
        },
        same,
    ),
    "cost_wise_mistral": (same := {"head_dim": 10, "sliding_window": 11}, same),
}


@pytest.mark.parametrize("kind", OWN)
def test_every_setting_of_a_checkpoints_decoder_is_that_of_its_likeness(kind: str) -> None:
    """Published checkpoints have the usual values of most, so their scores would not tell."""
    stated, wanted = OWN[kind]
    native = _KINDS[kind].config(COMMON | stated | {"rope_theta": 5_000.0, "tie_word_embeddings": True})
    values = COMMON | wanted | {"tie_word_embeddings": False}
    assert {key: getattr(native, key) for key in values} == pytest.approx(values)
    assert native.rope_parameters["rope_theta"] == 5_000.0
    assert _KINDS[kind].by_attention == (kind == "cost_wise_mistral")


@pytest.mark.parametrize(
    ("stated", "rope"),
    [
        ({}, {"rope_type": "default", "rope_theta": 10_000.0}),
        ({"rope_theta": 500.0, "rope_scaling": None}, {"rope_type": "default", "rope_theta": 500.0}),
        (
            {"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 2.0}},
            {"rope_type": "linear", "rope_theta": 500.0, "factor": 2.0},
        ),
        (
            {"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}},
            {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 4.0},
        ),
    ],
    ids=["none", "theta", "older scaling", "scaling"],
)
def test_rotary_positions_of_either_form(stated: dict[str, Any], rope: dict[str, Any]) -> None:
    assert _rope(stated) == rope


def test_each_cutoff_layer_has_the_column_of_its_place(load: Any) -> None:
    layers = (2, 4, 6)
    reranker = load(*layers)
    together = reranker.score_layers(ALIKE)
    assert together.shape == (2, 3)
    for column, layer in enumerate(layers):
        np.testing.assert_allclose(load(layer).score(ALIKE), together[:, column], rtol=1e-4, atol=1e-5)
    assert np.array_equal(reranker.score(ALIKE), together[:, layers.index(reranker.spec.own.cutoff_layer)])


@pytest.mark.parametrize("load", [write_filled_matroyshka], ids=["mistral"], indirect=True)
def test_nothing_watches_the_layers_after_a_pass_nor_after_one_that_ran_out_of_memory(
    load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reranker = load(3)
    decoder = reranker._passes._decoder
    wanted = reranker.score(ALIKE)
    layer = decoder.model.layers[1]
    forward, rows = layer.forward, []

    def narrow(hidden: torch.Tensor, **inputs: Any) -> Any:
        rows.append(len(hidden))
        assert any(module._forward_hooks for module in decoder.modules()), "the layer before the compression"
        if len(hidden) > 1:
            raise torch.OutOfMemoryError
        return forward(hidden, **inputs)

    monkeypatch.setattr(layer, "forward", narrow)
    np.testing.assert_allclose(reranker.score(ALIKE), wanted, rtol=1e-4, atol=1e-5)
    assert rows == [2, 1, 1]
    assert not any(module._forward_hooks for module in decoder.modules())


@pytest.mark.parametrize(
    ("weights", "group"), [(None, 2.5), ([9, 9, 1, 3, 5, 9, 9], (2 + 9) / 4), ([9, 9, 0, 0, 5, 9, 9], 0)]
)
def test_tokens_of_passages_are_averaged_in_groups_and_no_others(weights: list[float] | None, group: float) -> None:
    """By hand: 2 before, 3 of a passage and 2 after; 1, 1 and 1 with padding; and one without a passage."""
    hidden = torch.arange(7.0).reshape(1, 7, 1).repeat(3, 1, 1)
    mask = torch.tensor([[1] * 7, [1] * 3 + [0] * 4, [1] * 4 + [0] * 3])
    given = None if weights is None else torch.tensor([weights] * 3, dtype=torch.float32)
    query, prompt = torch.tensor([2, 1, 2]), torch.tensor([2, 1, 2])
    states, kept = compress(hidden, mask, query, prompt, 2, given)
    assert kept.tolist() == [[1] * 6, [1, 1, 1, 0, 0, 0], [1] * 4 + [0] * 2]
    assert states[0].flatten().tolist() == pytest.approx([0, 1, group, 4, 5, 6])
    assert states[1, :3].flatten().tolist() == [0, 1, 2]
    assert states[2, :4].flatten().tolist() == [0, 1, 2, 3]
    whole, _ = compress(hidden[:1], mask[:1], query[:1], prompt[:1], 8, None)
    assert whole.flatten().tolist() == [0, 1, 3, 5, 6]


def changed(folder: Path, config: dict[str, Any] | None = None, **tensors: Any) -> Path:
    """A checkpoint with other values in its config.json, None taking one away, and other tensors."""
    path = folder / "config.json"
    values = json.loads(path.read_text(encoding="utf-8")) | (config or {})
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}), encoding="utf-8")
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in (weights | tensors).items() if value is not None}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def refused(folder: Path) -> str:
    options = {"trust_remote_code": False, "allow_pickle": False}
    with pytest.raises(BadInput) as caught:
        resolve_model(str(folder), None, saying(), on_cpu=lambda: True, **options).load(
            device="cpu", batch_size=None, **options
        )
    return str(caught.value)


def test_a_setting_that_the_decoder_needs_and_the_config_lacks_is_named(tmp_path: Path) -> None:
    folder = changed(write_filled_minicpm(tmp_path / "m"), {"scale_emb": None})
    assert refused(folder) == f"{folder}/config.json has no 'scale_emb'; copy the checkpoint again"


@pytest.mark.parametrize("heads", ["none", "one of two rows", "one of another width", "one of another name"])
def test_heads_that_do_not_give_a_score_a_layer_are_refused(heads: str, tmp_path: Path) -> None:
    folder = write_filled_minicpm(tmp_path / "m")
    names = sorted(name for name in load_file(folder / "model.safetensors") if name.startswith("lm_head."))
    one = load_file(folder / "model.safetensors")[names[0]]
    tensors: dict[str, Any] = {
        "none": dict.fromkeys(names),
        "one of two rows": {names[0]: np.concatenate([one, one])},
        "one of another width": {names[0]: np.concatenate([one, one], axis=1)},
        "one of another name": {names[0]: None, "lm_head.other.weight": one},
    }[heads]
    message = refused(changed(folder, **tensors))
    if heads == "none":  # nothing of that name is in the files
        assert "lm_head" in message or message.endswith("do not give one score a layer, which is not supported")
    else:
        assert message == f"{folder}: its heads do not give one score a layer, which is not supported"
