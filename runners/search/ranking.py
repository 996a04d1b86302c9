"""Texts to a run: encoded by an encoder, ranked by the parts that its spec names.

Most models have dense vectors only, which are searched as they are. How BGE-M3's parts are ranked follows
FlagEmbedding's published runs (``research/C_MTEB/MLDR`` and ``MKQA``):

* sparse: the inner product of the lexical weights, over all passages.
* colbert: the first ``candidates`` passages of the dense ranking, in the order of their multi-vector scores.
* hybrid without multi-vectors: the weighted sum over the union of the dense and the sparse top-k lists, in which a
  passage that one list lacks has 0 there.
* hybrid with multi-vectors: the first ``candidates`` passages of the dense ranking, by the weighted sum of all scores.

Below re-ranked candidates the dense ranking goes on. Where a list ends among passages with the same score, those with
the larger ids are in it, as trec_eval orders them. Given candidates (reranking tasks) are all scored exactly. Two
things are exact here that were not there: lexical weights are floats (Anserini's index held ``ceil(100 w)``), and no
padding takes part in a multi-vector score.

A corpus goes by once, chunk by chunk, with all parts of a text from one forward pass; what stays of it are the lists of
the best so far, and multi-vectors up to a bound. The lexical scores of candidates are made as dense search finds them,
so lexical weights are neither held nor made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
import scipy
import scipy.sparse
from numpy.typing import NDArray

from flagbench import BadData
from flagbench.models.contract import DENSE, Role
from flagbench.models.embeddings import Embeddings, MultiVectors, widened
from flagbench.models.inputs import Input, content_key
from flagbench.runners.data.texts import Picked
from flagbench.runners.encoding.encode import Distinct, TextEncoder
from flagbench.runners.encoding.wanted import Wanted
from flagbench.runners.search.hits import TIES, Corpus, Run, comparable, first, rescore, retrieve
from flagbench.runners.search.index import IndexInfo, SearchWorker, StreamSearch
from flagbench.runners.search.lexical import LexicalScores, LexicalSearch, Ranked, best, weighted_union
from flagbench.runners.search.quantised import rank_quantised

# Passage multi-vectors that are kept from the first forward pass. Of the others, those of candidates are encoded a
# second time, chunk by chunk: the 118,605 passages of T2Retrieval would be about 100 GB.
_KEPT_BYTES = 2 * 1024**3

_QUERY: Role = "query"
_PASSAGE: Role = "passage"

T = TypeVar("T")


@dataclass(frozen=True)
class Texts:
    """Inputs of one role.

    Attributes:
        ids: As in the qrels.
        texts: In step with the ids.
        instruction: Prefix of each text.
    """

    ids: Sequence[str]
    texts: Sequence[Input]
    instruction: str = ""


def rank(
    encoder: TextEncoder,
    queries: Texts,
    passages: Texts,
    candidates: Mapping[str, Sequence[str]] | None,
    *,
    top_k: int,
    search_worker: Callable[[], SearchWorker] | None = None,
    adjusted: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None,
) -> tuple[Run, IndexInfo]:
    """Encode queries and passages, and rank the passages for each query.

    Args:
        encoder: A model; its spec says which of its parts rank.
        queries: All queries.
        passages: All passages.
        candidates: Passage ids per query that alone are ranked; None to rank all passages.
        top_k: Passages kept per query.
        search_worker: Gives the workers that search all dense vectors; None: search here.
        adjusted: Makes the dense vectors of queries that are searched with, ``float32[q, d]``, of those that are
            comparable by inner product; None leaves them as they are.
    """
    spec = encoder.adapter.spec
    if candidates is not None:
        passages = _named(passages, candidates)
    if spec.ranking.retrieval != "dense":
        if candidates is None:
            return _Retrieval(encoder, queries, passages, top_k, search_worker).run()
        return _Rescoring(encoder, queries, passages).run(candidates, top_k)
    if spec.view is not None and spec.view.quantised:
        return rank_quantised(encoder, spec.view, queries, passages, candidates, top_k, search_worker)
    query = encoder.encode(queries.texts, role=_QUERY, instruction=queries.instruction)
    query = comparable(query, spec.similarity)
    query = adjusted(query) if adjusted else query
    if candidates is not None:
        found = encoder.encode(passages.texts, role=_PASSAGE, instruction=passages.instruction)
        return rescore(queries.ids, query, passages.ids, comparable(found, spec.similarity), candidates, top_k=top_k)
    distinct = encoder.distinct(passages.texts)
    with closing(
        encoder.chunks(distinct.texts, role=_PASSAGE, instruction=passages.instruction, parts=DENSE, keys=distinct.keys)
    ) as chunks:
        vectors = ((rows, comparable(_part(chunk.dense), spec.similarity)) for rows, chunk in chunks)
        search = partial(retrieve, search_worker=search_worker, device=encoder.adapter.device)
        return search(queries.ids, query, passages.ids, distinct.places, vectors, top_k=top_k)


def _named(passages: Texts, candidates: Mapping[str, Sequence[str]]) -> Texts:
    """The passages that are a candidate of some query: no other needs a vector."""
    named = set().union(*candidates.values())
    rows = np.array([row for row, passage_id in enumerate(passages.ids) if passage_id in named], dtype=np.int64)
    if len(rows) in {0, len(passages.ids)}:
        return passages
    return replace(passages, ids=[passages.ids[row] for row in rows], texts=Picked(passages.texts, rows))


class _Retrieval:
    """Search of a corpus that goes by, with several parts of each text."""

    def __init__(
        self,
        encoder: TextEncoder,
        queries: Texts,
        passages: Texts,
        top_k: int,
        search_worker: Callable[[], SearchWorker] | None,
    ) -> None:
        self._encoder = encoder
        self._spec = spec = encoder.adapter.spec
        self._passages = passages
        self._query_ids = queries.ids
        self._top_k = top_k
        self._late = "multi_vector" in spec.parts
        self._query = query = encoder.encode_parts(
            queries.texts, role=_QUERY, instruction=queries.instruction, parts=spec.parts
        )
        self._second = second = LexicalScores(_part(query.sparse)) if self._late and "sparse" in spec.parts else None
        self._dense = None
        if "dense" in spec.parts:
            vectors, device = comparable(_part(query.dense), spec.similarity), encoder.adapter.device
            self._dense = StreamSearch(vectors, top_k + TIES, second=second, search_worker=search_worker, device=device)
        self._lexical = (
            LexicalSearch(_part(query.sparse), top_k + TIES) if "sparse" in spec.parts and not self._late else None
        )
        self._kept: list[tuple[NDArray[np.int64], MultiVectors]] = []

    def run(self) -> tuple[Run, IndexInfo]:
        """Rank all passages for each query."""
        if not self._passages.ids:
            _part(None)
        distinct = self._encoder.distinct(self._passages.texts)
        with closing(self._dense) if self._dense else nullcontext():
            self._go_by(distinct)
            corpus = Corpus(self._passages.ids, distinct.places)
            ranked = self._by_candidates(corpus, distinct) if self._late else self._by_lists(corpus)
            run = _run(self._query_ids, corpus.ids, ranked)
        return run, _info(self._dense.info if self._dense else None)

    def _go_by(self, distinct: Distinct) -> None:
        """Search each chunk as it comes. Multi-vectors are no longer asked for when enough are kept."""
        wanted = Wanted(self._spec.parts)
        taken = 0
        with closing(
            self._encoder.chunks(
                distinct.texts,
                role=_PASSAGE,
                instruction=self._passages.instruction,
                parts=wanted,
                keys=distinct.keys,
            )
        ) as chunks:
            for numbers, chunk in chunks:
                if self._second:
                    self._second.add(_part(chunk.sparse))
                if self._dense:
                    self._dense.add(numbers, comparable(_part(chunk.dense), self._spec.similarity))
                if self._lexical:
                    self._lexical.add(numbers, _part(chunk.sparse))
                if chunk.multi_vector is not None and "multi_vector" in wanted.parts:
                    taken += chunk.multi_vector.values.nbytes
                    if taken > _KEPT_BYTES:
                        wanted.drop("multi_vector")
                    else:
                        self._kept.append((numbers, chunk.multi_vector))

    def _by_lists(self, corpus: Corpus) -> Iterator[Ranked]:
        """The list of one part, or the weighted union of two."""
        lists: list[Iterable[Ranked]] = []
        if self._dense:
            found = self._dense.finish()
            lists.append(zip(found.rows, found.scores, strict=True))
        if self._lexical:
            lists.append(self._lexical.finish())
        for each in zip(*lists, strict=True):
            ranked = [_passages(corpus, texts, scores, self._top_k) for texts, scores in each]
            if self._spec.ranking.retrieval == "sparse":
                yield ranked[0]
                continue
            rows, scores = weighted_union(ranked, self._spec.ranking.weights[: len(ranked)])
            kept = first(corpus.ids[rows], scores, self._top_k)
            yield rows[kept], scores[kept]

    def _by_candidates(self, corpus: Corpus, distinct: Distinct) -> Iterator[Ranked]:
        """The dense ranking, its first passages in the order of their exact scores."""
        assert self._dense is not None
        ranking = self._spec.ranking
        weights = (0, 0, 1) if ranking.retrieval == "colbert" else ranking.weights
        found = self._dense.finish()
        dense: list[Ranked] = []
        heads: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        for texts, scores in zip(found.rows, found.scores, strict=True):
            rows, places = corpus.passages(texts)
            order = _trec_order(corpus.ids[rows], scores[places])[: self._top_k]
            dense.append((rows[order], scores[places[order]]))
            # Of passages with the same text one is scored.
            heads.append(np.unique(places[order[: ranking.candidates]], return_inverse=True))
        wanted = [texts[chosen] for texts, (chosen, _) in zip(found.rows, heads, strict=True)]
        late = late_interaction(_part(self._query.multi_vector), wanted, self._multi_vectors(wanted, distinct))
        for query, (chosen, text_of) in enumerate(heads):
            total = np.float32(weights[2]) * late[query]
            for weight, scores in zip(weights, (found.scores, found.second), strict=False):
                if weight:
                    total += np.float32(weight) * scores[query][chosen]
            head = dense[query][0][: ranking.candidates]
            yield _on_top(head, total[text_of], dense[query])

    def _multi_vectors(
        self, wanted: Sequence[NDArray[np.int64]], distinct: Distinct
    ) -> Iterator[tuple[NDArray[np.int64], MultiVectors]]:
        """Multi-vectors of all texts that are wanted: those kept, and the others from the cache or encoded anew."""
        yield from self._kept
        missing = np.unique(np.concatenate(wanted))
        if self._kept:
            missing = np.setdiff1d(missing, np.concatenate([numbers for numbers, _ in self._kept]), assume_unique=True)
        for order, chunk in self._encoder.chunks(
            Picked(distinct.texts, missing),
            role=_PASSAGE,
            instruction=self._passages.instruction,
            parts=frozenset({"multi_vector"}),
            keep=False,  # they would fill the cache
            keys=distinct.keys[missing],
        ):
            yield missing[order], _part(chunk.multi_vector)


def _passages(corpus: Corpus, texts: NDArray[np.int64], scores: NDArray[np.float32], top_k: int) -> Ranked:
    """The passages of ranked texts."""
    rows, places = corpus.passages(texts)
    kept = first(corpus.ids[rows], scores[places], top_k)
    return rows[kept], scores[places[kept]]


def _trec_order(ids: NDArray[np.object_], scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Places of passages, whose scores fall, as trec_eval orders them: the larger id first of those that tie."""
    if (np.diff(scores) < 0).all():
        return np.arange(len(ids))
    return np.array(sorted(range(len(ids)), key=lambda place: (scores[place], ids[place]), reverse=True), np.int64)


class _Rescoring:
    """Exact scores of given candidates, with several parts of each text."""

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

    def run(self, candidates: Mapping[str, Sequence[str]], top_k: int) -> tuple[Run, IndexInfo]:
        """Rank each query's candidates by their exact scores."""
        row_of = {passage_id: row for row, passage_id in enumerate(self._corpus.ids)}
        rows = [
            np.array([row_of[passage_id] for passage_id in candidates.get(query_id, ())], dtype=np.int64)
            for query_id in self._query_ids
        ]
        ranked = (best(each, scores, top_k) for each, scores in zip(rows, self._scores(rows), strict=True))
        return _run(self._query_ids, np.array(self._corpus.ids, dtype=object), ranked), _info()

    def _encode(self, texts: Texts, role: Role, kept: int | None) -> Embeddings:
        found = self._encoder.encode_parts(
            texts.texts,
            role=role,
            instruction=texts.instruction,
            parts=self._spec.parts,
            multi_vector_bytes=kept,
        )
        return found if found.dense is None else replace(found, dense=comparable(found.dense, self._spec.similarity))

    def _scores(self, rows: Sequence[NDArray[np.int64]]) -> list[NDArray[np.float32]]:
        """Exact scores of some passages per query, by the parts and weights of the spec."""
        spec, queries, passages = self._spec, self._queries, self._passages
        total = [np.zeros(len(each), dtype=np.float32) for each in rows]
        weights = {"sparse": (0, 1, 0), "colbert": (0, 0, 1)}.get(spec.ranking.retrieval, spec.ranking.weights)
        if weights[0]:
            for place, each in enumerate(rows):
                total[place] += np.float32(weights[0]) * (_part(passages.dense)[each] @ _part(queries.dense)[place])
        if weights[1]:
            for place, each in enumerate(rows):
                products = _part(passages.sparse)[each] @ _part(queries.sparse)[[place]].toarray()[0]
                total[place] += np.float32(weights[1]) * products
        if weights[2]:
            for place, scores in enumerate(
                late_interaction(_part(queries.multi_vector), rows, self._multi_vectors(rows))
            ):
                total[place] += np.float32(weights[2]) * scores
        return total

    def _multi_vectors(self, rows: Sequence[NDArray[np.int64]]) -> Iterator[tuple[NDArray[np.int64], MultiVectors]]:
        """Multi-vectors of all passages in ``rows``, each once: those kept, or encoded anew chunk by chunk."""
        if self._passages.multi_vector is not None:
            yield np.arange(len(self._passages.multi_vector)), self._passages.multi_vector
            return
        wanted = np.unique(np.concatenate(rows)) if rows else np.empty(0, dtype=np.int64)
        rows_of: dict[bytes, list[int]] = {}
        for row in wanted:
            rows_of.setdefault(content_key(self._corpus.texts[row]), []).append(int(row))
        same = list(rows_of.values())
        unique = Picked(self._corpus.texts, np.array([rows[0] for rows in same], dtype=np.int64))
        for order, chunk in self._encoder.chunks(
            unique, role=_PASSAGE, instruction=self._corpus.instruction, parts=frozenset({"multi_vector"}), keep=False
        ):
            each = [(row, place) for place, number in enumerate(order) for row in same[number]]
            found = np.array(each, dtype=np.int64)
            yield found[:, 0], _part(chunk.multi_vector).take(found[:, 1])


def _run(query_ids: Sequence[str], ids: NDArray[np.object_], ranked: Iterable[Ranked]) -> Run:
    return {
        query_id: dict(zip(ids[rows].tolist(), scores.tolist(), strict=True))
        for query_id, (rows, scores) in zip(query_ids, ranked, strict=True)
    }


def _part(part: T | None) -> T:
    """A requested part; without texts there is none."""
    if part is None:
        raise BadData("there is nothing to rank: the task has no queries or no passages")
    return part


def late_interaction(
    queries: MultiVectors,
    rows: Sequence[NDArray[np.int64]],
    chunks: Iterable[tuple[NDArray[np.int64], MultiVectors]],
) -> list[NDArray[np.float32]]:
    """ColBERT's score: the mean over the query's vectors of the largest inner product with a vector of the passage.

    Args:
        queries: Vectors per query.
        rows: Passage rows per query, each passage once.
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
        here = np.flatnonzero(np.isin(flat, passage_rows))
        for place, slot, row in zip(places[here].tolist(), slots[here].tolist(), flat[here].tolist(), strict=True):
            # Pair by pair: the last bits of a larger product would depend on which passages come together.
            products = queries[place] @ vectors[number_of[row]].T
            scores[place][slot] = products.max(axis=1).mean()
    return scores


def _on_top(head: NDArray[np.int64], scores: NDArray[np.float32], dense: Ranked) -> Ranked:
    """Re-ranked candidates, and below them the rest of the dense ranking in its order."""
    rows, values = best(head, scores, len(head))
    rest = dense[0][len(head) :]
    floor = values[-1] if len(values) else np.float32(0)
    return np.concatenate([rows, rest]), np.concatenate([values, floor - np.arange(1, len(rest) + 1, dtype=np.float32)])


def _info(dense: IndexInfo | None = None) -> IndexInfo:
    """Libraries of the search: scipy's sparse and numpy's matrix products, and FAISS for dense candidates."""
    numeric = f"scipy {scipy.__version__}, numpy {np.__version__}"
    if dense is None:
        return IndexInfo(numeric, "matrix products", "cpu", exact=True)
    return replace(dense, library=f"{dense.library}, {numeric}", index=f"{dense.index}, matrix products")
