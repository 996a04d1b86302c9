"""Digests of content: equal for the same rows in whatever files and pieces, another for any other rows."""

from __future__ import annotations

import hashlib
import itertools
import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from flagbench.runners.data.content import of_columns, of_labels, of_tables
from flagbench.runners.data.sources import Folder

_ROWS = [("one", "two", 5), ("ä\n文", "", 0), ("one", "two", 5), ("three", "four, five", 3)]
_COLUMNS = ("sentence1", "sentence2", "score")


def _content(rows: Sequence[Sequence[Any]], *, ordered: bool = False) -> Any:
    return of_columns(dict(zip(_COLUMNS, map(list, zip(*rows, strict=True)), strict=True)), ordered=ordered)


def test_the_kind_of_file_does_not_matter(tmp_path: Path) -> None:
    rows = [row for row in _ROWS if row[1]]  # CSV has no empty text beside none
    table = pa.table(dict(zip(_COLUMNS, map(list, zip(*rows, strict=True)), strict=True)))
    single = table.set_column(2, "score", table.column("score").cast(pa.float32()))
    text = "".join(json.dumps(dict(zip(_COLUMNS, row, strict=True))) + "\n" for row in rows)
    for name in ("parquet", "single", "json", "csv"):
        (tmp_path / name).mkdir()
    pyarrow.parquet.write_table(table, tmp_path / "parquet" / "test.parquet")
    pyarrow.parquet.write_table(single, tmp_path / "single" / "test.parquet")
    (tmp_path / "json" / "test.jsonl").write_text(text, encoding="utf-8")
    pyarrow.csv.write_csv(table, tmp_path / "csv" / "test.csv")
    found = {
        name: of_tables([Folder(tmp_path / name).read(None, "test").data.table], _COLUMNS, ordered=False)
        for name in ("parquet", "single", "json", "csv")
    }
    assert set(found.values()) == {_content(rows)}


def test_pieces_do_not_matter() -> None:
    rows = [(f"text {number}", "x" * (number % 7), number) for number in range(50)]
    table = pa.table(dict(zip(_COLUMNS, map(list, zip(*rows, strict=True)), strict=True)))
    for ordered in (False, True):
        pieces = [table.slice(0, 1), table.slice(1, 30), table.slice(31)]
        assert of_tables(pieces, _COLUMNS, ordered=ordered) == _content(rows, ordered=ordered)


def test_order_matters_where_it_is_said_to() -> None:
    for rows in itertools.permutations(_ROWS):
        assert _content(rows) == _content(_ROWS)
        assert (_content(rows, ordered=True) == _content(_ROWS, ordered=True)) == (list(rows) == _ROWS)


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize(
    "rows",
    [
        [("one", "two", 0), ("ä\n文", "", 5), *_ROWS[2:]],  # labels moved
        [("one", "two", 5), ("ä\n文", "", 0), ("three", "four, five", 3)],  # one row once
        [("three", "four, five", 3), *_ROWS[1:]],  # another row twice
        [("onet", "wo", 5), *_ROWS[1:]],  # a letter over the border of two columns
        [("two", "one", 5), *_ROWS[1:]],
        [*_ROWS[:3], ("three", "four, five", 3.5)],
        [*_ROWS, ("", "", 0)],
    ],
)
def test_other_rows_have_another(rows: list[Any], ordered: bool) -> None:
    assert _content(rows, ordered=ordered).digest != _content(_ROWS, ordered=ordered).digest


def test_lists_count_their_borders() -> None:
    made = [
        of_columns({"sentences": sentences, "labels": labels}, ordered=True)
        for sentences in ([["a", "b"], ["c"]], [["a"], ["b", "c"]], [["a", "b", "c"], []])
        for labels in ([[0, 1], [2]], [[0], [1, 2]], None)
        if labels is not None
    ]
    assert len({each.digest for each in made}) == len(made)


def test_odd_values_have_one_as_well() -> None:
    turns = [[{"role": "user", "content": "a"}], [{"role": "user", "content": "b"}]]
    assert of_columns({"text": turns}) == of_columns({"text": turns[::-1]})
    assert of_columns({"text": ["a", 1]}) != of_columns({"text": ["a", "b"]})
    assert of_columns({"text": [None, "a"]}) != of_columns({"text": ["", "a"]})
    assert of_columns({"text": []}).rows == 0


def test_labels_are_known_by_query_passage_and_grade() -> None:
    one = {"q1": {"d1": 1, "d2": 0}, "q2": {"d1": 2}}
    assert of_labels(one) == of_labels({"q2": {"d1": 2}, "q1": {"d2": 0, "d1": 1}})
    assert of_labels(one) != of_labels({"q1": {"d1": 0, "d2": 1}, "q2": {"d1": 2}})
    assert of_labels(one) != of_labels({"q2": {"d1": 1, "d2": 0}, "q1": {"d1": 2}})


def _form(value: Any) -> bytes:
    if isinstance(value, list):
        return b"".join(_framed(each) for each in value)
    return (f"{value:g}" if isinstance(value, float) else str(value)).encode()


def _framed(*values: Any) -> bytes:
    forms = [(b"null", b"") if each is None else (str(len(_form(each))).encode(), _form(each)) for each in values]
    return b":".join(part for form in forms for part in form)


def _naive(rows: Sequence[Sequence[Any]], *, ordered: bool) -> str:
    """The digest as the module's first lines tell it, row by row."""
    whole, lanes = hashlib.blake2b(digest_size=16), [0, 0, 0, 0]
    for row in rows:
        if ordered:
            whole.update(_framed(*row))
        else:
            digest = hashlib.blake2b(_framed(*row), digest_size=32).digest()
            lanes = [(lane + number) % 2**64 for lane, number in zip(lanes, struct.unpack("<4Q", digest), strict=True)]
    whole.update(f"{len(rows[0])} columns, {len(rows)} rows ".encode() + struct.pack("<4Q", *lanes))
    return whole.hexdigest()


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize(
    "rows",
    [_ROWS, _ROWS[:1], [(None, "ä", 0.5), ("", "b", 3.0)], [(["a", "bc"], [0, 1], None), ([], [], None)]],
    ids=["doubles", "one", "nulls", "lists"],
)
def test_a_digest_is_that_of_the_rows_one_by_one(rows: list[Any], ordered: bool) -> None:
    """Digests of published data are kept: a way to make them that gives others makes all data unknown."""
    found = _content(rows, ordered=ordered)
    assert (found.rows, found.digest) == (len(rows), _naive(rows, ordered=ordered))


@pytest.mark.parametrize("cut", [10, 1], ids=["in one piece", "in pieces"])
def test_rows_that_are_there_several_times_count_each_time(monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    monkeypatch.setattr("flagbench.runners.data.content._ROWS_A_CHUNK", cut)
    a, b, c = _ROWS[0], _ROWS[1], _ROWS[3]
    made = [[a, a, c, c], [a, a, b, b], [b, b, c, c], [a, a, a, a], [a, a, a, b], [a, b, b, b], [c, c, c, c]]
    assert len({_content(rows).digest for rows in made}) == len(made)
    for rows in made:
        assert _content(rows).digest == _content(rows[::-1]).digest == _naive(rows, ordered=False)


def test_columns_that_are_not_asked_for_do_not_count() -> None:
    table = pa.table(dict(zip(_COLUMNS, map(list, zip(*_ROWS, strict=True)), strict=True)))
    two = of_tables([table], ["sentence2", "score"], ordered=False)
    assert two.digest == _naive([row[1:] for row in _ROWS], ordered=False)
    assert two == of_tables([table.drop_columns(["sentence1"])], ["sentence2", "score"], ordered=False)
    assert two != of_tables([table], ["score", "sentence2"], ordered=False)


@pytest.mark.parametrize("values", [[1, 0, 1], [1.0, -0.0, 1.0], [True, False, True], ["1", "0", "1"]])
def test_numbers_have_one_form(values: list[Any]) -> None:
    as_whole = of_columns({"label": [1, 0, 1]}, ordered=True)
    assert of_columns({"label": values}, ordered=True) == as_whole
    assert of_tables([pa.table({"label": pa.array(values).dictionary_encode()})], ["label"], ordered=True) == as_whole


@pytest.mark.parametrize(
    "number",
    [
        lambda place: 1.7e9 + place,
        lambda place: 0.5 + place * 1e-9,
        lambda place: 4 + place * 1e-7,
        lambda place: 1e-50 * place,
        lambda place: 1e300 * (place + 1),
        lambda place: 2.0**24 + place,
        lambda place: -1 / (place + 1e8),
    ],
    ids=["times", "halves", "ratings", "tiny", "huge", "whole", "negative"],
)
def test_numbers_that_single_precision_does_not_tell_apart_are_others(number: Callable[[int], float]) -> None:
    """Scores in another order are other data, by themselves and in lists."""
    texts = [f"text {place}" for place in range(30)]
    for wrapped in (lambda each: each, lambda each: [each]):
        found = {
            of_columns({"text": texts, "score": [wrapped(number(place * step % 30)) for place in range(30)]}).digest
            for step in (1, 7, 11)
        }
        assert len(found) == 3


def test_numbers_that_single_precision_tells_apart_have_the_digest_that_they_had() -> None:
    """Its shortest text, here by NumPy, whether they are read in single or double precision or as that text."""
    single = np.array([0.1, 4.2, 1 / 3, 3.6666667, 1e-4, 123456.7, -2.75, 1e5 / 3], dtype=np.float32)
    texts = [np.format_float_positional(each, unique=True, trim="-") for each in single]
    expected = of_columns({"score": texts}, ordered=True)
    for numbers in (single, single.astype(np.float64), np.array(texts, dtype=np.float64)):
        assert of_tables([pa.table({"score": numbers})], ["score"], ordered=True) == expected
    odd = pa.array([None, float("inf"), float("-inf"), float("nan"), -0.0], pa.float32())
    kept = of_columns({"score": [None, "inf", "-inf", "nan", "0"]}, ordered=True)
    for kind in (pa.float32(), pa.float64()):
        assert of_tables([pa.table({"score": odd.cast(kind)})], ["score"], ordered=True) == kept


def test_a_number_of_double_precision_is_a_whole_number_where_it_is_one() -> None:
    assert of_columns({"n": [1700000001.0, 16777217.0]}) == of_columns({"n": [1700000001, 16777217]})


def test_labels_are_three_columns() -> None:
    found = of_labels({"q1": {"d1": 1, "d2": 0}, "q2": {}, "q3": {"d1": 2}})
    assert (found.rows, found.digest) == (
        3,
        _naive([("q1", "d1", 1), ("q1", "d2", 0), ("q3", "d1", 2)], ordered=False),
    )


@pytest.mark.parametrize("ordered", [False, True])
def test_a_list_that_is_not_there_is_no_empty_one(ordered: bool) -> None:
    rows = [(["a", "bc"],), (None,), ([],), (["d"],)]
    found = of_columns({"texts": [row[0] for row in rows]}, ordered=ordered)
    assert found.digest == _naive(rows, ordered=ordered)
    assert found != of_columns({"texts": [["a", "bc"], [], [], ["d"]]}, ordered=ordered)


def test_bytes_are_texts_of_any_width() -> None:
    texts = [b"a", b"", None]
    kinds = (pa.binary(), pa.large_binary(), pa.string(), pa.large_string())
    made = {
        of_tables([pa.table({"x": pa.array(texts, pa.binary()).cast(kind)})], ["x"], ordered=True) for kind in kinds
    }
    assert made == {of_columns({"x": ["a", "", None]}, ordered=True)}


@pytest.mark.parametrize("lists", [[["a"], []], [[], ["a"]], [[], []], [["a"]]], ids=str)
def test_lists_of_one_item_and_of_none(lists: list[list[str]]) -> None:
    assert of_columns({"x": lists}, ordered=True).digest == _naive([(each,) for each in lists], ordered=True)


def test_a_table_in_a_cell_counts_by_its_names_and_is_there_or_not() -> None:
    one = {"a": 1, "b": "ä"}
    kinds = [[("a", pa.int64()), ("b", pa.string())], [("b", pa.string()), ("a", pa.int64())]]
    made = [pa.table({"x": pa.array([one, None], pa.struct(kind))}) for kind in kinds]
    texts = of_columns({"x": ['{"a": 1, "b": "\\u00e4"}', None]}, ordered=True)
    assert {of_tables([table], ["x"], ordered=True) for table in made} == {texts}
