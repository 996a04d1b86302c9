"""Pairs that are padded together score as each does alone, whatever the files say of padding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sentence_transformers
import torch
from transformers import Qwen3Config, Qwen3ForSequenceClassification

from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from tests.checkpoints import write_byte_qwen2

pytestmark = pytest.mark.usefixtures("one_thread")

PAIRS = [
    ("what is time", "time is what clocks measure, and more"),
    ("a", "b"),
    ("what is time", "no"),
    ("", "x<|endoftext|>"),
    ("and<|endoftext|>", "x<|endoftext|><|endoftext|>"),
]


def seq_cls(folder: Path, *, pad: int | None, side: str, end_token: bool) -> Path:
    """A decoder with one label, as conversions of rerankers that write "yes" or "no" are published."""
    write_byte_qwen2(folder, padding_side=side, end_token=end_token)
    (folder / "model.safetensors").unlink()
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=257,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=64,
        initializer_range=0.3,
        num_labels=1,
        pad_token_id=pad,
        eos_token_id=None,
        bos_token_id=None,
    )
    Qwen3ForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("end_token", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pad", [None, 256, 7])
def test_a_decoder_with_a_label_scores_as_cross_encoder_does_pair_by_pair(
    pad: int | None, side: str, end_token: bool, tmp_path: Path
) -> None:
    folder = seq_cls(tmp_path / "x", pad=pad, side=side, end_token=end_token)
    model = resolve_model(str(folder), None, Overrides(), trust_remote_code=False, allow_pickle=False)
    ready = model.load(device="cpu", batch_size=5, trust_remote_code=False, allow_pickle=False)
    peer = sentence_transformers.CrossEncoder(str(folder), device="cpu", activation_fn=torch.nn.Identity())
    wanted = [float(peer.predict([pair], show_progress_bar=False)[0]) for pair in PAIRS]
    np.testing.assert_allclose(ready.score(PAIRS), wanted, atol=1e-5)
    assert np.ptp(wanted) > 0.1
