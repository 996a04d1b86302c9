"""A run by vectors of bytes or bits: those of the passages say how all are quantised, and none but they.

* int8: the similarity of the model, between the bytes of query and passage. The ranges of the bytes are those of all
  passages of the task's part; queries are cut to them. A corpus goes by once for them and once to be searched: up to a
  bound its vectors are held meanwhile, those beyond come from the cache again, or where there is none from the model.
* binary: the Hamming distance ``h`` of the signs; the score is ``d - 2 h``, their inner product.
* binary+rescore: the best ``rescore_multiplier * top_k`` by that, by the inner product of the query's floats and the
  passage's signs. sentence-transformers takes bits of 0 and 1 there, which ranks alike.

Given candidates (reranking tasks) are all scored so, and the ranges are theirs. Of passages that tie with the last one
those with the larger ids are kept, as trec_eval orders them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flagbench.models.contract import DENSE, Role
from flagbench.models.quantised import Ranges, packed, signs, unpacked
from flagbench.models.view import View
from flagbench.runners.data.texts import Picked
from flagbench.runners.encoding.encode import Distinct, TextEncoder
from flagbench.runners.search.bit_index import BitIndex
from flagbench.runners.search.hits import Corpus, Run, comparable, cut, first, rescore, retrieve
from flagbench.runners.search.index import IndexInfo, SearchWorker

if TYPE_CHECKING:
    from flagbench.runners.search.ranking import Texts

# Vectors of passages that are held from the first pass over a corpus.
_KEPT_BYTES = 2 * 1024**3

_QUERY: Role = "query"
_PASSAGE: Role = "passage"

_Piece = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Numbers of texts and their vectors."""


def rank_quantised(
    encoder: TextEncoder,
    view: View,
    queries: Texts,
    passages: Texts,
    candidates: Mapping[str, Sequence[str]] | None,
    top_k: int,
    search_worker: Callable[[], SearchWorker] | None = None,
) -> tuple[Run, IndexInfo]:
    """Encode queries and passages, and rank the passages for each query by quantised vectors.

    Args:
        encoder: A model of dense vectors.
        view: How they are quantised.
        queries: All queries.
        passages: All passages, or the candidates of some query.
        candidates: Passage ids per query that alone are ranked; None to rank all passages.
        top_k: Passages kept per query.
        search_worker: Gives the workers that search vectors of bytes; None: search here.
    """
    query = encoder.encode(queries.texts, role=_QUERY, instruction=queries.instruction)
    if not len(query) or not passages.ids:
        return {query_id: {} for query_id in queries.ids}, IndexInfo(f"numpy {np.__version__}", "none", "cpu", True)
    if candidates is not None:
        found = encoder.encode(passages.texts, role=_PASSAGE, instruction=passages.instruction)
        return _of_candidates(encoder, view, queries.ids, query, passages.ids, found, candidates, top_k)
    distinct = encoder.distinct(passages.texts)
    if view.vectors != "int8":
        return _by_bits(
            view, queries.ids, query, Corpus(passages.ids, distinct.places), _pieces(encoder, passages, distinct), top_k
        )
    ranges, vectors = _ranges(encoder, passages, distinct)
    similarity = encoder.adapter.spec.similarity
    run, info = retrieve(
        queries.ids,
        comparable(ranges.quantise(query), similarity),
        passages.ids,
        distinct.places,
        ((rows, comparable(ranges.quantise(its), similarity)) for rows, its in vectors),
        top_k=top_k,
        search_worker=search_worker,
        device=encoder.adapter.device,
    )
    return run, replace(info, index=f"{info.index}, of int8 values")


def _pieces(
    encoder: TextEncoder, passages: Texts, distinct: Distinct, rows: NDArray[np.int64] | None = None
) -> Generator[_Piece]:
    """The vectors of a corpus, each text once, or those of some of its texts."""
    texts = distinct.texts if rows is None else Picked(distinct.texts, rows)
    keys = distinct.keys if rows is None else distinct.keys[rows]
    with closing(
        encoder.chunks(texts, role=_PASSAGE, instruction=passages.instruction, parts=DENSE, keys=keys)
    ) as chunks:
        for numbers, chunk in chunks:
            assert chunk.dense is not None  # it was asked for
            yield numbers if rows is None else rows[numbers], chunk.dense


def _ranges(encoder: TextEncoder, passages: Texts, distinct: Distinct) -> tuple[Ranges, Iterator[_Piece]]:
    """The ranges of a corpus, and what gives its vectors once more."""
    kept: list[_Piece] = []
    taken = 0
    beyond: list[NDArray[np.int64]] = []

    def seen() -> Iterator[NDArray[np.float32]]:
        nonlocal taken
        with closing(_pieces(encoder, passages, distinct)) as pieces:
            for rows, vectors in pieces:
                taken += vectors.nbytes
                if taken <= _KEPT_BYTES:
                    kept.append((rows, vectors))
                else:
                    beyond.append(rows)
                yield vectors

    ranges = Ranges.of(seen())
    assert ranges is not None  # there are passages
    encoder.notes.ranges.append(ranges)

    def again() -> Iterator[_Piece]:
        yield from kept
        if beyond:
            yield from _pieces(encoder, passages, distinct, np.sort(np.concatenate(beyond)))

    return ranges, again()


def _by_bits(
    view: View,
    query_ids: Sequence[str],
    queries: NDArray[np.float32],
    corpus: Corpus,
    pieces: Iterator[_Piece],
    top_k: int,
) -> tuple[Run, IndexInfo]:
    """The best passages by the Hamming distance, and where that is asked for by the floats of the query."""
    dimension, bits = queries.shape[1], packed(queries)
    index = BitIndex(bits.shape[1])
    numbers: list[NDArray[np.int64]] = []
    for rows, vectors in pieces:
        index.add(packed(vectors))
        numbers.append(rows)
    texts = np.concatenate(numbers)
    wanted = top_k * max(1, view.rescore_multiplier)
    run: Run = {}
    for query_id, query, (places, far) in zip(query_ids, queries, index.nearest(bits, wanted), strict=True):
        rows, of_place = corpus.passages(texts[places])
        ids, scores = corpus.ids[rows], (dimension - 2 * far[of_place]).astype(np.float32)
        if view.rescore_multiplier:
            kept = first(ids, scores, wanted)
            ids, of_place = ids[kept], of_place[kept]
            scores = _rescored(query, unpacked(index.take(places[: of_place.max() + 1]), dimension))[of_place]
            order = np.argsort(-scores, kind="stable")
            ids, scores = ids[order], scores[order]
        run[query_id] = cut(ids, scores, top_k)
    rescored = ", rescored by the query's floats" if view.rescore_multiplier else ""
    return run, replace(index.info, index=f"{index.info.index}{rescored}")


def _rescored(query: NDArray[np.float32], signs_of: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner products of a query ``float32[d]`` and signs ``float32[n, d]``, summed in float64: equal signs tie."""
    products: NDArray[np.float32] = (signs_of.astype(np.float64) @ query.astype(np.float64)).astype(np.float32)
    return products


def _of_candidates(
    encoder: TextEncoder,
    view: View,
    query_ids: Sequence[str],
    query: NDArray[np.float32],
    passage_ids: Sequence[str],
    found: NDArray[np.float32],
    candidates: Mapping[str, Sequence[str]],
    top_k: int,
) -> tuple[Run, IndexInfo]:
    """All candidates of each query by their quantised vectors."""
    if view.vectors == "int8":
        ranges = Ranges(found.min(axis=0), found.max(axis=0))
        encoder.notes.ranges.append(ranges)
        similarity = encoder.adapter.spec.similarity
        query, found = (comparable(ranges.quantise(each), similarity) for each in (query, found))
    else:
        query, found = query if view.rescore_multiplier else signs(query), signs(found)
    every = max(map(len, candidates.values()), default=0)
    run, info = rescore(query_ids, query, passage_ids, found, candidates, top_k=every)
    kept = {
        query_id: cut(np.array(list(hits), dtype=object), np.array(list(hits.values()), dtype=np.float32), top_k)
        for query_id, hits in run.items()
    }
    return kept, replace(info, index=f"{info.index}, of {view.vectors} values")
