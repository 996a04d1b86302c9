"""One task of composed retrieval: searched, ranked a second time where its authors do, and scored as they score it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any

from flagbench.results.values import Values
from flagbench.results.worst_queries import Examples
from flagbench.runners.benchmark import EvaluatedModel, Loaded, Outcome
from flagbench.runners.progress import Progress
from flagbench.runners.search.hits import Run, in_order
from flagbench.runners.search.metrics import PerQuery
from flagbench.runners.search.retriever import Retriever
from flagbench.runners.search.worst import Searched, some_texts, worst_of, worst_queries
from flagbench.suites.composed.collection import Collection
from flagbench.suites.composed.registry import KIND, Row, row_of
from flagbench.suites.composed.scoring import SUBSET_CUTOFFS, score
from flagbench.suites.composed.submission import TOP, Rankings

_SUBSET = "default"
_UNPUBLISHED = "its labels are on the test server alone: flagbench submit composed"


def evaluate(loaded: Loaded, evaluated: EvaluatedModel, progress: Progress) -> Outcome:
    """Search, re-rank where there is a reranker, and score.

    Args:
        loaded: The task.
        evaluated: The model, maybe with a reranker.
        progress: The progress to report to.

    Raises:
        ModelFault: The model gave something unusable.
    """
    row, collection = row_of(loaded.task.name), loaded.content
    retriever = Retriever.of(evaluated, progress)
    run, second = _ranked(row, collection, retriever)
    started = time.perf_counter()
    rankings = {query: in_order(hits) for query, hits in run.items()}
    subsets = {query: in_order(hits) for query, hits in second.items()}
    values = _values(row, collection, rankings, subsets)
    means = {name: fmean(by_query.values()) for name, by_query in values.items()}
    kept = Rankings(
        row.name,
        {query: found[:TOP] for query, found in rankings.items()},
        {query: found[: SUBSET_CUTOFFS[-1]] for query, found in subsets.items()},
    )
    files = {f"{row.name}.json": _result(row, collection, means), Rankings.file(row.name): kept.to_json()}
    if values:
        files |= _of_queries(row, collection, run, values)
    return Outcome(
        files=files,
        shared={},
        scores={row.split: {_SUBSET: means[row.main_score]}} if means else {},
        search=retriever.index_info.as_dict() if retriever.index_info else None,
        seconds={
            "encode": retriever.counts.seconds,
            "search": retriever.search_seconds,
            "score": time.perf_counter() - started,
        },
        texts=retriever.counts.as_dict(),
        note="" if means else _UNPUBLISHED,
    )


def _ranked(row: Row, collection: Collection, retriever: Retriever) -> tuple[Run, Run]:
    """The rankings of all candidates, and those within a query's set."""
    task, queries, passages = (row.name, KIND), collection.queries, collection.passages
    top_k = max(*row.cutoffs, TOP) + bool(collection.excluded)
    run = retriever.retrieve(task, queries, passages, top_k=top_k)
    for query, own in collection.excluded.items():
        run[query].pop(own, None)
    run = retriever.rerank(task, run, queries, passages, below="kept")
    if not collection.subsets:
        return run, {}
    size = max(map(len, collection.subsets.values()))
    second = retriever.retrieve(task, queries, passages, collection.subsets, top_k=size)
    return run, retriever.rerank(task, second, queries, passages, below="kept")


def _values(
    row: Row, collection: Collection, rankings: Mapping[str, Sequence[str]], subsets: Mapping[str, Sequence[str]]
) -> PerQuery:
    if collection.qrels is None:
        return {}
    return score(row.layout, row.cutoffs, rankings, collection.qrels, subsets=subsets, targets=collection.targets)


def _result(row: Row, collection: Collection, means: Mapping[str, float]) -> str:
    """The text of the task's result file."""
    document: dict[str, Any] = {
        "task": row.name,
        "dataset": row.dataset,
        "part": row.part,
        "queries": len(collection.queries.ids),
        "candidates": len(collection.passages.ids),
        "metrics": dict(means),
    }
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _of_queries(row: Row, collection: Collection, run: Run, values: PerQuery) -> dict[str, str]:
    """The text of the files of values and of worst queries."""
    searched = Searched(
        row.split,
        _SUBSET,
        run,
        collection.qrels or {},
        partial(some_texts, collection.queries),
        partial(some_texts, collection.passages),
    )
    worst = worst_of(row.name, row.main_score, worst_queries(searched, values[row.main_score]))
    return {
        Values.file(row.name): Values(row.name, {row.split: {_SUBSET: values}}).to_json(),
        Examples.file(row.name): worst.to_json(),
    }
