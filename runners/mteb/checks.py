"""What mteb's tasks ask of rows, by their type, so that its code and scikit-learn's do not stumble over them later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flagbench import BadData
from flagbench.results.kinds import PAIRED, RERANKED
from flagbench.runners.data.checks import (
    Place,
    check_classes,
    check_columns,
    check_ids,
    check_in_step,
    check_numbers,
    check_rows,
    check_several,
    check_texts,
)
from flagbench.runners.data.image_checks import check_images
from flagbench.runners.data.image_rows import ImageRows
from flagbench.runners.data.retrieval import check_candidates, check_labels, check_pairs, oddities
from flagbench.runners.data.rows import InMemoryRows
from flagbench.runners.data.texts import is_images
from flagbench.runners.mteb.content import (
    content_columns,
    label_column,
    part_name,
    splits_of,
    tables_of,
    text_columns,
)
from flagbench.runners.task import Task

_LABELS = ("query-id", "corpus-id", "score")
_NOT_COUNTED = "and not counted, as in mteb"


def as_read(place: Place, rows: Any, said: list[str], *, official: bool) -> Any:
    """The rows of a config of a retrieval repo, as mteb's loader may have them: with texts for ids and titles.

    Args:
        place: Of the rows.
        rows: As they were read.
        said: Gets a line for ids that are numbers.
        official: Whether they are known to be the official ones, which are taken as they are.

    Raises:
        BadData: A row cannot be what its columns say; an id or a pair is listed twice.
    """
    table: pa.Table = rows.data.table
    names = table.column_names
    numbered = [
        name
        for name in ("_id", "id", *_LABELS[:2])
        if name in names and pa.types.is_integer(table.schema.field(name).type)
    ]
    said += [f"{place.part}: the ids in column {name} are numbers, read as their digits" for name in numbered]
    if set(_LABELS) <= set(names):
        if not official:
            check_pairs(place, table, *_LABELS)
        return rows
    id_column = next((name for name in ("_id", "id") if name in names), None)
    if id_column is None or not {"text", "title", "image"} & set(names):
        return rows
    if not official:
        check_ids(place, id_column, table.column(id_column))
        for column in {"text", "title"} & set(names):
            values = table.column(column)
            if column == "text" and "image" not in names:
                check_texts(place, column, values, empty=True, turns=True)
            elif column == "title" and not pa.types.is_null(values.type):
                check_texts(place, column, pc.fill_null(values, "") if _is_text(values) else values, empty=True)
    changed = table
    if "title" in names and table.column("title").null_count:
        titles = pc.fill_null(pc.cast(table.column("title"), pa.string()), "")
        changed = changed.set_column(names.index("title"), "title", titles)
    if id_column in numbered:
        changed = changed.set_column(names.index(id_column), id_column, pc.cast(table.column(id_column), pa.string()))
    if changed is table:
        return rows
    return ImageRows.of(changed, rows.where) if isinstance(rows, ImageRows) else InMemoryRows.of(changed, None)


def check_values(row: Task, task: Any, source: str) -> None:
    """See that all that the score depends on can be scored.

    Args:
        row: The task.
        task: mteb's object, loaded.
        source: Where its rows are.

    Raises:
        BadData: Something cannot.
    """
    for split, subset, rows in splits_of(row, task):
        place = Place(f"{row.name}: {source}", f"split {part_name(split, subset)}")
        if isinstance(rows, Mapping):
            _check_texts(place, rows, task, empty=True)
            _check_images_searched(place, rows, task)
            query_ids, passage_ids = rows["queries"]["id"][:], set(rows["corpus"]["id"][:])
            check_labels(place, rows["relevant_docs"], query_ids, passage_ids)
            if rows["top_ranked"]:
                check_candidates(place, rows["top_ranked"], query_ids, passage_ids)
        elif hasattr(rows, "column_names"):
            table, labels = _table(rows, task), label_column(row, task)
            check_rows(place, len(table))
            for column in text_columns(task):
                check_texts(place, column, table.column(column), empty=True)
            for column in image_columns(task) if isinstance(rows, ImageRows) else ():
                check_images(place, column, rows.images_in(column))
            if labels and row.kind in _BY_KIND:
                _BY_KIND[row.kind](task, place, split, table, labels)


def check_limits(row: Task, task: Any, source: str) -> None:
    """See that no text is empty and no score beyond the task's limits, which the official data may have.

    Args:
        row: The task.
        task: mteb's object, loaded, of which not even the counts agree with the official data.
        source: Where its rows are.

    Raises:
        BadData: One is.
    """
    for split, subset, rows in splits_of(row, task):
        place = Place(f"{row.name}: {source}", f"split {part_name(split, subset)}")
        if isinstance(rows, Mapping):
            _check_texts(place, rows, task, empty=False)
            _check_has_either(place, rows, task)
        elif hasattr(rows, "column_names"):
            table, labels = _table(rows, task), label_column(row, task)
            for column in text_columns(task):
                check_texts(place, column, table.column(column))
            if row.kind in PAIRED and hasattr(task, "max_score"):
                check_numbers(place, labels, table.column(labels), least=task.min_score, most=task.max_score)


def remarks(row: Task, task: Any) -> Iterator[str]:
    """Remarks on the labels of a retrieval task, a line each."""
    for split, subset, rows in splits_of(row, task):
        if isinstance(rows, Mapping):
            queries, corpus = (rows[part]["id"][:] for part in ("queries", "corpus"))
            yield from oddities(part_name(split, subset), rows["relevant_docs"], queries, corpus, _NOT_COUNTED)


def check_columns_of(row: Task, task: Any, source: str) -> None:
    """See that every column is there that mteb's evaluator of this kind will read.

    Raises:
        BadData: One is not.
    """
    wanted = [column for column in (*content_columns(task), label_column(row, task)) if column]
    for split, subset, rows in splits_of(row, task):
        part = f"split {part_name(split, subset)}"
        if isinstance(rows, Mapping):  # mteb's loader has already asked for the others
            if row.kind in RERANKED and not rows["top_ranked"]:
                raise BadData(f"{row.name}: {source} has no candidates to re-rank (config top_ranked) in {part}")
            for name in ("corpus", "queries"):
                columns = ["id", *modalities_of(task, name)]
                place = Place(f"{row.name}: {source}", f"{part}, {name}")
                check_columns(place, rows[name].column_names, columns)
                _check_holds_images(place, rows[name], [column for column in columns if column == "image"])
        elif hasattr(rows, "column_names"):
            place = Place(f"{row.name}: {source}", part)
            check_columns(place, rows.column_names, wanted)
            _check_holds_images(place, rows, image_columns(task))


def _check_holds_images(place: Place, rows: Any, columns: Sequence[str]) -> None:
    """See that columns are of the type of images.

    Raises:
        BadData: One is not.
    """
    for column in columns:
        kind = rows.data.schema.field(column).type
        if not is_images(kind):
            raise BadData(
                f"{place.source} has values of type {kind} instead of images in {place.part}, column {column}; write "
                "each as its bytes, or as datasets does (cast the column to datasets.Image)"
            )


def image_columns(task: Any) -> list[str]:
    """The columns of images of a task that is not a retrieval."""
    return [column for column, modality in content_columns(task).items() if modality == "image"]


def modalities_of(task: Any, side: str) -> list[str]:
    """The modalities of the ``queries`` or the ``corpus`` of a retrieval task; each has a column of its name."""
    from mteb.types import PromptType

    found = task.metadata.get_modalities(PromptType.query if side == "queries" else PromptType.document)
    return [modality for modality in ("text", "image") if modality in found]


def _check_texts(place: Place, rows: Mapping[str, Any], task: Any, *, empty: bool) -> None:
    for name in ("queries", "corpus"):
        has = modalities_of(task, name)
        if "text" in has and "text" in rows[name].column_names:
            # Beside an image a text may say nothing.
            its = rows[name].select_columns(["text"]).with_format("arrow")[:].column("text")
            check_texts(place, name, its, empty=empty or "image" in has, turns=True)


def _check_images_searched(place: Place, rows: Mapping[str, Any], task: Any) -> None:
    for name in ("queries", "corpus"):
        has = modalities_of(task, name)
        if "image" in has and isinstance(rows[name], ImageRows):
            part = Place(place.source, f"{place.part}, {name}")
            check_images(part, "image", rows[name].images_in("image"), absent="text" in has)


def _check_has_either(place: Place, rows: Mapping[str, Any], task: Any) -> None:
    """See that each query and passage has a text or an image, where it may have either."""
    for name in ("queries", "corpus"):
        its = rows[name]
        if not ({"text", "image"} <= {*modalities_of(task, name)} and isinstance(its, ImageRows)):
            continue
        texts = its.select_columns(["text"]).with_format("arrow")[:].column("text")
        if not _is_text(texts):
            continue
        said = pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(texts), ""), False).to_numpy()
        images = its.images_in("image")
        if (row := next((row for row in (~said).nonzero()[0].tolist() if images[row] is None), None)) is not None:
            raise place.refuse(f"neither a text nor an image ({name})", "text", row)


def _scores(task: Any, place: Place, split: str, table: pa.Table, labels: str) -> None:
    check_rows(place, len(table), least=2)
    check_numbers(place, labels, table.column(labels))
    check_several(place, labels, table.column(labels), "the score")


def _pairs(task: Any, place: Place, split: str, table: pa.Table, labels: str) -> None:
    check_numbers(place, labels, table.column(labels), whole=True, least=0, most=1)
    check_several(place, labels, table.column(labels), "the label")


def _classes(task: Any, place: Place, split: str, table: pa.Table, labels: str) -> None:
    check_classes(place, labels, table.column(labels))
    if split == getattr(task, "train_split", None):
        check_several(place, labels, table.column(labels), "the label")


def _image_classes(task: Any, place: Place, split: str, table: pa.Table, labels: str) -> None:
    if not pa.types.is_list(table.column(labels).type):  # of several labels a row may have none
        _classes(task, place, split, table, labels)


def _candidates(task: Any, place: Place, split: str, table: pa.Table, labels: str) -> None:
    values = table.column(labels)
    check_classes(place, labels, values)
    if pa.types.is_integer(values.type):
        check_numbers(place, labels, values, least=0, most=len(task.get_candidate_labels()) - 1)


def _clusters(task: Any, place: Place, split: str, table: pa.Table, labels: str) -> None:
    values = table.column(labels)
    texts = {name: table.column(name) for name in text_columns(task)}
    listed = any(pa.types.is_list(its.type) or pa.types.is_large_list(its.type) for its in texts.values())
    if listed:
        check_in_step(place, {**texts, labels: values})
    nested = pa.types.is_list(values.type) or pa.types.is_large_list(values.type)
    check_classes(place, labels, values)
    if nested:
        values = pc.list_flatten(values)
        check_classes(place, labels, values)
    check_several(place, labels, values, "the label")


_BY_KIND: Mapping[str, Callable[[Any, Place, str, pa.Table, str], None]] = {
    **dict.fromkeys(PAIRED, _scores),
    "PairClassification": _pairs,
    "Classification": _classes,
    "ImageClassification": _image_classes,
    "ZeroShotClassification": _candidates,
    "Clustering": _clusters,
    "ImageClustering": _clusters,
}


def _table(rows: Any, task: Any) -> pa.Table:
    """The rows, without their images."""
    if isinstance(rows, ImageRows):
        others = [column for column in rows.column_names if column not in rows.images]
        return rows.select_columns(others).with_format("arrow")[:] if others else pa.table({})
    tables = list(tables_of(rows))
    return (
        pa.concat_tables(tables)
        if tables
        else pa.table({name: pa.array([], pa.string()) for name in rows.column_names})
    )


def _is_text(values: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(values.type) or pa.types.is_large_string(values.type))
