"""Which rows, columns and orders the digests of a task's content depend on: those that its score depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from datasets import Dataset, DatasetDict, Features, Value
from datasets import Image as Picture

from flagbench import BadData
from flagbench.cmteb.benchmark import CMTEB
from flagbench.models.inputs import Image
from flagbench.runners.data.content import of_columns
from flagbench.runners.mteb.content import content_of, part_name, splits_of
from flagbench.runners.mteb.loading import _compare
from flagbench.runners.task import Task
from tests.pictures import drawn
from tests.unit.cmteb_tasks import mteb_task

_TASKS = {task.name: task for task in CMTEB.tasks()}


def _digests(name: str, dataset: Any, **row: Any) -> dict[str, str]:
    task = mteb_task(_TASKS[name])
    task.dataset = dataset
    return {part: its.digest for part, its in content_of(replace(_TASKS[name], **row), task).items()}


def _retrieval(change: Callable[[dict[str, Any]], Any] = lambda rows: None) -> dict[str, str]:
    """The digests of a small retrieval with candidates, after a change of its columns."""
    rows: dict[str, Any] = {
        "corpus": {"id": ["d1", "d2"], "title": ["one", ""], "text": ["first", "second"]},
        "queries": {"id": ["q1", "q2"], "text": ["which?", "what?"]},
        "relevant_docs": {"q1": {"d1": 1}, "q2": {"d1": 0, "d2": 2}},
        "top_ranked": {"q1": ["d1", "d2"], "q2": ["d2"]},
    }
    change(rows)
    made = {part: Dataset.from_dict(its) if part in {"corpus", "queries"} else its for part, its in rows.items()}
    return _digests("CovidRetrieval", {"default": {"dev": made}})


_PARTS = {"corpus": "corpus", "queries": "queries", "relevant_docs": "labels", "top_ranked": "candidates"}


def _set(part: str, **columns: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda rows: rows[part].update(columns)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("corpus", _set("corpus", title=["two", ""])),
        ("corpus", _set("corpus", title=["", "one"])),
        ("corpus", _set("corpus", title=["one first", ""], text=["", "second"])),
        ("corpus", _set("corpus", text=["first", "other"])),
        ("corpus", _set("corpus", id=["d2", "d1"])),
        ("queries", _set("queries", text=["what?", "which?"])),
        ("queries", _set("queries", id=["q1", "q3"])),
        ("queries", _set("queries", instruction=["look", "look"])),
        ("relevant_docs", _set("relevant_docs", q1={"d1": 2})),
        ("relevant_docs", _set("relevant_docs", q1={"d2": 1})),
        ("top_ranked", _set("top_ranked", q1=["d1"])),
        ("top_ranked", _set("top_ranked", q1=["d2"], q2=["d1", "d2"])),
    ],
)
def test_each_part_of_a_retrieval_has_what_its_score_depends_on(
    part: str, change: Callable[[dict[str, Any]], Any]
) -> None:
    plain, other = _retrieval(), _retrieval(change)
    assert plain.keys() == other.keys() == {f"dev/{name}" for name in _PARTS.values()}
    assert {name for name in plain if plain[name] != other[name]} == {f"dev/{_PARTS[part]}"}


@pytest.mark.parametrize(
    "change",
    [
        _set("corpus", id=["d2", "d1"], title=["", "one"], text=["second", "first"]),
        _set("corpus", title=["one", None]),
        _set("corpus", url=["u", "v"]),
        _set("queries", id=["q2", "q1"], text=["what?", "which?"]),
        _set("queries", url=["u", "v"]),
        _set("relevant_docs", q2={"d2": 2, "d1": 0}),
        _set("top_ranked", q1=["d2", "d1"]),
    ],
)
def test_order_and_other_columns_of_a_retrieval_do_not_count(change: Callable[[dict[str, Any]], Any]) -> None:
    assert _retrieval(change) == _retrieval()


def test_a_corpus_without_titles_is_one_of_empty_titles() -> None:
    assert _retrieval(lambda rows: rows["corpus"].pop("title")) == _retrieval(_set("corpus", title=["", ""]))
    assert _retrieval(_set("corpus", title=[None, None])) == _retrieval(_set("corpus", title=["", ""]))


@pytest.mark.parametrize("candidates", [None, {}])
def test_a_retrieval_without_candidates_has_no_part_of_them(candidates: Any) -> None:
    found = _retrieval(lambda rows: rows.update(top_ranked=candidates))
    assert found == {part: its for part, its in _retrieval().items() if part != "dev/candidates"}


@pytest.mark.parametrize("part", ["corpus", "queries"])
def test_all_columns_count_where_there_is_no_text(part: str) -> None:
    def pictures(*values: str) -> dict[str, str]:
        def change(rows: dict[str, Any]) -> None:
            del rows[part]["text"]
            rows[part]["image"] = list(values)

        return _retrieval(change)

    one, other = pictures("a", "b"), pictures("a", "c")
    assert {name for name in one if one[name] != other[name]} == {f"dev/{part}"}


_PAIRS = {"sentence1": ["a", "b", "c"], "sentence2": ["x", "y", "z"], "score": [0, 3, 5]}
_LABELLED = {"text": ["a", "b", "c"], "label": [0, 1, 1]}


def _turned(rows: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    return {name: its[::-1] for name, its in rows.items()}


def _changed(rows: Mapping[str, list[Any]], column: str) -> dict[str, list[Any]]:
    first, second, *rest = rows[column]
    return {**rows, column: [second, first, *rest]}


def test_pairs_have_their_texts_and_scores_in_any_order() -> None:
    def found(rows: Mapping[str, Any]) -> dict[str, str]:
        return _digests("STSB", DatasetDict({"test": Dataset.from_dict(dict(rows))}))

    assert found(_PAIRS) == {"test": of_columns(_PAIRS).digest}
    assert found(_turned(_PAIRS)) == found({**_PAIRS, "genre": ["u", "v", "w"]}) == found(_PAIRS)
    assert found({name: [its] for name, its in _PAIRS.items()}) == found(_PAIRS)  # mteb's first form
    for column in _PAIRS:
        assert found(_changed(_PAIRS, column)) != found(_PAIRS)
    other = {"one": ["a", "b", "c"], "other": ["x", "y", "z"]}  # not the task's columns: then all of them
    assert found(other) != found(_changed(other, "other"))


def test_rows_of_training_count_in_their_order_and_rows_of_the_test_in_any() -> None:
    def found(train: Mapping[str, Any], test: Mapping[str, Any]) -> dict[str, str]:
        splits = {"train": Dataset.from_dict(dict(train)), "test": Dataset.from_dict(dict(test))}
        return _digests("TNews", DatasetDict(splits), splits=("test",))

    plain = found(_LABELLED, _LABELLED)
    assert plain == {
        "test": of_columns(_LABELLED).digest,
        "train": of_columns(_LABELLED, ordered=True).digest,
    }
    assert found(_LABELLED, _turned(_LABELLED)) == plain
    assert found(_turned(_LABELLED), _LABELLED)["train"] != plain["train"]
    for column in _LABELLED:
        assert found(_changed(_LABELLED, column), _LABELLED)["train"] != plain["train"]
        assert found(_LABELLED, _changed(_LABELLED, column))["test"] != plain["test"]


@pytest.mark.parametrize(("kind", "crossed"), [("Classification", True), ("Clustering", False)])
def test_rows_that_are_drawn_by_their_places_count_in_their_order(kind: str, crossed: bool) -> None:
    row = replace(_TASKS["TNews"], kind=kind, splits=("test",))
    task = SimpleNamespace(
        dataset={"test": Dataset.from_dict(_LABELLED)},
        is_cross_validation=crossed,
        label_column_name="label",
        _get_content_columns=lambda: {"text": "text"},
    )
    assert content_of(row, task)["test"] == of_columns(_LABELLED, ordered=True)


def test_an_image_counts_by_its_bytes_in_the_row_or_in_a_file(tmp_path: Path) -> None:
    def found(*stored: dict[str, Any]) -> Any:
        rows = Dataset.from_dict(
            {"image": list(stored), "label": [0, 1]},
            Features({"image": Picture(decode=False), "label": Value("int64")}),
        )
        task = SimpleNamespace(
            dataset={"test": rows},
            is_cross_validation=True,
            label_column_name="label",
            _get_content_columns=lambda: {"image": "image"},
        )
        return content_of(replace(_TASKS["TNews"], splits=("test",)), task)["test"]

    red, blue = drawn("red"), drawn("blue")
    (tmp_path / "a.png").write_bytes(red)
    in_rows = found({"bytes": red, "path": None}, {"bytes": blue, "path": "x.png"})
    in_a_file = found({"bytes": None, "path": str(tmp_path / "a.png")}, {"bytes": blue, "path": None})
    assert in_a_file == in_rows
    (tmp_path / "a.png").write_bytes(blue)
    assert found({"bytes": None, "path": str(tmp_path / "a.png")}, {"bytes": blue, "path": None}) != in_rows
    assert (
        in_rows.digest == of_columns({"image": [Image(red).key, Image(blue).key], "label": [0, 1]}, ordered=True).digest
    )


def test_rows_in_a_form_that_is_not_known_have_none() -> None:
    row = replace(_TASKS["STSB"], splits=("test", "dev"))
    known = Dataset.from_dict(_PAIRS)
    assert content_of(row, SimpleNamespace(dataset={"test": known, "dev": [{"sentence1": "a"}]})) == {}


def _places(row: Task, task: Any) -> list[tuple[str, str, Any]]:
    return list(splits_of(row, task))


def test_each_split_of_each_subset_is_once_there() -> None:
    row = replace(_TASKS["TNews"], splits=("test", "dev"), subsets=("zh", "en"))
    task = SimpleNamespace(
        dataset={"zh": {"test": 1, "dev": 2, "train": 3}, "en": {"test": 4, "dev": 5, "train": 6}}, train_split="train"
    )
    wanted = [("test", "zh", 1), ("dev", "zh", 2), ("train", "zh", 3), ("test", "en", 4), ("dev", "en", 5)]
    assert _places(row, task) == [*wanted, ("train", "en", 6)]
    task.train_split = "dev"
    assert _places(row, task) == [*wanted[:2], *wanted[3:]]
    plain = SimpleNamespace(dataset={"test": 7, "dev": 8})
    assert _places(replace(row, subsets=("default",)), plain) == [("test", "default", 7), ("dev", "default", 8)]
    del task.dataset["en"]["dev"]
    with pytest.raises(BadData, match="split 'dev' of subset 'en' is not in"):
        _places(row, task)


def test_a_part_is_named_by_its_split_and_subset() -> None:
    assert (part_name("test", "default"), part_name("test", "zh-en")) == ("test", "test/zh-en")


def test_counts_that_are_published_are_held_against_those_of_the_rows() -> None:
    """Of labels their counts alone, whatever they are called; what one does not have is not compared."""
    published = {
        "num_samples": 1_234,
        "text": {"unique": 3, "average": 2.5, "unique_pairs": 7, "more": {"least": 1}},
        "labels": {"x": {"count": 2}, "y": {"count": 1}},
        "nothing": None,
        "name": "a",
        "gone": 5,
        "hf_subset_descriptive_stats": {"zh": 1},
    }

    def found(labels: tuple[int, ...] = (1, 2), **text: float) -> list[str]:
        rows = {
            "num_samples": text.pop("num_samples", 1_234),
            "text": {"unique": 3, "average": 2.5, "unique_pairs": 8, "more": {"least": 1}} | text,
            "labels": {str(at): {"count": count} for at, count in enumerate(labels)},
            "nothing": 3,
            "name": "b",
            "hf_subset_descriptive_stats": {"zh": 2},
        }
        return list(_compare(published, rows))

    assert found() == found(average=2.5 + 9e-7) == found(average=2.5 - 9e-7) == []
    assert found(average=2.5 + 2e-6) == ["text.average: 2.5 instead of 2.5"]
    assert found(average=2.25, unique=4, num_samples=12_345) == [
        "num_samples: 12,345 instead of 1,234",
        "text.unique: 4 instead of 3",
        "text.average: 2.25 instead of 2.5",
    ]
    assert found(more={"least": 2}) == ["text.more.least: 2 instead of 1"]
    for labels in ((1, 1), (3,), (1, 2, 0)):
        assert found(labels) == ["labels: the counts of the labels differ"]
