"""LLM rerankers: of the head one row, of the last layer one token, and the scores of the whole model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from flagbench.models.backbone.backend import PackedLinear
from flagbench.models.contract import Backend
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from flagbench.models.rerankers.llm import keep_logit
from tests.filled import write_filled_gemma_reranker

pytestmark = pytest.mark.usefixtures("one_thread")

PAIRS = [("what is time", "time is what clocks measure, and more"), ("a", "b"), ("what", "no"), ("", "x")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_filled_gemma_reranker(tmp_path_factory.mktemp("llm") / "gemma")


def load(folder: Path, backend: Backend | None) -> Any:
    leaves: dict[str, Any] = {"trust_remote_code": False, "allow_pickle": False}
    model = resolve_model(str(folder), None, Overrides(family="llm-reranker"), on_cpu=lambda: True, **leaves)
    return model.load(device="cpu", batch_size=None, backend=backend, **leaves)


@pytest.mark.parametrize("backend", [None, "torch"])
@torch.inference_mode()
def test_scores_are_the_logits_of_yes_after_each_pair_alone(folder: Path, backend: Backend | None) -> None:
    reranker = load(folder, backend)
    whole = AutoModelForCausalLM.from_pretrained(folder).eval()
    yes = reranker._tokenizer("Yes", add_special_tokens=False)["input_ids"][0]
    expected = torch.stack(
        [whole(input_ids=torch.tensor([ids])).logits[0, -1, yes] for ids in reranker.encode_pairs(PAIRS)]
    )
    scores = reranker.score(PAIRS)
    torch.testing.assert_close(torch.from_numpy(scores), expected, rtol=1e-5, atol=1e-5)
    assert np.ptp(scores) > 1e-2
    assert ("one token in the last layer" in reranker.backend) is (backend != "torch")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("tied", [False, True])
@torch.inference_mode()
def test_one_row_is_left_of_a_head(tied: bool, packed: bool) -> None:
    """Embeddings that share its weights keep all of theirs."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        tie_word_embeddings=tied,
    )
    model = LlamaForCausalLM(config).eval()
    model.lm_head.bias = torch.nn.Parameter(torch.arange(50.0))
    ids = torch.arange(12).reshape(2, 6)
    expected = model(input_ids=ids).logits[..., 7:8]
    if packed:
        model.lm_head = PackedLinear(model.lm_head)
    assert keep_logit(model, 7)
    logits = model(input_ids=ids).logits
    assert logits.shape == (2, 6, 1)
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-6)
    assert model.get_input_embeddings().weight.shape == (50, 16)


def test_a_head_that_is_no_linear_layer_stays() -> None:
    torch.manual_seed(0)
    settings = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(**settings, intermediate_size=32)).eval()
    model.lm_head = head = torch.nn.Sequential(model.lm_head)
    assert not keep_logit(model, 7)
    assert model.lm_head is head
