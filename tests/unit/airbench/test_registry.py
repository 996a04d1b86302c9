"""AIR-Bench's tasks.toml held against the official package, and what is picked from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput, UnknownName
from flagbench.airbench import make_tasks
from flagbench.airbench.registry import Dataset, datasets, read_datasets, select

_FILE = Path(make_tasks.__file__).with_name("tasks.toml")
_SEE = "; see flagbench tasks --benchmark air-bench"
_DARWIN = "origin-of-species_darwin"
_HAWKING = "a-brief-history-of-time_stephen-hawking"

_ROW = """
[[dataset]]
version = "24.05"
type = "qa"
domain = "wiki"
language = "en"
name = "default"
splits = ["dev", "test"]
passages = 10
queries = { dev = 3, test = 5 }
labels = { dev = 6, test = 7 }
positives = { dev = 4, test = 6 }
passage_tokens = 100
query_tokens = { dev = 7, test = 11 }
"""


def _one(version: str, name: str) -> Dataset:
    (row,) = (row for row in datasets() if row.task_name == f"AIR-Bench_{version}_{name}")
    return row


def _names(rows: tuple[Dataset, ...]) -> list[str]:
    return [row.task_name.removeprefix("AIR-Bench_") for row in rows]


def _read(tmp_path: Path, text: str) -> tuple[Dataset, ...]:
    path = tmp_path / "tasks.toml"
    path.write_text(text, encoding="utf-8")
    return read_datasets(path)


def _published() -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """The official tables: version, type, domain, language and name of a dataset, and its entry."""
    pytest.importorskip("air_benchmark")
    from air_benchmark.tasks import BenchmarkTable

    for version, types in BenchmarkTable.items():
        for task_type, domains in types.items():
            for domain, languages in domains.items():
                for language, entries in languages.items():
                    for name, entry in entries.items():
                        yield (version, task_type, domain, language, name), entry


def test_the_file_is_what_the_script_writes() -> None:
    pytest.importorskip("air_benchmark")
    assert _FILE.read_text(encoding="utf-8") == make_tasks.text()


def test_the_rows_are_the_published_datasets_in_their_order() -> None:
    published = [key for key, _ in _published()]
    rows = [(row.benchmark_version, row.type, row.domain, row.language, row.name) for row in datasets()]
    # The package has the newer version first.
    assert rows == sorted(published, key=lambda key: key[0])


def test_the_numbers_are_the_published_ones() -> None:
    rows = {(row.benchmark_version, row.type, row.domain, row.language, row.name): row for row in datasets()}
    for key, entry in _published():
        row = rows[key]
        assert list(row.splits) == entry["splits"]
        assert row.passages == entry["size"]["corpus"]
        assert row.queries == entry["size"]["queries"]
        assert row.passage_tokens == entry["token_num"]["corpus"]["avg_token_num"]
        tokens = entry["token_num"]["queries"]
        assert row.query_tokens == {split: each["avg_token_num"] for split, each in tokens.items()}
        assert row.labels == {split: each["total_num"] for split, each in entry["labels"].items()}
        assert row.positives == {split: each["pos_num"] for split, each in entry["labels"].items()}


def test_each_version_has_its_number_of_datasets() -> None:
    assert Counter((row.version, row.type) for row in datasets()) == {
        ("24.04", "qa"): 13,
        ("24.04", "long-doc"): 15,
        ("24.05", "qa"): 54,
        ("24.05", "long-doc"): 15,
    }
    old, new = select(versions=["24.04"]), select(versions=["24.05"])
    assert (len(old), len(new)) == (28, 69)
    # Books are a domain of long documents only.
    assert (len({row.domain for row in old}), len({row.domain for row in new})) == (9, 10)
    assert (len({row.language for row in old}), len({row.language for row in new})) == (2, 13)


def test_every_split_has_its_numbers() -> None:
    for row in datasets():
        assert all(
            numbers.keys() == set(row.splits) for numbers in (row.queries, row.labels, row.positives, row.query_tokens)
        )
        assert row.version == "24.05" or row.splits == ("test",)


def test_task_names_and_rows_are_each_there_once() -> None:
    assert len({row.task_name for row in datasets()}) == len(set(datasets())) == 97


def test_names_on_the_hub() -> None:
    row = _one("24.05", f"long-doc_book_en_{_HAWKING}")
    assert row.benchmark_version == "AIR-Bench_24.05"
    assert row.repo == "AIR-Bench/long-doc_book_en"
    assert row.qrels_repo == "AIR-Bench/qrels-long-doc_book_en-dev"
    assert row.corpus_split == "corpus_a_brief_history_of_time_stephen_hawking"
    assert row.queries_split("dev") == "queries_a_brief_history_of_time_stephen_hawking_dev"
    assert row.qrels_split("dev") == "qrels_a_brief_history_of_time_stephen_hawking_dev"


def test_splits_on_the_hub_of_24_04_do_not_name_the_split() -> None:
    row = _one("24.04", f"long-doc_book_en_{_DARWIN}")
    assert row.benchmark_version == "AIR-Bench_24.04"
    assert row.corpus_split == "corpus_origin_of_species_darwin"
    assert row.queries_split("test") == "queries_origin_of_species_darwin"
    assert row.qrels_split("test") == "qrels_origin_of_species_darwin"


def test_the_main_metric_depends_on_the_type() -> None:
    assert {(row.type, row.main_metric) for row in datasets()} == {
        ("qa", "ndcg_at_10"),
        ("long-doc", "recall_at_10"),
    }


def test_tokens_are_those_of_the_corpus_and_of_the_splits_encoded(tmp_path: Path) -> None:
    (row,) = _read(tmp_path, _ROW)
    assert row.tokens(("dev", "test")) == 10 * 100 + 3 * 7 + 5 * 11
    assert row.tokens(["dev"]) == 1021


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        _read(tmp_path, _ROW + "colour = 3\n")
    assert str(caught.value) == "tasks.toml: dataset 24.05 qa wiki en default has unknown or missing keys: colour"


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        _read(tmp_path, _ROW.replace('language = "en"\n', ""))
    assert str(caught.value) == "tasks.toml: dataset 24.05 qa wiki ? default has unknown or missing keys: language"


def test_a_dataset_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        _read(tmp_path, _ROW + _ROW)
    assert str(caught.value) == "tasks.toml: dataset 24.05 qa wiki en default is listed twice"


def test_the_latest_version_is_picked_when_none_is_named() -> None:
    assert select() == tuple(row for row in datasets() if row.version == "24.05")


@pytest.mark.parametrize("version", ["24.04", "AIR-Bench_24.04", "air-bench_24.04"])
def test_a_version_is_known_by_both_its_names(version: str) -> None:
    assert select(versions=[version]) == tuple(row for row in datasets() if row.version == "24.04")


def test_several_versions_come_in_registry_order() -> None:
    assert select(versions=["24.05", "24.04"]) == datasets()


def test_types_domains_languages_and_splits_are_known_in_any_case() -> None:
    rows = select(types=["QA"], domains=["Wiki", "LAW"], languages=["EN", "De"], splits=["DEV"])
    assert _names(rows) == [
        "24.05_qa_wiki_en_default",
        "24.05_qa_wiki_de_default",
        "24.05_qa_law_en_default",
        "24.05_qa_law_de_default",
    ]


@pytest.mark.parametrize(
    "asked",
    [
        {"splits": ["dev"]},
        {"splits": ["test"]},
        {"splits": ["dev", "test"]},
        {"types": ["qa"], "splits": ["dev"]},
        {"types": ["long-doc"], "domains": ["book", "arxiv"]},
        {"domains": ["wiki", "law"], "languages": ["en", "de"], "splits": ["test"]},
        {"versions": ["AIR-Bench_24.04"], "splits": ["test"]},
    ],
    ids=str,
)
@pytest.mark.parametrize("spelt", [str.upper, str.title, str.swapcase])
def test_values_in_another_case_give_the_same_datasets_with_the_same_splits(
    spelt: Callable[[str], str], asked: dict[str, list[str]]
) -> None:
    rows = select(**{flag: [spelt(value) for value in values] for flag, values in asked.items()})
    assert rows == select(**asked)
    wanted = set(asked.get("splits", ("dev", "test")))
    assert rows
    for row in rows:
        (whole,) = (each for each in datasets() if each.task_name == row.task_name)
        assert row.splits == tuple(split for split in whole.splits if split in wanted)


def test_datasets_are_picked_by_name() -> None:
    assert _names(select(names=[_HAWKING, "gpt3"])) == [
        "24.05_long-doc_arxiv_en_gpt3",
        f"24.05_long-doc_book_en_{_HAWKING}",
    ]


def test_only_the_splits_asked_for_are_left() -> None:
    assert {row.splits for row in select(splits=["test"])} == {("test",)}
    wiki = _one("24.05", "qa_wiki_en_default")
    assert select(domains=["wiki"], languages=["en"], splits=["dev"]) == (replace(wiki, splits=("dev",)),)
    assert select(domains=["wiki"], languages=["en"], splits=["test", "dev"]) == (wiki,)


def test_datasets_without_the_split_are_left_out() -> None:
    assert _names(select(types=["long-doc"], domains=["book"], splits=["dev"])) == [
        f"24.05_long-doc_book_en_{_HAWKING}"
    ]
    assert not [row for row in select(splits=["test"]) if row.domain == "msmarco"]


def test_full_names_pick_tasks_of_any_version() -> None:
    old, new = "AIR-Bench_24.04_qa_wiki_en_default", "AIR-Bench_24.05_qa_wiki_de_default"
    assert [row.task_name for row in select(tasks=[new, old])] == [old, new]
    assert [row.task_name for row in select(tasks=[new, old], versions=["24.04"])] == [old]
    assert [row.task_name for row in select(tasks=[new, old], languages=["de"])] == [new]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"versions": ["24.5"]}, "unknown benchmark version '24.5'; did you mean 24.05 or 24.04?"),
        ({"versions": ["latest"]}, "unknown benchmark version 'latest'; known: 24.04, 24.05"),
        ({"types": ["longdoc"]}, "unknown task type 'longdoc'; did you mean long-doc?"),
        ({"domains": ["wikis"]}, "unknown domain 'wikis'; did you mean wiki?"),
        (
            {"domains": ["poetry"], "versions": ["24.04"]},
            "unknown domain 'poetry'; known: arxiv, book, finance, healthcare, law, msmarco, news, web, wiki",
        ),
        ({"languages": ["en", "eng"]}, "unknown language 'eng'; did you mean en?"),
        ({"languages": ["xx"], "versions": ["24.04"]}, "unknown language 'xx'; known: en, zh"),
        ({"names": ["origin-of-species"]}, f"unknown dataset 'origin-of-species'; did you mean {_DARWIN}?"),
        ({"splits": ["train"]}, "unknown split 'train'; known: dev, test"),
        ({"splits": ["tset"], "versions": ["24.04"]}, "unknown split 'tset'; did you mean test?"),
    ],
)
def test_an_unknown_value_is_named_with_the_nearest_ones(asked: dict[str, list[str]], message: str) -> None:
    with pytest.raises(UnknownName) as caught:
        select(**asked)
    assert str(caught.value) == message + _SEE


def test_an_unknown_task_is_named_with_the_nearest_ones() -> None:
    with pytest.raises(
        UnknownName, match=r"unknown task 'AIR-Bench_24.05_qa_arxiv'; did you mean .*qa_arxiv_en_default"
    ):
        select(tasks=["AIR-Bench_24.05_qa_arxiv"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"domains": ["science"]}, "domain 'science' is in AIR-Bench 24.05 only: use --benchmark-version 24.05"),
        ({"languages": ["DE"]}, "language 'de' is in AIR-Bench 24.05 only: use --benchmark-version 24.05"),
    ],
)
def test_a_value_of_another_version_is_told_from_an_unknown_one(asked: dict[str, list[str]], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        select(versions=["24.04"], **asked)
    assert str(caught.value) == message
    assert not isinstance(caught.value, UnknownName)


@pytest.mark.parametrize(
    "asked",
    [
        {"versions": ["24.04"], "splits": ["dev"]},
        {"versions": ["24.04", "24.05"], "splits": ["Dev", "test"]},
        {"tasks": ["AIR-Bench_24.04_qa_wiki_en_default"], "splits": ["dev"]},
    ],
)
def test_24_04_has_no_dev_split(asked: dict[str, list[str]]) -> None:
    with pytest.raises(BadInput) as caught:
        select(**asked)
    assert str(caught.value) == (
        "AIR-Bench 24.04 has no dev split (test only); use --splits test or --benchmark-version 24.05"
    )


@pytest.mark.parametrize(
    ("asked", "flags"),
    [
        ({"domains": ["science"], "languages": ["en", "fr"]}, "--domains science and --languages en,fr"),
        ({"domains": ["msmarco"], "types": ["qa"], "splits": ["test"]}, "--domains msmarco and --splits test"),
        ({"types": ["long-doc"], "names": ["default"]}, "--types long-doc and --datasets default"),
        (
            {"domains": ["book"], "names": [_DARWIN], "languages": ["en"], "splits": ["dev"]},
            f"--datasets {_DARWIN} and --splits dev",
        ),
        (
            {"types": ["long-doc"], "domains": ["book", "wiki"], "names": ["default", "gpt3"]},
            "--types long-doc, --domains book,wiki and --datasets default,gpt3",
        ),
        (
            {"versions": ["AIR-Bench_24.05"], "tasks": ["AIR-Bench_24.04_qa_wiki_en_default"]},
            "--benchmark-version 24.05 and --tasks AIR-Bench_24.04_qa_wiki_en_default",
        ),
        (
            {"tasks": ["AIR-Bench_24.05_qa_wiki_de_default"], "languages": ["en"]},
            "--tasks AIR-Bench_24.05_qa_wiki_de_default and --languages en",
        ),
    ],
)
def test_flags_with_nothing_in_common_are_named(asked: dict[str, list[str]], flags: str) -> None:
    with pytest.raises(BadInput) as caught:
        select(**asked)
    assert str(caught.value) == f"{flags} have no dataset in common: drop one"
