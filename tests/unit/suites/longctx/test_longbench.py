"""LongBench as a kind of tasks: rows of three layouts, prompts, limits, ends, buckets, and scores by each protocol."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import AbsentData, BadData, BadInput
from flagbench.results.data_state import DataState
from flagbench.runners.data.snapshots import Snapshots
from flagbench.suites.longctx import longbench
from flagbench.suites.longctx.layouts import source_of
from flagbench.suites.longctx.make_mini_longbench import rows as mini_rows
from flagbench.suites.longctx.metrics import segmentation
from flagbench.suites.longctx.options import LongContextOptions
from flagbench.suites.longctx.prompts import prompts
from flagbench.suites.longctx.registry import asking_of, kind_of, row_of, rows
from flagbench.suites.longctx.sample import Answer, Asking, Content, Sample
from tests.conftest import ROOT
from tests.unit.suites.longctx.special_tokens import tokens_of

MINI = ROOT / "suites" / "longctx" / "mini"
TASKS = [row for row in rows() if row.kind == "longbench"]
OPTIONS = LongContextOptions()


def content_of(name: str, root: Path = MINI, options: LongContextOptions = OPTIONS) -> Content:
    row = row_of(name)
    return longbench.read(row, source_of(row, Snapshots(root)), options)


def samples_of(content: Content, kind: str = "bytes") -> list[Sample]:
    return list(longbench.samples(content, tokens_of(kind), set(longbench.ids(content))))


def answered(samples: Sequence[Sample], text: str | None = None) -> list[Answer]:
    """All samples answered with one text; None with their first reference."""
    return [
        Answer(
            each.id, each.subset, each.references, None, each.facts, text=each.references[0] if text is None else text
        )
        for each in samples
    ]


def put(folder: Path, lines: Sequence[Mapping[str, Any] | str]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    text = "".join((each if isinstance(each, str) else json.dumps(each, ensure_ascii=False)) + "\n" for each in lines)
    folder.write_text(text, encoding="utf-8")


def row_with(**values: Any) -> dict[str, Any]:
    return {"input": "q", "context": "c", "answers": ["a"], "length": 5, "all_classes": None, **values}


def test_the_tasks_are_the_published_ones() -> None:
    plain = [row for row in TASKS if row.group == "longbench"]
    assert len(plain) == 21
    assert sum(row.rows for row in plain) == 4_750  # as LongBench's README counts
    extended = [row for row in TASKS if row.group == "longbench-e"]
    assert (len(extended), sum(row.rows for row in extended)) == (13, 3_668)
    for row in TASKS:
        entry = prompts("longbench")[longbench.task_of(row)]
        assert (row.category, row.max_new_tokens) == (entry["category"], entry["max_new_tokens"])
        assert kind_of(row) is longbench
        assert row.language == ("zh" if row.category.startswith("CN") else "en")


def test_what_ends_an_answer() -> None:
    ends = {
        protocol: {row.part for row in TASKS if protocol in row.protocols and longbench.asking(row, protocol).ends}
        for protocol in ("flagembedding", "qlora", "official")
    }
    seven = {"2wikimqa", "hotpotqa", "musique", "multifieldqa_en", "qasper", "narrativeqa", "samsum"}
    assert ends == {"flagembedding": seven, "qlora": seven, "official": {"samsum", "samsum_e"}}
    samsum, report = row_of("LongBench-samsum"), row_of("LongBench-gov_report")
    assert longbench.asking(samsum, "official") == Asking("text", 128, ("\n",), 1)
    assert longbench.asking(samsum, "flagembedding") == Asking("text", 128, ("\n",), 0)
    assert asking_of(report, "flagembedding", OPTIONS) == Asking("text", 512)
    every = replace(OPTIONS, newline_ends="every-task")
    assert asking_of(report, "flagembedding", every) == Asking("text", 512, ("\n",))


def test_prompts_are_the_template_with_the_row_in_it() -> None:
    content = content_of("LongBench-trec")
    sample = samples_of(content)[0]
    given, context, answers = mini_rows()["trec"][0]
    assert sample.prompt is not None
    assert sample.prompt.text == (
        "Please determine the type of the question below. Here are some examples of questions.\n\n"
        + context
        + "\n"
        + given
    )
    assert (sample.prompt.form, sample.references, sample.subset) == ("plain", tuple(answers), "default")
    assert sample.facts["all_classes"][0] == "Person"


@pytest.mark.parametrize(
    ("task", "form"),
    [("narrativeqa", "chat"), ("gov_report", "chat"), ("passage_count", "chat"), ("lsht", "plain"), ("lcc", "plain")],
)
def test_few_shot_and_code_have_no_chat_template(task: str, form: str) -> None:
    prompt = samples_of(content_of(f"LongBench-{task}"))[0].prompt
    assert prompt is not None
    assert prompt.form == form


def test_long_prompts_lose_their_middle() -> None:
    content = content_of("LongBench-narrativeqa", options=replace(OPTIONS, context_length=101))
    prompt = samples_of(content)[0].prompt
    whole = samples_of(content_of("LongBench-narrativeqa"))[0].prompt
    assert prompt is not None
    assert whole is not None
    # Each byte is a token, and one begins the text: 49 bytes of the begin and 50 of the end.
    assert prompt.text == whole.text[:49] + whole.text[-50:]


def test_braces_in_a_row_are_text(tmp_path: Path) -> None:
    put(tmp_path / "THUDM/LongBench/data/lcc.jsonl", [row_with(context="f{context}{{x}} \u2028 y")])
    prompt = samples_of(content_of("LongBench-lcc", tmp_path))[0].prompt
    assert prompt is not None
    assert "f{context}{{x}} \u2028 y" in prompt.text


@pytest.mark.parametrize("protocol", ["official", "flagembedding", "qlora"])
def test_right_answers_score_one(protocol: str) -> None:
    for row in TASKS:
        if protocol not in row.protocols or (row.main_score.endswith("_zh") and row.main_score != "retrieval_zh"):
            continue
        samples = samples_of(content_of(row.name, options=replace(OPTIONS, protocol=protocol)))
        scores = longbench.score(row, protocol, answered(samples))[row.main_score]
        assert set(scores) == {"0", "1", "2"}
        assert all(value == pytest.approx(1.0, abs=1e-8) for value in scores.values()), row.name
        assert not any(longbench.score(row, protocol, answered(samples, ""))[row.main_score].values())


def test_right_answers_in_chinese_score_one() -> None:
    pytest.importorskip("jieba", reason="the extra longctx is not installed")
    for name in ("multifieldqa_zh", "dureader", "vcsum"):
        row = row_of(f"LongBench-{name}")
        scores = longbench.score(row, "official", answered(samples_of(content_of(row.name))))[row.main_score]
        assert all(value == pytest.approx(1.0, abs=1e-8) for value in scores.values()), row.name


def test_chinese_scores_need_jieba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentation.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"pip install 'flagbench\[longctx\]'"):
        content_of("LongBench-vcsum")
    row = row_of("LongBench-vcsum")
    faults: list[str] = []
    longbench.read(row, source_of(row, Snapshots(MINI)), OPTIONS, faults.append)  # as flagbench validate does
    assert faults == []


def test_the_two_variants_of_flagembedding_differ_in_classes() -> None:
    row = row_of("LongBench-trec")
    samples = samples_of(content_of(row.name))[:1]  # "Person" is right
    values = {
        each: longbench.score(row, each, answered(samples, "Perso"))["classification"]["0"] for each in row.protocols
    }
    assert values == {"flagembedding": 0.0, "qlora": 1.0, "official": 0.0}


def test_buckets_of_longbench_e(tmp_path: Path) -> None:
    lengths = (0, 3_999, 4_000, 7_999, 8_000, 50_000)
    put(tmp_path / "THUDM/LongBench/data/qasper_e.jsonl", [row_with(length=each) for each in lengths])
    samples = samples_of(content_of("LongBench-E-qasper", tmp_path))
    assert [each.subset for each in samples] == ["0-4k", "0-4k", "4-8k", "4-8k", "8k+", "8k+"]


def test_the_archive_of_the_hub_gives_what_its_files_give(tmp_path: Path) -> None:
    folder = tmp_path / "THUDM" / "LongBench"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((MINI / "THUDM/LongBench/data").iterdir()):
            archive.write(path, f"data/{path.name}")
    for name in ("LongBench-narrativeqa", "LongBench-E-qasper"):
        zipped, plain = content_of(name, tmp_path), content_of(name)
        assert zipped.rows == plain.rows
        assert zipped.verdict.content == plain.verdict.content


def test_the_bundle_stands_in_where_the_dataset_is_absent(tmp_path: Path) -> None:
    folder = tmp_path / "namespace-Pt/projects/long-llm/longbench"
    put(folder / "qasper.jsonl", [row_with(answers=["of the bundle"])])
    assert content_of("LongBench-qasper", tmp_path).rows[0].answers == ("of the bundle",)
    put(tmp_path / "THUDM/LongBench/qasper.jsonl", [row_with(answers=["of the dataset"])])
    assert content_of("LongBench-qasper", tmp_path).rows[0].answers == ("of the dataset",)


def test_what_is_known_of_the_data(tmp_path: Path) -> None:
    path = tmp_path / "THUDM/LongBench/data/multifieldqa_en.jsonl"
    put(path, [row_with(input=str(number)) for number in range(150)])
    found = content_of("LongBench-multifieldqa_en", tmp_path)
    assert found.verdict.status == DataState.COUNTS_AGREE
    put(path, [row_with(input=str(number)) for number in range(149)])
    other = content_of("LongBench-multifieldqa_en", tmp_path)
    assert other.verdict.status == DataState.DIFFERS
    assert other.verdict.differences == ("multifieldqa_en: 149 rows instead of 150",)
    assert found.verdict.content != other.verdict.content


def test_some_rows_are_the_first() -> None:
    content = content_of("LongBench-qasper", options=replace(OPTIONS, rows=2))
    assert longbench.ids(content) == ["0", "1"]
    assert [each.id for each in longbench.samples(content, tokens_of("bytes"), {"1"})] == ["1"]


@pytest.mark.parametrize(
    ("task", "line", "fault"),
    [
        ("qasper", row_with(input=None), "'input' is not a text"),
        ("qasper", {"input": "q", "answers": ["a"]}, "it has no 'context'"),
        ("qasper", row_with(answers="a"), "'answers' is not a list of texts"),
        ("qasper", row_with(answers=[]), "'answers' is not a list of texts"),
        ("qasper", row_with(length=True), "'length' is not a whole number"),
        ("qasper", row_with(length=10**30), "'length' is not a whole number"),
        ("trec", row_with(), "'all_classes' is not a list of texts"),
        ("passage_retrieval_en", row_with(), "does not name a paragraph"),
    ],
)
def test_faulty_rows(tmp_path: Path, task: str, line: dict[str, Any], fault: str) -> None:
    put(tmp_path / f"THUDM/LongBench/data/{task}.jsonl", [line])
    with pytest.raises(BadData, match=fault) as raised:
        content_of(f"LongBench-{task}", tmp_path)
    assert f"{task}.jsonl, line 1: " in str(raised.value)
    row, faults = row_of(f"LongBench-{task}"), list[str]()
    content = longbench.read(row, source_of(row, Snapshots(tmp_path)), OPTIONS, faults.append)
    assert fault.split("'")[-1] in faults[0]
    assert len(faults) == (1 if content.rows else 2)  # that no row is left is another


def test_absent_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(AbsentData, match="does not exist"):
        content_of("LongBench-qasper", tmp_path)
    folder = tmp_path / "THUDM/LongBench"
    folder.mkdir(parents=True)
    with pytest.raises(AbsentData, match=r"has neither data/qasper.jsonl nor qasper.jsonl, nor an archive data.zip"):
        content_of("LongBench-qasper", tmp_path)
    (folder / "data.zip").write_bytes(b"PK no")
    with pytest.raises(BadData, match="cannot be read as a zip archive"):
        content_of("LongBench-qasper", tmp_path)
    (folder / "qasper.jsonl").symlink_to(tmp_path.parent / "elsewhere.jsonl")
    with pytest.raises(BadData, match="leads out of"):
        content_of("LongBench-qasper", tmp_path)


def test_saved_answers_are_checked() -> None:
    with pytest.raises(BadData, match="classes of a saved answer"):
        longbench.score(
            row_of("LongBench-trec"), "official", [Answer("0", "default", ("a",), facts={"all_classes": 3})]
        )
