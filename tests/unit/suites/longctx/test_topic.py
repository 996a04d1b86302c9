"""Records of topics and lines: what is asked, how faulty files are refused, and what is known of the data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadData
from flagbench.results.data_state import DataState
from flagbench.runners.data.sources import Snapshot
from flagbench.suites.longctx import topic
from flagbench.suites.longctx.options import LongContextOptions
from flagbench.suites.longctx.registry import row_of
from flagbench.suites.longctx.sample import Answer, Cell, Content
from tests.unit.suites.longctx.tokenizers_of_three_kinds import tokens_of

ENDING = " \n USER: Great, this is the end of our discussion on the topic tea, let's talk about the next topic."
BUNDLE = "namespace-Pt/projects/long-llm/longeval/topic_retrieval.json"
LINES = "DachengLi1/LongChat/longeval/evaluation/lines/testcases/200_lines.jsonl"
TOPICS = "DachengLi1/LongChat/longeval/evaluation/topics/testcases/5_topics.jsonl"


def write(root: Path, name: str, rows: Sequence[Any]) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")


def conversation(topics: Sequence[str], **changes: Any) -> dict[str, Any]:
    row = {
        "context": f"A record.{ENDING} Now the record ends.",
        "question": "What was it?",
        "topics": list(topics),
        "num_topics": len(topics),
    }
    return row | changes


def lines(**changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"prompt": "Lines. Tell me", "random_idx": ["a-b", 59], "expected_number": 7}
    return row | changes


def read(task: str, root: Path, **options: Any) -> Content:
    row = row_of(task)
    return topic.read(row, Snapshot(root, row.dataset), LongContextOptions(**options))


def messages(content: Content) -> dict[str, str]:
    samples = topic.samples(content, tokens_of("WordPiece"), topic.ids(content))
    return {each.id: each.prompt.text for each in samples if each.prompt}


def test_each_protocol_asks_its_own_question(tmp_path: Path) -> None:
    write(tmp_path, BUNDLE, [conversation(["tea"]), conversation(["tea", "salt\u2028", "bees"])])
    first = "What is the first topic we have discussed? Only give me the topic name. Do not summarize yourself."
    whole = f"A record.{ENDING} Now the record ends."
    beacon = read("TopicRetrieval", tmp_path, topics=(1, 3))
    assert messages(beacon) == {"1/0": f"A record. Now the record ends. {first}", "3/0": f"{whole} {first}"}
    qlora = read("TopicRetrieval", tmp_path, topics=(1, 3), protocol="qlora")
    assert messages(qlora) == {"1/0": f"{whole} What was it?", "3/0": f"{whole} What was it?"}
    (sample,) = topic.samples(beacon, tokens_of("WordPiece"), {"3/0"})
    assert (sample.references, sample.subset, sample.cell) == (("tea",), "3", Cell(3, 0))
    assert sample.facts == {"tokens": len(tokens_of("WordPiece").encode(f"{whole} {first}"))}


def test_the_original_asks_what_its_prompt_says(tmp_path: Path) -> None:
    write(tmp_path, TOPICS, [{"prompt": "A record. What is first?", "topics": ["tea"]}])
    content = read("LongEvalTopics", tmp_path)
    assert messages(content) == {"5/0": "A record. What is first?"}
    assert content.notes == ["the data has no records of 10, 15, 20, 25 topics"]


def test_rows_are_taken_of_each_number(tmp_path: Path) -> None:
    write(tmp_path, BUNDLE, [conversation(["tea"] * number) for number in (5, 10, 5, 7, 10, 5)])
    assert list(topic.ids(read("TopicRetrieval", tmp_path, rows=2))) == ["5/0", "5/1", "10/0", "10/1"]


@pytest.mark.parametrize(
    ("task", "name", "row", "fault"),
    [
        ("TopicRetrieval", BUNDLE, conversation([], num_topics=5), "has no topics that begin with a text"),
        ("TopicRetrieval", BUNDLE, conversation([""], num_topics=5), "has no topics that begin with a text"),
        ("TopicRetrieval", BUNDLE, conversation(["a"] * 5, context=3), "has no context that is a text"),
        ("TopicRetrieval", BUNDLE, conversation(["a"] * 5, question=" "), "has no question that is a text"),
        ("TopicRetrieval", BUNDLE, conversation(["a"] * 5, num_topics="5"), "has no num_topics that is a whole number"),
        ("LongEvalTopics", TOPICS, {"topics": ["a"]}, "has no prompt that is a text"),
        ("LongEvalLines", LINES, lines(expected_number="7"), "has no expected_number that is a whole number"),
        ("LongEvalLines", LINES, lines(expected_number=True), "has no expected_number that is a whole number"),
        (
            "LongEvalLines",
            LINES,
            lines(random_idx=["a", 200]),
            "has no random_idx with the place of one of its 200 lines",
        ),
        ("LongEvalLines", LINES, lines(random_idx=7), "has no random_idx with the place of one of its 200 lines"),
    ],
)
def test_faulty_rows_are_named(task: str, name: str, row: Mapping[str, Any], fault: str, tmp_path: Path) -> None:
    good = lines() if task == "LongEvalLines" else conversation(["a"] * 5, prompt="x")
    write(tmp_path, name, [good, row])
    with pytest.raises(BadData) as caught:
        read(task, tmp_path)
    assert str(caught.value) == f"{tmp_path / name}, line 2 {fault}: fix the data"
    said: list[str] = []
    registered = row_of(task)
    content = topic.read(registered, Snapshot(tmp_path, registered.dataset), LongContextOptions(), said.append)
    assert said == [f"{tmp_path / name}, line 2 {fault}"]
    assert len(content.rows) == 1


def test_data_without_the_numbers_asked_for_is_refused(tmp_path: Path) -> None:
    write(tmp_path, BUNDLE, [conversation(["a"] * 5)])
    with pytest.raises(BadData, match=r"has no records of 40 topics: choose others with --topics$"):
        read("TopicRetrieval", tmp_path, topics=(5, 40))
    write(tmp_path, BUNDLE, [conversation(["a"] * 4)])
    with pytest.raises(BadData, match=r"has no records of 5, 10, 15, 20, 25 and 5 more topics"):
        read("TopicRetrieval", tmp_path)
    with pytest.raises(BadData, match="does not exist"):
        read("LongEvalLines", tmp_path)


def test_the_state_of_data_is_said(tmp_path: Path) -> None:
    write(tmp_path, BUNDLE, [conversation(["a"] * 5)])
    write(tmp_path, LINES, [lines()])
    assert read("TopicRetrieval", tmp_path).verdict.status == DataState.UNKNOWN
    verdict = read("LongEvalLines", tmp_path, lines=(200,)).verdict
    assert verdict.status == DataState.DIFFERS
    assert list(verdict.differences) == [
        "the numbers of lines are not the published ones, 200, 300, 400, 500, 600, 680",
        "200 lines: 1 rows instead of 50",
        "200 lines: its content is not the official one",
    ]


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("It is 7.", 1.0),
        ("Line 12 has 0007", 1.0),
        ("7, or 8", 0.0),
        ("seven", 0.0),
        ("", 0.0),
        (f"7{'0' * 5000}", 0.0),
        ("<٧>", 1.0),  # Python reads all digits of Unicode
    ],
)
def test_of_lines_the_last_number_counts(text: str, right: float) -> None:
    answers = [Answer("200/0", "200", ("7",), text=text)]
    assert topic.score(row_of("LongEvalLines"), "official", answers) == {"accuracy": {"200/0": right}}


def test_of_topics_the_name_anywhere_counts() -> None:
    texts = {"5/0": "the History of TEA, and bees", "5/1": "history", "5/2": "history of tea drinking here"}
    answers = [Answer(id_, "5", ("The history of tea",), text=text) for id_, text in texts.items()]
    found = topic.score(row_of("TopicRetrieval"), "flagembedding", answers)
    assert found["accuracy"] == {"5/0": 1.0, "5/1": 0.0, "5/2": 0.0}
    # Words without "the": 3 of 3 and 5, 1 of 3 and 1, 3 of 3 and 5.
    assert found["f1"] == pytest.approx({"5/0": 0.75, "5/1": 0.5, "5/2": 0.75})
    answers = [Answer("5/0", "5", ("tea of mountains",), text="tea")]
    assert topic.score(row_of("TopicRetrieval"), "qlora", answers)["f1"] == {"5/0": 0.5}
    answers = [Answer("5/0", "5", ("a b c d e f",), text="b x y z")]
    assert topic.score(row_of("TopicRetrieval"), "qlora", answers)["f1"] == {"5/0": 0.2222}
    assert topic.score(row_of("TopicRetrieval"), "flagembedding", answers)["f1"]["5/0"] == pytest.approx(2 / 9)
