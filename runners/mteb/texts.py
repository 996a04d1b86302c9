"""The texts of mteb's task objects: queries, passages and relevant pairs, or the rows that are scored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flagbench.models.inputs import text_of
from flagbench.runners.data.task_texts import Scored, TaskTexts, TextList, retrieval_texts
from flagbench.runners.data.texts import TextColumn
from flagbench.runners.mteb.bridge import passage_inputs, query_inputs
from flagbench.runners.mteb.content import splits_of, tables_of, text_columns
from flagbench.runners.task import Task


def task_texts(row: Task, task: Any, title_separator: str = " ") -> Iterator[TaskTexts]:
    """The texts of a loaded task that its scores are over; rows that a probe is trained on are none of them.

    Args:
        row: The task.
        task: mteb's object, loaded.
        title_separator: What stands between a passage's title and its text.
    """
    for split, subset, rows in splits_of(row, task):
        if split not in row.splits:
            continue
        if isinstance(rows, Mapping) and "relevant_docs" in rows:
            yield _of_retrieval(split, subset, rows, task.metadata, title_separator)
        elif hasattr(rows, "column_names"):
            columns = [name for name in text_columns(task) if name in rows.column_names]
            scored: Scored = "nothing" if row.kind == "Clustering" else "texts"  # which is scored by sets of rows
            yield _of_rows(split, subset, rows, columns, scored)


def _of_retrieval(split: str, subset: str, rows: Mapping[str, Any], about: Any, separator: str) -> TaskTexts:
    queries = [text_of(each) for each in query_inputs(rows["queries"], about)]
    passages: Sequence[Any] = passage_inputs(rows["corpus"], about, separator)
    if "image" in about.modalities:
        passages = [text_of(each) for each in passages]
    relevant = [
        (str(query), str(passage))
        for query, its in rows["relevant_docs"].items()
        for passage, grade in its.items()
        if grade > 0
    ]
    ids = [[str(each) for each in rows[part]["id"][:]] for part in ("queries", "corpus")]
    return retrieval_texts(split, subset, (ids[0], queries), (ids[1], passages), relevant)


def _of_rows(split: str, subset: str, rows: Any, columns: Sequence[str], scored: Scored) -> TaskTexts:
    """Rows of one text are scored by themselves, and rows of two by both."""
    tables = list(tables_of(rows.select_columns(list(columns)))) if columns else []
    lists, count = [], 0
    for column in columns:
        chunked = pa.chunked_array([chunk for table in tables for chunk in table.column(column).chunks])
        if pa.types.is_list(chunked.type) or pa.types.is_large_list(chunked.type):
            numbers = pc.list_parent_indices(chunked).to_pylist()
            chunked = pc.list_flatten(chunked)
        else:
            numbers, count = list(range(len(chunked))), len(chunked)
        if not (pa.types.is_string(chunked.type) or pa.types.is_large_string(chunked.type)):
            continue
        ids = [f"{number}:{column}" for number in numbers] if len(columns) > 1 else list(map(str, numbers))
        texts = TextColumn(pc.fill_null(chunked, ""))
        lists.append(TextList("texts", ids, texts))
    if len(lists) != 2 or len(lists[0].texts) != len(lists[1].texts) or not count:
        return TaskTexts(split, subset, lists, scored)
    places = np.arange(count, dtype=np.int64)
    return TaskTexts(split, subset, lists, "pairs", np.stack([places, places], axis=1), list(map(str, range(count))))
