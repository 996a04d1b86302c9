"""The miniature AIR-Bench held against the registry: layout, ids and labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from flagbench.airbench.registry import REVISION, Dataset, datasets
from flagbench.runners.data.snapshots import Snapshots
from tests.conftest import ROOT

_MINI = ROOT / "airbench" / "mini"
_SNAPSHOTS = Snapshots(_MINI)
_NAMES = (
    "AIR-Bench_24.04_qa_wiki_en_default",
    "AIR-Bench_24.04_qa_wiki_zh_default",
    "AIR-Bench_24.04_long-doc_book_en_origin-of-species_darwin",
    "AIR-Bench_24.05_qa_wiki_zh_default",
    "AIR-Bench_24.05_qa_wiki_de_default",
    "AIR-Bench_24.05_qa_law_en_default",
    "AIR-Bench_24.05_long-doc_book_en_origin-of-species_darwin",
    "AIR-Bench_24.05_long-doc_book_en_a-brief-history-of-time_stephen-hawking",
)
_ROWS = [row for row in datasets() if row.task_name in _NAMES]
_LABELLED = [row for row in _ROWS if "dev" in row.splits]

_each_row = pytest.mark.parametrize("row", _ROWS, ids=lambda row: row.task_name)
_each_labelled = pytest.mark.parametrize("row", _LABELLED, ids=lambda row: row.task_name)


def _read(repo: str, row: Dataset, split: str) -> list[dict[str, Any]]:
    return list(_SNAPSHOTS.source(repo, REVISION).read(row.benchmark_version, split))


def _corpus(row: Dataset) -> list[dict[str, Any]]:
    return _read(row.repo, row, row.corpus_split)


def _queries(row: Dataset, split: str) -> list[dict[str, Any]]:
    return _read(row.repo, row, row.queries_split(split))


def _files() -> Iterator[tuple[str, str, str]]:
    """Repo, config and split of each file that rows of the registry have."""
    for row in _ROWS:
        yield row.repo, row.benchmark_version, row.corpus_split
        for split in row.splits:
            yield row.repo, row.benchmark_version, row.queries_split(split)
    for row in _LABELLED:
        yield row.qrels_repo, row.benchmark_version, row.qrels_split("dev")


def test_the_cards_name_what_the_registry_rows_have_and_nothing_else() -> None:
    assert {row.task_name for row in _ROWS} == set(_NAMES)
    repos = [f"AIR-Bench/{folder.name}" for folder in (_MINI / "AIR-Bench").iterdir()]
    named = [
        (repo, config, split)
        for repo in repos
        for config in _SNAPSHOTS.source(repo, REVISION).configs()
        for split in _SNAPSHOTS.source(repo, REVISION).splits(config)
    ]
    assert sorted(named) == sorted(_files())


def test_every_file_is_named_by_a_card() -> None:
    named = {_MINI / repo / config / f"{split}.jsonl" for repo, config, split in _files()}
    assert set(_MINI.rglob("*.jsonl")) == named


@_each_row
def test_a_corpus_has_the_published_columns_and_ids_of_its_own(row: Dataset) -> None:
    passages = _corpus(row)
    assert 20 <= len(passages) <= 40
    assert all(passage.keys() == {"id", "text"} and passage["text"].strip() for passage in passages)
    assert len({passage["id"] for passage in passages}) == len(passages)


@_each_row
def test_queries_have_the_published_columns_and_ids_of_their_own(row: Dataset) -> None:
    queries = [query for split in row.splits for query in _queries(row, split)]
    assert all(query.keys() == {"id", "text"} and query["text"].strip() for query in queries)
    assert len({query["id"] for query in queries}) == len(queries)
    assert len({query["text"] for query in queries}) == len(queries)


@_each_labelled
def test_labels_name_queries_and_passages_that_exist(row: Dataset) -> None:
    labels = _read(row.qrels_repo, row, row.qrels_split("dev"))
    assert all(label.keys() == {"qid", "docid", "relevance"} for label in labels)
    assert {label["docid"] for label in labels} <= {passage["id"] for passage in _corpus(row)}
    pairs = [(label["qid"], label["docid"]) for label in labels]
    assert len(set(pairs)) == len(pairs)
    relevant = {label["qid"] for label in labels if label["relevance"] == 1}
    assert {qid for qid, _ in pairs} == relevant == {query["id"] for query in _queries(row, "dev")}


@_each_labelled
def test_only_question_answering_has_hard_negatives(row: Dataset) -> None:
    values = {label["relevance"] for label in _read(row.qrels_repo, row, row.qrels_split("dev"))}
    assert values == ({0, 1} if row.type == "qa" else {1})
    assert (row.labels["dev"] > row.positives["dev"]) == (row.type == "qa")


def test_one_text_stands_twice_in_one_corpus() -> None:
    twice = {
        row.task_name: count
        for row in _ROWS
        for count in Counter(passage["text"] for passage in _corpus(row)).values()
        if count > 1
    }
    assert twice == {"AIR-Bench_24.05_qa_law_en_default": 2}


def test_the_chinese_queries_of_24_04_are_both_splits_of_24_05() -> None:
    old, new = (row for row in _ROWS if row.repo == "AIR-Bench/qa_wiki_zh")
    texts = {query["id"]: query["text"] for query in _queries(old, "test")}
    assert texts == {query["id"]: query["text"] for split in new.splits for query in _queries(new, split)}


def test_the_files_are_small() -> None:
    assert sum(path.stat().st_size for path in _MINI.rglob("*") if path.is_file()) < 200_000
