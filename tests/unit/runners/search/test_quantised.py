"""Rankings by bytes and bits, against sentence-transformers, FAISS and counting by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench.models.embeddings import Embeddings
from flagbench.models.loading.registry import published
from flagbench.models.view import View, views_of
from flagbench.runners.benchmark import EvaluatedModel
from flagbench.runners.encoding.cache import EmbeddingCache
from flagbench.runners.progress import Silent
from flagbench.runners.search import quantised
from flagbench.runners.search.ranking import Texts
from flagbench.runners.search.retriever import Retriever
from flagbench.runners.store.store import Store
from tests.unit.fakes import Encoding

RANDOM = np.random.default_rng(11)
DIMENSION = 20
CORPUS = RANDOM.normal(0.1, 1.0, (300, DIMENSION)).astype(np.float32)
CORPUS[200:210] = CORPUS[100]  # equal vectors of unlike texts
QUERIES = (1.5 * RANDOM.normal(0.1, 1.0, (12, DIMENSION))).astype(np.float32)
IDS = [f"p{number:03}" for number in RANDOM.permutation(300)]
PASSAGES = Texts(IDS, [f"passage {number}" for number in range(300)])
ASKED = Texts([f"q{number}" for number in range(12)], [f"query {number}" for number in range(12)])
TASK = ("T", "Retrieval")
PLAIN = replace(published()["flagbench/random"], normalize=False)


class Known(Encoding):
    """Gives each text the vector of its number."""

    def __init__(self, view: View | None, similarity: Any = "cosine", normalize: bool = False) -> None:
        self.spec = replace(PLAIN, view=view, similarity=similarity, normalize=normalize)
        self.encoded = 0

    def encode(self, texts: Sequence[str], **_: Any) -> Embeddings:
        self.encoded += len(texts)
        rows = [(kind, int(number)) for kind, number in (text.split() for text in texts)]
        return Embeddings(dense=np.array([(QUERIES if kind == "query" else CORPUS)[row] for kind, row in rows]))


def searched(model: Known, candidates: Any = None, *, top_k: int = 40, cache: Any = None) -> tuple[Any, Retriever]:
    retriever = Retriever.of(EvaluatedModel(model, cache=cache), Silent())
    return retriever.retrieve(TASK, ASKED, PASSAGES, candidates, top_k=top_k), retriever


def by_hand(scores: NDArray[Any], top_k: int) -> dict[str, dict[str, float]]:
    """The best ids of scores ``[query, passage]``, the larger id first of those that tie."""
    found = {}
    for query, row in zip(ASKED.ids, scores, strict=True):
        order = sorted(range(len(row)), key=lambda place: (row[place], IDS[place]), reverse=True)[:top_k]
        found[query] = {IDS[place]: float(row[place]) for place in order}
    return found


def assert_equal(run: Mapping[str, Mapping[str, float]], expected: Mapping[str, Mapping[str, float]]) -> None:
    assert run.keys() == expected.keys()
    for query, hits in expected.items():
        assert run[query] == pytest.approx(hits, abs=1e-5), query


def bytes_of(vectors: NDArray[Any], corpus: NDArray[Any]) -> NDArray[Any]:
    from sentence_transformers.util.quantization import quantize_embeddings

    ranges = np.vstack([corpus.min(axis=0), corpus.max(axis=0)])
    return np.asarray(quantize_embeddings(vectors, "int8", ranges=ranges)).astype(np.float64)


def unit(vectors: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("dims", [0, 8])
def test_int8_is_the_similarity_of_the_bytes_of_sentence_transformers(similarity: Any, dims: int) -> None:
    run, retriever = searched(Known(View(dims, "int8"), similarity))
    cut = slice(0, dims or DIMENSION)
    queries, corpus = (bytes_of(each[:, cut], CORPUS[:, cut]) for each in (QUERIES, CORPUS))
    scores = queries @ corpus.T if similarity == "dot" else unit(queries) @ unit(corpus).T
    assert_equal(run, by_hand(np.round(scores, 7), 40))
    (ranges,) = retriever.encoder.notes.ranges if retriever.encoder else ()
    assert np.array_equal(ranges.lowest, CORPUS[:, cut].min(axis=0))
    assert retriever.index_info
    assert retriever.index_info.index.endswith("of int8 values")


@pytest.mark.parametrize("normalize", [True, False])
def test_truncated_vectors_rank_as_those_of_sentence_transformers(normalize: bool) -> None:
    run, _ = searched(Known(View(8), "cosine", normalize))
    assert_equal(run, by_hand(np.round(unit(QUERIES[:, :8]) @ unit(CORPUS[:, :8]).T, 7), 40))


@pytest.mark.parametrize("dims", [0, 8])
def test_bits_rank_by_hamming_distance_and_ids(dims: int) -> None:
    run, _ = searched(Known(View(dims, "binary")))
    width = dims or DIMENSION
    far = (QUERIES[:, None, :width] > 0).astype(int) ^ (CORPUS[None, :, :width] > 0).astype(int)
    assert_equal(run, by_hand(width - 2.0 * far.sum(axis=2), 40))


def test_distances_are_those_of_faiss() -> None:
    import faiss
    from sentence_transformers.util.quantization import quantize_embeddings

    index = faiss.IndexBinaryFlat(24)
    index.add(quantize_embeddings(CORPUS, "ubinary"))
    distances, _ = index.search(quantize_embeddings(QUERIES, "ubinary"), 40)
    run, _ = searched(Known(View(0, "binary")))
    found = [[(DIMENSION - score) / 2 for score in hits.values()] for hits in run.values()]
    assert found == distances.tolist()


@pytest.mark.parametrize(("multiplier", "top_k"), [(1, 300), (2, 150), (100, 25)])
def test_rescoring_ranks_as_sentence_transformers_where_it_sees_all(multiplier: int, top_k: int) -> None:
    from sentence_transformers.util.quantization import quantize_embeddings, semantic_search_faiss

    run, _ = searched(Known(View(0, "binary+rescore", multiplier)), top_k=top_k)
    theirs, _, *_ = semantic_search_faiss(
        QUERIES,
        corpus_embeddings=np.asarray(quantize_embeddings(CORPUS, "ubinary")),
        corpus_precision="ubinary",
        top_k=top_k,
        rescore_multiplier=multiplier,
    )
    for query, vector, hits in zip(ASKED.ids, QUERIES, theirs, strict=True):
        shared = float(vector.sum())  # their bits are 0 and 1, ours -1 and 1
        scores = [2 * float(hit["score"]) - shared for hit in hits]
        assert list(run[query].values()) == pytest.approx(scores, abs=1e-4)
        clear = {
            IDS[int(hit["corpus_id"])] for hit, score in zip(hits, scores, strict=True) if score > scores[-1] + 1e-4
        }
        assert clear <= run[query].keys()


def test_rescoring_sees_the_nearest_alone_of_those_that_tie_the_larger_ids() -> None:
    run, _ = searched(Known(View(0, "binary+rescore", 3)), top_k=10)
    far = ((QUERIES[:, None] > 0) ^ (CORPUS[None] > 0)).sum(axis=2)
    exact = QUERIES.astype(np.float64) @ np.where(CORPUS > 0, 1.0, -1.0).T
    seen = by_hand(-far.astype(float), 30)
    for query, hits in seen.items():
        scores = {id_: np.float32(exact[ASKED.ids.index(query), IDS.index(id_)]) for id_ in hits}
        order = sorted(scores, key=lambda id_: (scores[id_], id_), reverse=True)[:10]
        assert {id_: float(scores[id_]) for id_ in order} == pytest.approx(run[query])
        assert list(run[query]) == order


@pytest.mark.parametrize("view", [view for view in views_of((0, 8), ("int8", "binary", "binary+rescore")) if view])
def test_given_candidates_are_scored_as_in_a_search_of_them_alone(view: View) -> None:
    chosen = IDS[:60]
    run, _ = searched(Known(view), dict.fromkeys(ASKED.ids, chosen), top_k=30)
    rows = [IDS.index(id_) for id_ in chosen]
    alone = Retriever.of(EvaluatedModel(Known(view)), Silent()).retrieve(
        TASK, ASKED, Texts(chosen, [f"passage {row}" for row in rows]), top_k=60
    )
    for query in ASKED.ids:
        order = sorted(alone[query], key=lambda id_: (alone[query][id_], id_), reverse=True)[:30]
        if view.vectors != "binary+rescore":
            assert set(run[query]) == set(order)
        assert run[query] == pytest.approx({id_: alone[query][id_] for id_ in run[query]}, abs=1e-5)


@pytest.mark.parametrize("with_store", [True, False])
def test_a_corpus_beyond_memory_comes_again_from_the_cache_or_the_model(
    with_store: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = searched(Known(View(8, "int8")))
    monkeypatch.setattr(quantised, "_KEPT_BYTES", 100 * 8 * 4)
    monkeypatch.setattr("flagbench.runners.encoding.encode._CHUNK_CPU", (50, 1 << 20))
    store = Store(tmp_path / "store", cap_bytes=1 << 30, warn=pytest.fail) if with_store else None
    model = Known(View(8, "int8"))
    run, retriever = searched(model, cache=EmbeddingCache(store) if store else None)
    assert_equal(run, expected)
    assert model.encoded == (312 if with_store else 512)
    if store:
        store.close()
        assert retriever.counts.encoded == 312


@pytest.mark.parametrize("vectors", ["int8", "binary", "binary+rescore"])
def test_without_passages_or_queries_nothing_is_found(vectors: Any) -> None:
    retriever = Retriever.of(EvaluatedModel(Known(View(0, vectors, 4))), Silent())
    assert retriever.retrieve(TASK, ASKED, Texts([], []), top_k=5) == {query: {} for query in ASKED.ids}
    assert retriever.retrieve(TASK, Texts([], []), PASSAGES, top_k=5) == {}
