"""Rows whose columns are lists, and that are a Dataset all the same."""

from __future__ import annotations

import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from flagbench.runners.data.rows import InMemoryRows, unread

_TABLE = pa.table({"text": ["a", "b", "c"], "label": [1, 0, 1]})
_FEATURES = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})


@pytest.fixture
def rows() -> InMemoryRows:
    return InMemoryRows.of(_TABLE, None)


def test_a_column_is_a_list(rows: InMemoryRows) -> None:
    assert type(rows["text"]) is list
    assert rows["text"] == ["a", "b", "c"]


def test_a_column_of_a_plain_dataset_is_none() -> None:
    assert type(Dataset(_TABLE)["text"]) is not list


def test_columns_stay_lists_after_selecting_and_renaming(rows: InMemoryRows) -> None:
    other = rows.select_columns(["label"]).rename_columns({"label": "y"})
    assert type(other["y"]) is list
    assert other["y"] == [1, 0, 1]
    assert type(rows.rename_column("text", "t")["t"]) is list
    assert type(rows.remove_columns(["label"])["text"]) is list


def test_columns_follow_a_selection_of_rows(rows: InMemoryRows) -> None:
    assert rows.select([2, 0])["text"] == ["c", "a"]
    assert rows.select(range(1, 3))["text"] == ["b", "c"]
    assert rows.select([2, 0, 1]).select([1, 2])["text"] == ["a", "b"]
    assert rows.select([])["text"] == []
    assert rows.select([2, 0])[0] == {"text": "c", "label": 1}
    assert list(rows.filter(lambda row: row["label"] == 1)["text"]) == ["a", "c"]


def test_chosen_rows_are_those_of_a_dataset(rows: InMemoryRows) -> None:
    plain = Dataset(_TABLE)
    for chosen in ([2, 0], range(1, 3), [1]):
        assert list(rows.select(chosen)) == list(plain.select(chosen))
        assert rows.select(chosen).features == plain.select(chosen).features


def test_rows_are_as_in_a_dataset(rows: InMemoryRows) -> None:
    plain = Dataset(_TABLE)
    assert isinstance(rows, Dataset)
    assert len(rows) == len(plain) == 3
    assert rows[1] == plain[1] == {"text": "b", "label": 0}
    assert rows[-1] == plain[-1]
    assert rows[:2] == plain[:2]
    assert rows[[2, 0]] == plain[[2, 0]]
    assert list(rows) == list(plain)
    assert rows.column_names == plain.column_names


def test_a_missing_column_fails_as_in_a_dataset(rows: InMemoryRows) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever datasets raises
        Dataset(_TABLE)["nothing"]
    with pytest.raises(type(caught.value), match="nothing"):
        rows["nothing"]


def test_declared_types_are_taken_on() -> None:
    rows = InMemoryRows.of(_TABLE, _FEATURES)
    assert rows.features == _FEATURES
    assert rows.features["label"].int2str(rows["label"]) == ["yes", "no", "yes"]


def test_names_of_labels_become_numbers() -> None:
    named = pa.table({"text": ["a", "b"], "label": ["yes", "no"]})
    assert InMemoryRows.of(named, _FEATURES)["label"] == [1, 0]


def test_types_of_the_table_stand_without_declared_ones(rows: InMemoryRows) -> None:
    assert rows.features == Features({"text": Value("string"), "label": Value("int64")})


def test_a_table_is_wrapped_without_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fingerprint would copy and hash a whole corpus."""

    def read(*_: object) -> str:
        raise AssertionError("all rows were read")

    monkeypatch.setattr("datasets.arrow_dataset.generate_fingerprint", read)
    table = pa.table({"a": [1, 2, 3]})
    assert unread(table)["a"][:] == [1, 2, 3]
    assert InMemoryRows.of(table, None)["a"] == [1, 2, 3]
    assert InMemoryRows.of(table, None).select([2])["a"] == [3]
