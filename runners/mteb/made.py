"""mteb's task objects over rows that somebody else has read: mteb scores them as it scores its own tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
from datasets import Dataset
from datasets.table import InMemoryTable
from mteb.abstasks import AbsTaskClassification, AbsTaskPairClassification, AbsTaskRetrieval, AbsTaskSTS
from mteb.abstasks.clustering_legacy import AbsTaskClusteringLegacy
from mteb.abstasks.task_metadata import TaskMetadata

from flagbench.runners.data.rows import InMemoryRows
from flagbench.runners.mteb.bridge import UNKNOWN_LANGUAGE
from flagbench.runners.task import Task


class _Classification(AbsTaskClassification):
    """mteb's, for two classes of any names: its average precision takes the class 1 for the positive one."""

    def _calculate_scores(self, y_test: Any, y_pred: Any) -> Any:
        labels = np.unique(y_test)
        if len(labels) == 2 and 1 not in labels.tolist():
            others = [each for each in np.unique(y_pred).tolist() if each not in labels]
            number = {label: place for place, label in enumerate([*labels.tolist(), *others])}
            y_test, y_pred = (np.array([number[label] for label in each]) for each in (y_test, y_pred))
        return super()._calculate_scores(y_test, y_pred)


_KINDS: Mapping[str, Any] = {
    "Retrieval": AbsTaskRetrieval,
    "Reranking": AbsTaskRetrieval,
    "STS": AbsTaskSTS,
    "PairClassification": AbsTaskPairClassification,
    "Classification": _Classification,
    "Clustering": AbsTaskClusteringLegacy,
}


@dataclass(frozen=True)
class SearchRows:
    """The rows of a split of a retrieval or reranking task.

    Attributes:
        corpus: ``id``, ``title`` and ``text``, texts; usually memory-mapped.
        queries: ``id`` and ``text``, texts.
        qrels: ``{query id: {passage id: relevance}}``.
        candidates: Passage ids per query, of reranking; None for retrieval.
    """

    corpus: pa.Table
    queries: pa.Table
    qrels: Mapping[str, Mapping[str, int]]
    candidates: Mapping[str, list[str]] | None = None


def made(row: Task, splits: Mapping[str, SearchRows | pa.Table], language: str, **settings: Any) -> Any:
    """mteb's object of a task, with its data.

    Args:
        row: Name, type, splits and main score.
        splits: Rows of each; a table has mteb's columns for the type (``sentence1``, ``sentence2`` and ``score`` or
            ``labels``; ``text`` and ``label``; ``sentences`` and ``labels``), and classification a split ``train`` too.
        language: ISO 639-1 or 639-3; empty where it is not known.
        settings: Attributes of mteb's class, such as ``samples_per_label``.
    """
    # Checked by mteb with a language that it knows; of own data it may not be known.
    metadata = TaskMetadata(
        name=row.name,
        description=f"Own data: {row.name}",
        dataset={"path": row.dataset, "revision": row.revision},
        type=cast("Any", row.kind),
        category="t2c" if row.kind in ("Classification", "Clustering") else "t2t",
        modalities=["text"],
        eval_splits=list(row.splits),
        eval_langs=["eng-Latn"],
        main_score=row.main_score,
    ).model_copy(update={"eval_langs": [language or UNKNOWN_LANGUAGE]})
    task = type(row.name, (_KINDS[row.kind],), {"metadata": metadata, **settings})()
    data = {split: _searched(rows) if isinstance(rows, SearchRows) else _rows(rows) for split, rows in splits.items()}
    task.dataset = {"default": data}
    task.data_loaded = True
    return task


def _searched(rows: SearchRows) -> dict[str, Any]:
    return {
        "corpus": Dataset(InMemoryTable(rows.corpus)),  # of a mapped table its columns stay on disk
        "queries": _rows(rows.queries),
        "relevant_docs": {query: dict(its) for query, its in rows.qrels.items()},
        "top_ranked": dict(rows.candidates) if rows.candidates is not None else None,
    }


def _rows(table: pa.Table) -> InMemoryRows:
    return InMemoryRows.of(table, None)
