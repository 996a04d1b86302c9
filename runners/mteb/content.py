"""Which rows of mteb's task objects a score depends on, and the digests of their content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flagbench import BadData
from flagbench.runners.data.content import of_columns, of_labels, of_tables
from flagbench.runners.data.pictures import IMAGE
from flagbench.runners.data.texts import image_of
from flagbench.runners.data.verdict import Content
from flagbench.runners.task import Task

_ROWS_A_READ = 20_000
_UNORDERED = {"STS", "PairClassification"}
"""Types whose scores are over pairs, each by itself; others draw rows, or fit to them, by their places."""


def splits_of(row: Task, task: Any) -> Iterator[tuple[str, str, Any]]:
    """``(split, subset, rows)`` of everything that the score depends on, training rows included.

    Raises:
        BadData: A split is not there.
    """
    extra = [task.train_split] if hasattr(task, "train_split") else []
    for subset in row.subsets:
        data = task.dataset.get(subset, task.dataset)
        for split in dict.fromkeys([*row.splits, *extra]):
            if split not in data:
                raise BadData(f"{row.name}: split '{split}' of subset '{subset}' is not in {row.dataset}")
            yield split, subset, data[split]


def part_name(split: str, subset: str) -> str:
    """The name of a split of a subset, for people and in records."""
    return split if subset == "default" else f"{split}/{subset}"


def text_columns(task: Any) -> list[str]:
    """The columns of texts of a task that is not a retrieval."""
    return [column for column, modality in _content_columns(task).items() if modality == "text"]


def _content_columns(task: Any) -> Mapping[str, str]:
    """The columns of what is encoded of a task that is not a retrieval, with what each has."""
    return task._get_content_columns() if hasattr(task, "_get_content_columns") else {}


def label_column(row: Task, task: Any) -> str:
    """The column of labels, or of scores; empty where there is none."""
    return str(getattr(task, "label_column_name", "score" if row.kind == "STS" else ""))


def content_of(row: Task, task: Any) -> Mapping[str, Content]:
    """The content of all that the score depends on, by part; empty where rows are held in a form that is not known.

    Args:
        row: The task.
        task: mteb's object, loaded.
    """
    found: dict[str, Content] = {}
    columns = [*_content_columns(task), label_column(row, task)]
    for split, subset, rows in splits_of(row, task):
        part = part_name(split, subset)
        if isinstance(rows, Mapping) and "relevant_docs" in rows:
            found |= {f"{part}/{name}": its for name, its in _of_retrieval(rows)}
        elif hasattr(rows, "column_names"):
            tested = row.kind == "Classification" and split != getattr(task, "train_split", None)
            crossed = getattr(task, "is_cross_validation", False)
            known = all(column in rows.column_names for column in columns)
            ordered = not (row.kind in _UNORDERED or (tested and not crossed))
            found[part] = of_tables(tables_of(rows), columns if known else sorted(rows.column_names), ordered=ordered)
        else:
            return {}
    return found


def _of_retrieval(rows: Mapping[str, Any]) -> Iterator[tuple[str, Content]]:
    """The parts of a retrieval task. A passage without a title has an empty one."""
    corpus, queries = rows["corpus"], rows["queries"]
    columns = ["id", "title", *(column for column in ("text", "image") if column in corpus.column_names)]
    if len(columns) > 2:
        yield "corpus", of_tables(map(_titled, tables_of(corpus)), columns, ordered=False)
    else:
        yield "corpus", of_tables(tables_of(corpus), sorted(corpus.column_names), ordered=False)
    columns = [column for column in ("id", "text", "image", "instruction") if column in queries.column_names]
    asked = columns if "text" in columns or "image" in columns else sorted(queries.column_names)
    yield "queries", of_tables(tables_of(queries), asked, ordered=False)
    yield "labels", of_labels(rows["relevant_docs"])
    if candidates := rows.get("top_ranked"):
        sets = {"query": list(candidates), "passages": [sorted(its) for its in candidates.values()]}
        yield "candidates", of_columns(sets)


def _titled(table: pa.Table) -> pa.Table:
    if "title" not in table.column_names:
        return table.append_column("title", pa.array([""] * len(table), pa.string()))
    titles = pc.fill_null(pc.cast(table.column("title"), pa.large_string()), "")
    return table.set_column(table.column_names.index("title"), "title", titles)


def tables_of(rows: Any) -> Iterator[pa.Table]:
    """Rows as Arrow tables; all pairs in one row, mteb's first form, as rows."""
    if len(rows) == 1 and all(isinstance(value, list) for value in rows[0].values()):
        yield pa.table(rows[0])
        return
    yield from map(_keyed, rows.with_format("arrow").iter(batch_size=_ROWS_A_READ))


def _keyed(table: pa.Table) -> pa.Table:
    """Rows with the keys of their images in place of these, which know the bytes of files as well."""
    for place, field in enumerate(table.schema):
        if field.type == IMAGE:
            keys = [image and image.key for image in map(image_of, iter(table.column(place)))]
            table = table.set_column(place, field.name, pa.array(keys, pa.binary()))
    return table
