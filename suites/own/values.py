"""Values of rows of own data, each of them checked: a fault is a line that names file, row and column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flagbench.runners.data.row_files import RowFile
from flagbench.suites.own.layouts import DataSet

Report = Callable[[str], None]
"""Takes a fault, a line; it may raise, else the row is left out."""

FIX = "fix the data"
"""The end of a line about a fault."""

_SHOWN = 60  # characters of a value


def rows_of(data: DataSet, holds: str, split: str) -> Iterator[tuple[RowFile, int, Mapping[str, Any]]]:
    """All rows of a file group that a split has, with their files and their numbers there."""
    for file in data.files(holds, split):
        for number, row in file.rows():
            yield file, number, row


def new_id(
    data: DataSet,
    file: RowFile,
    number: int,
    row: Mapping[str, Any],
    holds: str,
    known: Mapping[str, Any],
    report: Report,
) -> str | None:
    """The id of a row, which no row before it has; None for a fault."""
    id_ = id_of(file, number, row, data.columns[holds]["id"], report)
    if id_ in known:
        report(f"{file.place(number)} has the id '{id_:.80}', which is listed twice: {FIX}")
        return None
    return id_


def id_of(
    file: RowFile, number: int, row: Mapping[str, Any], column: str, report: Report, *, what: str = "an id"
) -> str | None:
    """An id, or what else is one by its shape, as a text; None for a fault."""
    value = row.get(column)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value and "\0" not in value:
        return value
    report(f"{file.place(number)} has {shown(value)} instead of {what} in column {column}: {FIX}")
    return None


def text_of(
    file: RowFile, number: int, row: Mapping[str, Any], column: str, report: Report, *, empty: bool = False
) -> str | None:
    """A text; None for a fault."""
    value = row.get(column)
    if value is None and empty:
        return ""
    if isinstance(value, str) and (empty or value.strip()):
        return value
    report(f"{file.place(number)} has {shown(value)} instead of a text in column {column}: {FIX}")
    return None


def texts_of(file: RowFile, number: int, row: Mapping[str, Any], column: str, report: Report) -> list[str] | None:
    """A list of texts; None for a fault."""
    value = row.get(column)
    if isinstance(value, list) and value and all(isinstance(each, str) and each.strip() for each in value):
        return value
    what = "an empty list" if value == [] else shown(value)
    report(f"{file.place(number)} has {what} instead of a list of texts in column {column}: {FIX}")
    return None


def number_of(file: RowFile, number: int, row: Mapping[str, Any], column: str, report: Report) -> float | None:
    """A finite number; None for a fault."""
    value = row.get(column)
    try:
        found = float(value) if not isinstance(value, bool) and "_" not in str(value) else None  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        found = None
    if found is not None and abs(found) < float("inf"):
        return found
    report(f"{file.place(number)} has {shown(value)} instead of a number in column {column}: {FIX}")
    return None


def whole_number_of(file: RowFile, number: int, row: Mapping[str, Any], column: str, report: Report) -> int | None:
    """A whole number; None for a fault."""
    value = row.get(column)
    found = number_of(file, number, {column: int(value)} if isinstance(value, bool) else row, column, report)
    if found is None or found == int(found):
        return None if found is None else int(found)
    report(f"{file.place(number)} has {shown(value)} instead of a whole number in column {column}: {FIX}")
    return None


def label_of(
    file: RowFile, number: int, row: Mapping[str, Any], column: str, value: Any, report: Report
) -> str | int | None:
    """A label, which is a text or a whole number; None for a fault."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) or (isinstance(value, str) and value.strip()):
        return value
    report(f"{file.place(number)} has {shown(value)} instead of a label in column {column}: {FIX}")
    return None


def shown(value: Any) -> str:
    """A value as messages name it."""
    if value is None:
        return "nothing"
    if isinstance(value, str) and not value.strip():
        return "an empty text"
    text = f"{value!r:.61}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
