"""What rows must be: each fault names place, column and first row, and what is sound passes."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from flagbench import BadData
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

PLACE = Place("STSB: folder data", "split test")


def column(values: list[Any], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    """In two chunks, as a file of several row groups has them."""
    half = len(values) // 2
    whole = pa.array(values, type=kind)
    return pa.chunked_array([whole[:half], whole[half:]], type=whole.type)


def said(check: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(BadData) as caught:
        check(PLACE, *arguments, **options)
    return str(caught.value)


def at(fault: str, row: int, name: str = "c") -> str:
    return f"STSB: folder data has {fault} in split test, column {name}, row {row} (counted from 0); fix the data"


@pytest.mark.parametrize(
    ("values", "options", "fault", "row"),
    [
        (["a", None, "c", None], {}, "no text", 1),
        (["a", "b", " \t\u3000", ""], {}, "an empty text", 2),
        (["a", "b", None], {"empty": True}, "no text", 2),
        ([1, 2], {}, "a value of type int64 instead of a text", 0),
        ([[1], [2]], {}, "a value of type int64 instead of a text", 0),
        ([["a"], ["b"], [], ["c"]], {}, "a list without texts", 2),
        ([["a"], [], ["b"]], {"empty": True}, "a list without texts", 1),
        ([["a", "b"], ["c"], ["d", None]], {}, "a list with no text at one place", 2),
        ([["a", "b"], ["c", " "], ["d"]], {}, "an empty text", 1),
        ([["a"], None], {}, "no text", 1),
        ([[{"role": "user"}], [{"role": "user"}]], {}, "a value of type struct<role: string> instead of a text", 0),
        ([[{"role": "user"}], None], {"turns": True}, "no text", 1),
    ],
)
def test_texts_that_are_none(values: list[Any], options: dict[str, bool], fault: str, row: int) -> None:
    assert said(check_texts, "c", column(values), **options) == at(fault, row)


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (["a", "b"], {}),
        (["a", "", " "], {"empty": True}),
        ([["a", "b"], ["c"]], {}),
        ([["a", ""], [" "]], {"empty": True}),
        ([[{"role": "user"}], [{"role": "user"}]], {"turns": True}),
        (["a", "b"], {"turns": True}),
        ([], {}),
    ],
)
def test_texts(values: list[Any], options: dict[str, bool]) -> None:
    check_texts(PLACE, "c", column(values, None if values else pa.string()), **options)
    if values and isinstance(values[0], str):
        check_texts(PLACE, "c", column(values, pa.large_string()), **options)


def test_ids() -> None:
    check_ids(PLACE, "id", column(["a", "b", "A"]))
    check_ids(PLACE, "id", column([1, 2, 3]))
    assert said(check_ids, "id", column(["a", "b", "c", "b", "a"])) == at("the id 'b', which is listed twice,", 3, "id")
    assert said(check_ids, "id", column(["a", "a", None])) == at("no id", 2, "id")
    nul = column(["a", "b", "c\0d", "e\0", "a"])
    for kind in (pa.string(), pa.large_string()):
        assert said(check_ids, "id", nul.cast(kind)) == at("an id with a NUL in it", 2, "id")


@pytest.mark.parametrize(
    ("values", "options", "fault", "row"),
    [
        ([1.0, None], {}, "no number", 1),
        ([1.0, 2.0, float("nan")], {}, "a number that is not finite", 2),
        ([1.0, float("inf"), 2.0], {}, "a number that is not finite", 1),
        ([1.0, 2.5], {"whole": True}, "a number that is not whole", 1),
        ([0, 1, -1], {"least": 0}, "a number that is less than 0", 2),
        ([0.0, 5.0, 5.5], {"most": 5}, "a number that is more than 5", 2),
        ([0.4, 0.6], {"least": 0.5, "most": 1}, "a number that is less than 0.5", 0),
        (["1", "2"], {}, "a text instead of a number", 0),
        (["1", "2.0"], {"whole": True}, "a text instead of a number", 1),
        (["1", "", "x"], {"whole": True}, "a text instead of a number", 1),
        (["1", "+-1"], {"whole": True}, "a text instead of a number", 1),
        (["9" * 18, "9" * 19], {"whole": True}, "a text instead of a number", 1),  # more than 64 bits hold
        (["1", " +7 ", "-3"], {"whole": True, "least": 0}, "a number that is less than 0", 2),
        ([[1], [2]], {}, "a value of type list<item: int64> instead of a number", 0),
    ],
)
def test_numbers_that_are_none(values: list[Any], options: dict[str, Any], fault: str, row: int) -> None:
    assert said(check_numbers, "c", column(values), **options) == at(fault, row)


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ([1, 2], {"whole": True, "least": 1, "most": 2}),
        ([0.0, 5.0], {"least": 0, "most": 5}),
        ([1.0, -2.0], {"whole": True}),
        ([True, False], {"whole": True, "least": 0, "most": 1}),
        (["1", " -2 ", "+3"], {"whole": True, "least": -2, "most": 3}),
    ],
)
def test_numbers(values: list[Any], options: dict[str, Any]) -> None:
    check_numbers(PLACE, "c", column(values), **options)


def test_classes() -> None:
    for values in (["a", "b"], [1, 2], [1.0, 2.0], [["a"], []]):
        check_classes(PLACE, "label", column(values))
    assert said(check_classes, "label", column([1.0, 1.5])) == at("a number that is not whole", 1, "label")
    assert said(check_classes, "label", column(["a", None])) == at("no label", 1, "label")


def test_several_values() -> None:
    check_several(PLACE, "c", column([1, 1, 2]), "the label")
    expected = (
        "STSB: folder data has the label {} alone in column c, and two or more different ones are needed, "
        "in split test; fix the data"
    )
    assert said(check_several, "c", column([1, 1]), "the label") == expected.format("1")
    assert said(check_several, "c", column(["x" * 50] * 2), "the label") == expected.format("'" + "x" * 39)
    assert said(check_several, "c", column([], pa.int64()), "the label") == expected.format("None")
    assert said(check_several, "c", column([7]), "the label") == expected.format("7")


def test_columns_in_step() -> None:
    one, other = column([["a", "b"], ["c"], None]), column([[1, 2], [3], []])
    check_in_step(PLACE, {"texts": one, "labels": other})
    check_in_step(PLACE, {"texts": one})
    longer = column([[1, 2], [3, 4], []])
    assert said(check_in_step, {"texts": one, "same": other, "labels": longer}) == at(
        "another number of labels than of texts", 1, "labels"
    )
    assert said(check_in_step, {"texts": one, "labels": column([1, 2, 3])}) == at(
        "a value that is not a list of as many as texts has", 0, "labels"
    )


def test_columns_and_rows() -> None:
    check_columns(PLACE, ["a", "b"], ["b"])
    lacks = "STSB: folder data lacks the {} in split test (it has a, b)"
    assert said(check_columns, ["a", "b"], ["a", "c"]) == lacks.format("column c")
    assert said(check_columns, ["a", "b"], ["d", "a", "c"]) == lacks.format("columns d, c")
    check_rows(PLACE, 1)
    check_rows(PLACE, 2, 2)
    few = "STSB: folder data has {}, and {} or more are needed, in split test; fix the data"
    assert said(check_rows, 0) == few.format("no rows", 1)
    assert said(check_rows, 1, 2) == few.format("1 row", 2)
    assert said(check_rows, 2, 3) == few.format("2 rows", 3)
