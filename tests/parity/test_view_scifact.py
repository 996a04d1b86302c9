"""SciFact with a real model: twelve points of one encoding, against sentence-transformers over its vectors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from flagbench.models.view import views_of
from flagbench.runners.benchmark import EvaluatedModel
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.encoding.cache import EmbeddingCache
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.progress import Silent
from flagbench.runners.request import RunRequest
from flagbench.runners.store.store import Store
from flagbench.suites.mteb.benchmark import MTEB

VIEWS = [view for view in views_of((64, 128, 256, 0), ("fp32", "int8", "binary")) if view]


def check_points(adapter: Any, cache: EmbeddingCache, data: Path) -> dict[str, float]:
    """Scores of all points, each compared with one that is made of the plain vectors; the model encodes once."""
    request = RunRequest("", "mteb", tasks=("SciFact",))
    (row,) = MTEB.select(request)
    loaded = MTEB.load(row, Snapshots(data), request)
    plain = adapter.spec
    encoder = TextEncoder(adapter, Silent(), cache)
    parts = loaded.content.dataset["default"]["test"]
    passages = [
        f"{title} {text}".strip() for title, text in zip(parts["corpus"]["title"], parts["corpus"]["text"], strict=True)
    ]
    corpus = encoder.encode(passages, role="passage")
    queries = encoder.encode(list(parts["queries"]["text"]), role="query")
    found = {}
    for view in VIEWS:
        adapter.spec = plain if view.plain else replace(plain, view=view)
        outcome = MTEB.evaluate(loaded, EvaluatedModel(adapter, cache=cache), Silent(), None)
        assert outcome.texts["encoded"] == 0
        scores = similarities(queries, corpus, view.dims, view.vectors)
        expected = ndcg(scores, list(parts["queries"]["id"]), list(parts["corpus"]["id"]), parts["relevant_docs"])
        assert outcome.scores["test"]["default"] == pytest.approx(expected, abs=1.1e-5), view  # mteb rounds
        found[view.suffix] = expected
    adapter.spec = plain
    return found


def similarities(queries: Any, corpus: Any, dims: int, vectors: str) -> Any:
    """Scores ``[query, passage]``."""
    from sentence_transformers.util import quantize_embeddings, truncate_embeddings

    queries, corpus = (truncate_embeddings(each, dims) if dims else each for each in (queries, corpus))
    queries, corpus = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (queries, corpus))
    if vectors == "binary":
        queries, corpus = (np.asarray(quantize_embeddings(each, "ubinary")) for each in (queries, corpus))
        return -np.stack([np.bitwise_count(corpus ^ query).sum(axis=1, dtype=np.int64) for query in queries]).astype(
            np.float64
        )
    if vectors == "int8":
        ranges = np.vstack([corpus.min(axis=0), corpus.max(axis=0)])
        queries, corpus = (
            np.asarray(quantize_embeddings(each, "int8", ranges=ranges)).astype(np.float64)
            for each in (queries, corpus)
        )
    queries, corpus = (each.astype(np.float64) for each in (queries, corpus))
    queries, corpus = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (queries, corpus))
    return np.round(queries @ corpus.T, 9)


def ndcg(scores: Any, query_ids: list[str], passage_ids: list[str], qrels: Any) -> float:
    """The mean nDCG@10 by hand, the larger id first of passages that tie."""
    order_of_ids = np.argsort(np.argsort(passage_ids))
    values = []
    for query, row in zip(query_ids, scores, strict=True):
        grades = qrels.get(query, {})
        best = np.lexsort((-order_of_ids, -row))[:10]
        gains = [grades.get(passage_ids[place], 0) / np.log2(rank + 2) for rank, place in enumerate(best)]
        ideal = sorted(grades.values(), reverse=True)[:10]
        values.append(sum(gains) / sum(grade / np.log2(rank + 2) for rank, grade in enumerate(ideal)))
    return float(np.mean(values))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_twelve_points_on_scifact(minilm: Path, shared_data: Path, tmp_path: Path) -> None:
    model = resolve_model(str(minilm), None, Overrides(), trust_remote_code=False, allow_pickle=False)
    adapter: Any = model.load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=False)
    store = Store(tmp_path / "store", cap_bytes=1 << 30, warn=pytest.fail)
    found = check_points(adapter, EmbeddingCache(store), shared_data)
    store.close()
    assert found[""] > found["-dims256"] > found["-dims128"] > found["-dims64"]
