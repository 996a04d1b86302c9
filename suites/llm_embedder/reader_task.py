"""A task that a language model reads for: what it is given, and what comes of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from flagbench.runners.search.hits import Run
from flagbench.runners.search.ranking import Texts
from flagbench.runners.search.retriever import Retriever
from flagbench.suites.llm_embedder.loading import ReaderData
from flagbench.suites.llm_embedder.reader import Reader
from flagbench.suites.llm_embedder.registry import KIND, LANGUAGE, Row

_USED = 3
"""Passages that a question gets of those that are found."""


@dataclass(frozen=True)
class Scored:
    """Scores of a task that was read.

    Attributes:
        main: Its main score.
        metrics: All means.
        values: By metric and item.
        answers: What the reader gave, by item; empty where that is in the values.
        notes: What the user must know of the scores, a line each.
    """

    main: float
    metrics: Mapping[str, float]
    values: Mapping[str, Mapping[str, float]]
    answers: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def scored_losses(losses: Mapping[str, float], notes: Iterable[str] = ()) -> Scored:
    """The score of texts: the mean of their log-likelihoods, and the perplexity beside it.

    Args:
        losses: Of each text the mean over its tokens, in nats.
        notes: See ``Scored``.
    """
    mean = fmean(losses.values())
    metrics = {"log_likelihood": -mean, "perplexity": math.exp(mean)}
    values = {id_: -loss for id_, loss in losses.items()}
    said = (f"perplexity {metrics['perplexity']:.4f}", *notes)
    return Scored(-mean, metrics, {"log_likelihood": values}, notes=said)


@dataclass(frozen=True)
class ReaderTask:
    """A task with all that it is scored with.

    Attributes:
        row: The task.
        data: Its data.
        retriever: The model under evaluation.
        reader: The language model.
        knowledge: Whether the reader gets what the model retrieves; else it gets nothing beside what it is asked.
        seed: Of what is drawn.
    """

    row: Row
    data: ReaderData
    retriever: Retriever
    reader: Reader
    knowledge: bool
    seed: int

    def retrieve(self, queries: Texts, passages: Texts, candidates: Mapping[str, Sequence[str]] | None = None) -> Run:
        """The passages that the model finds, re-ranked where there is a reranker.

        Args:
            queries: Without instruction.
            passages: Without instruction.
            candidates: Ids of passages per query that alone are ranked; None for all.
        """
        task = (self.row.name, KIND)
        top_k = self.row.hits if candidates is None else max(map(len, candidates.values()))
        run = self.retriever.retrieve(task, queries, passages, candidates, top_k=top_k, language=LANGUAGE)
        return self.retriever.rerank(task, run, queries, passages, below="kept")

    def groups(self, ids: Sequence[str]) -> Iterator[Sequence[str]]:
        """Items that are searched together, each among its own candidates: all for vectors, and one at a time for a
        search by words, whose statistics are those of an item's candidates.
        """
        if self.retriever.encoder is not None:
            yield from [ids] if ids else []
        else:
            yield from ([id_] for id_ in ids)

    def passages(self, used: int = _USED) -> dict[str, list[str]]:
        """The texts of the first passages of the corpus that are found for each query; empty without knowledge.

        Args:
            used: How many of those that are found.
        """
        if not self.knowledge:
            return {}
        run = self.retrieve(self.data.queries, self.data.passages)
        texts = self.data.passages.texts
        return {query: [str(texts[row]) for row in best_rows(hits, used)] for query, hits in run.items()}


def best_rows(hits: Mapping[str, float], count: int) -> list[int]:
    """Numbers at the end of the ids of the best passages, of equal ones the smaller first.

    Args:
        hits: Scores by passage, whose id is a number or ends in one behind a stroke.
        count: How many.
    """
    numbered = sorted((-score, int(passage.rpartition("/")[2])) for passage, score in hits.items())
    return [number for _, number in numbered[:count]]
