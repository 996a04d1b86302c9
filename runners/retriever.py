"""What finds passages for queries: an encoder, and maybe a reranker behind it, over one task after another."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from runners.benchmark import Contestant
from runners.encode import TextEncoder, score_pairs
from runners.index import IndexInfo
from runners.progress import Progress
from runners.rank import Texts, rank
from runners.search import Below, Run, rerank


class Retriever:
    """A contestant's way from texts to a run: which instruction goes before which text, the search, the re-ranking.

    Attributes:
        index_info: What searched last; None when nothing did.
        search_seconds: Wall time of all searches, encoding apart.
    """

    def __init__(self, encoder: TextEncoder, contestant: Contestant, progress: Progress) -> None:
        self.index_info: IndexInfo | None = None
        self.search_seconds = 0.0
        self._encoder = encoder
        self._contestant = contestant
        self._progress = progress

    def retrieve(
        self,
        task: tuple[str, str],
        queries: Texts,
        passages: Texts,
        candidates: Mapping[str, Sequence[str]] | None = None,
        *,
        top_k: int,
    ) -> Run:
        """Rank all passages for each query, or each query's candidates.

        Args:
            task: Name and kind; they choose the instructions.
            queries: All queries, without instruction.
            passages: All passages, without instruction.
            candidates: Passage ids of each query that alone are ranked; None to rank all passages.
            top_k: Passages kept of each query.
        """
        spec = self._encoder.adapter.spec
        queries = replace(queries, instruction=spec.instruction(*task, "query"))
        passages = replace(passages, instruction=spec.instruction(*task, "passage"))
        encoded, started = self._encoder.counts.seconds, time.perf_counter()
        run, self.index_info = rank(self._encoder, queries, passages, candidates, top_k=top_k)
        self.search_seconds += time.perf_counter() - started - (self._encoder.counts.seconds - encoded)
        return run

    def rerank(self, task: tuple[str, str], run: Run, queries: Texts, passages: Texts, *, below: Below) -> Run:
        """What was retrieved in the reranker's order; as it is where there is no reranker.

        Args:
            task: Name and kind; they choose the instruction.
            run: What was retrieved.
            queries: All queries.
            passages: All passages.
            below: What becomes of the passages that the reranker does not see.
        """
        reranker = self._contestant.reranker
        if reranker is None:
            return run
        row_of = {passage_id: row for row, passage_id in enumerate(passages.ids)}
        instruction = reranker.spec.instruction(*task, "query")
        return rerank(
            run,
            dict(zip(queries.ids, queries.texts, strict=True)),
            functools.cache(lambda passage_id: passages.texts[row_of[passage_id]]),
            lambda pairs: score_pairs(
                reranker, pairs, instruction=instruction, progress=self._progress, keeping=self._contestant.keeping
            ),
            top_k=self._contestant.rerank_top_k,
            below=below,
        )
