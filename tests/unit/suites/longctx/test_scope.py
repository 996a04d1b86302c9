"""What is said of the data of a run that asks a part of it, or asks by settings by which no score is published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flagbench.results.data_state import DataState
from flagbench.runners.data.sources import Folder, Source
from flagbench.suites.longctx.generated import Generated
from flagbench.suites.longctx.options import LongContextOptions
from flagbench.suites.longctx.registry import kind_of, row_of
from flagbench.suites.longctx.sample import Content

_QUESTION = {"subject": "astronomy", "query": "Which?", "choices": ["a", "b", "c", "d"], "answer": 1}


def _write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _source(name: str, folder: Path) -> Source:
    """As many rows as are published of a task."""
    if name == "Passkey":
        return Generated()
    count = row_of(name).rows
    numbers = range(count)
    if name == "MMLU":
        _write(folder, "long-llm/mmlu/test.json", [{"query_id": number, **_QUESTION} for number in numbers])
        _write(folder, "long-llm/mmlu/dev.json", [{"query_id": number, **_QUESTION} for number in range(5)])
    elif name == "PG19":
        _write(folder, "long-llm/lm/pg19.json", [{"text": f"text {number}"} for number in numbers])
    elif name == "Needle":
        (folder / "long-llm/needle/PaulGrahamEssays").mkdir(parents=True)
        (folder / "long-llm/needle/PaulGrahamEssays/a.txt").write_text("an essay", encoding="utf-8")
    elif name == "TopicRetrieval":
        topics = [
            {"context": "c", "question": "q", "topics": ["t"] * number, "num_topics": number}
            for number in (5, 10, 15, 20, 25, 30, 40, 50, 60, 70)
            for _ in range(2)
        ]
        _write(folder, "long-llm/longeval/topic_retrieval.json", topics)
    elif name.startswith("LongBench"):
        line = {"input": "q", "context": "c", "answers": ["a"], "length": 5, "all_classes": None}
        _write(folder, f"{row_of(name).part}.jsonl", [line] * count)
    else:
        line = {"input": "q", "context": "c", "answer": ["a"]}
        _write(folder, f"{row_of(name).part}.jsonl", [line] * count)
    return Folder(folder)


def _read(name: str, folder: Path, **options: Any) -> Content:
    row = row_of(name)
    return kind_of(row).read(row, _source(name, folder), LongContextOptions(**options))


@pytest.mark.parametrize(
    ("name", "whole", "options", "lines"),
    [
        ("LongBench-qasper", "counts agree", {"rows": 13}, ["13 of 200 rows"]),
        ("LongBench-qasper", "counts agree", {"context_length": 900}, ["--context-length 900 instead of 31500"]),
        (
            "LongBench-qasper",
            "counts agree",
            {"newline_ends": "every-task", "protocol": "official"},
            ["a newline ends the answers of every task, which is not so in this protocol"],
        ),
        ("InfiniteBench-longbook_sum_eng", "counts agree", {"rows": 1}, ["1 of 103 rows"]),
        (
            "InfiniteBench-longbook_sum_eng",
            "counts agree",
            {"rows": 1, "context_length": 500, "template": "gpt4"},
            ["1 of 103 rows", "--context-length 500 instead of 128000", "--template gpt4 instead of mistral"],
        ),
        (
            "InfiniteBench-longbook_sum_eng",
            "counts agree",
            {"context_length": 128_000, "template": "gpt4", "protocol": "official"},
            ["--context-length 128000 instead of 127000"],
        ),
        ("MMLU", "counts agree", {"rows": 40}, ["40 of 14,042 questions"]),
        ("MMLU", "counts agree", {"shots": 5}, ["--shots 5 instead of 0"]),
        ("PG19", "counts agree", {"rows": 99}, ["99 of 100 texts"]),
        (
            "PG19",
            "counts agree",
            {"context_length": 4_096, "stride": 0},
            ["--context-length 4096 instead of 100000", "--stride 0 instead of 32768"],
        ),
        ("Passkey", "official", {"rows": 3}, ["60 of 200 cells"]),
        ("Needle", "unknown", {"rows": 3}, ["30 of 100 cells"]),
        ("TopicRetrieval", "unknown", {"rows": 1}, ["10 of 20 records"]),
    ],
)
def test_a_part_and_other_settings_are_no_published_scores(
    tmp_path: Path, name: str, whole: str, options: dict[str, Any], lines: list[str]
) -> None:
    published = _read(name, tmp_path / "whole").verdict
    assert (published.status, list(published.differences)) == (DataState(whole), [])
    found = _read(name, tmp_path / "part", **options).verdict
    assert (found.status, list(found.differences)) == (DataState.DIFFERS, lines)
    assert not found.status.comparable(accept_counts=True)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("LongBench-qasper", {"rows": 200, "context_length": 31_500}),
        ("LongBench-qasper", {"newline_ends": "every-task"}),  # a newline ends its answers anyway
        ("InfiniteBench-longbook_sum_eng", {"rows": 500, "context_length": 128_000}),
        ("InfiniteBench-longbook_sum_eng", {"template": "gpt4", "protocol": "official"}),
        ("PG19", {"rows": 100, "stride": 32_768, "context_length": 100_000}),
    ],
)
def test_the_published_settings_may_be_given(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    content = _read(name, tmp_path, **options)
    assert (content.verdict.status, list(content.notes)) == (DataState.COUNTS_AGREE, [])


@pytest.mark.parametrize(
    ("name", "options", "note"),
    [
        ("LongBench-qasper", {"context_length": 3_500}, "3,500 tokens at most, as published for some models"),
        (
            "LongBench-gov_report",
            {"newline_ends": "every-task", "protocol": "qlora"},
            "a newline ends the answers of every",
        ),
        ("InfiniteBench-longbook_sum_eng", {"context_length": 80_000}, "80,000 tokens at most, as published"),
    ],
)
def test_settings_of_some_published_scores_are_named(
    tmp_path: Path, name: str, options: dict[str, Any], note: str
) -> None:
    content = _read(name, tmp_path, **options)
    assert (content.verdict.status, len(content.notes)) == (DataState.COUNTS_AGREE, 1)
    assert note in content.notes[0]
