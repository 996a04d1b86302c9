"""Embeddings of texts: a dense vector, lexical weights, and one vector per token, each where requested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import NDArray


@dataclass(frozen=True)
class MultiVectors:
    """Ragged vectors: any number for each text, without padding.

    Attributes:
        values: ``float32[t, d]``, the vectors of all texts one after the other.
        offsets: ``int64[n + 1]``; the vectors of text ``i`` are ``values[offsets[i]:offsets[i + 1]]``.
    """

    values: NDArray[np.float32]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, vectors: Sequence[NDArray[np.float32]], dimension: int) -> MultiVectors:
        """Lay the vectors of each text, ``float32[t_i, d]``, one after the other."""
        offsets = np.cumsum([0, *(len(each) for each in vectors)], dtype=np.int64)
        values = np.concatenate(vectors) if len(vectors) else np.empty((0, dimension), dtype=np.float32)
        return cls(values, offsets)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> MultiVectors:
        """The vectors of some texts, in the order of ``rows``."""
        return MultiVectors.of([self[row] for row in rows], self.values.shape[1])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.float32]:
        """Vectors ``float32[t_i, d]`` of one text."""
        return self.values[self.offsets[row] : self.offsets[row + 1]]


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of ``n`` texts, in their order; None for a part that was not requested.

    Attributes:
        dense: ``float32[n, d]``.
        sparse: ``float32[n, V]``, a weight for each token of the vocabulary.
        multi_vector: ``float32[t_i, d]`` for each text.
    """

    dense: NDArray[np.float32] | None = None
    sparse: scipy.sparse.csr_array | None = None
    multi_vector: MultiVectors | None = None

    def __len__(self) -> int:
        """Texts; all parts must agree on their number."""
        counts = {len(self.dense)} if self.dense is not None else set()
        counts |= {self.sparse.shape[0]} if self.sparse is not None else set()
        counts |= {len(self.multi_vector)} if self.multi_vector is not None else set()
        if len(counts) != 1:
            raise ValueError(f"the parts are of {sorted(counts)} texts")
        return int(counts.pop())

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Embeddings:
        """The embeddings of some texts, in the order of ``rows``."""
        multi, rows = self.multi_vector, np.asarray(rows, dtype=np.int64)
        return Embeddings(
            dense=self.dense[rows] if self.dense is not None else None,
            sparse=self.sparse[rows] if self.sparse is not None else None,
            multi_vector=multi.take(rows) if multi is not None else None,
        )

    @staticmethod
    def stack(chunks: Sequence[Embeddings]) -> Embeddings:
        """The embeddings of all chunks, which have the same parts, one after the other."""
        dense = [chunk.dense for chunk in chunks if chunk.dense is not None]
        sparse = [chunk.sparse for chunk in chunks if chunk.sparse is not None]
        multi = [chunk.multi_vector for chunk in chunks if chunk.multi_vector is not None]
        return Embeddings(
            dense=np.concatenate(dense) if dense else None,
            sparse=scipy.sparse.vstack(_alike(sparse), format="csr") if sparse else None,
            multi_vector=MultiVectors(
                np.concatenate([each.values for each in multi]),
                np.cumsum(np.concatenate([[0], *(np.diff(each.offsets) for each in multi)]), dtype=np.int64),
            )
            if multi
            else None,
        )

    def finite(self) -> NDArray[np.bool_]:
        """``bool[n]``: whether every number of a text's parts is finite."""
        good = np.ones(len(self), dtype=np.bool_)
        if self.dense is not None:
            good &= np.isfinite(self.dense).all(axis=1)
        if self.sparse is not None:
            broken = self.sparse.indptr.searchsorted(np.flatnonzero(~np.isfinite(self.sparse.data)), side="right") - 1
            good[broken] = False
        if self.multi_vector is not None:
            rows = np.flatnonzero(~np.isfinite(self.multi_vector.values).all(axis=1))
            good[self.multi_vector.offsets.searchsorted(rows, side="right") - 1] = False
        return good


def widened(matrix: scipy.sparse.csr_array, width: int) -> scipy.sparse.csr_array:
    """The same weights ``[n, V]`` in a matrix of at least so many columns."""
    if matrix.shape[1] >= width:
        return matrix
    return scipy.sparse.csr_array((matrix.data, matrix.indices, matrix.indptr), shape=(matrix.shape[0], width))


def _alike(matrices: Sequence[scipy.sparse.csr_array]) -> list[scipy.sparse.csr_array]:
    """Matrices with as many columns as the widest."""
    width = max(matrix.shape[1] for matrix in matrices)
    return [widened(matrix, width) for matrix in matrices]
