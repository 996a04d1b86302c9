"""Queries mixed with their generations, against the sum by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench import BadInput
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from flagbench.models.query_mix import QueryMix
from flagbench.runners.benchmark import EvaluatedModel
from flagbench.runners.encoding.cache import EmbeddingCache
from flagbench.runners.progress import Silent
from flagbench.runners.search.evaluate import Part, RetrievalData, Scoring, evaluate
from flagbench.runners.search.metrics import Metric
from flagbench.runners.search.ranking import Texts
from flagbench.runners.search.retriever import Retriever
from flagbench.runners.store.store import Store
from tests.filled import write_filled_bert

QUERIES = Texts(["1", "2", "3"], ["who wrote it", "where is the cat", "how tall is the tower"])
PASSAGES = Texts(
    [f"d{number}" for number in range(6)],
    ["the cat sat on the mat", "a tower of stone", "she wrote a book", "rain", "the sun and the moon", "a tall tree"],
)
ROWS = (
    {"query": "who wrote it", "generation": "an author of books"},
    {"query_id": "2", "text": "a cat on a mat"},
    {"query_id": 3, "generations": ["a tall tower", "stone and steel"]},
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_filled_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "made.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    return path


def encoder(checkpoint: Path, overrides: Overrides) -> Any:
    model = resolve_model(str(checkpoint), None, overrides, trust_remote_code=False, allow_pickle=False)
    return model.load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=False)


def by_hand(plain: Any, weights: tuple[float, float], similarity: str) -> Any:
    """Scores ``[query, passage]``: the formula, each part as the model gives it."""

    def vectors(texts: list[str], role: str, instruction: str) -> Any:
        found = plain.encode([instruction + text for text in texts], role=role).dense.astype(np.float64)
        return found / np.linalg.norm(found, axis=1, keepdims=True) if similarity == "cosine" else found

    generations = [["an author of books"], ["a cat on a mat"], ["a tall tower", "stone and steel"]]
    prefix = "doc: Generate the topic about this passage: "
    generated = np.stack([vectors([prefix + text for text in its], "passage", "").mean(axis=0) for its in generations])
    queries = vectors(list(QUERIES.texts), "query", "ask: ")
    passages = vectors(list(PASSAGES.texts), "passage", "doc: ")
    return (weights[0] * generated + weights[1] * queries) @ passages.T


@pytest.mark.parametrize(("normalize", "similarity"), [(True, "cosine"), (False, "cosine"), (False, "dot")])
@pytest.mark.parametrize("weights", [(0.2, 0.8), (1.0, 0.0), (0.7, 0.6)])
def test_scores_are_those_of_the_sum_by_hand(
    checkpoint: Path, made: Path, normalize: bool, similarity: Any, weights: tuple[float, float]
) -> None:
    said = Overrides(query_instruction="ask: ", passage_instruction="doc: ", pooling="cls", normalize=normalize)
    plain = encoder(checkpoint, said)
    mixing = encoder(checkpoint, said)
    mix = QueryMix.of(made, weights)
    mixing.spec = replace(plain.spec, query_mix=mix, similarity=similarity)
    retriever = Retriever.of(EvaluatedModel(mixing), Silent())
    expected = by_hand(plain, weights, similarity)
    for candidates in (None, {query: list(PASSAGES.ids) for query in QUERIES.ids}):
        run = retriever.retrieve(("T", "Retrieval"), QUERIES, PASSAGES, candidates, top_k=6)
        found = np.array([[run[query][passage] for passage in PASSAGES.ids] for query in QUERIES.ids])
        assert found == pytest.approx(expected, abs=1e-6 * np.abs(expected).max())
    unit = expected / np.abs(expected).max()
    without = by_hand(plain, (0.0, 1.0), similarity)
    assert not np.allclose(unit, without / np.abs(without).max(), atol=1e-4)


def test_ids_are_those_of_the_data_where_splits_are_searched_at_once(checkpoint: Path, made: Path) -> None:
    plain = encoder(checkpoint, Overrides(pooling="cls", normalize=True))
    plain.spec = replace(plain.spec, query_mix=QueryMix.of(made, (0.2, 0.8)))
    part = Part(QUERIES, {query: {"d0": 1} for query in QUERIES.ids})
    data = RetrievalData("T", "Retrieval", PASSAGES, {"dev": part, "test": part})
    scoring = Scoring(Metric("ndcg", 5), (5,), top_k=6)
    result = evaluate(data, scoring, EvaluatedModel(plain), Silent())
    assert set(result.scores) == {"dev", "test"}
    data = replace(data, parts={"dev": Part(replace(QUERIES, ids=["1", "2", "9"]), {"9": {"d0": 1}})})
    with pytest.raises(BadInput, match=r"no generation for 1 of 3 queries of T \(ids: 9\)"):
        evaluate(data, scoring, EvaluatedModel(plain), Silent())


def test_a_mixing_run_reads_the_vectors_of_a_plain_one(checkpoint: Path, made: Path, tmp_path: Path) -> None:
    cache = EmbeddingCache(Store(tmp_path / "store", cap_bytes=1 << 30, warn=pytest.fail))
    plain = encoder(checkpoint, Overrides(pooling="cls", normalize=True))
    Retriever.of(EvaluatedModel(plain, cache=cache), Silent()).retrieve(("T", "Retrieval"), QUERIES, PASSAGES, top_k=6)
    plain.spec = replace(plain.spec, name=plain.spec.name + "-query-mix", query_mix=QueryMix.of(made, (0.2, 0.8)))
    retriever = Retriever.of(EvaluatedModel(plain, cache=cache), Silent())
    retriever.retrieve(("T", "Retrieval"), QUERIES, PASSAGES, top_k=6)
    assert retriever.counts.encoded == 4  # the generations
    cache.store.close()
