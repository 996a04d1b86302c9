"""Texts on disk: the same sequence as a list, and what is said when there is no room for them."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from flagbench import BadInput
from flagbench.models.inputs import Image, Item
from flagbench.runners.data.texts import ItemColumn, Picked, TextColumn, TitledTexts, on_disk
from flagbench.runners.store.keys import first_of_each, keys_of
from tests.pictures import drawn, image

_SCHEMA = pa.schema([("text", pa.large_string())])


def _column(*groups: list[str]) -> TextColumn:
    tables = [pa.table({"text": pa.array(group, pa.large_string())}) for group in groups]
    return TextColumn(on_disk(tables, _SCHEMA).column("text"))


def test_a_column_on_disk_is_the_list_that_it_was_made_of() -> None:
    texts = ["one", "", "drei 三", "four\n", "fünf", "6", "seven"]
    column = _column(texts[:3], texts[3:4], texts[4:])
    assert list(column) == texts
    assert [column[row] for row in range(7)] == texts
    assert [column[row] for row in range(-7, 0)] == texts
    assert list(column[2:6:2]) == texts[2:6:2]
    assert len(column) == 7
    with pytest.raises(IndexError):
        column[7]


def test_a_column_may_have_no_rows() -> None:
    assert list(_column()) == []
    assert len(_column()) == 0


def test_some_rows_of_a_sequence_are_a_sequence() -> None:
    picked = Picked(["a", "b", "c", "d"], np.array([3, 0, 0]))
    assert list(picked) == ["d", "a", "a"]
    assert list(picked[1:]) == ["a", "a"]
    assert picked[-1] == "a"


def test_the_file_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    column = _column(["a", "b"])
    assert list(tmp_path.iterdir()) == []
    assert column[1] == "b"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, **_: str) -> None: ...

        def __enter__(self) -> str:
            os.symlink("/dev/full", tmp_path / "rows.arrow")  # noqa: PTH211
            return str(tmp_path)

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr("tempfile.TemporaryDirectory", Full)
    with pytest.raises(BadInput, match=r"is full: free space there, or name another folder in the variable TMPDIR$"):
        _column(["text" * 100_000])


def test_an_error_of_what_gives_the_rows_is_not_the_disks() -> None:
    def broken() -> object:
        raise OSError("no such parquet")
        yield

    with pytest.raises(OSError, match="no such parquet"):
        on_disk(broken(), _SCHEMA)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 1, 2, 50, 1_000])
def test_the_first_of_each_key_is_that_of_a_dictionary(size: int) -> None:
    chosen = random.Random(size)
    texts = [f"text {chosen.randrange(max(1, size // 3))}" for _ in range(size)]
    rows: dict[str, int] = {}
    expected = [rows.setdefault(text, len(rows)) for text in texts]
    firsts, places = first_of_each(keys_of(texts))
    assert [texts[row] for row in firsts] == list(rows)
    assert places.tolist() == expected


def test_a_column_of_images_gives_items(tmp_path: Path) -> None:
    """As datasets keeps them: bytes, or a file, or nothing."""
    path = tmp_path / "blue.png"
    path.write_bytes(drawn("blue"))
    rows = [{"bytes": drawn("red"), "path": "elsewhere.png"}, {"bytes": None, "path": str(path)}, None, {}]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = pa.chunked_array([pa.array(rows[:1], kind), pa.array(rows[1:], kind)])
    red, blue = image("red"), Image(path)
    assert list(ItemColumn(images, ["a", "", "c", ""])) == [Item("a", (red,)), Item("", (blue,)), "c", ""]
    assert list(ItemColumn(images, [" ", "\n", " ", ""])) == [Item("", (red,)), Item("", (blue,)), " ", ""]
    alone = ItemColumn(images)
    assert list(alone[:3]) == [Item("", (red,)), Item("", (blue,)), ""]
    assert len(alone) == 4
    assert alone[1] == Item("", (blue,))
    with pytest.raises(IndexError):
        alone[4]


def test_items_of_equal_content_are_found_once() -> None:
    items = ["a", Item("a"), Item("a", (image("red"),)), Item("a", (image("red"),)), Item("a", (image("blue"),))]
    firsts, places = first_of_each(keys_of(items))
    assert firsts.tolist() == [0, 2, 4]
    assert places.tolist() == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("separator", [" ", "\n"])
def test_texts_behind_their_titles(separator: str) -> None:
    """Stripped as a whole; an empty title leaves no separator, and however a row is read it is the same."""
    texts, titles = _column([" one ", " two", " ", "四"]), _column(["T", "", "Only", " T "])
    found = TitledTexts(texts, titles, separator)
    expected = [f"T{separator} one", "two", "Only", f"T {separator}四"]
    assert list(found) == [found[row] for row in range(4)] == expected
    assert (len(found), found[-1], list(found[1:3])) == (4, expected[-1], expected[1:3])
    bare = TitledTexts(texts)
    assert list(bare) == [bare[row] for row in range(4)] == ["one", "two", "", "四"]
