"""Retrieval with the model under evaluation: an encoder or a searcher, and a reranker if there is one."""

from __future__ import annotations

import functools
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Self, cast

import numpy as np

from flagbench import BadData, counted
from flagbench.models.contract import Encoder, Replayer, Searcher
from flagbench.models.inputs import TEXT, Input, readable, text_of
from flagbench.runners.benchmark import EvaluatedModel
from flagbench.runners.encoding.encode import TextEncoder, score_pairs
from flagbench.runners.encoding.notes import EncodeCounts
from flagbench.runners.progress import Progress
from flagbench.runners.search.hits import Below, Run, cut, rerank
from flagbench.runners.search.index import IndexInfo
from flagbench.runners.search.mixing import mixed
from flagbench.runners.search.ranking import Texts, rank

# Texts between two words to the progress.
_STEP = 1_000


class Retriever:
    """The model's way from texts to a run: instructions, search, re-ranking.

    Attributes:
        encoder: What encodes; None where the model searches without vectors.
        index_info: What searched last; None when nothing did.
        search_seconds: Wall time of all searches, encoding apart.
        notes: What the user must know of the rankings.
    """

    def __init__(self, encoder: TextEncoder | None, evaluated: EvaluatedModel, progress: Progress) -> None:
        self.encoder = encoder
        self.index_info: IndexInfo | None = None
        self.search_seconds = 0.0
        self.notes: list[str] = []
        self._evaluated = evaluated
        self._progress = progress

    @classmethod
    def of(cls, evaluated: EvaluatedModel, progress: Progress) -> Self:
        """The retriever of a model, encoder or searcher.

        Args:
            evaluated: An encoder, a searcher or a replayer, maybe with a reranker.
            progress: The progress to report to.
        """
        adapter = evaluated.adapter
        if adapter.capabilities & {"search", "replay"}:
            return cls(None, evaluated, progress)
        encoder = TextEncoder(cast("Encoder", adapter), progress, evaluated.cache, evaluated.notes)
        return cls(encoder, evaluated, progress)

    @property
    def counts(self) -> EncodeCounts:
        """Counts of encoded inputs so far; 0 for a model that searches without vectors."""
        return self.encoder.counts if self.encoder else EncodeCounts()

    @property
    def replays(self) -> bool:
        """Whether the rankings were made before, and ``replay`` gives them."""
        return "replay" in self._evaluated.adapter.capabilities

    def replay(
        self,
        part: tuple[str, str, str],
        query_ids: Sequence[str],
        passage_ids: Sequence[str],
        candidates: Mapping[str, Sequence[str]] | None = None,
        *,
        top_k: int,
        unjudged: Collection[str] = (),
    ) -> Run:
        """The rankings of a part of the data that were made before.

        Args:
            part: Task, split and subset.
            query_ids: Of all queries that are scored.
            passage_ids: Of all passages.
            candidates: Passage ids per query that alone are ranked; None for all passages.
            top_k: Passages kept per query.
            unjudged: Ids of queries of the data that are not scored; their rankings are left out.

        Returns:
            A ranking per query, an empty one where there is none.

        Raises:
            BadData: They are of other queries or passages, or rank what is no candidate.
        """
        replayer = cast("Replayer", self._evaluated.adapter)
        made = replayer.ranking(part, {*query_ids, *unjudged}, passage_ids)
        if candidates is not None:
            _check_candidates(part[0], made, candidates)
        where = "/".join(part[1:])
        for label, number in replayer.lacking(part, query_ids).items():
            if number:
                self.notes.append(f"{where}: {label} has no results for {number:,} of {len(query_ids):,} queries")
        if left_out := made.keys() - set(query_ids):
            self.notes.append(f"{where}: {counted(len(left_out), 'ranking')} of queries without labels left out")
        return {query_id: dict(islice(made.get(query_id, {}).items(), top_k)) for query_id in query_ids}

    def note_empty(
        self,
        part: tuple[str, str],
        run: Run,
        query_ids: Sequence[str],
        labels: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        """Note how many queries have no results, where these are not filled up.

        Args:
            part: Split and subset.
            run: Rankings, of other queries too.
            query_ids: Of all queries that are scored.
            labels: Grades of passages per query: one without any above 0 has nothing to find, and is not counted.
                None where they are not known.
        """
        empty = [query_id for query_id in query_ids if not run[query_id]]
        if labels is not None:
            empty = [query_id for query_id in empty if any(grade > 0 for grade in labels.get(query_id, {}).values())]
        if lacking := len(empty):
            self.notes.append(
                f"{'/'.join(part)}: {lacking:,} of {len(query_ids):,} queries have no results and count 0"
            )

    def retrieve(
        self,
        task: tuple[str, str],
        queries: Texts,
        passages: Texts,
        candidates: Mapping[str, Sequence[str]] | None = None,
        *,
        top_k: int,
        language: str = "",
        names: Sequence[str] = (),
    ) -> Run:
        """Rank all passages for each query, or each query's candidates.

        Args:
            task: Name and kind; they choose the instructions.
            queries: All queries, without instruction.
            passages: All passages, without instruction.
            candidates: Passage ids per query that alone are ranked; None to rank all passages.
            top_k: Passages kept per query.
            language: Of the texts, ISO 639-1; empty where it is not known. A model that encodes does not ask.
            names: Ids of the queries in the data, where they have others here; empty where they are the same.

        Raises:
            BadInput: Queries are to be mixed with generations, and one has none.

        Returns:
            A ranking per query. A searcher leaves out passages that share no word with the query, so it may be
            shorter than ``top_k``, and empty; candidates are all ranked.
        """
        started = time.perf_counter()
        if self.encoder is None:
            run, self.index_info = self._search(queries, passages, candidates, top_k, language)
            self.search_seconds += time.perf_counter() - started
            return run
        spec = self.encoder.adapter.spec
        queries = replace(queries, instruction=spec.instruction(*task, "query"))
        passages = replace(passages, instruction=spec.instruction(*task, "passage"))
        encoded = self.encoder.counts.seconds
        search_worker = self._evaluated.search_worker
        adjusted = None
        if spec.query_mix is not None:
            texts = list(map(text_of, queries.texts))
            adjusted = functools.partial(
                mixed,
                encoder=self.encoder,
                generated=spec.query_mix.generations().of(task[0], names or queries.ids, texts),
                mix=spec.query_mix,
                instruction=passages.instruction,
            )
        run, self.index_info = rank(
            self.encoder, queries, passages, candidates, top_k=top_k, search_worker=search_worker, adjusted=adjusted
        )
        self.search_seconds += time.perf_counter() - started - (self.encoder.counts.seconds - encoded)
        return run

    def rerank(self, task: tuple[str, str], run: Run, queries: Texts, passages: Texts, *, below: Below) -> Run:
        """Re-rank retrieved passages; without a reranker they keep their order.

        Args:
            task: Name and kind; they choose the instruction.
            run: What was retrieved.
            queries: All queries.
            passages: All passages.
            below: What becomes of the passages that the reranker does not see.
        """
        reranker = self._evaluated.reranker
        if reranker is None:
            return run
        row_of = {passage_id: row for row, passage_id in enumerate(passages.ids)}
        instruction = reranker.spec.instruction(*task, "query")
        return rerank(
            run,
            dict(zip(queries.ids, queries.texts, strict=True)),
            functools.cache(lambda passage_id: passages.texts[row_of[passage_id]]),
            lambda pairs: score_pairs(
                reranker, pairs, instruction=instruction, progress=self._progress, cache=self._evaluated.cache
            ),
            top_k=self._evaluated.rerank_top_k,
            below=below,
        )

    def _search(
        self,
        queries: Texts,
        passages: Texts,
        candidates: Mapping[str, Sequence[str]] | None,
        top_k: int,
        language: str,
    ) -> tuple[Run, IndexInfo]:
        """See ``retrieve``, of a searcher."""
        searcher = cast("Searcher", self._evaluated.adapter)
        index = searcher.index(self._counted("indexing", passages.texts), language=language)
        ids = np.array(passages.ids, dtype=object)
        row_of = {} if candidates is None else {passage_id: row for row, passage_id in enumerate(passages.ids)}
        run: Run = {}
        for query_id, query in zip(queries.ids, self._counted("searching", queries.texts), strict=True):
            if candidates is None:
                rows, scores = index.search(query, top_k)
            else:
                rows = np.array([row_of[passage_id] for passage_id in candidates.get(query_id, ())], dtype=np.int64)
                scores = index.score(query, rows)
                order = np.argsort(-scores, kind="stable")
                rows, scores = rows[order], scores[order]
            run[query_id] = cut(ids[rows], scores, top_k)
        return run, IndexInfo(index.library, index.method, searcher.device, exact=True)

    def _counted(self, stage: str, texts: Sequence[Input]) -> Iterator[str]:
        """The texts, as a searcher reads them, one after the other, as a stage of the progress."""
        self._progress.stage(stage, len(texts))
        name = self._evaluated.adapter.spec.name
        for number, text in enumerate(texts, 1):
            yield text_of(readable(text, TEXT, name))
            if number % _STEP == 0:
                self._progress.advance(_STEP)
        self._progress.advance(len(texts) % _STEP)


def _check_candidates(task: str, run: Run, candidates: Mapping[str, Sequence[str]]) -> None:
    """See that rankings are of the candidates alone.

    Raises:
        BadData: They have another passage.
    """
    for query_id, hits in run.items():
        if others := hits.keys() - set(candidates.get(query_id, ())):
            raise BadData(
                f"the rankings of {task} have passage {min(others)!r:.60} of query {query_id!r:.60}, which is none of "
                "its candidates; rank those alone"
            )
