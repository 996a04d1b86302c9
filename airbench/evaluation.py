"""One dataset of AIR-Bench: every split searched in one pass, written as the leaderboard takes it, dev scored."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flagbench import ModelFault
from flagbench.airbench.loading import Content
from flagbench.airbench.registry import Dataset
from flagbench.airbench.scores import CUTOFFS
from flagbench.airbench.search_results import NO_RERANKER, SearchResults
from flagbench.models.inputs import text_of
from flagbench.runners.benchmark import EvaluatedModel, Loaded, Outcome
from flagbench.runners.data.task_texts import TaskTexts, retrieval_texts
from flagbench.runners.progress import Progress
from flagbench.runners.search.evaluate import Part, RetrievalData, Scoring
from flagbench.runners.search.evaluate import evaluate as search_and_score
from flagbench.runners.search.hits import Run
from flagbench.runners.search.metrics import Metric
from flagbench.runners.task import Task

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
        progress: The progress to report to.

    Raises:
        ModelFault: The model gave something unusable.
    """
    content: Content = loaded.content
    dataset = content.dataset
    found = search_and_score(_data(loaded.task, content), _scoring(dataset), evaluated, progress)
    started = time.perf_counter()
    kept = found.files()
    files: dict[str, str] = {}
    for stage in found.stages:
        reranker = evaluated.reranker.spec if evaluated.reranker and stage.reranked else None
        for split, hits in stage.runs.items():
            results = _results(dataset, split, evaluated.adapter.spec, reranker, hits)
            files[_path(results)] = results.to_json()
            if split == "dev":
                files |= kept
    seconds = {**found.seconds, "score": found.seconds["score"] + time.perf_counter() - started}
    return Outcome(
        files=files,
        shared={},
        scores=found.scores,
        search=found.search.as_dict() if found.search else None,
        seconds=seconds,
        texts=found.texts,
        note="; ".join([*found.notes, *([] if found.scores else [_UNPUBLISHED])]),
    )


def texts(content: Content) -> Iterator[TaskTexts]:
    """The queries and the corpus of each split, with the relevant pairs where labels are published."""
    passages = (content.passages.ids, list(map(text_of, content.passages.texts)))
    for split, queries in content.queries.items():
        labels = (content.qrels or {}) if split == "dev" else {}
        relevant = [(query, passage) for query, its in labels.items() for passage, grade in its.items() if grade > 0]
        yield retrieval_texts(split, "default", (queries.ids, list(map(text_of, queries.texts))), passages, relevant)


def _data(task: Task, content: Content) -> RetrievalData:
    """A dataset as the shared search takes it: only the dev split has labels."""
    parts = {
        split: Part(queries, content.qrels if split == "dev" else None) for split, queries in content.queries.items()
    }
    return RetrievalData(task.name, task.kind, content.passages, parts, content.dataset.language)


def _scoring(dataset: Dataset) -> Scoring:
    """As the official package scores; the leaderboard wants a ranking of every query."""
    metric = Metric.parse(dataset.main_metric)
    return Scoring(metric, CUTOFFS, rule="compat", top_k=TOP_K, below="dropped", fill_empty=True)


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
        raise ModelFault(f"{spec.name}: a model of this name looks like no model; use --name")
    return name
