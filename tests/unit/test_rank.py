"""The scores that rank passages, held against sums in plain Python; whole runs are in test_rank_runs.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import scipy.sparse
from numpy.typing import NDArray

from models.embeddings import MultiVectors
from runners import rank
from runners.rank import best, late_interaction, sparse_search, weighted_union

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


# Lexical weights


@pytest.mark.parametrize("top_k", [1, 7, 60, 1_000])
def test_sparse_search_is_the_sum_over_shared_tokens(top_k: int) -> None:
    queries, passages = random_weights(9, 1), random_weights(60, 2)
    found = sparse_search(matrix(queries), matrix(passages), top_k)
    assert len(found) == 9
    for (rows, scores), wanted in zip(found, naive_products(queries, passages), strict=True):
        assert rows.tolist() == in_order(wanted)[:top_k]
        assert scores.tolist() == pytest.approx([wanted[row] for row in rows], rel=1e-5)
        assert scores.dtype == np.float32
        assert rows.dtype == np.int64


def test_more_passages_than_there_are_gives_those_that_share_a_token() -> None:
    passages = [{0: 1.0}, {1: 2.0}, {0: 3.0, 1: 1.0}, {}]
    ((rows, scores),) = sparse_search(matrix([{0: 2.0}]), matrix(passages), 100)
    assert (rows.tolist(), scores.tolist()) == ([2, 0], [6.0, 2.0])


@pytest.mark.parametrize("query", [{}, {7: 1.0}], ids=["no tokens", "tokens that no passage has"])
def test_a_query_that_shares_no_token_finds_nothing(query: Weights) -> None:
    passages = [{0: 1.0}, {1: 2.0}]
    found = sparse_search(matrix([{0: 1.0}, query, {1: 1.0}]), matrix(passages), 10)
    assert [rows.tolist() for rows, _ in found] == [[0], [], [1]]
    assert [scores.tolist() for _, scores in found] == [[1.0], [], [2.0]]


@pytest.mark.parametrize("top_k", [3, 20, 1_000])
def test_equal_sparse_scores_are_in_the_order_of_the_passages(top_k: int) -> None:
    queries, passages = random_weights(12, 3, steps=1), random_weights(80, 4, steps=1)
    for (rows, _), wanted in zip(
        sparse_search(matrix(queries), matrix(passages), top_k), naive_products(queries, passages), strict=True
    ):
        assert len(set(wanted.values())) < len(wanted) / 4
        assert rows.tolist() == in_order(wanted)[:top_k]


@pytest.mark.parametrize("queries_a_block", [1, 2, 4, 5])
def test_blocks_of_queries_make_no_difference(queries_a_block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    queries, passages = matrix(random_weights(5, 5)), matrix(random_weights(30, 6))
    whole = sparse_search(queries, passages, 10)
    sizes: list[int] = []
    monkeypatch.setattr(rank, "_BLOCK_SCORES", 30 * queries_a_block)
    blocks = sparse_search(Counted(queries, sizes), passages, 10)  # type: ignore[arg-type]
    assert sizes == [len(range(5)[start : start + queries_a_block]) for start in range(0, 5, queries_a_block)]
    assert [(rows.tolist(), scores.tolist()) for rows, scores in blocks] == [
        (rows.tolist(), scores.tolist()) for rows, scores in whole
    ]


class Counted:
    """A matrix that notes how many of its rows were asked for at once."""

    def __init__(self, matrix: scipy.sparse.csr_array, sizes: list[int]) -> None:
        self.shape = matrix.shape
        self._matrix, self._sizes = matrix, sizes

    def __getitem__(self, rows: slice) -> scipy.sparse.csr_array:
        found = self._matrix[rows]
        self._sizes.append(found.shape[0])
        return found


def test_more_passages_than_a_block_holds_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, passages = random_weights(3, 7), random_weights(30, 8)
    monkeypatch.setattr(rank, "_BLOCK_SCORES", 1)
    for (rows, _), wanted in zip(
        sparse_search(matrix(queries), matrix(passages), 10), naive_products(queries, passages), strict=True
    ):
        assert rows.tolist() == in_order(wanted)[:10]


def test_no_queries() -> None:
    assert sparse_search(matrix([]), matrix([{0: 1.0}]), 10) == []


# Multi-vectors


def random_vectors(lengths: Sequence[int], seed: int, width: int = 6) -> list[NDArray[np.float32]]:
    generator = np.random.default_rng(seed)
    return [generator.standard_normal((length, width)).astype(np.float32) for length in lengths]


def naive_late(query: NDArray[np.float32], passage: NDArray[np.float32]) -> float:
    """The mean over the query's vectors of the largest inner product."""
    total = 0.0
    for mine in query.astype(float).tolist():
        total += max(sum(a * b for a, b in zip(mine, other, strict=True)) for other in passage.astype(float).tolist())
    return total / len(query)


def in_chunks(
    passages: Sequence[NDArray[np.float32]], *groups: Sequence[int]
) -> list[tuple[NDArray[np.int64], MultiVectors]]:
    width = passages[0].shape[1]
    return [
        (np.array(rows, dtype=np.int64), MultiVectors.of([passages[row] for row in rows], width)) for rows in groups
    ]


QUERIES = random_vectors([3, 1, 5, 2], seed=1)
PASSAGES = random_vectors([4, 1, 2, 7, 3, 1, 5], seed=2)
ROWS = [np.array(rows, dtype=np.int64) for rows in ([6, 0, 3], [2], [], [1, 5, 4, 0, 6])]
WHOLE = [range(7)]


@pytest.mark.parametrize(
    "groups",
    [
        WHOLE,
        [[6, 5, 4, 3, 2, 1, 0]],
        [[3, 1], [6, 0, 2], [5, 4]],
        [[5, 4], [6, 0, 2], [3, 1]],
        [[row] for row in (4, 6, 2, 0, 1, 5, 3)],
        [[0, 1, 2], [], [3, 4, 5, 6]],
        [[6, 5], [0, 1, 2, 3, 4]],
    ],
    ids=["whole", "backwards", "three chunks", "three chunks backwards", "one by one", "an empty chunk", "two"],
)
def test_late_interaction_is_the_mean_of_the_largest_products(groups: Sequence[Sequence[int]]) -> None:
    found = late_interaction(MultiVectors.of(QUERIES, 6), ROWS, in_chunks(PASSAGES, *groups))
    assert [scores.dtype for scores in found] == [np.float32] * 4
    for query, rows, scores in zip(QUERIES, ROWS, found, strict=True):
        assert scores.tolist() == pytest.approx([naive_late(query, PASSAGES[row]) for row in rows], abs=1e-5)


def test_padding_does_not_win_where_all_products_are_negative() -> None:
    """Beside a longer passage, a zero in its place would be the largest."""
    query = np.array([[1, 0], [0, 1]], dtype=np.float32)
    passages = [-np.abs(each) - 0.5 for each in random_vectors([1, 6, 2], seed=3, width=2)]
    (scores,) = late_interaction(MultiVectors.of([query], 2), [np.array([0, 1, 2])], in_chunks(passages, [0, 1, 2]))
    assert scores.tolist() == pytest.approx([naive_late(query, passage) for passage in passages], abs=1e-6)
    assert (scores <= -0.5).all()


def test_one_vector_a_text_is_the_inner_product() -> None:
    queries, passages = random_vectors([1, 1], seed=4), random_vectors([1] * 5, seed=5)
    rows = [np.array([4, 2, 0]), np.arange(5)]
    found = late_interaction(MultiVectors.of(queries, 6), rows, in_chunks(passages, [0, 1], [2, 3, 4]))
    for query, each, scores in zip(queries, rows, found, strict=True):
        wanted = [float(np.dot(query[0].astype(float), passages[row][0].astype(float))) for row in each]
        assert scores.tolist() == pytest.approx(wanted, abs=1e-5)


def test_passages_that_nobody_asked_for_do_not_matter() -> None:
    rows = [np.array([3, 1])]
    query = MultiVectors.of(QUERIES[:1], 6)
    (few,) = late_interaction(query, rows, in_chunks(PASSAGES, [1, 3]))
    (all_,) = late_interaction(query, rows, in_chunks(PASSAGES, [0, 2], [6, 3, 5], [4, 1]))
    assert few.tolist() == pytest.approx(all_.tolist(), abs=1e-6)
    assert few.tolist() == pytest.approx([naive_late(QUERIES[0], PASSAGES[row]) for row in rows[0]], abs=1e-5)


@pytest.mark.parametrize("rows", [[], [[], []]], ids=["no queries", "no candidates"])
def test_no_late_interaction(rows: list[list[int]]) -> None:
    queries = MultiVectors.of(QUERIES[: len(rows)], 6)
    found = late_interaction(queries, [np.array(each, dtype=np.int64) for each in rows], in_chunks(PASSAGES, *WHOLE))
    assert [scores.tolist() for scores in found] == rows


# Sums


def test_a_passage_that_one_list_lacks_has_nothing_there() -> None:
    dense, sparse = ranked((4, 0.9), (1, 0.5), (7, 0.2)), ranked((7, 3.0), (2, 2.0), (4, 1.0))
    rows, scores = weighted_union(dense, sparse, (1.0, 0.3, 0.0), 10)
    assert rows.tolist() == [4, 7, 2, 1]
    assert scores.tolist() == pytest.approx([0.9 + 0.3, 0.2 + 0.9, 0.6, 0.5], abs=1e-6)


@pytest.mark.parametrize(
    ("weights", "top_k"),
    [
        *[((1.0, 0.3, 0.0), top_k) for top_k in (1, 12, 100)],
        *[((0.2, 0.8, 0.0), top_k) for top_k in (1, 12, 100)],
        *[((0.0, 1.0, 0.0), 100), ((1.0, 0.0, 0.0), 100)],  # what the other list lacks is all equal
    ],
)
def test_a_weighted_union_is_the_sum_of_two_dicts(weights: tuple[float, ...], top_k: int) -> None:
    generator = np.random.default_rng(6)
    one, other = (
        {int(row): float(np.float32(generator.standard_normal())) for row in generator.permutation(60)[:20]}
        for _ in range(2)
    )
    assert one.keys() & other.keys()
    assert one.keys() ^ other.keys()
    wanted = {row: weights[0] * one.get(row, 0) + weights[1] * other.get(row, 0) for row in one.keys() | other.keys()}
    rows, scores = weighted_union(ranked(*one.items()), ranked(*other.items()), weights, top_k)
    assert rows.tolist() == in_order(wanted)[:top_k]
    assert scores.tolist() == pytest.approx([wanted[row] for row in rows], abs=1e-6)


def test_a_weighted_union_with_nothing() -> None:
    some = ranked((3, 2.0), (1, 1.0))
    for pair in [(some, ranked()), (ranked(), some)]:
        rows, scores = weighted_union(*pair, (0.5, 0.5, 0.0), 10)
        assert (rows.tolist(), scores.tolist()) == ([3, 1], [1.0, 0.5])
    assert [each.tolist() for each in weighted_union(ranked(), ranked(), (1, 1, 0), 10)] == [[], []]


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
