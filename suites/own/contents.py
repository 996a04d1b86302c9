"""Texts and images of rows of own data, either or both of a row, and rows that need not fit into memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from flagbench import BadData
from flagbench.files import MIB
from flagbench.runners.data.pictures import IMAGE, stored_image
from flagbench.runners.data.row_files import RowFile
from flagbench.runners.data.texts import on_disk
from flagbench.suites.own.layouts import IMAGES, NAMES, DataSet
from flagbench.suites.own.values import FIX, Report, shown, text_of

_ROWS_A_BATCH = 10_000
_BYTES_A_BATCH = 64 * MIB


class Contents:
    """Reads what a model gets of a row.

    Args:
        data: The data set.
        decode: See ``stored_image``.
    """

    def __init__(self, data: DataSet, *, decode: bool = False) -> None:
        self._data = data
        self._decode = decode

    def columns(self, holds: str, text: str) -> list[str]:
        """What ``read`` gives of a file group: the text, the image or both, by their names in a layout."""
        return [each for each in (text, IMAGES[text]) if each in self._data.columns[holds]]

    def read(
        self,
        file: RowFile,
        number: int,
        row: Mapping[str, Any],
        holds: str,
        text: str,
        report: Report,
        *,
        titled: bool = False,
    ) -> tuple[Any, ...] | None:
        """The text and the image of a row, in the order of ``columns``; None for a fault.

        Args:
            file: That the row is from.
            number: Of the row.
            row: Its values.
            holds: What the file holds.
            text: What the text is called in a layout.
            report: Takes the fault.
            titled: Whether the row has a title, which will do for a text.
        """
        columns = self._data.columns[holds]
        image = IMAGES[text]
        if image not in columns:
            if (name := NAMES[image][0]) not in columns.values() and row.get(name) is not None:
                report(
                    f"{file.place(number)} has the first image of the file in column {name}: put it among the first "
                    f"rows of {file.path.name}, by which columns are told"
                )
                return None
            found = text_of(file, number, row, columns[text], report, empty=titled)
            return None if found is None else (found,)
        try:
            stored = stored_image(self._data.folder, row.get(columns[image]), decode=self._decode)
        except BadData as error:
            report(f"{file.place(number)} has {error}: {FIX}")
            return None
        if text not in columns:
            if stored is None:
                report(f"{file.place(number)} has nothing instead of an image in column {columns[image]}: {FIX}")
                return None
            return (stored,)
        if stored is None and not titled and not str(row.get(columns[text]) or "").strip():
            value = shown(row.get(columns[text]))
            report(
                f"{file.place(number)} has {value} in column {columns[text]} and no image in column {columns[image]}: "
                f"{FIX}"
            )
            return None
        found = text_of(file, number, row, columns[text], report, empty=True)
        return None if found is None else (found, stored)


def rows_on_disk(rows: Iterable[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    """Rows as a table: in memory where all is text, else in a temporary file that is read when asked for.

    Args:
        rows: A value for each column.
        schema: Of the table.
    """
    batches = _batches(iter(rows), schema)
    if IMAGE not in schema.types:
        return pa.concat_tables(list(batches))
    return on_disk(batches, schema)


def corpus_on_disk(rows: Iterable[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    """Rows of a corpus as a table in a temporary file that is read when asked for.

    Args:
        rows: A value for each column.
        schema: Of the table.
    """
    return on_disk(_batches(iter(rows), schema), schema)


def _batches(rows: Iterator[tuple[Any, ...]], schema: pa.Schema) -> Iterator[pa.Table]:
    """Tables of so many rows, or of so many bytes of images."""
    batch: list[tuple[Any, ...]] = []
    size = 0
    places = [place for place, kind in enumerate(schema.types) if kind == IMAGE]
    for row in rows:
        batch.append(row)
        size += sum(len((row[place] or {}).get("bytes") or b"") for place in places)
        if len(batch) == _ROWS_A_BATCH or size > _BYTES_A_BATCH:
            yield _table(batch, schema)
            batch, size = [], 0
    yield _table(batch, schema)


def _table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)], schema=schema)
