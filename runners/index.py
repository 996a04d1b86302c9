"""Exact inner-product search over dense vectors with FAISS: on the GPUs where FAISS sees any, else on the processor.

A corpus is searched block by block as its vectors come, so that it need not fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class IndexInfo:
    """What searched, as recorded in the result.

    Attributes:
        library: FAISS and its version.
        index: FAISS class.
        devices: ``cpu``, or ``cuda x N``.
        exact: Whether every passage is compared with every query in float32.
    """

    library: str
    index: str
    devices: str
    exact: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


# Vectors that are searched at once; and queries whose lists are merged at once.
_BLOCK_BYTES = 128 << 20
_BLOCK_BYTES_GPU = 4 << 30
_MERGED_QUERIES = 4_096


@cache
def gpu_count() -> int:
    """GPUs that the installed FAISS can use; 0 for its CPU build."""
    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0


Beside = Callable[[int, NDArray[np.int64]], NDArray[np.float32]]
"""Second scores ``float32[q, k]`` of the places ``int64[q, k]`` that were found among the next so many vectors."""


class Found(NamedTuple):
    """What each query found, best first; all three ``[q, k]``, with fewer columns where there were fewer rows.

    Attributes:
        scores: ``float32``.
        rows: ``int64`` numbers of the vectors.
        beside: ``float32`` second scores; zero where none were asked for.
    """

    scores: NDArray[np.float32]
    rows: NDArray[np.int64]
    beside: NDArray[np.float32]

    def take(self, places: NDArray[np.int64]) -> Found:
        """Some places of each query, ``int64[q, m]``."""
        return Found(
            np.take_along_axis(self.scores, places, axis=1),
            np.take_along_axis(self.rows, places, axis=1),
            np.take_along_axis(self.beside, places, axis=1),
        )

    def of(self, queries: slice) -> Found:
        """Those of some queries."""
        return Found(self.scores[queries], self.rows[queries], self.beside[queries])

    @staticmethod
    def joined(pieces: Sequence[Found], axis: Literal[0, 1]) -> Found:
        """What other queries found (axis 0), or what the same queries found elsewhere (1)."""
        return Found(
            np.concatenate([each.scores for each in pieces], axis=axis),
            np.concatenate([each.rows for each in pieces], axis=axis),
            np.concatenate([each.beside for each in pieces], axis=axis),
        )


class StreamSearch:
    """The best rows of each query, over vectors that come piece by piece."""

    def __init__(self, queries: NDArray[np.float32], k: int, *, beside: Beside | None = None) -> None:
        """Begin.

        Args:
            queries: ``float32[q, d]``.
            k: Rows kept of each query.
            beside: Gives second scores of what each block finds; block after block, so it may forget what is searched.
        """
        self._queries = np.ascontiguousarray(queries, dtype=np.float32)
        self._k = k
        self._gpu = gpu_count() > 0
        self._block = _BLOCK_BYTES_GPU if self._gpu else _BLOCK_BYTES
        self._waiting: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
        self._count = 0
        self._beside = beside
        nothing = np.empty((len(queries), 0), dtype=np.float32)
        self._found = Found(nothing, nothing.astype(np.int64), nothing)
        self.info = _info("flat, in blocks", gpu_count())

    def add(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Search some more vectors.

        Where blocks end depends on the order of the vectors alone, not on the pieces that they come in, so the same
        order gives the same scores to the last bit.

        Args:
            rows: ``int64[m]`` numbers of the vectors.
            vectors: ``float32[m, d]``, never changed.
        """
        most = max(1, self._block // (4 * vectors.shape[1]))
        while len(rows):
            room = most - self._count
            self._waiting.append((rows[:room], vectors[:room]))
            self._count += len(rows[:room])
            rows, vectors = rows[room:], vectors[room:]
            if self._count == most:
                self._search()

    def finish(self) -> Found:
        """What was found among all of them."""
        if self._count:
            self._search()
        return self._found.take(np.argsort(-self._found.scores, axis=1, kind="stable"))

    def _search(self) -> None:
        rows = np.concatenate([piece for piece, _ in self._waiting])
        vectors = np.ascontiguousarray(np.concatenate([piece for _, piece in self._waiting]), dtype=np.float32)
        self._waiting, self._count = [], 0
        if not len(self._queries):
            return
        k = min(self._k, len(rows))
        if self._gpu:
            scores, places = DenseIndex(vectors).search(self._queries, k)
        else:
            scores, places = faiss.knn(self._queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
        beside = self._beside(len(rows), places) if self._beside else np.zeros_like(scores)
        self._merge(Found(scores, rows[places], beside))

    def _merge(self, block: Found) -> None:
        merged: list[Found] = []
        for start in range(0, len(self._queries), _MERGED_QUERIES):
            part = slice(start, start + _MERGED_QUERIES)
            both = Found.joined([self._found.of(part), block.of(part)], axis=1)
            if both.scores.shape[1] > self._k:
                both = both.take(np.argpartition(-both.scores, self._k - 1, axis=1)[:, : self._k])
            merged.append(both)
        self._found = Found.joined(merged, axis=0)


class DenseIndex:
    """A flat inner-product index. For cosine similarity give it normalised vectors."""

    def __init__(self, vectors: NDArray[np.float32], *, use_gpu: bool = True) -> None:
        """Build.

        Args:
            vectors: ``float32[n, d]``; copied, never changed.
            use_gpu: Whether GPUs may be used; scoring given candidates needs the processor.
        """
        flat = faiss.IndexFlatIP(vectors.shape[1])
        flat.add(np.ascontiguousarray(vectors, dtype=np.float32))
        gpus = gpu_count() if use_gpu else 0
        self._size = len(vectors)
        self._index: Any = flat
        if gpus:
            options = faiss.GpuMultipleClonerOptions()
            options.shard = True
            options.useFloat16 = False
            self._index = faiss.index_cpu_to_all_gpus(flat, options)
        self.info = _info("IndexFlatIP", gpus)

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The ``k`` best rows of each query.

        Args:
            queries: ``float32[q, d]``.
            k: At most this many; fewer when the index holds fewer.

        Returns:
            Scores ``float32[q, k]``, best first, and rows ``int64[q, k]``.
        """
        scores, rows = self._index.search(np.ascontiguousarray(queries, dtype=np.float32), min(k, self._size))
        return scores, rows

    def score(self, query: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Inner products of one query with given rows, in their order (index built with ``use_gpu=False``).

        Args:
            query: ``float32[d]``.
            rows: ``int64[m]``.

        Returns:
            ``float32[m]``.
        """
        query = np.ascontiguousarray(query, dtype=np.float32)
        rows = np.ascontiguousarray(rows, dtype=np.int64)
        scores = np.empty(len(rows), dtype=np.float32)
        if not len(rows):
            return scores
        self._index.compute_distance_subset(
            1, faiss.swig_ptr(query), len(rows), faiss.swig_ptr(scores), faiss.swig_ptr(rows)
        )
        return scores


def _info(index: str, gpus: int) -> IndexInfo:
    return IndexInfo(f"faiss {faiss.__version__}", index, f"cuda x {gpus}" if gpus else "cpu", exact=True)
