"""Exact search held against naive inner products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench.runners.search.hits import Run, comparable, rerank, rescore, retrieve
from flagbench.runners.search.index import DenseIndex, IndexInfo

Vectors = NDArray[np.float32]


def _vectors(rows: int, width: int = 24, seed: int = 0) -> Vectors:
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


def _naive_best(queries: Vectors, passages: Vectors, k: int) -> list[list[int]]:
    """Rows of the best passages, by double-precision loops."""
    best = []
    for query in queries.astype(float):
        scores = [sum(a * b for a, b in zip(query, passage, strict=True)) for passage in passages.astype(float)]
        best.append(sorted(range(len(passages)), key=lambda row: -scores[row])[:k])
    return best


@pytest.fixture
def queries() -> Vectors:
    return _vectors(7, seed=1)


@pytest.fixture
def passages() -> Vectors:
    return _vectors(53, seed=2)


@pytest.mark.parametrize("k", [1, 10, 53])
def test_search_finds_the_best(queries: Vectors, passages: Vectors, k: int) -> None:
    scores, rows = DenseIndex(passages).search(queries, k)
    assert rows.tolist() == _naive_best(queries, passages, k)
    expected = np.take_along_axis(queries @ passages.T, rows, axis=1)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_more_than_there_are_gives_all(queries: Vectors, passages: Vectors) -> None:
    scores, rows = DenseIndex(passages).search(queries, 1000)
    assert scores.shape == rows.shape == (7, 53)
    assert rows.tolist() == _naive_best(queries, passages, 53)


def test_a_single_passage(queries: Vectors) -> None:
    scores, rows = DenseIndex(_vectors(1, seed=3)).search(queries, 10)
    assert rows.tolist() == [[0]] * 7
    np.testing.assert_allclose(scores[:, 0], queries @ _vectors(1, seed=3)[0], atol=1e-5)


def test_the_given_vectors_are_not_changed(queries: Vectors, passages: Vectors) -> None:
    before = queries.copy(), passages.copy()
    index = DenseIndex(passages)
    index.search(queries, 5)
    index.score(queries[0], np.arange(5))
    comparable(passages, "cosine")
    np.testing.assert_array_equal(queries, before[0])
    np.testing.assert_array_equal(passages, before[1])


def test_the_index_keeps_its_own_copy(queries: Vectors, passages: Vectors) -> None:
    index = DenseIndex(passages)
    expected = index.search(queries, 5)[1].tolist()
    passages[:] = 0
    assert index.search(queries, 5)[1].tolist() == expected


def test_vectors_in_another_memory_order_are_taken(queries: Vectors, passages: Vectors) -> None:
    index = DenseIndex(np.asfortranarray(passages))
    assert index.search(np.asfortranarray(queries), 5)[1].tolist() == _naive_best(queries, passages, 5)


def test_score_gives_the_rows_in_their_order(queries: Vectors, passages: Vectors) -> None:
    rows = np.array([50, 3, 3, 17])
    scores = DenseIndex(passages).score(queries[2], rows)
    expected = [float(np.dot(queries[2].astype(float), passages[row].astype(float))) for row in rows]
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_score_of_no_rows_is_empty(queries: Vectors, passages: Vectors) -> None:
    assert DenseIndex(passages).score(queries[0], np.array([], dtype=np.int64)).shape == (0,)


def test_info_says_what_searched(passages: Vectors) -> None:
    info = DenseIndex(passages).info.as_dict()
    assert info["exact"] is True
    assert info["index"] == "IndexFlatIP"
    assert info["library"].startswith("faiss ")
    assert info["devices"] == "cpu"


def _ids(letter: str, number: int) -> list[str]:
    return [f"{letter}{row}" for row in range(number)]


def _retrieve(queries: Vectors, passage_ids: list[str], passages: Vectors, top_k: int) -> tuple[Run, IndexInfo]:
    """Passages that are all different, and come at once."""
    rows = np.arange(len(passages))
    return retrieve(_ids("q", len(queries)), queries, passage_ids, rows, [(rows, passages)], top_k=top_k)


def test_retrieve_names_the_best_passages(queries: Vectors, passages: Vectors) -> None:
    run, info = _retrieve(queries, _ids("p", 53), passages, 10)
    best = _naive_best(queries, passages, 10)
    assert list(run) == _ids("q", 7)
    assert {query: list(found) for query, found in run.items()} == {
        f"q{row}": [f"p{place}" for place in places] for row, places in enumerate(best)
    }
    for row, places in enumerate(best):
        for place in places:
            assert run[f"q{row}"][f"p{place}"] == pytest.approx(float(queries[row] @ passages[place]), abs=1e-5)
    assert info.exact


def test_retrieve_gives_plain_values(queries: Vectors, passages: Vectors) -> None:
    run, _ = _retrieve(queries, _ids("p", 53), passages, 3)
    assert {type(score) for found in run.values() for score in found.values()} == {float}
    assert {type(name) for found in run.values() for name in found} == {str}


def test_retrieve_gives_no_more_than_there_are(queries: Vectors) -> None:
    run, _ = _retrieve(queries, ["only"], _vectors(1), 1000)
    assert [list(found) for found in run.values()] == [["only"]] * 7


def test_rescore_orders_the_candidates_only(queries: Vectors, passages: Vectors) -> None:
    picked = np.random.default_rng(5)
    candidates = {f"q{row}": [f"p{place}" for place in picked.permutation(53)[: 4 + row]] for row in range(7)}
    run, info = rescore(_ids("q", 7), queries, _ids("p", 53), passages, candidates, top_k=1000)
    for row in range(7):
        scores = {name: float(queries[row] @ passages[int(name[1:])]) for name in candidates[f"q{row}"]}
        assert list(run[f"q{row}"]) == sorted(scores, key=lambda name: -scores[name])
        assert run[f"q{row}"] == pytest.approx(scores, abs=1e-5)
    assert info.devices == "cpu"


def test_rescore_keeps_the_best(queries: Vectors, passages: Vectors) -> None:
    candidates = {"q0": _ids("p", 53)}
    run, _ = rescore(["q0"], queries[:1], _ids("p", 53), passages, candidates, top_k=4)
    assert list(run["q0"]) == [f"p{row}" for row in _naive_best(queries[:1], passages, 4)[0]]


def test_a_query_without_candidates_has_an_empty_ranking(queries: Vectors, passages: Vectors) -> None:
    candidates = {"q0": ["p1"], "q1": []}
    run, _ = rescore(_ids("q", 3), queries[:3], _ids("p", 53), passages, candidates, top_k=10)
    assert run["q1"] == run["q2"] == {}
    assert list(run["q0"]) == ["p1"]


def test_cosine_vectors_are_normalised(passages: Vectors) -> None:
    unit = comparable(passages, "cosine")
    expected = passages.astype(float) / np.sqrt((passages.astype(float) ** 2).sum(axis=1))[:, None]
    np.testing.assert_allclose(unit, expected, atol=1e-6)
    assert unit.dtype == np.float32


def test_dot_vectors_are_left_alone(passages: Vectors) -> None:
    np.testing.assert_array_equal(comparable(passages, "dot"), passages)


def test_a_zero_vector_stays_finite(passages: Vectors) -> None:
    passages[3] = 0
    unit = comparable(passages, "cosine")
    np.testing.assert_array_equal(unit[3], np.zeros(24, dtype=np.float32))
    assert np.isfinite(unit).all()


def test_cosine_and_dot_rank_otherwise() -> None:
    query = np.array([[1, 0]], dtype=np.float32)
    long_and_close = np.array([[3, 4], [1, 0.1]], dtype=np.float32)
    found = {}
    for similarity in ("cosine", "dot"):
        vectors = comparable(long_and_close, similarity)
        found[similarity] = list(_retrieve(query, ["long", "close"], vectors, 2)[0]["q0"])
    assert found == {"cosine": ["close", "long"], "dot": ["long", "close"]}


def test_the_first_passages_are_re_ranked_and_the_others_stay_below_in_their_order() -> None:
    run = {"q": {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6, "e": 0.5}, "none": {}}
    opinion = {"A": -3.0, "B": 7.0, "C": 2.0}
    seen: list[tuple[str, str]] = []

    def score(pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        seen.extend(pairs)
        return np.array([opinion[passage] for _, passage in pairs], dtype=np.float32)

    texts = {passage_id: passage_id.upper() for passage_id in "abcde"}
    result = rerank(run, {"q": "query", "none": "other"}, texts.__getitem__, score, top_k=3)

    assert seen == [("query", "A"), ("query", "B"), ("query", "C")]
    assert sorted(result["q"], key=lambda each: -result["q"][each]) == ["b", "c", "a", "d", "e"]
    assert result["none"] == {}
    assert run["q"]["a"] == 0.9


def test_passages_that_the_reranker_does_not_see_may_be_dropped() -> None:
    run = {"q": {"a": 0.9, "b": 0.8, "c": 0.7}}
    scores = np.array([1.0, 2.0], dtype=np.float32)
    assert rerank(run, {"q": "x"}, str.upper, lambda pairs: scores, top_k=2, below="dropped") == {
        "q": {"a": 1.0, "b": 2.0}
    }


def test_ties_before_re_ranking_are_broken_as_trec_eval_does() -> None:
    run = {"q": {"a": 0.5, "c": 0.5, "b": 0.5}}
    texts = {passage_id: passage_id for passage_id in "abc"}
    result = rerank(run, {"q": "x"}, texts.__getitem__, lambda pairs: np.zeros(len(pairs), dtype=np.float32), top_k=1)
    assert sorted(result["q"], key=lambda each: -result["q"][each]) == ["c", "b", "a"]
