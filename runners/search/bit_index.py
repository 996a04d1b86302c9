"""Exact search by Hamming distance over packed bits, by FAISS's binary index on the processor.

Bits are a thirty-second of their floats, so the whole corpus is held, and all passages that tie with the last one are
known: of a few hundred distances there are many ties, and ids decide them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flagbench.runners.search.index import IndexInfo

# Queries that are searched for at once; vectors found beyond those wanted, so that most ties need no second search.
_QUERIES = 256
_TIES = 256


class BitIndex:
    """A flat index of bits."""

    def __init__(self, width: int) -> None:
        """Begin.

        Args:
            width: Bytes of a vector.
        """
        import faiss

        self._faiss = faiss
        self._index: Any = faiss.IndexBinaryFlat(8 * width)
        self._width = width
        self.info = IndexInfo(f"faiss {faiss.__version__}", "IndexBinaryFlat", "cpu", exact=True)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, bits: NDArray[np.uint8]) -> None:
        """Add vectors ``uint8[n, width]`` at the next places."""
        self._index.add(np.ascontiguousarray(bits))

    def take(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The bits of some vectors, ``uint8[m, width]``."""
        stored = self._faiss.rev_swig_ptr(self._index.xb.data(), len(self) * self._width)
        bits: NDArray[np.uint8] = stored.reshape(-1, self._width)[places]
        return bits

    def nearest(self, queries: NDArray[np.uint8], k: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
        """The ``k`` nearest vectors of each query, and all that tie with the last of them.

        Args:
            queries: ``uint8[q, width]``.
            k: At least 1; fewer are found when the index holds fewer.

        Yields:
            For each query the places ``int64[m]`` and the Hamming distances ``int32[m]``, which rise.
        """
        k = min(k, len(self))
        wanted = min(k + _TIES, len(self))
        for start in range(0, len(queries), _QUERIES):
            some = np.ascontiguousarray(queries[start : start + _QUERIES])
            distances, places = self._index.search(some, wanted)
            for query, far, at in zip(some, distances, places, strict=True):
                last = int(far[k - 1])
                if wanted < len(self) and int(far[-1]) == last:
                    yield self._within(query, last)
                else:
                    kept = int(np.searchsorted(far, last, side="right"))
                    yield at[:kept], far[:kept]

    def _within(self, query: NDArray[np.uint8], distance: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """All vectors that are no further than a distance, the nearest first."""
        _, found, places = self._index.range_search(query[None], distance + 1)  # which are nearer than what it is given
        order = np.argsort(found, kind="stable")
        return places[order], found[order].astype(np.int32)
