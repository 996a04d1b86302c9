"""Adapters against FlagEmbedding's own classes: outputs kept by make_goldens.py, checkpoints rebuilt here by seed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.crossencoder import CrossEncoder
from models.detect import Overrides
from models.resolve import Model, resolve_model
from tests import checkpoints

GOLDENS = Path(__file__).parent / "goldens"


def golden(name: str) -> dict[str, Any]:
    return json.loads((GOLDENS / f"{name}.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def rebuilt(kept: dict[str, Any], folder: Path) -> Path:
    """The checkpoint that the reference ran on, weight for weight."""
    built: Path = getattr(checkpoints, kept["checkpoint"]["builder"])(folder, seed=kept["checkpoint"]["seed"])
    assert checkpoints.weights_digest(folder) == kept["checkpoint"]["weights_sha256"]
    return built


def resolved(folder: Path, overrides: Overrides) -> Model:
    return resolve_model(str(folder), None, overrides, trust_remote_code=False, allow_pickle=False)


def loaded(model: Model, batch_size: int | None = None) -> Any:
    return model.load(device="cpu", batch_size=batch_size, trust_remote_code=False, allow_pickle=False)


@pytest.mark.parametrize("batch_size", [None, 1])
@pytest.mark.parametrize("name", ["flagmodel_bert", "flagllm_qwen2", "flagllm_gemma2"])
def test_vectors_are_those_of_flagembedding(name: str, batch_size: int | None, tmp_path: Path) -> None:
    kept = golden(name)
    folder, reference = rebuilt(kept, tmp_path / "tiny"), kept["reference"]
    assert any("passages" in case for case in kept["cases"])
    for case in kept["cases"]:
        model = resolved(folder, Overrides(pooling=case["pooling"], normalize=case["normalize"]))
        lengths = {key: reference[key] for key in ("query_max_length", "passage_max_length")}
        adapter = loaded(replace(model, spec=replace(model.spec, **lengths)), batch_size)
        prefix = case["query_instruction_format"].format(reference["query_instruction_for_retrieval"], "")
        for role, instruction, key in [("query", prefix, "queries"), ("passage", "", "passages")]:
            if key not in case:  # passages do not depend on the query's format and are kept once
                continue
            found = adapter.encode(kept["texts"], role=role, instruction=instruction).dense
            wanted = np.array(case[key])
            scale = max(1.0, np.abs(wanted).max())
            assert np.abs(found - wanted).max() / scale <= 1e-5


@pytest.mark.parametrize("name", ["reranker_bert", "reranker_xlmr"])
def test_pairs_and_scores_are_those_of_flagreranker(name: str, tmp_path: Path) -> None:
    kept = golden(name)
    model = resolved(rebuilt(kept, tmp_path / "tiny"), Overrides(max_length=kept["reference"]["max_length"]))
    pairs = [(query, passage) for query, passage in kept["pairs"]]
    for case in kept["cases"]:
        lengths = {"query_max_length": case["effective_query_max_length"]}
        if case["query_max_length"] is None:
            assert model.spec.query_max_length == lengths["query_max_length"]
        reranker: CrossEncoder = loaded(replace(model, spec=replace(model.spec, **lengths)))
        inputs = reranker.encode_pairs(pairs)
        assert [row["input_ids"] for row in inputs] == case["input_ids"]
        if "second_starts_at" in case:
            starts = [row["token_type_ids"].index(1) for row in inputs]
            assert starts == case["second_starts_at"]
        scores = reranker.score(pairs)
        assert np.abs(scores - np.array(case["scores"])).max() <= 1e-5
        assert np.array_equal(np.argsort(-scores), np.argsort(-np.array(case["scores"])))
        sigmoid = 1 / (1 + np.exp(-scores.astype(np.float64)))
        assert np.abs(sigmoid - np.array(case["normalized_scores"])).max() <= 1e-5


@pytest.mark.parametrize("name", ["reranker_bert", "reranker_xlmr"])
def test_a_query_that_leaves_no_room_is_cut(name: str, tmp_path: Path) -> None:
    """The reference crashes or runs over its positions here."""
    kept = golden(name)
    model = resolved(rebuilt(kept, tmp_path / "tiny"), Overrides(max_length=64))
    reranker: CrossEncoder = loaded(replace(model, spec=replace(model.spec, query_max_length=64)))
    inputs = reranker.encode_pairs([("word " * 100, "passage"), ("short", "word " * 100), ("", "")])
    assert [len(row["input_ids"]) <= 64 for row in inputs] == [True, True, True]
    assert len(inputs[0]["input_ids"]) == 64
    assert np.isfinite(reranker.score([("word " * 100, "passage"), ("", "")])).all()


@pytest.mark.parametrize("name", ["reranker_bert", "reranker_xlmr"])
def test_scores_do_not_depend_on_order_or_batch(name: str, tmp_path: Path) -> None:
    kept = golden(name)
    model = resolved(rebuilt(kept, tmp_path / "tiny"), Overrides(max_length=64))
    pairs = [(query, passage) for query, passage in kept["pairs"]]
    scores = loaded(model).score(pairs)
    order = np.random.default_rng(0).permutation(len(pairs))
    assert np.abs(loaded(model, 1).score(pairs) - scores).max() <= 1e-5
    assert np.abs(loaded(model, 5).score([pairs[row] for row in order]) - scores[order]).max() <= 1e-5
    assert loaded(model).score([]).shape == (0,)
    instructed = loaded(model).score(pairs, instruction="Q: ")
    assert np.abs(instructed - scores).max() > 1e-4
    assert np.array_equal(loaded(model).score(pairs), scores)
