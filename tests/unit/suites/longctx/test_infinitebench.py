"""InfiniteBench as a kind of tasks: rows, prompts of two templates, cuts by each protocol, and scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadData, BadInput
from flagbench.results.data_state import DataState
from flagbench.runners.data.snapshots import Snapshots
from flagbench.suites.longctx import infinitebench
from flagbench.suites.longctx.layouts import source_of
from flagbench.suites.longctx.options import LongContextOptions
from flagbench.suites.longctx.prompts import prompts
from flagbench.suites.longctx.registry import kind_of, row_of, rows
from flagbench.suites.longctx.sample import Answer, Asking, Content, Sample
from tests.conftest import ROOT
from tests.unit.suites.longctx.special_tokens import tokens_of

MINI = ROOT / "suites" / "longctx" / "mini"
TASKS = [row for row in rows() if row.kind == "infinitebench"]
OPTIONS = LongContextOptions()


def content_of(task: str, root: Path = MINI, options: LongContextOptions = OPTIONS) -> Content:
    row = row_of(f"InfiniteBench-{task}")
    return infinitebench.read(row, source_of(row, Snapshots(root)), options)


def samples_of(content: Content, kind: str = "bytes") -> list[Sample]:
    return list(infinitebench.samples(content, tokens_of(kind), set(infinitebench.ids(content))))


def texts_of(samples: Sequence[Sample]) -> list[str]:
    return [each.prompt.text for each in samples if each.prompt is not None]


def put(root: Path, task: str, *lines: dict[str, Any]) -> None:
    folder = root / "xinrongzhang2022" / "InfiniteBench"
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in lines)
    (folder / f"{task}.jsonl").write_text(text, encoding="utf-8")


def row_with(**values: Any) -> dict[str, Any]:
    return {"id": 0, "context": "c", "input": "q", "answer": ["a"], "options": [], **values}


def test_the_tasks_are_the_published_ones() -> None:
    limits = prompts("infinitebench")["max_new_tokens"]
    assert {row.part: row.max_new_tokens for row in TASKS} == limits
    # The README counts 3,932 rows, with 175 of longbook_qa_chn, of which the published predictions have 14 more.
    assert sum(row.rows for row in TASKS) == 3_932 + 14
    for row in TASKS:
        assert kind_of(row) is infinitebench
        assert infinitebench.asking(row, "official") == Asking("text", limits[row.part])


@pytest.mark.parametrize("template", ["mistral", "gpt4"])
def test_prompts_have_no_place_left(template: str) -> None:
    for row in TASKS:
        content = content_of(row.part, options=replace(OPTIONS, template=template))
        for text in texts_of(samples_of(content)):
            assert "{context}" not in text
            assert "OPTION_" not in text
    choice = texts_of(samples_of(content_of("longbook_choice_eng")))[0]
    assert choice.endswith(
        "Question: Who kept Northhead?\nA. Alma Reed\nB. Tomas Vik\nC. Irene Okoye\nD. Pavel Horn\n\n"
        "The letter of the correct answer is"
    )


def test_prompts_that_read_the_row() -> None:
    assert texts_of(samples_of(content_of("code_run")))[0].endswith(
        "Please compute the exact value of func_1(-5). The value of func_1(-5) is"
    )
    find = texts_of(samples_of(content_of("math_find")))
    assert [text.split("\n")[0] for text in find] == [
        "What is the largest number in the following list?",
        "What is the smallest number in the following list?",
        "What is the second largest number in the following list?",
    ]


def test_questions_on_one_book_are_of_one_context(tmp_path: Path) -> None:
    books = ["one", "two", "one"]
    put(tmp_path, "longbook_qa_eng", *(row_with(id=n, context=book) for n, book in enumerate(books)))
    contexts = content_of("longbook_qa_eng", tmp_path).contexts
    assert contexts.keys() == {"0", "1", "2"}
    assert contexts["0"] == contexts["2"] != contexts["1"]


def test_by_flagembedding_the_chat_template_and_no_special_tokens() -> None:
    content = content_of("passkey", options=replace(OPTIONS, context_length=101))
    whole = texts_of(samples_of(content_of("passkey")))[0]
    sample = samples_of(content)[0]
    assert sample.prompt is not None
    assert (sample.prompt.form, sample.prompt.system) == ("chat", "")
    assert sample.prompt.text == whole[:50] + whole[-50:]  # a byte is a token


def test_by_its_authors_plain_text_or_gpt4s_chat() -> None:
    official = replace(OPTIONS, protocol="official", context_length=101)
    whole = texts_of(samples_of(content_of("passkey")))[0]
    sample = samples_of(content_of("passkey", options=official))[0]
    assert sample.prompt is not None
    assert (sample.prompt.form, sample.prompt.system) == ("plain", "")
    assert sample.prompt.text == whole[:49] + whole[-50:]  # with the token that begins the text
    chat = replace(official, template="gpt4")
    whole = texts_of(samples_of(content_of("passkey", options=replace(OPTIONS, template="gpt4"))))[0]
    sample = samples_of(content_of("passkey", options=chat))[0]
    assert sample.prompt is not None
    assert (sample.prompt.form, sample.prompt.system) == ("chat", "You are a helpful assistant")
    assert sample.prompt.text == whole[:50] + whole[-51:]
    with pytest.raises(BadInput, match="by the official rules GPT-4 gets a conversation here"):
        content_of("math_calc", options=chat)


@pytest.mark.parametrize("protocol", ["official", "flagembedding", "qlora"])
def test_right_answers_score_one(protocol: str) -> None:
    for row in TASKS:
        samples = samples_of(content_of(row.part, options=replace(OPTIONS, protocol=protocol)))
        answers = [
            Answer(each.id, each.subset, each.references, None, each.facts, text=_right(row.part, each))
            for each in samples
        ]
        scores = infinitebench.score(row, protocol, answers)[row.main_score]
        # FlagEmbedding compares the list of values with the first value.
        wanted = 0.0 if row.part == "math_calc" and protocol != "official" else 1.0
        assert list(scores.values()) == [pytest.approx(wanted, abs=1e-8)] * 3, row.part
        answers = [replace(each, text="") for each in answers]
        assert not any(infinitebench.score(row, protocol, answers)[row.main_score].values()), row.part


def _right(task: str, sample: Sample) -> str:
    label = sample.facts["label"]
    if task == "math_calc":
        return str(label[0])
    if task in ("longbook_choice_eng", "code_debug"):
        return f"{label[1]}. {label[0]}"
    return str(label[0] if isinstance(label, list) else label)


def test_values_of_an_expression_follow_from_it() -> None:
    for question in content_of("math_calc").rows:
        terms = question.context.replace("- ", "-").replace("+ ", "").split()
        assert [sum(map(int, terms[: end + 1])) for end in range(len(terms))] == question.label[0]


def test_labels_as_the_files_write_them(tmp_path: Path) -> None:
    options = ["w", "x", "y", "z"]
    put(
        tmp_path,
        "code_debug",
        row_with(answer="x", options=options),
        row_with(answer=["y"], options=options),
        row_with(answer=["z", "D"], options=options),
    )
    assert [each.label for each in content_of("code_debug", tmp_path).rows] == [["x", "B"], ["y", "C"], ["z", "D"]]
    put(tmp_path, "kv_retrieval", {"content": "c", "input": "q", "answer": "v"})
    (question,) = content_of("kv_retrieval", tmp_path).rows
    assert (question.context, question.label) == ("c", "v")


def test_rows_about_one_book_share_it(tmp_path: Path) -> None:
    book = "a book " * 100
    put(tmp_path, "longbook_qa_eng", *(row_with(context=book, input=str(number)) for number in range(3)))
    contexts = [each.context for each in content_of("longbook_qa_eng", tmp_path).rows]
    assert contexts[0] is contexts[1] is contexts[2]


def test_the_bundle_and_what_is_known_of_the_data(tmp_path: Path) -> None:
    folder = tmp_path / "namespace-Pt/projects/long-llm/infbench"
    folder.mkdir(parents=True)
    lines = "".join(json.dumps(row_with(input=f"\u2028{number}")) + "\n" for number in range(103))
    (folder / "longbook_sum_eng.jsonl").write_text(lines, encoding="utf-8")
    found = content_of("longbook_sum_eng", tmp_path)
    assert found.verdict.status == DataState.COUNTS_AGREE
    assert content_of("passkey").verdict.status == DataState.DIFFERS  # miniature rows


@pytest.mark.parametrize(
    ("task", "line", "fault"),
    [
        ("passkey", row_with(answer=[]), "not one of texts"),
        ("passkey", row_with(answer=None), "not one of texts"),
        ("passkey", row_with(context=5), "'context' is not a text"),
        ("math_find", row_with(answer=[True], input="The largest number of"), "not one of numbers"),
        ("math_find", row_with(answer=[1], input="largest"), "no words from 'The' to 'of'"),
        ("math_calc", row_with(answer=[[]]), "not one of numbers"),
        ("math_calc", row_with(answer=3), "what is right is not a list"),
        ("longbook_qa_eng", row_with(answer="a text"), "what is right is not a list"),
        ("longbook_qa_chn", row_with(answer="a text"), "what is right is not a list"),
        ("longdialogue_qa_eng", row_with(answer="ANNA"), "what is right is not a list"),
        ("code_run", row_with(answer=[1], input="func_x(1)"), r"no call such as func_1\(2\)"),
        ("code_debug", row_with(answer="a", options=["a"]), "'options' has 1 texts instead of 4"),
        ("code_debug", row_with(answer="e", options=["a", "b", "c", "d"]), "'answer' is none of the options"),
        ("code_debug", row_with(answer=["a", "E"], options=["a", "b", "c", "d"]), "not a text and its letter"),
    ],
)
def test_faulty_rows(tmp_path: Path, task: str, line: dict[str, Any], fault: str) -> None:
    put(tmp_path, task, line)
    with pytest.raises(BadData, match=fault) as raised:
        content_of(task, tmp_path)
    assert f"{task}.jsonl, line 1: " in str(raised.value)


def test_saved_answers_are_checked() -> None:
    with pytest.raises(BadData, match="not one of numbers"):
        infinitebench.score(
            row_of("InfiniteBench-code_run"), "official", [Answer("0", "default", facts={"label": "x"})]
        )
