"""What a cross-encoder is read from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from flagbench import BadInput
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from tests.filled import write_bert_reranker

_MAY = {"trust_remote_code": False, "allow_pickle": False}


@pytest.mark.parametrize("labels", [2, 3])
def test_a_classifier_of_several_labels_is_no_reranker(tmp_path: Path, labels: int) -> None:
    """Its logits would be taken for scores of other pairs."""
    folder = write_bert_reranker(tmp_path / "classifier")
    path = folder / "model.safetensors"
    weights = load_file(path)
    for name in ("classifier.weight", "classifier.bias"):
        weights[name] = weights[name].repeat(labels, axis=0)
    save_file(weights, path, metadata={"format": "pt"})
    path = folder / "config.json"
    names = {"id2label": {str(each): f"LABEL_{each}" for each in range(labels)}}
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | names), encoding="utf-8")
    with pytest.raises(BadInput, match=f"has {labels} labels, and a reranker has one"):
        resolve_model(str(folder), None, Overrides(), **_MAY)
