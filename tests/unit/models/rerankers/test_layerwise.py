"""Layerwise rerankers that are read at several layers in one pass: no pair has the scores of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench.models.loading.resolve import resolve_model
from flagbench.models.rerankers.layerwise import _KINDS, _rope
from tests.filled import write_filled_cost_wise_gemma, write_filled_matroyshka
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
