"""What rows must be for a score to mean anything, checked before any model runs: one line names place, column and row.

Columns are checked as Arrow has them, and looked at row by row only to name the one that is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flagbench import BadData, counted


@dataclass(frozen=True)
class Place:
    """Where rows are, as messages name it.

    Attributes:
        source: The task and the folder or repo.
        part: Of it, such as ``split test`` or ``split dev, corpus``.
    """

    source: str
    part: str

    def refuse(self, fault: str, column: str, row: int) -> BadData:
        """The error for a fault of a value."""
        return BadData(
            f"{self.source} has {fault} in {self.part}, column {column}, row {row} (counted from 0); fix the data"
        )

    def whole(self, fault: str) -> BadData:
        """The error for a fault of all rows, as the end of a sentence that has the source for its subject."""
        return BadData(f"{self.source} has {fault} in {self.part}; fix the data")


def check_columns(place: Place, present: Sequence[str], wanted: Sequence[str]) -> None:
    """See that columns are there.

    Raises:
        BadData: One is not.
    """
    if missing := [column for column in wanted if column not in present]:
        columns = f"column{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
        raise BadData(f"{place.source} lacks the {columns} in {place.part} (it has {', '.join(present)})")


def check_rows(place: Place, rows: int, least: int = 1) -> None:
    """See that there are rows enough.

    Raises:
        BadData: There are fewer.
    """
    if rows < least:
        raise place.whole(f"{counted(rows, 'row') if rows else 'no rows'}, and {least} or more are needed,")


def check_texts(
    place: Place, column: str, values: pa.ChunkedArray, *, empty: bool = False, turns: bool = False
) -> None:
    """See that each value is a text, or a list of texts.

    Args:
        place: Of the rows.
        column: Name.
        values: Its values.
        empty: Whether a text may be empty or blank.
        turns: Whether a value may be a conversation, a list of turns.

    Raises:
        BadData: One is not.
    """
    check_present(place, column, values, "no text")
    kind = values.type
    inner = kind.value_type if _is_list(kind) else kind
    if turns and pa.types.is_struct(inner):
        return
    if not _is_text(inner):
        raise place.refuse(f"a value of type {inner} instead of a text", column, 0)
    if _is_list(kind):
        lengths = pc.list_value_length(values)
        _check_none(place, column, pc.equal(lengths, 0), "a list without texts")
        texts = pc.list_flatten(values)
        parents = pc.list_parent_indices(values)
        _check_none(place, column, texts.is_null(), "a list with no text at one place", parents)
        if not empty:
            _check_none(place, column, _blank(texts), "an empty text", parents)
    elif not empty:
        _check_none(place, column, _blank(values), "an empty text")


def check_ids(place: Place, column: str, ids: pa.ChunkedArray) -> None:
    """See that each id is there once.

    Raises:
        BadData: One is missing, listed twice, or has a NUL in it, at which trec_eval would end it.
    """
    check_present(place, column, ids, "no id")
    if _is_text(ids.type):
        _check_none(place, column, pc.match_substring(ids, "\0"), "an id with a NUL in it")
    if pc.count_distinct(ids).as_py() < len(ids):
        seen: set[Any] = set()
        for row, value in enumerate(ids.to_pylist()):
            if value in seen:
                raise place.refuse(f"the id '{value}', which is listed twice,", column, row)
            seen.add(value)


def check_numbers(
    place: Place,
    column: str,
    values: pa.ChunkedArray,
    *,
    whole: bool = False,
    least: float | None = None,
    most: float | None = None,
) -> None:
    """See that each value is a finite number, within limits.

    Args:
        place: Of the rows.
        column: Name.
        values: Its values; texts are read as numbers, as mteb reads them, where they are whole numbers.
        whole: Whether it must be a whole number.
        least: Smallest number that it may be; None for any.
        most: Largest; None for any.

    Raises:
        BadData: One is not.
    """
    check_present(place, column, values, "no number")
    kind = values.type
    if _is_text(kind):
        digits = pc.match_substring_regex(values, r"^\s*[+-]?\d{1,18}\s*$") if whole else pc.equal(values, None)
        _check_none(place, column, pc.invert(pc.fill_null(digits, False)), "a text instead of a number")
        unsigned = pc.replace_substring_regex(pc.utf8_trim_whitespace(values), r"^\+", "")  # Arrow reads no plus
        values = pc.cast(unsigned, pa.int64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise place.refuse(f"a value of type {kind} instead of a number", column, 0)
    numbers = pc.cast(pc.cast(values, pa.int8()) if pa.types.is_boolean(kind) else values, pa.float64())
    _check_none(place, column, pc.invert(pc.is_finite(numbers)), "a number that is not finite")
    if whole:
        _check_none(place, column, pc.not_equal(numbers, pc.floor(numbers)), "a number that is not whole")
    for limit, beyond, word in ((least, pc.less, "less"), (most, pc.greater, "more")):
        if limit is not None:
            _check_none(place, column, beyond(numbers, limit), f"a number that is {word} than {limit:g}")


def check_classes(place: Place, column: str, values: pa.ChunkedArray) -> None:
    """See that each label of classes is there and is one that a classifier takes.

    Raises:
        BadData: One is missing, or a number that is not whole.
    """
    check_present(place, column, values, "no label")
    if pa.types.is_floating(values.type):
        check_numbers(place, column, values, whole=True)


def check_several(place: Place, column: str, values: pa.ChunkedArray, what: str) -> None:
    """See that not all values are one.

    Raises:
        BadData: They are.
    """
    if pc.count_distinct(values).as_py() < 2:
        shown = values[0].as_py() if len(values) else None
        raise place.whole(f"{what} {shown!r:.40} alone in column {column}, and two or more different ones are needed,")


def check_in_step(place: Place, columns: Mapping[str, pa.ChunkedArray]) -> None:
    """See that the lists of columns have as many items as one another, row by row.

    Raises:
        BadData: Two have not.
    """
    (first, one), *others = columns.items()
    for name, other in others:
        if not (_is_list(one.type) and _is_list(other.type)):
            raise place.refuse(f"a value that is not a list of as many as {first} has", name, 0)
        lengths = [pc.fill_null(pc.list_value_length(each), 0) for each in (one, other)]
        _check_none(place, name, pc.not_equal(*lengths), f"another number of {name} than of {first}")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _blank(texts: Any) -> Any:
    return pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(texts)), 0)


def check_present(place: Place, column: str, values: pa.ChunkedArray, fault: str) -> None:
    """See that no value is missing.

    Raises:
        BadData: One is; the fault says what of.
    """
    if values.null_count:
        _check_none(place, column, values.is_null(), fault)


def _check_none(place: Place, column: str, wrong: Any, fault: str, rows: Any = None) -> None:
    """Refuse the first row whose mark is true."""
    at = pc.index(wrong, True).as_py()
    if at >= 0:
        raise place.refuse(fault, column, at if rows is None else rows[at].as_py())
