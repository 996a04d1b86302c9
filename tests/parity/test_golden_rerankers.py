"""Rerankers against FlagEmbedding's own classes: outputs kept by make_goldens.py, checkpoints rebuilt by seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench.models.loading.overrides import Overrides
from flagbench.models.rerankers.cross_encoder import CrossEncoder
from flagbench.models.rerankers.layerwise import LayerwiseReranker
from tests.parity.kept import golden, hold, loaded, rebuilt, resolved
from tests.saying import also_saying, saying

pytestmark = pytest.mark.usefixtures("one_thread")


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
        hold("cross-encoder", scores, case["scores"])
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


@pytest.mark.parametrize("batch_size", [None, 1, 256])
def test_llm_scores_are_those_of_flagllmreranker(batch_size: int | None, tmp_path: Path) -> None:
    kept = golden("llm_reranker_gemma")
    folder = rebuilt(kept, tmp_path / "tiny")
    pairs = [(query, passage) for query, passage in kept["pairs"]]
    for case in kept["cases"]:
        overrides = saying(max_length=kept["reference"]["max_length"], family="llm-reranker", prompt=case["prompt"])
        model = resolved(folder, overrides)
        if case["query_max_length"]:
            model = replace(model, spec=replace(model.spec, query_max_length=case["query_max_length"]))
        reranker = loaded(model, batch_size)
        assert reranker.encode_pairs(pairs) == case["input_ids"]
        assert_scores("llm-reranker", reranker.score(pairs), case["scores"], batch_size)


@pytest.mark.parametrize("batch_size", [None, 1, 256])
def test_layerwise_scores_are_those_of_layerwiseflagllmreranker(batch_size: int | None, tmp_path: Path) -> None:
    kept = golden("layerwise_minicpm")
    folder = rebuilt(kept, tmp_path / "tiny")
    pairs = [(query, passage) for query, passage in kept["pairs"]]
    for case in kept["cases"]:
        layers = tuple(case["cutoff_layers"]) if case["cutoff_layers"] else None
        model = resolved(folder, saying(max_length=kept["reference"]["max_length"], cutoff_layers=layers))
        assert model.spec.family == "layerwise-reranker"
        reranker: LayerwiseReranker = loaded(model, batch_size)
        assert [row.ids for row in reranker.encode_pairs(pairs)] == kept["input_ids"]
        found = reranker.score_layers(pairs)
        assert found.shape == (len(pairs), len(case["scores"]))
        for column, scores in zip(found.T, case["scores"], strict=True):
            assert_scores("layerwise-reranker", column, scores)  # padded on the other side: other batches


@pytest.mark.parametrize("batch_size", [None, 1, 256])
def test_lightweight_scores_are_those_of_lightweightflagllmreranker(batch_size: int | None, tmp_path: Path) -> None:
    kept = golden("lightweight_gemma2")
    folder = rebuilt(kept, tmp_path / "tiny")
    pairs = [(query, passage) for query, passage in kept["pairs"]]
    for case in kept["cases"]:
        model = resolved(folder, lightweight(kept, case))
        assert (model.spec.family, model.spec.attention, model.spec.own.head) == ("lightweight-reranker", "eager", 0)
        reranker: LayerwiseReranker = loaded(model, batch_size)
        rows = reranker.encode_pairs(pairs)
        assert [row.ids for row in rows] == kept["input_ids"]
        assert [row.query_length for row in rows] == kept["query_lengths"]
        assert [row.prompt_length for row in rows] == kept["prompt_lengths"]
        for column, scores in zip(reranker.score_layers(pairs).T, case["scores"], strict=True):
            assert_scores("lightweight-reranker", column, scores, batch_size)


def test_a_lightweight_layers_own_head(tmp_path: Path) -> None:
    """Asked for all layers at once, the reference too takes the head of each; asked for one, it takes the first."""
    kept = golden("lightweight_gemma2")
    folder = rebuilt(kept, tmp_path / "tiny")
    pairs = [(query, passage) for query, passage in kept["pairs"]]
    case = next(case for case in kept["cases"] if case["cutoff_layers"] == [2, 3, 4, 5, 6])
    for layer, scores in zip(case["cutoff_layers"], case["scores"], strict=True):
        asked = also_saying(lightweight(kept, case), cutoff_layers=(layer,), head_index="layer")
        model = resolved(folder, asked)
        assert (model.spec.own.cutoff_layer, model.spec.own.head) == (layer, layer - 2)
        assert_scores("lightweight-reranker", loaded(model).score(pairs), scores)
        by_place = loaded(resolved(folder, also_saying(asked, head_index=None))).score(pairs)
        assert layer == 2 or np.abs(by_place - np.array(scores)).max() > 1e-2


def lightweight(kept: dict[str, Any], case: dict[str, Any]) -> Overrides:
    compressed = case["compress_ratio"] > 1
    return saying(
        max_length=kept["reference"]["max_length"],
        cutoff_layers=tuple(case["cutoff_layers"]),
        compress_ratio=case["compress_ratio"],
        compress_layers=tuple(case["compress_layers"]) if compressed else None,
    )


def assert_scores(family: str, found: Any, wanted: list[float], batch_size: int | None = None) -> None:
    """Equal within 1e-5, and in the same order but for scores that are nearer to each other than that."""
    hold(family, found, wanted, batch_size)
    ranked = np.array(wanted)[np.argsort(-found, kind="stable")]
    assert (np.diff(ranked) <= 2e-5).all()
