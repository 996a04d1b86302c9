"""mteb's task objects over rows that somebody else has read: mteb scores them as it scores its own tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, Image
from mteb.abstasks import AbsTaskClassification, AbsTaskPairClassification, AbsTaskRetrieval, AbsTaskSTS
from mteb.abstasks.clustering_legacy import AbsTaskClusteringLegacy
from mteb.abstasks.task_metadata import TaskMetadata

from flagbench.runners.data.pictures import IMAGE
from flagbench.runners.data.rows import InMemoryRows, unread
from flagbench.runners.mteb.bridge import UNKNOWN_LANGUAGE
from flagbench.runners.task import Task

R = TypeVar("R", bound=Dataset)


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
        corpus: ``id``, ``title`` and ``text``, texts, or an ``image`` (``runners/data/pictures.py``) beside or instead
            of a text; usually memory-mapped.
        queries: ``id`` and ``text``, or an ``image`` as of the corpus; maybe a ``CLUSTER``, null of one on its own.
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
            ``labels``; ``text`` and ``label``; ``sentences`` and ``labels``), or with images ``image1``, ``image2`` and
            ``image`` beside or instead of the texts, and classification a split ``train`` too.
        language: ISO 639-1 or 639-3; empty where it is not known.
        settings: Attributes of mteb's class, such as ``samples_per_label``.
    """
    shape, category = _shape(row.kind, splits[row.splits[0]])
    # Checked by mteb with a language that it knows; of own data it may not be known.
    metadata = TaskMetadata(
        name=row.name,
        description=f"Own data: {row.name}",
        dataset={"path": row.dataset, "revision": row.revision},
        type=cast("Any", row.kind),
        category=category,
        modalities=list(row.modalities),
        eval_splits=list(row.splits),
        eval_langs=["eng-Latn"],
        main_score=row.main_score,
    ).model_copy(update={"eval_langs": [language or UNKNOWN_LANGUAGE]})
    task = type(row.name, (_KINDS[row.kind],), {"metadata": metadata, **shape, **settings})()
    data = {split: _searched(rows) if isinstance(rows, SearchRows) else _rows(rows) for split, rows in splits.items()}
    task.dataset = {"default": data}
    task.data_loaded = True
    return task


def _shape(kind: str, rows: SearchRows | pa.Table) -> tuple[dict[str, Any], Any]:
    """Attributes of mteb's class by the columns of the rows, and mteb's category of the task."""
    if isinstance(rows, SearchRows):
        return {}, f"{_letters(rows.queries.column_names)}2{_letters(rows.corpus.column_names)}"
    names = rows.column_names
    if kind in ("STS", "PairClassification"):
        sides = [[name for name in names if name in (f"sentence{side}", f"image{side}")] for side in "12"]
        category = "2".join(_letters(each.rstrip("12").replace("sentence", "text") for each in its) for its in sides)
        if category == "t2t":
            return {}, category
        one, two = ({name: "image" if name.startswith("image") else "text" for name in its} for its in sides)
        if kind == "STS":
            return {"column_names": (one, two)}, category
        return {"input1_column_name": one, "input2_column_name": two}, category
    category = f"{_letters(names)}2c"
    if "image" not in names:
        return {}, "t2c"
    columns = [name for name in ("text", "image") if name in names]
    shape: dict[str, Any] = {"input_column_name": columns if len(columns) > 1 else "image"}
    return (shape | {"label_column_name": "label"} if kind == "Clustering" else shape), category


def _letters(names: Iterable[str]) -> str:
    """mteb's letters of the modalities that columns have, images before texts."""
    present = set(names)
    return "".join(letter for letter, name in (("i", "image"), ("t", "text")) if name in present)


def _searched(rows: SearchRows) -> dict[str, Any]:
    return {
        "corpus": _with_images(unread(rows.corpus)),
        "queries": _rows(rows.queries),
        "relevant_docs": {query: dict(its) for query, its in rows.qrels.items()},
        "top_ranked": dict(rows.candidates) if rows.candidates is not None else None,
    }


def _rows(table: pa.Table) -> InMemoryRows:
    return _with_images(InMemoryRows.of(table, None))


def _with_images(rows: R) -> R:
    """Rows whose columns of images are declared as such, so that mteb leaves them as they are stored."""
    images = [name for name, kind in zip(rows.data.column_names, rows.data.schema.types, strict=True) if kind == IMAGE]
    if images:
        rows.info.features = Features(rows.features | dict.fromkeys(images, Image(decode=False)))
    return rows
