"""Checkpoints that are never loaded, and what tests ask of what is detected from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from flagbench import BadInput
from flagbench.models.loading.checkpoint import Checkpoint, local_name
from flagbench.models.loading.detect import Detection, detect
from flagbench.models.loading.overrides import Overrides
from tests.checkpoints import write_json

BERT = {"architectures": ["BertModel"], "model_type": "bert", "max_position_embeddings": 512}
QWEN2 = {"architectures": ["Qwen2Model"], "model_type": "qwen2", "max_position_embeddings": 32768}
ODD = {"architectures": ["OddModel"], "model_type": "odd", "max_position_embeddings": 512}
CAUSAL = {**QWEN2, "architectures": ["Qwen2ForCausalLM"]}
CROSS_ENCODER = {"architectures": ["XLMRobertaForSequenceClassification"], "model_type": "xlm-roberta"}
# Layerwise rerankers with as many layers as the published ones have.
MINICPM = {
    "architectures": ["LayerWiseMiniCPMForCausalLM"],
    "model_type": "minicpm",
    "max_position_embeddings": 2048,
    "num_hidden_layers": 40,
    "start_layer": 8,
    "head_multi": True,
    "auto_map": {"AutoModelForCausalLM": "modeling_minicpm_reranker.LayerWiseMiniCPMForCausalLM"},
}
LIGHTWEIGHT = {
    "architectures": ["CostWiseGemmaForCausalLM"],
    "model_type": "cost_wise_gemma",
    "max_position_embeddings": 8192,
    "num_hidden_layers": 42,
    "start_layer": 8,
    "layer_sep": 1,
    "auto_map": {"AutoModelForCausalLM": "gemma_model.CostWiseGemmaForCausalLM"},
}
MATROYSHKA = {
    "architectures": ["CostWiseMistralForCausalLM"],
    "model_type": "cost_wise_mistral",
    "max_position_embeddings": 32768,
    "num_hidden_layers": 32,
    "start_layer": 4,
    "layer_sep": 4,
    "auto_map": {"AutoModelForCausalLM": "modeling_mistral.CostWiseMistralForCausalLM"},
}
SUMMARY_TOKENS = [f"<s{number}>" for number in range(1, 17)]
COMMIT = "1234567890" * 4


def xlmr(**more: Any) -> dict[str, Any]:
    """A config.json of XLM-RoBERTa with 512 positions."""
    return {"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1, **more}


def write_checkpoint(folder: Path, config: Mapping[str, Any], files: Mapping[str, Any] | None = None) -> Checkpoint:
    """Write the JSON files of a local checkpoint; bytes are written as they are."""
    write_json(folder / "config.json", config)
    for name, value in (files or {}).items():
        if isinstance(value, bytes):
            (folder / name).write_bytes(value)
        else:
            write_json(folder / name, value)
    return Checkpoint(folder, local_name(folder), "0" * 40, local=True)


def write_model(folder: Path) -> Path:
    """The least that counts as a whole checkpoint: settings, a tokenizer, weights; none of it can be loaded."""
    write_json(folder / "config.json", {"model_type": "bert", "hidden_size": 4})
    write_json(folder / "tokenizer.json", {"version": "1.0"})
    save_file({"embeddings": np.arange(8, dtype=np.float32)}, folder / "model.safetensors")
    return folder


def modules(*kinds: str, pooling: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The modules.json of these kinds, and the pooling's file."""
    rows = [
        {
            "idx": row,
            "name": str(row),
            "path": f"{row}_{kind}" if row else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for row, kind in enumerate(("Transformer", *kinds))
    ]
    return {"modules.json": rows, "1_Pooling/config.json": pooling or {"pooling_mode_mean_tokens": True}}


def has_line(lines: tuple[str, ...] | list[str], *words: str) -> bool:
    """Whether one line has all the words."""
    return any(all(word in line for word in words) for line in lines)


def said(detection: Detection, *words: str) -> bool:
    """Whether one line of evidence has all the words."""
    return has_line(detection.evidence, *words)


def refusal(checkpoint: Checkpoint, overrides: Overrides | None = None, **options: Any) -> str:
    """The one line with which a checkpoint is refused."""
    with pytest.raises(BadInput) as caught:
        detect(checkpoint, overrides or Overrides(), **options)
    message = str(caught.value)
    assert "\n" not in message
    return message
