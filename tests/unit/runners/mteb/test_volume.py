"""How many texts a task has: as mteb publishes it, and as many as its loaded rows have."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench.cmteb.benchmark import CMTEB
from flagbench.results.kinds import RANKED
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.mteb.volume import counted_texts, published_texts
from flagbench.runners.request import RunRequest
from flagbench.runners.task import Task
from tests.conftest import MINI

ROWS = {task.name: task for task in CMTEB.tasks()}
MINI_TASKS = [task for task in CMTEB.select(RunRequest("", "cmteb", mini=True)) if (MINI / task.dataset).is_dir()]


def of_mteb(name: str, kind: str, *splits: str, subsets: tuple[str, ...] = ("default",)) -> Task:
    return Task(name, kind, "org/name", "main", splits, "score", "mteb", subsets)


@pytest.mark.parametrize(
    ("task", "texts"),
    [
        # Passages and queries, pairs twice, rows: numbers of the papers and cards of these data sets.
        (of_mteb("SciFact", "Retrieval", "test"), 5_183 + 300),
        (of_mteb("XQuADRetrieval", "Retrieval", "validation", subsets=("zh",)), 240 + 1_181),
        (of_mteb("XQuADRetrieval", "Retrieval", "validation", subsets=("zh", "en")), 1_421 + 1_425),
        (ROWS["STSB"], 2 * 1_361),
        (ROWS["LCQMC"], 2 * 12_500),
        (ROWS["TNews"], 10_000),
        (ROWS["T2Reranking"], 97_422 + 5_908),
        (replace(ROWS["MultilingualSentiment"], splits=("test", "validation")), 2 * 3_000),
        # Nothing is published of these, or no texts are counted.
        (replace(ROWS["STSB"], name="../../x"), None),
        (replace(ROWS["STSB"], splits=("none",)), None),
        (of_mteb("SummEval", "Summarization", "test"), None),
        (next(task for task in ROWS.values() if task.group == "crosslingual"), None),
    ],
)
def test_texts_that_are_published(task: Task, texts: int | None) -> None:
    assert published_texts(task) == texts


def _loaded(task: Task) -> int:
    """Texts of the rows that mteb's own code makes of the files."""
    data: Any = CMTEB.load(task, Snapshots(MINI), RunRequest("", "cmteb", mini=True)).content.dataset
    texts = 0
    for split in task.splits:
        rows = data.get("default", data)[split]
        if task.kind in RANKED:
            texts += len(rows["corpus"]) + len(rows["queries"])
        elif task.kind == "Clustering":
            texts += sum(map(len, rows["sentences"]))
        elif task.kind in ("STS", "PairClassification"):
            lists = isinstance(rows[0]["sentence1"], list)
            texts += 2 * (len(rows[0]["sentence1"]) if lists else len(rows))
        else:
            texts += len(rows)
    return texts


@pytest.mark.parametrize("task", MINI_TASKS, ids=[task.name for task in MINI_TASKS])
def test_texts_of_a_folder_are_those_that_are_loaded(task: Task) -> None:
    assert counted_texts(task, MINI / task.dataset) == _loaded(task)


def test_what_the_names_of_files_and_columns_do_not_tell_is_unknown(tmp_path: Path) -> None:
    assert counted_texts(ROWS["STSB"], tmp_path) is None
    (tmp_path / "test.jsonl").write_text('{"a": "x", "b": "y"}\n', encoding="utf-8")
    assert counted_texts(ROWS["STSB"], tmp_path) is None
    (tmp_path / "test.jsonl").write_text('{"sentence1": "x", "sentence2": "y"}\n\n', encoding="utf-8")
    assert counted_texts(ROWS["STSB"], tmp_path) == 2


def carded(root: Path, **configs: dict[str, list[dict[str, Any]]]) -> Path:
    """A folder whose card names these configs with their splits."""
    entries = ""
    for config, splits in configs.items():
        entries += f"- config_name: {config}\n  data_files:\n"
        for split, rows in splits.items():
            entries += f"  - split: {split}\n    path: {config}/{split}.jsonl\n"
            (root / config).mkdir(exist_ok=True)
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (root / config / f"{split}.jsonl").write_text(text, encoding="utf-8")
    (root / "README.md").write_text(f"---\nconfigs:\n{entries}---\n", encoding="utf-8")
    return root


def test_texts_of_all_splits_and_subsets_are_counted_by_the_names_of_their_columns(tmp_path: Path) -> None:
    pair = {"text1": "a", "text2": "b", "sentence": "c"}
    folder = carded(tmp_path, zh={"test": [pair] * 3, "dev": [pair]}, en={"test": [pair] * 5, "dev": [pair] * 7})
    for splits, subsets, texts in (
        (("test",), ("zh",), 2 * 3),
        (("test", "dev"), ("zh",), 2 * 4),
        (("dev", "test"), ("en", "zh"), 2 * 16),
    ):
        assert counted_texts(of_mteb("A", "STS", *splits, subsets=subsets), folder) == texts
    assert counted_texts(of_mteb("A", "Classification", "test", subsets=("zh",)), folder) == 3
    assert counted_texts(of_mteb("A", "Retrieval", "test", subsets=("zh",)), folder) is None
    assert counted_texts(of_mteb("A", "STS", "test", subsets=("zh", "fr")), folder) is None  # one is not there
    assert counted_texts(of_mteb("A", "STS", "other", subsets=("zh",)), folder) is None


def test_the_only_split_of_a_config_is_taken_whatever_its_name(tmp_path: Path) -> None:
    ranked = {"query": "q", "positive": ["a", "b"], "negative": ["c", "d", "e"]}
    folder = carded(tmp_path, default={"train": [ranked, {**ranked, "positive": ["a"]}]})
    assert counted_texts(of_mteb("A", "Reranking", "test"), folder) == (1 + 2 + 3) + (1 + 1 + 3)
    rows = [{"_id": str(at), "text": "x"} for at in range(4)]
    folder = carded(tmp_path, corpus={"any": rows}, queries={"dev": rows[:1], "test": rows[:2]}, default={"train": []})
    assert counted_texts(of_mteb("A", "Retrieval", "test"), folder) == 4 + 2
    assert counted_texts(of_mteb("A", "Retrieval", "dev", "test"), folder) == (4 + 1) + (4 + 2)
