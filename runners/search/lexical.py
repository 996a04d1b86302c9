"""Search by lexical weights: inner products of sparse matrices, over passages that come piece by piece."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

Ranked = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Row numbers of one query, best first, and their scores."""

Real = TypeVar("Real", np.float32, np.float64)

# A product is made of so many texts at least, or of texts with so many weights, and gives so many scores at most (8
# bytes each). None of it moves a score: the sum of a pair is taken over the query's tokens in their order.
_BLOCK_TEXTS = 32_768
_BLOCK_WEIGHTS = 8_000_000
_BLOCK_SCORES = 10_000_000


class QueryWeights:
    """The weights of the queries. No token that they lack counts in a score, so passages go on without the others.

    Attributes:
        weights: ``float32[q, m]``, a column for each token that any query has.
    """

    def __init__(self, queries: scipy.sparse.csr_array) -> None:
        """Set up.

        Args:
            queries: ``float32[q, V]``.
        """
        tokens = np.unique(queries.indices)
        self._column_of = np.full(queries.shape[1], -1, dtype=np.int32)
        self._column_of[tokens] = np.arange(len(tokens))
        self.weights = self.of(queries)

    def of(self, texts: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
        """The weights of some texts for the tokens that the queries have.

        Args:
            texts: ``float32[n, V]``; of any vocabulary, wider or narrower than that of the queries.

        Returns:
            ``float32[n, m]``.
        """
        columns = np.full(len(texts.indices), -1, dtype=np.int32)
        known = texts.indices < len(self._column_of)
        columns[known] = self._column_of[texts.indices[known]]
        kept = columns >= 0
        starts = np.concatenate([[0], np.cumsum(kept)])[texts.indptr]
        shape = (texts.shape[0], int(self._column_of.max(initial=-1)) + 1)
        return scipy.sparse.csr_array((texts.data[kept], columns[kept], starts), shape=shape)


class LexicalSearch:
    """The best rows per query by the inner product of their weights. Those that share no token are left out.

    Of rows with the same score those that came first are kept.
    """

    def __init__(self, queries: scipy.sparse.csr_array, k: int) -> None:
        """Begin.

        Args:
            queries: ``float32[q, V]``.
            k: Rows kept per query.
        """
        self._query_weights = QueryWeights(queries)
        self._k = k
        self._rows: list[NDArray[np.int64]] = []
        self._weights: list[scipy.sparse.csr_array] = []
        nothing = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))
        self._best: list[Ranked] = [nothing] * queries.shape[0]
        self._floors = np.full(queries.shape[0], -np.inf, dtype=np.float32)  # of the lists that are full

    def add(self, rows: NDArray[np.int64], weights: scipy.sparse.csr_array) -> None:
        """Search some more texts.

        Args:
            rows: ``int64[m]`` numbers of the texts.
            weights: ``float32[m, V]``, never changed.
        """
        self._rows.append(rows)
        self._weights.append(self._query_weights.of(weights))
        texts, known = sum(map(len, self._rows)), sum(each.nnz for each in self._weights)
        if texts >= _BLOCK_TEXTS or known >= _BLOCK_WEIGHTS:
            self._search()

    def finish(self) -> list[Ranked]:
        """The rows per query, at most ``k``, and fewer where fewer share a token with it."""
        self._search()
        return self._best

    def _search(self) -> None:
        if not self._rows:
            return
        rows = np.concatenate(self._rows)
        inverted = scipy.sparse.vstack(self._weights, format="csr").T.tocsr()  # the texts of each token
        self._rows, self._weights = [], []
        step = max(1, _BLOCK_SCORES // max(1, len(rows)))
        for start in range(0, len(self._best), step):
            found = (self._query_weights.weights[start : start + step] @ inverted).tocsr()
            counts = np.diff(found.indptr)
            enters = found.data > np.repeat(self._floors[start : start + step], counts)
            starts = np.concatenate([[0], np.cumsum(enters)])[found.indptr]
            columns, scores = found.indices[enters], found.data[enters]
            for place in np.flatnonzero(np.diff(starts)):
                part = slice(starts[place], starts[place + 1])
                self._merge(start + int(place), rows, columns[part], scores[part])

    def _merge(
        self, query: int, rows: NDArray[np.int64], columns: NDArray[np.int32], scores: NDArray[np.float32]
    ) -> None:
        order = np.argsort(columns, kind="stable")  # scipy leaves them in no order
        before, its_scores = self._best[query]
        merged = best(
            np.concatenate([before, rows[columns[order]]]), np.concatenate([its_scores, scores[order]]), self._k
        )
        self._best[query] = merged
        if len(merged[0]) == self._k:
            self._floors[query] = merged[1][-1]


class LexicalScores:
    """Lexical scores of what another search finds, block by block, so that no weights are held for longer."""

    def __init__(self, queries: scipy.sparse.csr_array) -> None:
        """Begin.

        Args:
            queries: ``float32[q, V]``.
        """
        self._query_weights = QueryWeights(queries)
        self._waiting: deque[scipy.sparse.csr_array] = deque()

    def add(self, weights: scipy.sparse.csr_array) -> None:
        """Weights ``float32[m, V]`` of the texts that the other search gets next."""
        self._waiting.append(self._query_weights.of(weights))

    def __call__(self, count: int, found: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of what was found among the next ``count`` texts, which are then let go.

        Args:
            count: Texts of the block.
            found: ``int64[q, k]`` places in the block.

        Returns:
            ``float32[q, k]``.
        """
        pieces: list[scipy.sparse.csr_array] = []
        while count:
            piece = self._waiting.popleft()
            if piece.shape[0] > count:
                self._waiting.appendleft(piece[count:])
                piece = piece[:count]
            pieces.append(piece)
            count -= piece.shape[0]
        block = scipy.sparse.vstack(pieces, format="csr")
        scores = np.empty(found.shape, dtype=np.float32)
        for place, each in enumerate(found):
            scores[place] = block[each] @ self._query_weights.weights[[place]].toarray()[0]
        return scores


def weighted_union(
    lists: Sequence[tuple[NDArray[np.int64], NDArray[Real]]], weights: Sequence[float]
) -> tuple[NDArray[np.int64], NDArray[Real]]:
    """The weighted sum over several lists, best first, in their own precision; a row that one lacks has 0 there."""
    rows = np.unique(np.concatenate([found for found, _ in lists]))
    scores = np.zeros(len(rows), dtype=lists[0][1].dtype)
    for (found, values), weight in zip(lists, weights, strict=True):
        scores[np.searchsorted(rows, found)] += values.dtype.type(weight) * values
    return best(rows, scores, len(rows))


def best(rows: NDArray[np.int64], scores: NDArray[Real], top_k: int) -> tuple[NDArray[np.int64], NDArray[Real]]:
    """The ``top_k`` rows of the highest scores, best first; equal scores in the order in which they are given."""
    if len(rows) > top_k:
        last = np.partition(scores, len(scores) - top_k)[len(scores) - top_k]
        above = np.flatnonzero(scores > last)
        kept = np.sort(np.concatenate([above, np.flatnonzero(scores == last)[: top_k - len(above)]]))
        rows, scores = rows[kept], scores[kept]
    order = np.argsort(-scores, kind="stable")
    return rows[order], scores[order]
