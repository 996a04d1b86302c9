"""Exact inner-product search over dense vectors with FAISS: on the GPUs where FAISS sees any, else on the processor.

A corpus is searched block by block as its vectors come, so that it need not fit into memory.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

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


class StreamSearch:
    """The best rows of each query, over vectors that come piece by piece."""

    def __init__(self, queries: NDArray[np.float32], k: int) -> None:
        """Begin.

        Args:
            queries: ``float32[q, d]``.
            k: Rows kept of each query.
        """
        self._queries = np.ascontiguousarray(queries, dtype=np.float32)
        self._k = k
        self._gpu = gpu_count() > 0
        self._block = _BLOCK_BYTES_GPU if self._gpu else _BLOCK_BYTES
        self._waiting: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
        self._count = 0
        self._scores = np.empty((len(queries), 0), dtype=np.float32)
        self._rows = np.empty((len(queries), 0), dtype=np.int64)
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

    def finish(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores ``float32[q, k]``, best first, and row numbers ``int64[q, k]``; fewer where there were fewer rows."""
        if self._count:
            self._search()
        order = np.argsort(-self._scores, axis=1, kind="stable")
        return np.take_along_axis(self._scores, order, axis=1), np.take_along_axis(self._rows, order, axis=1)

    def _search(self) -> None:
        rows = np.concatenate([piece for piece, _ in self._waiting])
        vectors = np.ascontiguousarray(np.concatenate([piece for _, piece in self._waiting]), dtype=np.float32)
        self._waiting, self._count = [], 0
        if not len(self._queries):
            return
        k = min(self._k, len(rows))
        if self._gpu:
            scores, found = DenseIndex(vectors).search(self._queries, k)
        else:
            scores, found = faiss.knn(self._queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
        self._merge(scores, rows[found])

    def _merge(self, scores: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
        kept = min(self._k, self._scores.shape[1] + scores.shape[1])
        all_scores = np.empty((len(self._queries), kept), dtype=np.float32)
        all_rows = np.empty((len(self._queries), kept), dtype=np.int64)
        for start in range(0, len(self._queries), _MERGED_QUERIES):
            part = slice(start, start + _MERGED_QUERIES)
            both = np.concatenate([self._scores[part], scores[part]], axis=1)
            numbers = np.concatenate([self._rows[part], rows[part]], axis=1)
            if both.shape[1] > kept:
                best = np.argpartition(-both, kept - 1, axis=1)[:, :kept]
                both, numbers = np.take_along_axis(both, best, axis=1), np.take_along_axis(numbers, best, axis=1)
            all_scores[part], all_rows[part] = both, numbers
        self._scores, self._rows = all_scores, all_rows


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
