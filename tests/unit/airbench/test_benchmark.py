"""AIR-Bench as the engine sees it: its rows as tasks, and what lists say of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.airbench import benchmark
from flagbench.airbench.benchmark import AIR_BENCH, MINI, dataset_of, mini_datasets
from flagbench.airbench.guard import over_mini
from flagbench.airbench.options import AirBenchOptions
from flagbench.airbench.registry import Dataset
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.runners.benchmark import Listing
from flagbench.runners.request import RunRequest
from flagbench.runners.task import Task

BOOK = "long-doc_book_en_origin-of-species_darwin"


def test_a_dataset_is_a_task_of_its_version_with_the_splits_wanted() -> None:
    options = AirBenchOptions(versions=("24.05",), languages=("zh",), domains=("wiki",), splits=("dev",))
    (task,) = AIR_BENCH.select(RunRequest("m", "air-bench", options=options))
    assert task == Task(
        name="AIR-Bench_24.05_qa_wiki_zh_default",
        kind="Retrieval",
        dataset="AIR-Bench/qa_wiki_zh",
        revision="main",
        splits=("dev",),
        main_score="ndcg_at_10",
        group="24.05",
    )
    assert dataset_of(task).splits == ("dev",)
    (book,) = AIR_BENCH.select(RunRequest("m", "air-bench", tasks=(f"AIR-Bench_24.04_{BOOK}",)))
    assert (book.main_score, book.group, book.splits) == ("recall_at_10", "24.04", ("test",))
    assert dataset_of(book).version == "24.04"


def _made(version: str, name: str, passages: int, queries: dict[str, int]) -> Dataset:
    return Dataset(
        version=version,
        type="qa",
        domain="wiki",
        language="en",
        name=name,
        splits=tuple(queries),
        passages=passages,
        queries=queries,
        labels={},
        positives={},
        passage_tokens=100,
        query_tokens=dict.fromkeys(queries, 50),
    )


def test_a_list_says_how_large_each_dataset_is_and_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (
        _made("24.05", "large", 12_345_678, {"dev": 1_000, "test": 2_000}),
        _made("24.04", "small", 1_234, {"test": 10}),
    )
    monkeypatch.setattr(benchmark, "datasets", lambda: rows)
    tasks = AIR_BENCH.tasks()
    heading = ["version", "type", "domain", "language", "dataset", "passages", "queries", "tokens", "main score"]
    large = ["24.05", "qa", "wiki", "en", "large", "12,345,678", "1,000 dev, 2,000 test", "1.2 G", "ndcg_at_10"]
    small = ["24.04", "qa", "wiki", "en", "small", "1,234", "10 test", "0.1 M", "ndcg_at_10"]
    said = "tokens to encode, as the official tables count them"
    assert AIR_BENCH.listing(tasks) == Listing(heading, [large, small], f"about 1.2 G {said}")
    assert AIR_BENCH.listing(tasks[1:]) == Listing(heading, [small], f"about 0.1 M {said}")
    dev = replace(tasks[0], splits=("dev",))
    assert AIR_BENCH.listing([dev]).rows[0][6] == "1,000 dev"


@pytest.mark.parametrize(
    ("tokens", "said"),
    [(0, "0.0 M"), (149_999, "0.1 M"), (999_900_000, "999.9 M"), (10**9, "1.0 G"), (1_234_567_000_000, "1,234.6 G")],
)
def test_tokens_are_said_in_millions_or_milliards(tokens: int, said: str) -> None:
    assert benchmark._millions(tokens) == said


def test_the_miniature_data_has_some_datasets_of_either_version() -> None:
    assert AIR_BENCH.mini_data() == MINI
    assert [each.task_name.removeprefix("AIR-Bench_") for each in mini_datasets()] == [
        *("24.04_qa_wiki_en_default", "24.04_qa_wiki_zh_default", f"24.04_{BOOK}"),
        *("24.05_qa_wiki_zh_default", "24.05_qa_wiki_de_default", "24.05_qa_law_en_default"),
        *(f"24.05_{BOOK}", "24.05_long-doc_book_en_a-brief-history-of-time_stephen-hawking"),
    ]


def test_a_dataset_that_is_not_miniature_is_refused_with_those_that_are() -> None:
    options = AirBenchOptions(domains=("healthcare",))
    with pytest.raises(BadInput) as caught:
        AIR_BENCH.select(RunRequest("m", "air-bench", mini=True, options=options))
    names = ", ".join(sorted(each.task_name for each in mini_datasets()))
    assert str(caught.value) == f"--mini has none of these datasets; it has {names}"


def test_the_kept_rankings_of_a_task_are_those_of_its_last_stage() -> None:
    name = "AIR-Bench_24.05_qa_wiki_zh_default"
    files = [
        f"AIR-Bench_24.05/search_results/m/{stage}/qa/wiki/zh_default_{split}.json"
        for stage in ("NoReranker", "r", "org")
        for split in ("dev", "test")
    ]
    files += ["flagbench/per_query/A.json", "AIR-Bench_24.05/other/m/r/qa/wiki/x.json"]
    task = TaskRecord(name, "Retrieval", "success", {}, "", files=tuple(files))
    for reranker, kept in ((None, files[:2]), ({"name": "org/r"}, files[2:4]), ({"name": "r"}, files[2:4])):
        record = RunRecord("air-bench", "o/m", "1", {}, (), {}, {name: task}, reranker)
        assert AIR_BENCH.kept_rankings(record, name) == kept


@pytest.mark.parametrize(
    ("source", "file", "over"),
    [
        ("air/mini", 0, True),
        ("air/mini", 1, False),  # which no record names: it may be of anything
        ("air/data", 0, False),
        ("air/mini", None, False),
    ],
)
def test_files_of_a_run_over_the_miniature_data_are_known_by_its_record(
    source: str, file: int | None, over: bool, tmp_path: Path
) -> None:
    names = [f"AIR-Bench_24.05/search_results/m/NoReranker/qa/wiki/{split}_dev.json" for split in ("zh", "en")]
    data = {"source": f"/opt/{source}/AIR-Bench/qa_wiki_zh", "status": "differs"}
    tasks = {each: TaskRecord(each, "Retrieval", "success", {}, "", data={}, files=()) for each in "AB"}
    tasks["B"] = replace(tasks["B"], data=data, files=(names[0],))
    run = tmp_path / "run" / "flagbench" / "run.json"
    run.parent.mkdir(parents=True)
    run.write_text(RunRecord("air-bench", "o/m", "1", {}, (), {}, tasks).to_json(), encoding="utf-8")
    elsewhere = [tmp_path / "copy" / names[0], Path("/x.json")]
    asked = [*elsewhere, *([] if file is None else [tmp_path / "run" / names[file]])]
    assert over_mini(asked, Path("/somewhere/air/mini")) is over
    run.write_text("{", encoding="utf-8")
    assert not over_mini(asked, Path("/somewhere/air/mini"))
