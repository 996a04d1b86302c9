"""What a cross-encoder is read from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from flagbench import BadInput
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from tests.filled import write_bert_reranker
from tests.saying import saying

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


def _load(folder: Path, **asked: Any) -> Any:
    model = resolve_model(str(folder), None, saying(**asked), on_cpu=lambda: True, **_MAY)
    return model.load(device="cpu", batch_size=None, **_MAY)


def test_a_pair_is_cut_to_the_length_whatever_of_it_is_long(tmp_path: Path) -> None:
    """[CLS] and two [SEP], and between them as much as there is room for, the query first."""
    reranker = _load(write_bert_reranker(tmp_path / "m"), max_length=12)
    spec = replace(reranker.spec, query_max_length=20, passage_max_length=12)
    reranker.spec = spec
    alone = reranker.encode_pairs([("a b c d", "e f"), ("a " * 40, "e f g"), ("a b", "e " * 40), ("", "")])
    lengths = [len(row["input_ids"]) for row in alone]
    assert lengths == [9, 12, 12, 3]
    first = alone[0]["input_ids"]
    cls, sep = first[0], first[-1]
    assert [row["input_ids"].count(sep) for row in alone] == [2, 2, 2, 2]
    assert alone[1]["input_ids"] == [cls, *[first[1]] * 9, sep, sep], "no room is left for the passage"
    assert alone[2]["input_ids"] == [cls, *first[1:3], sep, *[first[6]] * 7, sep]
    assert [row["token_type_ids"].count(1) for row in alone] == [3, 1, 8, 1]
    assert all(set(row["attention_mask"]) == {1} for row in alone)


def test_the_places_of_special_tokens_are_learned_without_what_the_file_says_of_lengths(tmp_path: Path) -> None:
    folder = write_bert_reranker(tmp_path / "m")
    wanted = _load(folder).encode_pairs([("a b", "c d e")])
    path = folder / "tokenizer.json"
    stated = json.loads(path.read_text(encoding="utf-8"))
    stated["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    stated["padding"] = {
        "strategy": {"Fixed": 16},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    path.write_text(json.dumps(stated), encoding="utf-8")
    assert _load(folder).encode_pairs([("a b", "c d e")]) == wanted
    assert len(wanted[0]["input_ids"]) == 8
