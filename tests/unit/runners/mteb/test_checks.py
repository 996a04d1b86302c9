"""What is asked of rows before they are scored, check by check: on rows made by hand, without loading a task."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from datasets import Dataset

from flagbench import BadData
from flagbench.cmteb.benchmark import CMTEB
from flagbench.runners.data.checks import Place
from flagbench.runners.data.image_rows import ImageRows
from flagbench.runners.data.pictures import IMAGE
from flagbench.runners.mteb.checks import as_read, check_columns_of, check_limits, check_values, remarks
from tests.pictures import drawn

ROW = next(task for task in CMTEB.tasks() if task.name == "STSB")
PLACE = Place("Some: a folder", "config corpus, split dev")


def read(columns: dict[str, Any], *, official: bool = False) -> tuple[Any, list[str]]:
    said: list[str] = []
    return as_read(PLACE, Dataset.from_dict(columns), said, official=official), said


def columns_of(rows: Any) -> dict[str, Any]:
    return {name: list(rows[name][:]) for name in rows.column_names}


# As the rows of a retrieval repo are read.


@pytest.mark.parametrize(
    ("columns", "found", "numbered"),
    [
        ({"_id": [1, 20], "text": ["a", "b"]}, {"_id": ["1", "20"], "text": ["a", "b"]}, ["_id"]),
        ({"id": [7], "text": ["a"], "title": [None]}, {"id": ["7"], "text": ["a"], "title": [""]}, ["id"]),
        ({"_id": ["1", "2"], "id": [1, 2], "text": ["a", "b"]}, None, ["id"]),
        ({"_id": ["1"], "title": ["t"], "text": ["a"]}, None, []),
        ({"_id": ["1", "2"], "title": ["t", None]}, {"_id": ["1", "2"], "title": ["t", ""]}, []),
        ({"query-id": [1], "corpus-id": [2], "score": [1]}, None, ["query-id", "corpus-id"]),
        ({"query-id": ["1"], "corpus-id": [2], "score": [1]}, None, ["corpus-id"]),
        ({"query-id": ["1"], "corpus-ids": [["2"]]}, None, []),
        ({"_id": [1, 2], "image": ["a", "b"]}, {"_id": ["1", "2"], "image": ["a", "b"]}, ["_id"]),
        ({"text": ["a"], "title": [None]}, None, []),
    ],
)
def test_ids_and_titles_are_read_as_texts(columns: dict[str, Any], found: Any, numbered: list[str]) -> None:
    rows, said = read(columns)
    assert columns_of(rows) == (found or columns)
    assert said == [
        f"config corpus, split dev: the ids in column {name} are numbers, read as their digits" for name in numbered
    ]


def test_rows_that_need_no_change_are_the_very_ones() -> None:
    rows = Dataset.from_dict({"_id": ["1"], "title": ["t"], "text": ["a"]})
    assert as_read(PLACE, rows, [], official=False) is rows
    assert as_read(PLACE, rows, [], official=True) is rows


_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"_id": ["1", "1"], "text": ["a", "b"]}, "which is listed twice"),
    ({"_id": ["1", None], "text": ["a", "b"]}, "column _id"),
    ({"_id": ["1", "2"], "text": ["a", None]}, "no text in config corpus, split dev, column text, row 1"),
    ({"_id": ["1", "2"], "text": ["a", "b"], "title": [1, 2]}, "column title"),
    ({"query-id": ["1", "1"], "corpus-id": ["2", "2"], "score": [1, 0]}, "which are listed twice"),
]


@pytest.mark.parametrize(("columns", "said"), _FAULTS, ids=[said for _, said in _FAULTS])
def test_what_no_column_can_hold_is_refused_unless_it_is_the_official_data(columns: dict[str, Any], said: str) -> None:
    with pytest.raises(BadData) as error:
        read(columns)
    assert str(error.value).startswith("Some: a folder")
    assert said in str(error.value)
    rows, _ = read(columns, official=True)
    assert len(rows) == 2


def test_texts_that_may_be_empty_or_lie_beside_images() -> None:
    read({"_id": ["1"], "text": [""], "title": [""]})
    read({"_id": ["1"], "text": [None], "image": ["x"]})
    turns = [{"role": "user", "content": "which"}]
    read({"_id": ["1"], "text": [turns]})


# What a score depends on.


def checked(kind: str, columns: Any, *, split: str = "test", check: Any = check_values, **task: Any) -> str:
    """What is wrong with the rows of a split; empty for nothing."""
    row = replace(ROW, name="Some", kind=kind, splits=(split,), subsets=("default",))
    rows = Dataset.from_dict(columns) if "relevant_docs" not in columns else columns
    texts = {"sentences": "text"} if "sentences" in columns else {"text": "text"}
    of_texts = SimpleNamespace(get_modalities=lambda prompt_type: ["text"])
    about = {"label_column_name": "label", "_get_content_columns": lambda: texts, "metadata": of_texts}
    try:
        check(row, SimpleNamespace(dataset={split: rows}, **about | task), "a folder")
    except BadData as error:
        return str(error).removeprefix("Some: a folder: ").removeprefix("Some: a folder has ")
    return ""


_TWO = ["a", "b"]


@pytest.mark.parametrize(
    ("kind", "columns", "task", "said"),
    [
        ("STS", {"text": _TWO, "label": [0.5, 3]}, {}, ""),
        ("STS", {"text": ["", "b"], "label": [0.5, 3]}, {}, ""),
        ("STS", {"text": ["a"], "label": [1.0]}, {}, "1 row, and 2 or more are needed"),
        ("STS", {"text": _TWO, "label": [2.0, 2.0]}, {}, "the score 2.0 alone in column label"),
        ("STS", {"text": ["a", None], "label": [1, 2]}, {}, "no text in split test, column text, row 1"),
        ("STS", {"text": [], "label": []}, {}, "row"),
        ("PairClassification", {"text": _TWO, "label": [0, 1]}, {}, ""),
        ("PairClassification", {"text": _TWO, "label": [0, 0.5]}, {}, "not whole in split test, column label, row 1"),
        ("PairClassification", {"text": _TWO, "label": [-1, 1]}, {}, "less than 0 in split test, column label, row 0"),
        ("PairClassification", {"text": _TWO, "label": [1, 2]}, {}, "more than 1 in split test, column label, row 1"),
        ("PairClassification", {"text": _TWO, "label": [1, 1]}, {}, "the label 1 alone in column label"),
        ("Classification", {"text": _TWO, "label": ["x", "x"]}, {}, ""),
        ("Classification", {"text": _TWO, "label": ["x", "x"]}, {"train_split": "test"}, "the label 'x' alone"),
        ("Classification", {"text": _TWO, "label": ["x", None]}, {}, "no label in split test, column label, row 1"),
        ("Classification", {"text": _TWO, "label": [1.0, 0.5]}, {}, "not whole in split test, column label, row 1"),
        ("Clustering", {"text": _TWO, "label": ["x", "y"]}, {}, ""),
        ("Clustering", {"text": _TWO, "label": ["x", None]}, {}, "no label in split test, column label, row 1"),
        ("Clustering", {"text": ["a"] * 3, "label": [0, 1, 0.5]}, {}, "not whole in split test, column label, row 2"),
        ("Clustering", {"text": _TWO, "label": ["x", "x"]}, {}, "the label 'x' alone in column label"),
        ("Clustering", {"sentences": [_TWO, _TWO], "label": [[0, 1], [1, 1]]}, {}, ""),
        ("Clustering", {"sentences": [_TWO, _TWO], "label": [[1, 1], [1, 1]]}, {}, "the label 1 alone in column label"),
        ("Clustering", {"sentences": [_TWO, _TWO], "label": [[1, 0], None]}, {}, "label"),
        ("Clustering", {"sentences": [_TWO, _TWO], "label": [[1, 0], [1, None]]}, {}, "no label"),
        ("Clustering", {"sentences": [_TWO, _TWO], "label": [[1, 0], [1]]}, {}, "another number of label"),
        ("BitextMining", {"text": _TWO, "label": [None, None]}, {}, ""),
    ],
)
def test_rows_of_each_kind(kind: str, columns: dict[str, Any], task: dict[str, Any], said: str) -> None:
    found = checked(kind, columns, **task)
    assert (said in found) if said else found == ""


@pytest.mark.parametrize(
    ("kind", "columns", "task", "said"),
    [
        ("STS", {"text": _TWO, "label": [0, 5]}, {"min_score": 0, "max_score": 5}, ""),
        (
            "STS",
            {"text": _TWO, "label": [0, 6]},
            {"min_score": 0, "max_score": 5},
            "more than 5 in split test, column l",
        ),
        (
            "STS",
            {"text": _TWO, "label": [-1, 5]},
            {"min_score": 0, "max_score": 5},
            "less than 0 in split test, column",
        ),
        ("STS", {"text": _TWO, "label": [-1, 99]}, {}, ""),
        ("Classification", {"text": _TWO, "label": [0, 9]}, {"min_score": 0, "max_score": 5}, ""),
        ("Classification", {"text": ["a", " "], "label": [0, 9]}, {}, "empty text in split test, column text, row 1"),
    ],
)
def test_limits_that_the_official_data_may_be_beyond(
    kind: str, columns: dict[str, Any], task: dict[str, Any], said: str
) -> None:
    found = checked(kind, columns, check=check_limits, **task)
    assert (said in found) if said else found == ""
    assert checked(kind, columns, **task) == ""


def retrieval(**parts: Any) -> dict[str, Any]:
    rows: dict[str, Any] = {
        "corpus": {"id": ["d1", "d2"], "text": _TWO},
        "queries": {"id": ["q1", "q2"], "text": ["which", "what"]},
        "relevant_docs": {"q1": {"d1": 1}, "q2": {"d2": 2}},
        "top_ranked": {"q1": ["d1"], "q2": ["d2"]},
    }
    rows |= parts
    return {name: Dataset.from_dict(its) if name in ("corpus", "queries") else its for name, its in rows.items()}


@pytest.mark.parametrize(
    ("parts", "values", "limits", "columns"),
    [
        ({}, "", "", ""),
        ({"top_ranked": None}, "", "", "no candidates to re-rank (config top_ranked) in split test"),
        ({"top_ranked": {"q1": ["d1"]}}, "no candidates of query", "", ""),
        ({"top_ranked": {"q1": ["d1"], "q2": ["d9"]}}, "the candidate 'd9' of", "", ""),
        ({"relevant_docs": {"q9": {"d1": 1}}}, "none of whose", "", ""),
        (
            {"queries": {"id": ["q1", "q2"], "text": ["", "what"]}},
            "",
            "empty text in split test, column queries, row 0",
            "",
        ),
        ({"corpus": {"id": ["d1", "d2"], "text": ["a", ""]}}, "", "empty text in split test, column corpus, row 1", ""),
        (
            {"corpus": {"id": ["d1", "d2"], "body": _TWO}},
            "",
            "",
            "lacks the column text in split test, corpus (it has id, body)",
        ),
        ({"queries": {"name": ["q1"], "text": ["a"]}}, None, "", "lacks the column id in split test, queries"),
    ],
)
def test_parts_of_a_retrieval(parts: dict[str, Any], values: str | None, limits: str, columns: str) -> None:
    rows = retrieval(**parts)
    for check, said in ((check_values, values), (check_limits, limits), (check_columns_of, columns)):
        if said is None:
            continue
        found = checked("Reranking", rows, check=check)
        assert (said in found) if said else found == "", check.__name__


def test_a_retrieval_needs_no_candidates_and_rows_need_all_their_columns() -> None:
    assert checked("Retrieval", retrieval(top_ranked=None), check=check_columns_of) == ""
    found = checked("STS", {"text": _TWO, "score": [1, 2]}, check=check_columns_of)
    assert "lacks the column label in split test" in found
    assert checked("STS", {"text": _TWO, "label": [1, 2]}, check=check_columns_of) == ""


def test_what_is_odd_in_the_labels_is_said_with_its_place() -> None:
    row = replace(ROW, kind="Retrieval", splits=("test", "dev"), subsets=("zh",))
    odd = retrieval(relevant_docs={"q1": {"d1": 1, "d9": 1}, "q2": {"d2": 2}, "q9": {"d1": 1}})
    task = SimpleNamespace(dataset={"zh": {"test": odd, "dev": retrieval()}})
    lines = list(remarks(row, task))
    assert len(lines) == 2
    assert all("test/zh" in line for line in lines)
    assert any("and not counted, as in mteb" in line for line in lines)
    assert list(remarks(replace(row, splits=("dev",)), task)) == []
    plain = SimpleNamespace(dataset={"test": Dataset.from_dict({"text": _TWO})})
    assert list(remarks(replace(ROW, subsets=("default",)), plain)) == []


def test_large_texts_are_texts() -> None:
    table = pa.table(
        {"_id": pa.array(["1", "2"], pa.large_string()), "title": pa.array(["t", None], pa.large_string())}
    )
    found = as_read(PLACE, Dataset(table), [], official=False)
    assert columns_of(found) == {"_id": ["1", "2"], "title": ["t", ""]}


def _searched(text: list[str], images: pa.Array, check: Any) -> str:
    """What is wrong with queries of texts and images."""
    rows = retrieval()
    rows["queries"] = ImageRows.of(pa.table({"id": ["q1", "q2"], "text": text, "image": images}))
    of_both = SimpleNamespace(get_modalities=lambda prompt_type: ["text", "image"][: 1 + (prompt_type == "query")])
    return checked("Retrieval", rows, check=check, metadata=of_both)


def test_a_query_has_a_text_or_an_image() -> None:
    picture = {"bytes": drawn("red"), "path": None}
    pictures = pa.array([picture, None], IMAGE)
    for check in (check_limits, check_columns_of):
        assert _searched(["", "what"], pictures, check) == ""
    for blank in ("", " \n"):
        assert _searched(["which", blank], pictures, check_limits).startswith(
            "neither a text nor an image (queries) in split test, column text, row 1 (counted from 0)"
        )


def test_a_column_of_images_that_has_texts_is_refused() -> None:
    assert _searched(["which", "what"], pa.array(["a.png", "b.png"]), check_columns_of) == (
        "values of type string instead of images in split test, queries, column image; write each as its bytes, or as "
        "datasets does (cast the column to datasets.Image)"
    )
