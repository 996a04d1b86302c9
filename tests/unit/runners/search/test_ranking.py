"""The score of multi-vectors, held against sums in plain Python; whole runs are in test_rank_runs.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench.models.embeddings import MultiVectors
from flagbench.runners.search.ranking import late_interaction


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
