"""Exact inner-product search over dense vectors.

FAISS searches on the GPUs that it sees; else torch does on the GPU of the model, and FAISS on the processor where the
model is there (torch, where FAISS is missing).

A corpus is searched block by block as its vectors come, so that it need not fit into memory: here, or wherever a
``SearchWorker`` has its workers.
"""

from __future__ import annotations

import importlib.util
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from flagbench.models.nearest import largest_products, library


@dataclass(frozen=True)
class IndexInfo:
    """Library and settings of a search, as recorded in the result.

    Attributes:
        library: FAISS or torch, and its version.
        index: FAISS class, or how it was searched.
        devices: ``cpu``, or ``cuda x N``.
        exact: Whether every passage is compared with every query, in float32 or better.
        actor_blocks: Blocks of the corpus that actors of a Ray cluster searched; 0 where this process searched.
    """

    library: str
    index: str
    devices: str
    exact: bool
    actor_blocks: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


# Vectors that are searched at once; those that may be with a seeker's workers; queries whose lists are merged at once.
_BLOCK_BYTES = 128 << 20
_BLOCK_BYTES_GPU = 512 << 20
_AWAY_BYTES = 1 << 30
_MERGED_QUERIES = 4_096
# Of a block on a GPU at once; the largest k of FAISS there.
_FAISS_BYTES = 256 << 20
_FAISS_MOST = 2_048
_FLAT = "flat, in blocks"


def _has_faiss() -> bool:
    return importlib.util.find_spec("faiss") is not None


@cache
def gpu_count() -> int:
    """GPUs that the installed FAISS can use; 0 for its CPU build, and without it."""
    if not _has_faiss():
        return 0
    import faiss

    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0


class BlockHits(NamedTuple):
    """Hits per query in one block, best first.

    Attributes:
        scores: ``float32[q, k]``.
        places: ``int64[q, k]`` in the block.
        info: What searched.
    """

    scores: NDArray[np.float32]
    places: NDArray[np.int64]
    info: IndexInfo


class SearchWorker(Protocol):
    """Workers that search blocks, each as ``search_block`` does."""

    @property
    def lanes(self) -> int:
        """Blocks that can be searched at the same time."""
        ...

    def search(self, queries: NDArray[np.float32], vectors: NDArray[np.float32], k: int) -> BlockHits:
        """Have a worker search a block. May be called from several threads at once, with the same array of queries."""
        ...


def search_block(queries: NDArray[np.float32], vectors: NDArray[np.float32], k: int, device: str = "cpu") -> BlockHits:
    """Search one block.

    Args:
        queries: ``float32[q, d]``, ``q`` at least 1.
        vectors: ``float32[n, d]``, never changed.
        k: Found per query, at most ``n``.
        device: Where the model runs; several are joined by commas.
    """
    info = _searcher(k, device)
    if info.library.startswith("torch"):
        scores, places = largest_products(queries, vectors, k, "cpu" if info.devices == "cpu" else device.split(",")[0])
    elif info.devices != "cpu":
        scores, places = _on_gpus(queries, vectors, k)
    else:
        import faiss

        scores, places = faiss.knn(queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
    return BlockHits(scores, places, info)


def _searcher(k: int, device: str) -> IndexInfo:
    """What searches blocks for so many passages per query, with a model on a device."""
    gpus = gpu_count() if k <= _FAISS_MOST else 0
    if not gpus and (device.startswith("cuda") or not _has_faiss()):
        return IndexInfo(library(), _FLAT, "cuda x 1" if device.startswith("cuda") else "cpu", exact=True)
    return _info(_FLAT, gpus)


def _on_gpus(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Have each GPU search its share of a block, of which it holds a small part at a time."""
    import faiss

    edges = np.linspace(0, len(vectors), gpu_count() + 1).astype(np.int64)

    def one(gpu: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        share = vectors[edges[gpu] : edges[gpu + 1]]
        scores, places = faiss.knn_gpu(
            _resources(gpu),
            queries,
            share,
            min(k, len(share)),
            metric=faiss.METRIC_INNER_PRODUCT,
            device=gpu,
            vectorsMemoryLimit=_FAISS_BYTES,
        )
        return scores, places + edges[gpu]

    with ThreadPoolExecutor(gpu_count()) as threads:
        found = list(threads.map(one, [gpu for gpu in range(gpu_count()) if edges[gpu] < edges[gpu + 1]]))
    scores, places = (np.concatenate(each, axis=1) for each in zip(*found, strict=True))
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, best, axis=1), np.take_along_axis(places, best, axis=1)


@cache
def _resources(gpu: int) -> Any:
    """FAISS's memory and streams for one GPU, which one thread uses at a time."""
    import faiss

    return faiss.StandardGpuResources()


SecondScore = Callable[[int, NDArray[np.int64]], NDArray[np.float32]]
"""Second scores ``float32[q, k]`` of the places ``int64[q, k]`` that were found among the next so many vectors."""


class Hits(NamedTuple):
    """Hits per query, best first; all three ``[q, k]``, with fewer columns where there were fewer rows.

    Attributes:
        scores: ``float32``.
        rows: ``int64`` numbers of the vectors.
        second: ``float32`` second scores; zero where none were asked for.
    """

    scores: NDArray[np.float32]
    rows: NDArray[np.int64]
    second: NDArray[np.float32]

    def take(self, places: NDArray[np.int64]) -> Hits:
        """Some places per query, ``int64[q, m]``."""
        return Hits(
            np.take_along_axis(self.scores, places, axis=1),
            np.take_along_axis(self.rows, places, axis=1),
            np.take_along_axis(self.second, places, axis=1),
        )

    def of(self, queries: slice) -> Hits:
        """Those of some queries."""
        return Hits(self.scores[queries], self.rows[queries], self.second[queries])

    @staticmethod
    def joined(pieces: Sequence[Hits], axis: Literal[0, 1]) -> Hits:
        """Join hits of other queries (axis 0), or of the same queries in other blocks (1)."""
        return Hits(
            np.concatenate([each.scores for each in pieces], axis=axis),
            np.concatenate([each.rows for each in pieces], axis=axis),
            np.concatenate([each.second for each in pieces], axis=axis),
        )


class StreamSearch:
    """The best rows per query, over vectors that come piece by piece."""

    def __init__(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        second: SecondScore | None = None,
        search_worker: Callable[[], SearchWorker] | None = None,
        device: str = "cpu",
    ) -> None:
        """Begin.

        Args:
            queries: ``float32[q, d]``.
            k: Rows kept per query.
            device: Where the model runs, which may search as well.
            second: Gives second scores of what each block finds; block after block, so it may forget what is searched.
            search_worker: Gives the workers that search, when the first block is full; None: search here.
        """
        self._queries = np.ascontiguousarray(queries, dtype=np.float32)
        self._k = k
        self._device = device
        self._block = _BLOCK_BYTES if _searcher(k, device).devices == "cpu" else _BLOCK_BYTES_GPU
        self._waiting: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
        self._count = 0
        self._second_score = second
        nothing = np.empty((len(queries), 0), dtype=np.float32)
        self._hits = Hits(nothing, nothing.astype(np.int64), nothing)
        self._search_worker = search_worker
        self._threads: ThreadPoolExecutor | None = None
        self._away: deque[tuple[NDArray[np.int64], Future[BlockHits]]] = deque()
        self._searched_by: dict[IndexInfo, int] = {}

    @property
    def info(self) -> IndexInfo:
        """Library and settings of the searches so far."""
        infos = list(self._searched_by) or [_searcher(self._k, self._device)]
        return replace(
            infos[0],
            library=" + ".join(sorted({each.library for each in infos})),
            devices=" + ".join(sorted({each.devices for each in infos})),
            actor_blocks=sum(self._searched_by.values()) if self._search_worker else 0,
        )

    def close(self) -> None:
        """Let go of blocks that no worker has begun, and wait for those that are with one."""
        if self._threads:
            self._threads.shutdown(cancel_futures=True)

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

    def finish(self) -> Hits:
        """Hits among all vectors."""
        if self._count:
            self._search()
        while self._away:
            self._take_first()
        self.close()
        return self._hits.take(np.argsort(-self._hits.scores, axis=1, kind="stable"))

    def _search(self) -> None:
        rows = np.concatenate([piece for piece, _ in self._waiting])
        vectors = np.ascontiguousarray(np.concatenate([piece for _, piece in self._waiting]), dtype=np.float32)
        self._waiting, self._count = [], 0
        if not len(self._queries):
            return
        k = min(self._k, len(rows))
        if self._search_worker:
            self._send(self._search_worker(), rows, vectors, k)
        else:
            self._take(rows, search_block(self._queries, vectors, k, self._device))

    def _send(self, search_worker: SearchWorker, rows: NDArray[np.int64], vectors: NDArray[np.float32], k: int) -> None:
        """Have a block searched elsewhere, and take what is back; never more at a time than memory is meant for."""
        most = max(1, min(search_worker.lanes, _AWAY_BYTES // self._block))
        self._threads = self._threads or ThreadPoolExecutor(most, thread_name_prefix="search")
        while len(self._away) >= most:
            self._take_first()
        self._away.append((rows, self._threads.submit(search_worker.search, self._queries, vectors, k)))
        while self._away and self._away[0][1].done():
            self._take_first()

    def _take_first(self) -> None:
        """Blocks are merged in their order, whoever is ready first: of rows that tie it decides which are kept."""
        rows, block_hits = self._away.popleft()
        self._take(rows, block_hits.result())

    def _take(self, rows: NDArray[np.int64], block_hits: BlockHits) -> None:
        self._searched_by[block_hits.info] = self._searched_by.get(block_hits.info, 0) + 1
        second = (
            self._second_score(len(rows), block_hits.places) if self._second_score else np.zeros_like(block_hits.scores)
        )
        self._merge(Hits(block_hits.scores, rows[block_hits.places], second))

    def _merge(self, block: Hits) -> None:
        merged: list[Hits] = []
        for start in range(0, len(self._queries), _MERGED_QUERIES):
            part = slice(start, start + _MERGED_QUERIES)
            both = Hits.joined([self._hits.of(part), block.of(part)], axis=1)
            if both.scores.shape[1] > self._k:
                both = both.take(np.argpartition(-both.scores, self._k - 1, axis=1)[:, : self._k])
            merged.append(both)
        self._hits = Hits.joined(merged, axis=0)


class DenseIndex:
    """A flat inner-product index on the processor. For cosine similarity give it normalised vectors."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        """Build.

        Args:
            vectors: ``float32[n, d]``; copied, never changed.
        """
        import faiss

        self._index: Any = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        self._size = len(vectors)
        self.info = _info("IndexFlatIP", 0)

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The ``k`` best rows per query.

        Args:
            queries: ``float32[q, d]``.
            k: At most this many; fewer when the index holds fewer.

        Returns:
            Scores ``float32[q, k]``, best first, and rows ``int64[q, k]``.
        """
        scores, rows = self._index.search(np.ascontiguousarray(queries, dtype=np.float32), min(k, self._size))
        return scores, rows

    def score(self, query: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Inner products of one query with given rows, in their order.

        Args:
            query: ``float32[d]``.
            rows: ``int64[m]``.

        Returns:
            ``float32[m]``.
        """
        import faiss

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
    import faiss

    return IndexInfo(f"faiss {faiss.__version__}", index, f"cuda x {gpus}" if gpus else "cpu", exact=True)
