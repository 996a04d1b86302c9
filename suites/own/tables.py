"""Rows that stand alone: pairs, texts or images with labels, and sets of texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from flagbench.runners.data.pictures import IMAGE, kept
from flagbench.runners.data.texts import ImageColumn, is_images
from flagbench.suites.own.columns import IMAGES
from flagbench.suites.own.contents import Contents
from flagbench.suites.own.layouts import DataSet
from flagbench.suites.own.values import FIX, Report, label_of, number_of, rows_of, texts_of, whole_number_of

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")

_TYPES: Mapping[str, Any] = {"score": pa.float64(), "labels": pa.int64(), **dict.fromkeys(IMAGES.values(), IMAGE)}
"""Of the columns that are no texts."""


def table(data: DataSet, split: str, contents: Contents, report: Report) -> pa.Table:
    """The rows of a split, in mteb's columns for the type; images in ``image``, or in ``image1`` and ``image2``.

    Args:
        data: The data set.
        split: One of its splits.
        contents: Reads texts and images.
        report: Takes each fault.
    """
    if data.kind in ("STS", "PairClassification"):
        return _pairs(data, split, contents, report)
    if "sentences" in data.columns["rows"]:
        return pa.table(_sets(data, split, report))
    made = _labelled(data, split, contents, report)
    if data.kind != "Clustering":
        return made
    if "image" in made.column_names:
        return _numbered(made)
    return pa.table({"sentences": [made["text"].to_pylist()], "labels": [made["label"].to_pylist()]})  # one set


def of_one_type(tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Labels as numbers where all of them in all splits are, as mteb's are; else as texts: 1 and "1" are one label."""
    columns = {split: each.column("label") for split, each in tables.items()}
    if all(_WHOLE.fullmatch(label) for column in columns.values() for label in column.unique().to_pylist()):
        columns = {split: column.cast(pa.int64()) for split, column in columns.items()}
    return {
        split: each.set_column(each.column_names.index("label"), "label", columns[split])
        for split, each in tables.items()
    }


def check_classes(data: DataSet, tables: Mapping[str, pa.Table], report: Report) -> None:
    """See that the classes of a split can be found, and that its main score is one for so many."""
    trained = set(tables["train"].column("label").to_pylist())
    for split in data.splits:
        there = set(tables[split].column("label").to_pylist())
        if there and trained and not there & trained:
            report(f"{data.folder}: no label of {split} is one of train: {FIX}")
        if data.said.metric == "ap" and len(there) != 2:
            report(f"{data.folder}: the metric ap is for two classes, and {split} has {len(there)}: choose another")


def whole(data: DataSet, split: str, its: pa.Table, report: Report) -> pa.Table:
    """See that a split can be scored as a whole."""
    if not len(its):
        report(f"{data.folder}: {split} has no rows: {FIX}")
        return its
    last = its.column_names[-1]
    values = its.column(last).combine_chunks()
    flat = values.flatten() if pa.types.is_list(values.type) else values
    if len(flat.unique()) < 2:
        report(f"{data.folder}: {split} has one {last.rstrip('s')} alone, and two different ones are needed: {FIX}")
    elif data.kind == "STS" and _all_alike(its):
        what = "images" if any(is_images(field.type) for field in its.schema) else "texts"
        report(f"{data.folder}: all pairs of {split} are alike (two equal {what}, or the same two): {FIX}")
    return its


def _all_alike(its: pa.Table) -> bool:
    """Whether a model can tell no pairs apart; images are read until two pairs differ."""
    pairs = _pairs_by_content(its)
    first = next(pairs)
    return all(pair == first for pair in pairs)


def _pairs_by_content(its: pa.Table) -> Iterator[frozenset[Any]]:
    """The pairs by what a model can tell apart: those of two equal texts or images all have the similarity 1."""
    sides: list[list[Sequence[Any]]] = [[], []]
    for name in its.column_names[:-1]:
        column = its.column(name)
        sides[name.endswith("2")].append(ImageColumn(column) if is_images(column.type) else column.to_pylist())
    for row in range(len(its)):
        one, other = (tuple(value for each in side if (value := each[row])) for side in sides)
        yield frozenset((one, other)) if one != other else frozenset()


def _pairs(data: DataSet, split: str, contents: Contents, report: Report) -> pa.Table:
    columns, scored = data.columns["rows"], data.kind == "STS"
    read_value: Callable[..., float | int | None] = number_of if scored else whole_number_of

    def rows() -> Iterator[tuple[Any, ...]]:
        for file, number, row in rows_of(data, "rows", split):
            one, other = (contents.read(file, number, row, "rows", text, report) for text in ("sentence1", "sentence2"))
            value = read_value(file, number, row, columns["score" if scored else "label"], report)
            if not scored and value not in (0, 1, None):
                report(f"{file.place(number)} has the label {value}, and a pair has 0 or 1: {FIX}")
            elif one is not None and other is not None and value is not None:
                yield *one, *other, value

    names = [*contents.columns("rows", "sentence1"), *contents.columns("rows", "sentence2")]
    return _made([*names, "score" if scored else "labels"], rows())


def _labelled(data: DataSet, split: str, contents: Contents, report: Report) -> pa.Table:
    """Labels as texts: those of all splits are brought to one type later."""
    column = data.columns["rows"]["label"]

    def rows() -> Iterator[tuple[Any, ...]]:
        for file, number, row in rows_of(data, "rows", split):
            content = contents.read(file, number, row, "rows", "text", report)
            label = label_of(file, number, row, column, row.get(column), report)
            if content is not None and label is not None:
                yield (*content, str(label))

    return _made([*contents.columns("rows", "text"), "label"], rows())


def _numbered(made: pa.Table) -> pa.Table:
    """Labels of clusters as numbers from 0, beside which mteb puts those of its own clusters."""
    numbers = made["label"].combine_chunks().dictionary_encode().indices.cast(pa.int64())
    return made.set_column(made.column_names.index("label"), "label", numbers)


def _made(names: list[str], rows: Iterator[tuple[Any, ...]]) -> pa.Table:
    return kept(rows, pa.schema([(name, _TYPES.get(name, pa.string())) for name in names]))


def _sets(data: DataSet, split: str, report: Report) -> dict[str, list[Any]]:
    columns = data.columns["rows"]
    made: dict[str, list[Any]] = {"sentences": [], "labels": []}
    for file, number, row in rows_of(data, "rows", split):
        texts = texts_of(file, number, row, columns["sentences"], report)
        listed = row.get(columns["labels"])
        if texts is None:
            continue
        if not isinstance(listed, list) or len(listed) != len(texts):
            report(f"{file.place(number)} has not one label for each text in column {columns['labels']}: {FIX}")
            continue
        labels = [label_of(file, number, row, columns["labels"], value, report) for value in listed]
        if None in labels:
            continue
        named = list(map(str, labels))
        if len(set(named)) < 2:  # any clustering of them has the best score
            report(f"{file.place(number)} has one label alone for all texts in column {columns['labels']}: {FIX}")
            continue
        made["sentences"].append(texts)
        made["labels"].append(named)
    return made
