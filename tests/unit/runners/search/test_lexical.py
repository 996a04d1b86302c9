"""Search by lexical weights, held against sums in plain Python; whole runs are in test_rank_runs.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from numpy.typing import NDArray

from flagbench.runners.search import lexical
from flagbench.runners.search.lexical import LexicalScores, LexicalSearch, Ranked, best, weighted_union

Weights = Mapping[int, float]
VOCABULARY = 40


def random_weights(texts: int, seed: int, *, steps: int = 0) -> list[dict[int, float]]:
    """Weights of about a fifth of the vocabulary; with ``steps`` so few values that many scores are equal."""
    generator = np.random.default_rng(seed)
    return [
        {
            token: float(generator.integers(1, steps + 1) if steps else np.float32(generator.random()))
            for token in range(VOCABULARY)
            if generator.random() < 0.2
        }
        for _ in range(texts)
    ]


def matrix(rows: Sequence[Weights]) -> scipy.sparse.csr_array:
    dense = np.zeros((len(rows), VOCABULARY), dtype=np.float32)
    for place, row in enumerate(rows):
        for token, weight in row.items():
            dense[place, token] = weight
    return scipy.sparse.csr_array(dense)


def naive_products(queries: Sequence[Weights], passages: Sequence[Weights]) -> list[dict[int, float]]:
    """Scores of the passages that share a token with each query."""
    return [
        {
            row: sum(weight * passage[token] for token, weight in query.items() if token in passage)
            for row, passage in enumerate(passages)
            if query.keys() & passage.keys()
        }
        for query in queries
    ]


def in_order(scores: Mapping[int, float]) -> list[int]:
    """Rows, best first, equal scores by row."""
    return sorted(scores, key=lambda row: (-scores[row], row))


def ranked(*scores: tuple[int, float]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    return np.array([row for row, _ in scores], np.int64), np.array([score for _, score in scores], np.float32)


# Search


def pieces(count: int, size: int, seed: int = 0) -> list[NDArray[np.int64]]:
    """The numbers of texts in the order in which they come, cut into pieces."""
    order = np.random.default_rng(seed).permutation(count) if seed else np.arange(count)
    return [order[start : start + size] for start in range(0, count, size)]


def searched(
    queries: Sequence[Weights], passages: Sequence[Weights], k: int, size: int = 1_000, seed: int = 0
) -> list[Ranked]:
    search, weights = LexicalSearch(matrix(queries), k), matrix(passages)
    for rows in pieces(len(passages), size, seed):
        search.add(rows, weights[rows])
    return search.finish()


def blocks_of(texts: int, monkeypatch: pytest.MonkeyPatch, *, weights: int = 1_000_000, scores: int = 1_000) -> None:
    monkeypatch.setattr(lexical, "_BLOCK_TEXTS", texts)
    monkeypatch.setattr(lexical, "_BLOCK_WEIGHTS", weights)
    monkeypatch.setattr(lexical, "_BLOCK_SCORES", scores)


def plain(found: Sequence[Ranked]) -> list[tuple[list[int], list[float]]]:
    return [(rows.tolist(), scores.tolist()) for rows, scores in found]


@pytest.mark.parametrize("texts", [1, 7, 1_000])
@pytest.mark.parametrize("top_k", [1, 7, 60, 1_000])
def test_it_finds_the_sums_over_shared_tokens(top_k: int, texts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks_of(texts, monkeypatch)
    queries, passages = random_weights(9, 1), random_weights(60, 2)
    found = searched(queries, passages, top_k, size=5, seed=3)
    assert len(found) == 9
    for (rows, scores), wanted in zip(found, naive_products(queries, passages), strict=True):
        assert rows.tolist() == in_order(wanted)[:top_k]
        assert scores.tolist() == pytest.approx([wanted[row] for row in rows], rel=1e-5)
        assert scores.dtype == np.float32
        assert rows.dtype == np.int64


@pytest.mark.parametrize("size", [1, 3, 10, 80])
@pytest.mark.parametrize("steps", [0, 1], ids=["few are equal", "many are equal"])
def test_neither_pieces_nor_blocks_change_a_bit(steps: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    queries, passages = random_weights(12, 3, steps=steps), random_weights(80, 4, steps=steps)
    for k in (3, 20, 1_000):
        whole = searched(queries, passages, k, seed=5)
        for texts, weights, scores in [(1, 10**6, 1), (9, 10**6, 30), (10**6, 20, 10**6), (10**6, 10**6, 1)]:
            with monkeypatch.context() as patched:
                blocks_of(texts, patched, weights=weights, scores=scores)
                assert plain(searched(queries, passages, k, size, seed=5)) == plain(whole)


@pytest.mark.parametrize("top_k", [3, 20, 1_000])
def test_of_equal_scores_those_that_came_first_are_kept(top_k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks_of(11, monkeypatch)
    queries, passages = random_weights(12, 3, steps=1), random_weights(80, 4, steps=1)
    for (rows, _), wanted in zip(
        searched(queries, passages, top_k, size=4), naive_products(queries, passages), strict=True
    ):
        assert len(set(wanted.values())) < len(wanted) / 4
        assert rows.tolist() == in_order(wanted)[:top_k]


def test_more_passages_than_there_are_gives_those_that_share_a_token() -> None:
    ((rows, scores),) = searched([{0: 2.0}], [{0: 1.0}, {1: 2.0}, {0: 3.0, 1: 1.0}, {}], 100)
    assert (rows.tolist(), scores.tolist()) == ([2, 0], [6.0, 2.0])


@pytest.mark.parametrize("query", [{}, {7: 1.0}], ids=["no tokens", "tokens that no passage has"])
def test_a_query_that_shares_no_token_finds_nothing(query: Weights) -> None:
    found = searched([{0: 1.0}, query, {1: 1.0}], [{0: 1.0}, {1: 2.0}], 10)
    assert plain(found) == [([0], [1.0]), ([], []), ([1], [2.0])]


def test_queries_without_any_token() -> None:
    assert plain(searched([{}, {}], [{0: 1.0}, {}], 10)) == [([], []), ([], [])]


def test_no_queries_or_no_passages() -> None:
    assert searched([], [{0: 1.0}], 10) == []
    assert plain(searched([{0: 1.0}], [], 10)) == [([], [])]


@pytest.mark.parametrize(
    ("width", "first", "second"),
    [
        (3, ([3, 1], [9.0, 5.0]), ([], [])),
        (12, ([1, 3], [5.0, 2.0]), ([3], [7.0])),
        (200, ([1, 3], [5.0, 2.0]), ([], [])),
    ],
)
def test_passages_of_another_width(width: int, first: Any, second: Any) -> None:
    """What is read from the store is as wide as its last token."""
    passages = np.zeros((4, width), dtype=np.float32)
    passages[1, 2], passages[3, width - 1], passages[3, 0] = 5.0, 7.0, 1.0
    search = LexicalSearch(matrix([{2: 1.0, 0: 2.0}, {11: 1.0}]), 10)
    search.add(np.arange(4), scipy.sparse.csr_array(passages))
    assert plain(search.finish()) == [first, second]


def test_nothing_but_a_block_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks_of(10, monkeypatch)
    search, weights = LexicalSearch(matrix([{0: 1.0}]), 2), matrix(random_weights(200, 9))
    for rows in pieces(200, 4):
        search.add(rows, weights[rows])
        assert sum(each.shape[0] for each in search._weights) < 10


# Scores beside another search


@pytest.mark.parametrize("size", [1, 3, 7, 30])
@pytest.mark.parametrize("block", [1, 5, 12, 30])
def test_scores_of_what_another_search_finds(block: int, size: int) -> None:
    queries, passages = random_weights(4, 5), random_weights(30, 6)
    wanted = naive_products(queries, passages)
    beside, weights = LexicalScores(matrix(queries)), matrix(passages)
    generator = np.random.default_rng(7)
    begin = held = 0
    for rows in [*pieces(30, size), None]:
        if rows is not None:
            beside.add(weights[rows])
            held += len(rows)
        while held >= block or (rows is None and held):
            count = min(block, held)
            found = generator.integers(count, size=(4, 3))
            scores = beside(count, found)
            assert scores.dtype == np.float32
            expected = [[wanted[query].get(begin + place, 0.0) for place in each] for query, each in enumerate(found)]
            np.testing.assert_allclose(scores, expected, rtol=1e-5)
            begin, held = begin + count, held - count
    assert not beside._waiting


def test_the_rest_of_a_piece_comes_before_those_that_wait() -> None:
    queries, passages = random_weights(2, 5), random_weights(9, 6)
    wanted, weights = naive_products(queries, passages), matrix(passages)
    beside = LexicalScores(matrix(queries))
    for rows in pieces(9, 3):
        beside.add(weights[rows])
    for begin, count in ((0, 2), (2, 5), (7, 2)):
        every = np.tile(np.arange(count), (2, 1))
        expected = [[its.get(begin + place, 0.0) for place in range(count)] for its in wanted]
        np.testing.assert_allclose(beside(count, every), expected, rtol=1e-5)


# Sums


def test_a_passage_that_one_list_lacks_has_nothing_there() -> None:
    dense, sparse = ranked((4, 0.9), (1, 0.5), (7, 0.2)), ranked((7, 3.0), (2, 2.0), (4, 1.0))
    rows, scores = weighted_union([dense, sparse], (1.0, 0.3))
    assert rows.tolist() == [4, 7, 2, 1]
    assert scores.tolist() == pytest.approx([0.9 + 0.3, 0.2 + 0.9, 0.6, 0.5], abs=1e-6)


# With a weight of 0, what the other list lacks is all equal.
@pytest.mark.parametrize("weights", [(1.0, 0.3), (0.2, 0.8), (0.0, 1.0), (1.0, 0.0)])
def test_a_weighted_union_is_the_sum_of_two_dicts(weights: tuple[float, ...]) -> None:
    generator = np.random.default_rng(6)
    one, other = (
        {int(row): float(np.float32(generator.standard_normal())) for row in generator.permutation(60)[:20]}
        for _ in range(2)
    )
    assert one.keys() & other.keys()
    assert one.keys() ^ other.keys()
    wanted = {row: weights[0] * one.get(row, 0) + weights[1] * other.get(row, 0) for row in one.keys() | other.keys()}
    rows, scores = weighted_union([ranked(*one.items()), ranked(*other.items())], weights)
    assert rows.tolist() == in_order(wanted)
    assert scores.tolist() == pytest.approx([wanted[row] for row in rows], abs=1e-6)


def test_a_weighted_union_with_nothing() -> None:
    some = ranked((3, 2.0), (1, 1.0))
    for lists in [(some, ranked()), (ranked(), some)]:
        rows, scores = weighted_union(lists, (0.5, 0.5))
        assert (rows.tolist(), scores.tolist()) == ([3, 1], [1.0, 0.5])
    assert [each.tolist() for each in weighted_union([ranked(), ranked()], (1, 1))] == [[], []]


def test_a_weighted_union_of_one_list() -> None:
    rows, scores = weighted_union([ranked((3, 2.0), (1, 4.0))], (0.5,))
    assert (rows.tolist(), scores.tolist()) == ([1, 3], [2.0, 1.0])


# The best


@pytest.mark.parametrize("top_k", [1, 5, 29, 30, 31])
def test_the_best_are_the_first_of_all_in_order(top_k: int) -> None:
    generator = np.random.default_rng(7)
    scores = {int(row): float(score) for row, score in enumerate(generator.permutation(30))}
    rows, values = best(*ranked(*scores.items()), top_k)
    assert rows.tolist() == in_order(scores)[:top_k]
    assert values.tolist() == [scores[row] for row in rows]


@pytest.mark.parametrize("top_k", [4, 100])
def test_equal_scores_are_in_the_order_of_the_rows(top_k: int) -> None:
    scores = {3: 1.0, 5: 2.0, 8: 1.0, 9: 2.0}
    rows, _ = best(*ranked(*scores.items()), top_k)
    assert rows.tolist() == [5, 9, 3, 8]


@pytest.mark.parametrize("size", [10, 1_000])
@pytest.mark.parametrize("levels", [1, 3])
def test_of_equal_scores_the_first_rows_are_kept(size: int, levels: int) -> None:
    """Where not all of them fit: which are left out must not be up to the way in which they are selected."""
    generator = np.random.default_rng(8)
    scores = {row: float(generator.integers(levels)) for row in range(size)}
    rows, _ = best(*ranked(*scores.items()), 6)
    assert rows.tolist() == in_order(scores)[:6]


def test_the_best_of_nothing() -> None:
    assert [each.tolist() for each in best(*ranked(), 3)] == [[], []]
