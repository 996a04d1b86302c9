"""tasks.toml held against mteb's own definitions, and the miniature data held against tasks.toml."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import mteb
import pytest

from flagbench.cmteb import crosslingual
from flagbench.cmteb.benchmark import CMTEB, CmtebTask
from flagbench.runners.mteb.bridge import quiet
from flagbench.runners.mteb.volume import published_texts
from flagbench.runners.task import Task
from tests.conftest import MINI

_TASKS = {task.name: task for task in CMTEB.tasks()}
_CORE = {name: task for name, task in _TASKS.items() if task.group == "core"}
_KINDS = {"Retrieval", "Reranking", "PairClassification", "Clustering", "STS", "Classification"}


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    """mteb's own C-MTEB, by task name."""
    with quiet():
        return {task.metadata.name: task for task in mteb.get_benchmark("MTEB(cmn, v1)").tasks}


def _as_mteb(name: str, **options: Any) -> Any:
    with quiet():
        return mteb.get_task(name, **options)


def _facts(task: Any) -> tuple[Any, ...]:
    meta = task.metadata
    return meta.type, meta.dataset["path"], meta.dataset["revision"], meta.main_score


def _row_facts(row: Task) -> tuple[Any, ...]:
    return row.kind, row.dataset, row.revision, row.main_score


def _group(name: str) -> list[Task]:
    return [task for task in _TASKS.values() if task.group == name]


def _of_group(name: str) -> pytest.MarkDecorator:
    rows = _group(name)
    return pytest.mark.parametrize("row", rows, ids=[row.name for row in rows])


def test_the_core_group_has_the_names_of_c_mteb(published: dict[str, Any]) -> None:
    assert set(_CORE) == set(published)
    assert len(_CORE) == 31


@_of_group("core")
def test_a_core_task_is_as_in_c_mteb(row: Task, published: dict[str, Any]) -> None:
    task = published[row.name]
    assert _row_facts(row) == _facts(task)
    assert set(row.splits) == set(task.eval_splits)
    assert row.subsets == ("default",) == tuple(task.hf_subsets)


@pytest.mark.parametrize("name", ["ATEC", "BQ", "STSB"])
def test_the_sts_tasks_with_two_splits_are_scored_on_test_only(name: str) -> None:
    assert _CORE[name].splits == ("test",)


def test_the_types_have_their_number_of_tasks() -> None:
    counts = Counter(task.kind for task in _CORE.values())
    assert counts == {
        "Retrieval": 8,
        "Reranking": 4,
        "PairClassification": 2,
        "Clustering": 4,
        "STS": 7,
        "Classification": 6,
    }


def test_the_groups() -> None:
    assert Counter(task.group for task in _TASKS.values()) == {
        "core": 31,
        "multilingual": 4,
        "crosslingual": 2,
        "clustering-v2": 4,
    }


@_of_group("multilingual")
def test_a_multilingual_task_is_as_in_mteb_in_chinese(row: Task) -> None:
    task = _as_mteb(row.name, hf_subsets=list(row.subsets))
    assert _row_facts(row) == _facts(task)
    assert set(row.splits) == set(task.eval_splits)
    assert tuple(task.hf_subsets) == row.subsets
    languages = [language for subset in row.subsets for language in task.metadata.eval_langs[subset]]
    assert [language.split("-")[1] for language in languages] == ["Hans"]


@_of_group("clustering-v2")
def test_a_clustering_task_of_the_second_form_is_as_in_mteb(row: Task) -> None:
    task = _as_mteb(row.name)
    assert _row_facts(row) == _facts(task)
    assert row.splits == tuple(task.eval_splits)
    assert row.name.removesuffix(".v2") in _CORE


@_of_group("crosslingual")
def test_a_crosslingual_task_is_as_its_class_says(row: Task) -> None:
    task = crosslingual.TASKS[row.name]()
    assert task.metadata.name == row.name
    assert _row_facts(row) == _facts(task)
    assert row.splits == tuple(task.metadata.eval_splits)


def test_every_crosslingual_class_has_a_row() -> None:
    assert set(crosslingual.TASKS) == {row.name for row in _group("crosslingual")}


@pytest.mark.parametrize("row", _TASKS.values(), ids=_TASKS)
def test_the_texts_of_a_task_are_as_many_as_mteb_publishes(row: CmtebTask) -> None:
    assert row.texts == published_texts(row)


def test_how_many_texts_there_are_is_no_setting_of_a_result() -> None:
    row = _TASKS["STSB"]
    assert isinstance(row, CmtebTask)
    assert row.texts == 2 * 1_361
    assert "texts" not in CMTEB.settings(row)
    assert CMTEB.settings(row) == CMTEB.settings(replace(row, texts=None))


def _mini_tasks() -> list[Task]:
    return [task for task in _CORE.values() if (MINI / task.dataset).is_dir()]


def _mini_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_mini_folder_has_two_tasks_of_each_type() -> None:
    counts = Counter(task.kind for task in _mini_tasks())
    assert set(counts) == _KINDS
    assert min(counts.values()) >= 2


def test_the_mini_folder_holds_no_dataset_of_other_tasks() -> None:
    present = {f"{path.parent.name}/{path.name}" for path in MINI.glob("*/*") if path.is_dir()}
    assert present == {task.dataset for task in _mini_tasks()}


@pytest.mark.parametrize("row", _mini_tasks(), ids=[row.name for row in _mini_tasks()])
def test_a_mini_task_is_small_and_whole(row: Task) -> None:
    files = sorted((MINI / row.dataset).rglob("*.jsonl"))
    splits = {path.name.split("-")[0] for path in files}
    assert splits == {*row.splits, *(["train"] if row.kind == "Classification" else [])}
    scored = [path for path in files if path.parent.name in {"data", "queries", "corpus"} and "train" not in path.name]
    texts = 0
    for path in scored:
        for number, values in enumerate(_mini_rows(path)):
            titled = values.get("title") == ""
            found = [
                text
                for key, value in values.items()
                if not (key == "title" and titled)
                for text in (value if isinstance(value, list) else [value])
                if isinstance(text, str)
            ]
            assert found, f"{path}: row {number}"
            assert all(text.strip() for text in found), f"{path}: row {number} has an empty text"
            texts += len(values["sentences"]) if "sentences" in values else 1
    assert 30 <= texts <= 200
