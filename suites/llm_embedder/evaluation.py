"""One retrieval task of LLM-Embedder: searched, re-ranked where there is a reranker, and scored."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any

from flagbench import BadData
from flagbench.models.inputs import text_of
from flagbench.results.values import Values
from flagbench.results.worst_queries import Examples
from flagbench.runners.benchmark import EvaluatedModel, Loaded, Outcome
from flagbench.runners.data.task_texts import TaskTexts, retrieval_texts
from flagbench.runners.progress import Progress
from flagbench.runners.search.hits import Run
from flagbench.runners.search.retriever import Retriever
from flagbench.runners.search.worst import Searched, some_texts, worst_of, worst_queries
from flagbench.suites.llm_embedder import scoring
from flagbench.suites.llm_embedder.loading import Collection
from flagbench.suites.llm_embedder.registry import KIND, LANGUAGE, SPLIT, Row, row_of

_SUBSET = "default"


def evaluate(loaded: Loaded, evaluated: EvaluatedModel, progress: Progress) -> Outcome:
    """Search, re-rank where there is a reranker, and score.

    Args:
        loaded: The task.
        evaluated: The model, maybe with a reranker.
        progress: The progress to report to.

    Raises:
        BadData: Nothing is found of any query.
        ModelFault: The model gave something unusable.
    """
    row, collection = row_of(loaded.task.name), loaded.content
    retriever = Retriever.of(evaluated, progress)
    run, rankings = ranked(row, collection, retriever)
    started = time.perf_counter()
    values = _values(row, collection, rankings)
    means = {name: fmean(by_query.values()) for name, by_query in values.items()}
    return Outcome(
        files={f"{row.name}.json": _result(row, collection, means), **_of_queries(row, collection, run, values)},
        shared={},
        scores={SPLIT: {_SUBSET: means[row.main_score]}},
        search=retriever.index_info.as_dict() if retriever.index_info else None,
        seconds={
            "encode": retriever.counts.seconds,
            "search": retriever.search_seconds,
            "score": time.perf_counter() - started,
        },
        texts=retriever.counts.as_dict(),
        note="; ".join(_notes(row, rankings, values)),
    )


def texts(collection: Collection) -> Iterator[TaskTexts]:
    """The queries and the corpus of a task, with the relevant pairs where labels name passages."""
    queries, passages = collection.queries, collection.passages
    relevant = [(query, passages.ids[row]) for query, its in collection.labels.items() for row in its]
    of_queries = (queries.ids, list(map(text_of, queries.texts)))
    of_passages = (passages.ids, list(map(text_of, passages.texts)))
    yield retrieval_texts(SPLIT, _SUBSET, of_queries, of_passages, relevant)


def ranked(row: Row, collection: Collection, retriever: Retriever) -> tuple[Run, dict[str, list[int]]]:
    """The passages per query: their scores, and their rows in order.

    Args:
        row: Of the task.
        collection: Its data.
        retriever: The model's way from texts to rankings.

    Raises:
        BadData: Nothing is found of any query.
    """
    task, queries, passages = (row.name, KIND), collection.queries, collection.passages
    run = retriever.retrieve(task, queries, passages, top_k=row.hits, language=LANGUAGE)
    run = retriever.rerank(task, run, queries, passages, below="kept")
    rankings = {query: in_order(hits) for query, hits in run.items()}
    if not any(rankings.values()):
        raise BadData(f"no query of {row.name} shares a word with a passage, so that none has a ranking: use its data")
    return run, rankings


def in_order(hits: Mapping[str, float]) -> list[int]:
    """Rows of passages, the best score first and of equal ones the smaller row, as faiss finds them."""
    return [int(passage) for passage in sorted(hits, key=lambda each: (-hits[each], int(each)))]


def _values(row: Row, collection: Collection, rankings: Mapping[str, Sequence[int]]) -> scoring.Values:
    if row.how == "retrieval":
        return scoring.score(row.families, row.cutoffs, rankings, collection.labels)
    first = {query: _first_hit(collection, query, ranking) for query, ranking in rankings.items() if ranking}
    return scoring.score_answers(row.cutoffs, first)


def _first_hit(collection: Collection, query: str, ranking: Sequence[int]) -> int:
    answers = [scoring.tokens(answer) for answer in collection.answers[query]]
    texts = (str(collection.passages.texts[row]) for row in ranking)
    return next((rank for rank, text in enumerate(texts, 1) if scoring.has_answer(answers, text)), 0)


def _notes(row: Row, rankings: Mapping[str, Sequence[int]], values: scoring.Values) -> Iterator[str]:
    lacking = sum(not ranking for ranking in rankings.values())
    if lacking:
        every = sum(values[row.main_score].values()) / len(rankings)
        yield (
            f"{lacking:,} of {len(rankings):,} queries have no results and do not count, as published; were they "
            f"counted 0, {row.main_score} would be {every:.4f}"
        )


def _result(row: Row, collection: Collection, means: Mapping[str, float]) -> str:
    """The text of the task's result file."""
    document: dict[str, Any] = {
        "task": row.name,
        "queries": len(collection.queries.ids),
        "passages": len(collection.passages.ids),
        "metrics": dict(means),
    }
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _of_queries(row: Row, collection: Collection, run: Run, values: scoring.Values) -> dict[str, str]:
    """The text of the files of values and of worst queries."""
    searched = Searched(
        SPLIT,
        _SUBSET,
        run,
        {query: {str(label): 1 for label in its} for query, its in collection.labels.items()},
        partial(some_texts, collection.queries),
        partial(some_texts, collection.passages),
    )
    worst = worst_of(row.name, row.main_score, worst_queries(searched, values[row.main_score]))
    return {
        Values.file(row.name): Values(row.name, {SPLIT: {_SUBSET: values}}).to_json(),
        Examples.file(row.name): worst.to_json(),
    }
