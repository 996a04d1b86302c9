"""One dataset of AIR-Bench: every split searched in one pass, written as the leaderboard takes it, dev scored."""

from __future__ import annotations

import heapq
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from flagbench import ModelFault
from flagbench.airbench.loading import Content, Qrels, merged
from flagbench.airbench.registry import Dataset
from flagbench.airbench.scores import CUTOFFS
from flagbench.airbench.search_results import NO_RERANKER, SearchResults
from flagbench.results.values import Values
from flagbench.results.worst_queries import Examples
from flagbench.runners.benchmark import EvaluatedModel, Loaded, Outcome
from flagbench.runners.progress import Progress
from flagbench.runners.search.hits import Run, in_order
from flagbench.runners.search.metrics import means, per_query
from flagbench.runners.search.retriever import Retriever
from flagbench.runners.search.worst import Searched, some_texts, worst_of, worst_queries

if TYPE_CHECKING:
    from flagbench.models.spec import ModelSpec

# As the official scripts search; the leaderboard's metrics end there.
TOP_K = 1_000

_UNPUBLISHED = "test labels are not published"


def outputs(dataset: Dataset, model: ModelSpec, reranker: ModelSpec | None) -> tuple[str, ...]:
    """Names of the files of search results, in the folder of the run.

    Args:
        dataset: With the splits wanted.
        model: The retriever.
        reranker: What re-ranks; its files stand beside those of the retriever alone.
    """
    stages = [None, reranker] if reranker else [None]
    return tuple(_path(_results(dataset, split, model, stage, {})) for stage in stages for split in dataset.splits)


def evaluate(loaded: Loaded, evaluated: EvaluatedModel, progress: Progress) -> Outcome:
    """Search a dataset, re-rank where a reranker is given, and score the dev split.

    What the reranker does not see is left out of its files, as the official scripts leave it out.

    Args:
        loaded: The dataset.
        evaluated: The model, maybe with a reranker.
        progress: Whom to tell.

    Raises:
        ModelFault: The model gave something unusable.
    """
    content: Content = loaded.content
    dataset, task = content.dataset, (loaded.task.name, loaded.task.kind)
    retriever = Retriever.of(evaluated, progress)
    queries = merged(content.queries)
    run = retriever.retrieve(task, queries, content.passages, top_k=TOP_K, language=dataset.language)
    notes = _fill_empty(run, content.passages.ids)
    stages: list[tuple[ModelSpec | None, Run]] = [(None, run)]
    rerank_seconds = 0.0
    if evaluated.reranker:
        started = time.perf_counter()
        again = retriever.rerank(task, run, queries, content.passages, below="dropped")
        rerank_seconds = time.perf_counter() - started
        stages.append((evaluated.reranker.spec, again))
    started = time.perf_counter()
    files: dict[str, str] = {}
    scores: dict[str, dict[str, float]] = {}
    for reranker, found in stages:
        for split in dataset.splits:
            hits = _of_split(found, split)
            results = _results(dataset, split, evaluated.adapter.spec, reranker, hits)
            files[_path(results)] = results.to_json()
            if split == "dev" and content.qrels is not None:
                scores["dev"] = _score(content, content.qrels, hits, files)
    return Outcome(
        files=files,
        shared={},
        scores={split: {"default": its[dataset.main_metric]} for split, its in scores.items()},
        search=retriever.index_info.as_dict() if retriever.index_info else None,
        seconds={
            "encode": retriever.counts.seconds,
            "search": retriever.search_seconds,
            "rerank": rerank_seconds,
            "score": time.perf_counter() - started,
        },
        texts=retriever.counts.as_dict(),
        note="; ".join([*notes, *([] if scores else [_UNPUBLISHED])]),
    )


def _fill_empty(run: Run, passage_ids: Sequence[str]) -> list[str]:
    """Give queries that share no word with any passage (BM25) the passages that come first of those with score 0.

    The leaderboard wants a ranking of every query, and a mean over the others alone would flatter the model.

    Args:
        run: Changed in place.
        passage_ids: All of them.

    Returns:
        What is to be said of it.
    """
    empty = [query_id for query_id, found in run.items() if not found]
    if not empty:
        return []
    first = dict.fromkeys(heapq.nlargest(TOP_K, passage_ids), 0.0)
    run.update({query_id: dict(first) for query_id in empty})
    return [f"{len(empty)} of {len(run)} queries share no word with any passage: all passages score 0"]


def _score(content: Content, qrels: Qrels, hits: Run, files: dict[str, str]) -> dict[str, float]:
    """The means of all metrics, as the official package computes them; the values of each query go to a file.

    So do the worst queries by the main score.
    """
    task, metric = content.dataset.task_name, content.dataset.main_metric
    values = per_query(qrels, hits, CUTOFFS, "compat")
    files[Values.file(task)] = Values(task, {"dev": {"default": values}}).to_json()
    searched = Searched(
        "dev",
        "default",
        hits,
        qrels,
        partial(some_texts, content.queries["dev"]),
        partial(some_texts, content.passages),
    )
    files[Examples.file(task)] = worst_of(task, metric, worst_queries(searched, values[metric])).to_json()
    return means(qrels, values, "compat")


def _of_split(run: Run, split: str) -> Run:
    """The rankings of a split's queries under their own ids, each in trec_eval's order."""
    prefix = f"{split}/"
    return {
        query_id.removeprefix(prefix): {passage_id: found[passage_id] for passage_id in in_order(found)}
        for query_id, found in run.items()
        if query_id.startswith(prefix)
    }


def _results(dataset: Dataset, split: str, model: ModelSpec, reranker: ModelSpec | None, hits: Run) -> SearchResults:
    return SearchResults(
        version=dataset.version,
        model=_short(model),
        reranker=_short(reranker) if reranker else None,
        type=dataset.type,
        domain=dataset.domain,
        language=dataset.language,
        dataset=dataset.name,
        split=split,
        hits=hits,
    )


def _path(results: SearchResults) -> str:
    return f"{results.benchmark_version}/search_results/{results.relative_path}"


def _short(spec: ModelSpec) -> str:
    """A model's name as the official scripts write it: without its organisation."""
    name = spec.name.split("/")[-1]
    if name == NO_RERANKER:
        raise ModelFault(f"{spec.name}: a model of this name cannot be told from none; use --name")
    return name
