"""A run from vectors: the best passages per query, or the given candidates in a new order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from flagbench.models.inputs import Input, Pair
from flagbench.models.spec import Similarity
from flagbench.runners.search.index import DenseIndex, IndexInfo, SearchWorker, StreamSearch

Run = dict[str, dict[str, float]]
"""``{query id: {passage id: score}}``, as pytrec_eval takes it. Order and ties are left to trec_eval."""

Below = Literal["kept", "dropped"]
"""Treatment of passages below those that a reranker sees."""


def comparable(vectors: NDArray[np.float32], similarity: Similarity) -> NDArray[np.float32]:
    """Vectors whose inner product is the similarity: L2-normalised for cosine, as they are for dot."""
    if similarity == "dot":
        return vectors
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(norms, np.float32(1e-12))
    return unit


# Texts found beyond the top-k, so that those that tie with the last one can be told apart by their ids.
TIES = 64


class Corpus:
    """The passages of a search over texts.

    Attributes:
        ids: ``object[n]``.
    """

    def __init__(self, ids: Sequence[str], text_of: NDArray[np.int64]) -> None:
        """Set up.

        Args:
            ids: ``n`` ids.
            text_of: ``int64[n]`` number of each passage's text; passages with the same text share it.
        """
        self.ids = np.array(ids, dtype=object)
        self._by_text = np.argsort(text_of, kind="stable")
        self._counts = np.bincount(text_of)
        self._begins = np.cumsum(self._counts) - self._counts

    def passages(self, texts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The passages of texts, text after text.

        Args:
            texts: ``int64[k]`` numbers.

        Returns:
            ``int64[m]`` rows of the passages, and the place of each one's text among those given.
        """
        counts = self._counts[texts]
        places = np.repeat(np.arange(len(texts)), counts)
        firsts = self._begins[texts] - (np.cumsum(counts) - counts)
        return self._by_text[firsts[places] + np.arange(len(places))], places


def retrieve(
    query_ids: Sequence[str],
    queries: NDArray[np.float32],
    passage_ids: Sequence[str],
    text_of: NDArray[np.int64],
    vectors: Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]],
    *,
    top_k: int,
    search_worker: Callable[[], SearchWorker] | None = None,
    device: str = "cpu",
) -> tuple[Run, IndexInfo]:
    """Search all passages for each query, as their vectors come.

    Of passages with the same score those with the larger ids are kept, as trec_eval orders them.

    Args:
        query_ids: ``q`` ids.
        queries: ``float32[q, d]``, comparable by inner product.
        passage_ids: ``n`` ids.
        text_of: ``int64[n]`` number of each passage's text; passages with the same text share it.
        vectors: Numbers of texts and their vectors ``float32[m, d]``, piece by piece, each text once.
        top_k: Passages kept per query.
        search_worker: Gives the workers that search; None: search here.
        device: Where the model runs, which may search as well.
    """
    with closing(StreamSearch(queries, top_k + TIES, search_worker=search_worker, device=device)) as search:
        for numbers, piece in vectors:
            search.add(numbers, piece)
        found = search.finish()
    corpus = Corpus(passage_ids, text_of)
    run: Run = {}
    for query_id, scores, texts in zip(query_ids, found.scores, found.rows, strict=True):
        rows, places = corpus.passages(texts)
        run[query_id] = cut(corpus.ids[rows], scores[places], top_k)
    return run, search.info


def cut(ids: NDArray[np.object_], scores: NDArray[np.float32], top_k: int) -> dict[str, float]:
    """The first ``top_k`` ids in the order of their scores; of those that tie with the last, the larger ids.

    Args:
        ids: ``object[n]``.
        scores: ``float32[n]``, best first.
        top_k: Ids kept.
    """
    kept = first(ids, scores, top_k)
    return dict(zip(ids[kept].tolist(), scores[kept].tolist(), strict=True))


def first(ids: NDArray[np.object_], scores: NDArray[np.float32], top_k: int) -> NDArray[np.int64]:
    """The places ``int64[m]`` that ``cut`` keeps, in the order of their scores."""
    places = np.arange(len(ids))
    if len(ids) <= top_k:
        return places
    last = scores[top_k - 1]
    above = int(np.searchsorted(-scores, -last, side="left"))
    tied = range(above, int(np.searchsorted(-scores, -last, side="right")))
    chosen = sorted(tied, key=ids.__getitem__, reverse=True)[: top_k - above]
    return np.concatenate([places[:above], np.array(chosen, dtype=np.int64)])


def rescore(
    query_ids: Sequence[str],
    queries: NDArray[np.float32],
    passage_ids: Sequence[str],
    passages: NDArray[np.float32],
    candidates: Mapping[str, Sequence[str]],
    *,
    top_k: int,
) -> tuple[Run, IndexInfo]:
    """Score each query's candidates only.

    Args:
        query_ids: ``q`` ids. A query without candidates gets an empty ranking.
        queries: ``float32[q, d]``, comparable by inner product.
        passage_ids: ``n`` ids.
        passages: ``float32[n, d]``.
        candidates: Passage ids per query.
        top_k: Candidates kept per query.
    """
    index = DenseIndex(passages)
    row_of = {passage_id: row for row, passage_id in enumerate(passage_ids)}
    run: Run = {}
    for query_id, query in zip(query_ids, queries, strict=True):
        ids = list(candidates.get(query_id, ()))
        scores = index.score(query, np.array([row_of[passage_id] for passage_id in ids], dtype=np.int64))
        best = np.argsort(-scores, kind="stable")[:top_k]
        run[query_id] = {ids[place]: float(scores[place]) for place in best}
    return run, index.info


def rerank(
    run: Run,
    queries: Mapping[str, Input],
    passage: Callable[[str], Input],
    score: Callable[[Sequence[Pair]], NDArray[np.float32]],
    *,
    top_k: int,
    below: Below = "kept",
) -> Run:
    """Put the first ``top_k`` passages per query in a reranker's order.

    Where the others are kept, they stay below in the order that they had, so that recall beyond ``top_k`` is that of
    the first run.

    Args:
        run: What was retrieved.
        queries: Input by query id.
        passage: Gives the input of a passage id.
        score: Scores of ``(query, passage)`` pairs.
        top_k: Passages re-ranked per query.
        below: What becomes of the others.
    """
    ranked = {query_id: in_order(found) for query_id, found in run.items()}
    pairs = [
        (queries[query_id], passage(passage_id)) for query_id, order in ranked.items() for passage_id in order[:top_k]
    ]
    scores = iter(score(pairs).tolist())
    result: Run = {}
    for query_id, order in ranked.items():
        head = {passage_id: next(scores) for passage_id in order[:top_k]}
        floor = min(head.values(), default=0.0)
        rest = order[top_k:] if below == "kept" else []
        result[query_id] = head | {passage_id: floor - 1.0 - place for place, passage_id in enumerate(rest)}
    return result


def in_order(found: Mapping[str, float]) -> list[str]:
    """Passage ids of one query as trec_eval orders them: by score, the larger id first of those that tie."""
    return sorted(found, key=lambda passage_id: (found[passage_id], passage_id), reverse=True)
