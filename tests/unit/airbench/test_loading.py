"""Rows of AIR-Bench: what is read, held against the table, and what is said of broken rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flagbench import BadData, BadInput
from flagbench.airbench.benchmark import AIR_BENCH, MINI, dataset_of
from flagbench.airbench.loading import Content, check, read_passage_ids, read_qrels, read_query_ids
from flagbench.airbench.options import AirBenchOptions
from flagbench.airbench.registry import Dataset
from flagbench.runners.benchmark import Loaded
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.request import RunRequest
from flagbench.runners.task import Task

_NAME = "AIR-Bench_24.05_qa_wiki_zh_default"
_REPO = "AIR-Bench/qa_wiki_zh"
_QRELS = "AIR-Bench/qrels-qa_wiki_zh-dev"
_CONFIG = "AIR-Bench_24.05"


@pytest.fixture
def task() -> Task:
    return AIR_BENCH.select(RunRequest("m", "air-bench", tasks=(_NAME,)))[0]


@pytest.fixture
def dataset(task: Task) -> Dataset:
    return dataset_of(task)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for repo in (_REPO, _QRELS):
        shutil.copytree(MINI / repo, tmp_path / repo)
    return tmp_path


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _change(path: Path, change: Callable[[list[dict[str, object]]], object]) -> None:
    rows = _lines(path)
    change(rows)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _load(task: Task, root: Path) -> Loaded:
    return AIR_BENCH.load(task, Snapshots(root), RunRequest("m", "air-bench"))


def _check(task: Task, root: Path) -> None:
    AIR_BENCH.check(task, Snapshots(root), RunRequest("m", "air-bench"))


def test_all_parts_are_read(task: Task, data: Path) -> None:
    content: Content = _load(task, data).content
    folder = data / _REPO / _CONFIG
    corpus = _lines(folder / "corpus_default.jsonl")
    assert list(content.passages.ids) == [row["id"] for row in corpus]
    assert list(content.passages.texts) == [row["text"] for row in corpus]
    assert set(content.queries) == {"dev", "test"}
    for split, queries in content.queries.items():
        rows = _lines(folder / f"queries_default_{split}.jsonl")
        assert [(row["id"], row["text"]) for row in rows] == list(zip(queries.ids, queries.texts, strict=True))
    labels = _lines(data / _QRELS / _CONFIG / "qrels_default_dev.jsonl")
    assert content.qrels is not None
    assert {(row["qid"], row["docid"], row["relevance"]) for row in labels} == {
        (query, passage, value) for query, its in content.qrels.items() for passage, value in its.items()
    }


def test_the_ids_alone_are_the_same(dataset: Dataset, task: Task, data: Path) -> None:
    content: Content = _load(task, data).content
    assert read_passage_ids(dataset, Snapshots(data)) == list(content.passages.ids)
    assert read_query_ids(dataset, Snapshots(data), "test") == list(content.queries["test"].ids)


def test_rows_that_are_not_the_published_ones_are_told(task: Task, data: Path) -> None:
    verdict = _load(task, data).data
    assert verdict.status == "differs"
    assert [line.split(":")[0] for line in verdict.differences] == [
        "passages",
        "queries of dev",
        "queries of test",
        "labels of dev",
        "relevant passages of dev",
    ]


def test_rows_in_the_published_numbers_are_exact(task: Task, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content: Content = _load(task, data).content
    assert content.qrels is not None
    labels = [value for its in content.qrels.values() for value in its.values()]
    row = replace(
        content.dataset,
        passages=len(content.passages.ids),
        queries={split: len(its.ids) for split, its in content.queries.items()},
        labels={"dev": len(labels)},
        positives={"dev": sum(labels)},
    )
    monkeypatch.setattr("flagbench.airbench.benchmark.datasets", lambda: (row,))
    assert _load(task, data).data.status == "counts agree"
    # And one query less is not.
    _change(data / _REPO / _CONFIG / "queries_default_test.jsonl", list.pop)
    verdict = _load(task, data).data
    assert verdict.differences == (f"queries of test: {row.queries['test'] - 1} instead of {row.queries['test']}",)


def test_24_04_has_queries_without_a_split_and_no_labels(tmp_path: Path) -> None:
    task = AIR_BENCH.select(
        RunRequest("m", "air-bench", options=AirBenchOptions(versions=("24.04",), languages=("zh",)), mini=True)
    )[0]
    content: Content = _load(task, MINI).content
    assert list(content.queries) == ["test"]
    assert content.qrels is None


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("corpus_default", lambda rows: rows.append(rows[3]), r"corpus_default: id '.+' is listed twice; fix"),
        ("queries_default_dev", lambda rows: rows.append(rows[0]), r"queries_default_dev: id '.+' is listed twice"),
        ("corpus_default", lambda rows: rows[5].update(text=" \n"), r"corpus_default: the text of '.+' is empty; fix"),
        ("queries_default_dev", lambda rows: rows[1].update(text=""), r"dev: the text of '.+' is empty; fix"),
        ("queries_default_test", lambda rows: rows[-1].update(text="\t"), r"test: the text of '.+' is empty; fix"),
        ("queries_default_test", lambda rows: rows[1].update(text=None), r"has no text in row 1 \(counted from 0\)"),
        ("corpus_default", lambda rows: [row.pop("text") for row in rows], r"has no column text \(it has id\)"),
        ("corpus_default", list.clear, r"AIR-Bench/qa_wiki_zh cannot be read as a dataset: "),
    ],
    ids=["passage twice", "query twice", "empty text", "empty dev", "empty test", "no text", "no column", "no rows"],
)
def test_broken_rows_are_one_line(
    task: Task, data: Path, file: str, change: Callable[[list[dict[str, object]]], object], said: str
) -> None:
    _change(data / _REPO / _CONFIG / f"{file}.jsonl", change)
    with pytest.raises(BadData, match=said) as caught:
        _load(task, data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.append(rows[0]), "are labelled twice; fix the data"),
        (lambda rows: rows[0].update(relevance=-1), "relevance -1 is not a whole number"),
        (lambda rows: [row.update(relevance="²") for row in rows], "relevance ² is not a whole number of 0 to 100,000"),
        (lambda rows: [row.update(relevance="1" * 5_000) for row in rows], "relevance 1{60} is not a whole number"),
        (lambda rows: [row.pop("docid") for row in rows], "has no column docid"),
    ],
    ids=["twice", "negative", "no digit", "too many digits", "no column"],
)
def test_broken_labels_are_one_line(
    dataset: Dataset, data: Path, change: Callable[[list[dict[str, object]]], object], said: str
) -> None:
    _change(data / _QRELS / _CONFIG / "qrels_default_dev.jsonl", change)
    with pytest.raises(BadData, match=said):
        read_qrels(dataset, Snapshots(data), "dev")


def test_what_is_absent_is_seen_before_rows_are_read(dataset: Dataset, task: Task, data: Path) -> None:
    check(dataset, Snapshots(data))
    other = AIR_BENCH.select(RunRequest("m", "air-bench", tasks=("AIR-Bench_24.05_qa_wiki_de_default",)))[0]
    with pytest.raises(BadInput, match=r"dataset AIR-Bench/qa_wiki_de is not in .+ does not exist$"):
        _check(other, data)
    old = AIR_BENCH.select(RunRequest("m", "air-bench", tasks=("AIR-Bench_24.04_qa_wiki_zh_default",)))[0]
    card = data / _REPO / "README.md"
    card.write_text(card.read_text(encoding="utf-8").replace("AIR-Bench_24.04", "AIR-Bench_23.12"), encoding="utf-8")
    with pytest.raises(BadData, match=r"has no config 'AIR-Bench_24.04' \(it has "):
        _check(old, data)
    card.write_text(card.read_text(encoding="utf-8").replace("_default_dev", "_default_develop"), encoding="utf-8")
    with pytest.raises(BadData, match=r"has no split 'queries_default_dev' \(it has "):
        _check(task, data)
    shutil.rmtree(data / _QRELS)
    with pytest.raises(BadInput):
        _check(task, data)


@pytest.mark.parametrize(
    ("grades", "moved"), [((1, 0), 0), ((0, 3), 0), ((1, 1), 1), ((0, 0), -1)], ids=["same", "other", "more", "less"]
)
def test_grades_other_than_the_published_ones_are_told(
    task: Task, data: Path, monkeypatch: pytest.MonkeyPatch, grades: tuple[int, int], moved: int
) -> None:
    """As many labels with another number of relevant ones among them are other labels; a grade above 0 is relevant."""
    content: Content = _load(task, data).content
    assert content.qrels is not None
    labels = [value for its in content.qrels.values() for value in its.values()]
    assert labels[:2] == [1, 0]
    row = replace(
        content.dataset,
        passages=len(content.passages.ids),
        queries={split: len(its.ids) for split, its in content.queries.items()},
        labels={"dev": len(labels)},
        positives={"dev": sum(labels)},
    )
    monkeypatch.setattr("flagbench.airbench.benchmark.datasets", lambda: (row,))
    file = data / _QRELS / _CONFIG / "qrels_default_dev.jsonl"
    _change(file, lambda rows: [each.update(relevance=grade) for each, grade in zip(rows, grades, strict=False)])
    verdict = _load(task, data).data
    said = (f"relevant passages of dev: {sum(labels) + moved} instead of {sum(labels)}",) if moved else ()
    assert verdict.differences == said
    assert verdict.status == ("differs" if moved else "counts agree")
    _change(file, list.pop)
    assert _load(task, data).data.differences[0] == f"labels of dev: {len(labels) - 1} instead of {len(labels)}"


def test_the_order_of_rows_is_no_part_of_the_data_and_each_text_and_label_is(task: Task, data: Path) -> None:
    files = {
        "corpus": data / _REPO / _CONFIG / "corpus_default.jsonl",
        "dev/queries": data / _REPO / _CONFIG / "queries_default_dev.jsonl",
        "test/queries": data / _REPO / _CONFIG / "queries_default_test.jsonl",
        "dev/labels": data / _QRELS / _CONFIG / "qrels_default_dev.jsonl",
    }
    before = _load(task, data).data.content
    assert set(before) == set(files)
    for path in files.values():
        _change(path, list.reverse)
    assert _load(task, data).data.content == before
    for part, path in files.items():
        kept = path.read_bytes()
        change = {"relevance": 2} if part == "dev/labels" else {"text": "another"}
        _change(path, lambda rows, change=change: rows[0].update(change))  # type: ignore[misc]
        now = _load(task, data).data.content
        assert {name for name in now if now[name] != before[name]} == {part}
        path.write_bytes(kept)


def test_an_id_is_a_part_of_the_data(task: Task, data: Path) -> None:
    before = _load(task, data).data.content
    file = data / _REPO / _CONFIG / "queries_default_test.jsonl"
    _change(file, lambda rows: rows[0].update(id="another"))
    now = _load(task, data).data.content
    assert {name for name in now if now[name] != before[name]} == {"test/queries"}


def test_labels_are_looked_for_where_the_dev_split_is_wanted(dataset: Dataset, data: Path) -> None:
    card = data / _QRELS / "README.md"
    whole = card.read_text(encoding="utf-8")
    card.write_text(whole.replace("qrels_default_dev", "qrels_default_develop"), encoding="utf-8")
    test = replace(dataset, splits=("test",))
    check(test, Snapshots(data))
    with pytest.raises(BadData) as caught:
        check(dataset, Snapshots(data))
    assert str(caught.value).endswith(f"{_QRELS} has no split 'qrels_default_dev' (it has qrels_default_develop)")
    shutil.rmtree(data / _QRELS)
    check(test, Snapshots(data))
    with pytest.raises(BadInput, match=_QRELS):
        check(dataset, Snapshots(data))


def test_what_the_hub_does_not_have_is_seen_before_rows_are_read(dataset: Dataset) -> None:
    """There is no network here, and nothing of the hub on disk."""
    with pytest.raises(BadInput, match=_REPO):
        check(dataset, Snapshots(None))
