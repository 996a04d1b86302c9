"""Exact inner-product search over dense vectors with FAISS: on the GPUs where FAISS sees any, else on the processor."""

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


@cache
def gpu_count() -> int:
    """GPUs that the installed FAISS can use; 0 for its CPU build."""
    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0


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
        self.info = IndexInfo(f"faiss {faiss.__version__}", "IndexFlatIP", f"cuda x {gpus}" if gpus else "cpu", True)

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
