"""Texts to a run: encoded by an encoder, ranked by the parts that its spec names.

Most models have dense vectors only, which are searched as they are. How BGE-M3's parts are ranked follows
FlagEmbedding's published runs (``research/C_MTEB/MLDR`` and ``MKQA``):

* sparse: the inner product of the lexical weights, over all passages.
* colbert: the first ``candidates`` passages of the dense ranking, in the order of their multi-vector scores.
* hybrid without multi-vectors: the weighted sum over the union of the dense and the sparse top-k lists, in which a
  passage that one list lacks has 0 there.
* hybrid with multi-vectors: the first ``candidates`` passages of the dense ranking, by the weighted sum of all scores.

Below re-ranked candidates the dense ranking goes on. Given candidates (reranking tasks) are all scored exactly. Two
things are exact here that were not there: lexical weights are floats (Anserini's index held ``ceil(100 w)``), and no
padding takes part in a multi-vector score.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import scipy
import scipy.sparse
from numpy.typing import NDArray

from flagbench import BadData
from models.contract import DENSE, Role
from models.embeddings import Embeddings, MultiVectors, widened
from runners.encode import TextEncoder
from runners.index import DenseIndex, IndexInfo
from runners.search import Run, comparable, rescore, retrieve

# Passage multi-vectors that are kept from the first forward pass. With more, the candidates are encoded a second time,
# chunk by chunk: the 118,605 passages of T2Retrieval would be about 100 GB.
_KEPT_BYTES = 2 * 1024**3
# Scores of one block of queries against all passages in sparse search, at most (8 bytes each).
_BLOCK_SCORES = 50_000_000

_QUERY: Role = "query"
_PASSAGE: Role = "passage"

T = TypeVar("T")
Ranked = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Passage rows of one query, best first, and their scores."""


@dataclass(frozen=True)
class Texts:
    """Texts of one role.

    Attributes:
        ids: As in the qrels.
        texts: In step with the ids.
        instruction: Prefix of each text.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    instruction: str = ""


def rank(
    encoder: TextEncoder,
    queries: Texts,
    passages: Texts,
    candidates: Mapping[str, Sequence[str]] | None,
    *,
    top_k: int,
) -> tuple[Run, IndexInfo]:
    """Encode queries and passages, and rank the passages for each query.

    Args:
        encoder: A model; its spec says which of its parts rank.
        queries: All queries.
        passages: All passages.
        candidates: Passage ids of each query that alone are ranked; None to rank all passages.
        top_k: Passages kept of each query.
    """
    spec = encoder.adapter.spec
    if spec.retrieval != "dense":
        parts = _Parts(encoder, queries, passages)
        return parts.retrieve(top_k) if candidates is None else parts.rescore(candidates, top_k)
    asked = encoder.encode(queries.texts, role=_QUERY, instruction=queries.instruction)
    asked = comparable(asked, spec.similarity)
    if candidates is not None:
        found = encoder.encode(passages.texts, role=_PASSAGE, instruction=passages.instruction)
        return rescore(queries.ids, asked, passages.ids, comparable(found, spec.similarity), candidates, top_k=top_k)
    distinct = encoder.distinct(passages.texts)
    chunks = encoder.chunks(
        distinct.texts, role=_PASSAGE, instruction=passages.instruction, parts=DENSE, keys=distinct.keys
    )
    vectors = ((rows, comparable(_had(chunk.dense), spec.similarity)) for rows, chunk in chunks)
    return retrieve(queries.ids, asked, passages.ids, distinct.places, vectors, top_k=top_k)


class _Parts:
    """Search with several parts of each text."""

    def __init__(self, encoder: TextEncoder, queries: Texts, passages: Texts) -> None:
        self._encoder = encoder
        self._spec = encoder.adapter.spec
        self._query_ids = queries.ids
        self._corpus = passages
        self._passages = self._encode(passages, _PASSAGE, _KEPT_BYTES)
        self._queries = self._encode(queries, _QUERY, None)
        if self._passages.sparse is not None and self._queries.sparse is not None:
            width = max(self._passages.sparse.shape[1], self._queries.sparse.shape[1])
            self._passages = replace(self._passages, sparse=widened(self._passages.sparse, width))
            self._queries = replace(self._queries, sparse=widened(self._queries.sparse, width))

    def retrieve(self, top_k: int) -> tuple[Run, IndexInfo]:
        """Rank all passages for each query."""
        spec = self._spec
        if spec.retrieval == "sparse":
            return self._run(self._sparse_search(top_k)), _info()
        dense, info = self._dense_search(top_k)
        if "multi_vector" not in spec.parts:
            pairs = zip(dense, self._sparse_search(top_k), strict=True)
            return self._run(weighted_union(one, other, spec.weights, top_k) for one, other in pairs), _info(info)
        heads = [rows[: spec.candidates] for rows, _ in dense]
        scores = self._scores(heads)
        return self._run(map(_on_top, heads, scores, dense)), _info(info)

    def rescore(self, candidates: Mapping[str, Sequence[str]], top_k: int) -> tuple[Run, IndexInfo]:
        """Rank each query's candidates by their exact scores."""
        row_of = {passage_id: row for row, passage_id in enumerate(self._corpus.ids)}
        rows = [
            np.array([row_of[passage_id] for passage_id in candidates.get(query_id, ())], dtype=np.int64)
            for query_id in self._query_ids
        ]
        pairs = zip(rows, self._scores(rows), strict=True)
        return self._run(best(found, scores, top_k) for found, scores in pairs), _info()

    def _encode(self, texts: Texts, role: Role, kept: int | None) -> Embeddings:
        found = self._encoder.encode_parts(
            texts.texts,
            role=role,
            instruction=texts.instruction,
            parts=self._spec.parts,
            multi_vector_bytes=kept,
        )
        return found if found.dense is None else replace(found, dense=comparable(found.dense, self._spec.similarity))

    def _dense_search(self, top_k: int) -> tuple[list[Ranked], IndexInfo]:
        index = DenseIndex(_had(self._passages.dense))
        scores, rows = index.search(_had(self._queries.dense), top_k)
        return list(zip(rows, scores, strict=True)), index.info

    def _sparse_search(self, top_k: int) -> list[Ranked]:
        return sparse_search(_had(self._queries.sparse), _had(self._passages.sparse), top_k)

    def _scores(self, rows: Sequence[NDArray[np.int64]]) -> list[NDArray[np.float32]]:
        """Exact scores of some passages of each query, by the parts and weights of the spec."""
        spec, queries, passages = self._spec, self._queries, self._passages
        total = [np.zeros(len(each), dtype=np.float32) for each in rows]
        weights = {"sparse": (0, 1, 0), "colbert": (0, 0, 1)}.get(spec.retrieval, spec.weights)
        if weights[0]:
            for place, each in enumerate(rows):
                total[place] += np.float32(weights[0]) * (_had(passages.dense)[each] @ _had(queries.dense)[place])
        if weights[1]:
            for place, each in enumerate(rows):
                products = _had(passages.sparse)[each] @ _had(queries.sparse)[[place]].toarray()[0]
                total[place] += np.float32(weights[1]) * products
        if weights[2]:
            for place, scores in enumerate(
                late_interaction(_had(queries.multi_vector), rows, self._multi_vectors(rows))
            ):
                total[place] += np.float32(weights[2]) * scores
        return total

    def _multi_vectors(self, rows: Sequence[NDArray[np.int64]]) -> Iterator[tuple[NDArray[np.int64], MultiVectors]]:
        """Multi-vectors of all passages in ``rows``, each once: those kept, or encoded anew chunk by chunk."""
        if self._passages.multi_vector is not None:
            yield np.arange(len(self._passages.multi_vector)), self._passages.multi_vector
            return
        wanted = np.unique(np.concatenate(rows)) if rows else np.empty(0, dtype=np.int64)
        rows_of: dict[str, list[int]] = {}
        for row in wanted:
            rows_of.setdefault(self._corpus.texts[row], []).append(int(row))
        unique = list(rows_of)
        for order, chunk in self._encoder.chunks(
            unique, role=_PASSAGE, instruction=self._corpus.instruction, parts={"multi_vector"}, keep=False
        ):
            each = [(row, place) for place, number in enumerate(order) for row in rows_of[unique[number]]]
            found = np.array(each, dtype=np.int64)
            yield found[:, 0], _had(chunk.multi_vector).take(found[:, 1])

    def _run(self, ranked: Iterable[Ranked]) -> Run:
        ids = np.array(self._corpus.ids, dtype=object)
        return {
            query_id: dict(zip(ids[rows].tolist(), scores.tolist(), strict=True))
            for query_id, (rows, scores) in zip(self._query_ids, ranked, strict=True)
        }


def _had(part: T | None) -> T:
    """A part that was asked for; without texts there is none."""
    if part is None:
        raise BadData("there is nothing to rank: the task has no queries or no passages")
    return part


def sparse_search(queries: scipy.sparse.csr_array, passages: scipy.sparse.csr_array, top_k: int) -> list[Ranked]:
    """The best passages of each query by the inner product of their weights; those that share no token are left out.

    Args:
        queries: ``float32[q, V]``.
        passages: ``float32[n, V]``.
        top_k: Passages kept of each query.
    """
    inverted = passages.T.tocsr()  # the passages of each token
    block = max(1, _BLOCK_SCORES // max(1, passages.shape[0]))
    found: list[Ranked] = []
    for start in range(0, queries.shape[0], block):
        scores = (queries[start : start + block] @ inverted).tocsr()
        scores.sort_indices()  # scipy leaves them in no order, and equal scores are to keep that of the passages
        for first, last in zip(scores.indptr[:-1], scores.indptr[1:], strict=True):
            found.append(best(scores.indices[first:last].astype(np.int64), scores.data[first:last], top_k))
    return found


def late_interaction(
    queries: MultiVectors,
    rows: Sequence[NDArray[np.int64]],
    chunks: Iterable[tuple[NDArray[np.int64], MultiVectors]],
) -> list[NDArray[np.float32]]:
    """ColBERT's score: the mean over the query's vectors of the largest inner product with a vector of the passage.

    Args:
        queries: Vectors of each query.
        rows: Passage rows of each query, each passage once.
        chunks: Passage rows, and their vectors, chunk by chunk; together all that are in ``rows``.

    Returns:
        ``float32[m]`` for each query, in step with its rows.
    """
    places = np.repeat(np.arange(len(rows)), [len(each) for each in rows])
    slots = np.concatenate([np.arange(len(each)) for each in rows]) if len(rows) else np.empty(0, dtype=np.int64)
    flat = np.concatenate(rows) if len(rows) else np.empty(0, dtype=np.int64)
    scores = [np.zeros(len(each), dtype=np.float32) for each in rows]
    for passage_rows, vectors in chunks:
        number_of = {int(row): number for number, row in enumerate(passage_rows)}
        here = np.flatnonzero(np.isin(flat, passage_rows))  # in the order of the queries
        for group in np.split(here, np.flatnonzero(np.diff(places[here])) + 1) if len(here) else []:
            place = int(places[group[0]])
            passages = [vectors[number_of[int(row)]] for row in flat[group]]
            starts = np.cumsum([0, *(len(each) for each in passages[:-1])])
            products = queries[place] @ np.concatenate(passages).T
            scores[place][slots[group]] = np.maximum.reduceat(products, starts, axis=1).mean(axis=0)
    return scores


def weighted_union(dense: Ranked, sparse: Ranked, weights: Sequence[float], top_k: int) -> Ranked:
    """The weighted sum over two lists; a passage that one of them lacks has 0 there."""
    rows = np.union1d(dense[0], sparse[0])
    scores = np.zeros(len(rows), dtype=np.float32)
    for (found, values), weight in zip((dense, sparse), weights, strict=False):
        scores[np.searchsorted(rows, found)] += np.float32(weight) * values
    return best(rows, scores, top_k)


def best(rows: NDArray[np.int64], scores: NDArray[np.float32], top_k: int) -> Ranked:
    """The ``top_k`` rows of the highest scores, best first; equal scores in the order of the rows."""
    if len(rows) > top_k:
        last = np.partition(scores, len(scores) - top_k)[len(scores) - top_k]
        above = np.flatnonzero(scores > last)
        kept = np.sort(np.concatenate([above, np.flatnonzero(scores == last)[: top_k - len(above)]]))
        rows, scores = rows[kept], scores[kept]
    order = np.argsort(-scores, kind="stable")
    return rows[order], scores[order]


def _on_top(head: NDArray[np.int64], scores: NDArray[np.float32], dense: Ranked) -> Ranked:
    """Re-ranked candidates, and below them the rest of the dense ranking in its order."""
    rows, values = best(head, scores, len(head))
    rest = dense[0][len(head) :]
    floor = values[-1] if len(values) else np.float32(0)
    return np.concatenate([rows, rest]), np.concatenate([values, floor - np.arange(1, len(rest) + 1, dtype=np.float32)])


def _info(dense: IndexInfo | None = None) -> IndexInfo:
    """What searched: scipy's sparse and numpy's matrix products, and FAISS where dense vectors gave candidates."""
    numeric = f"scipy {scipy.__version__}, numpy {np.__version__}"
    if dense is None:
        return IndexInfo(numeric, "matrix products", "cpu", exact=True)
    return replace(dense, library=f"{dense.library}, {numeric}", index=f"{dense.index}, matrix products")
