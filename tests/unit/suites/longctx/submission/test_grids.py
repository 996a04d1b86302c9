"""Results of grids as FlagEmbedding's evaluations write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flagbench import BadData
from flagbench.suites.longctx.sample import Answer, Cell
from flagbench.suites.longctx.submission.grids import files


def read(**answers: list[Answer]) -> dict[str, Any]:
    return {name: json.loads(text) for name, text in files("o__m", "qlora", answers).items()}


def test_needles_and_keys_are_by_length_and_depth() -> None:
    needles = [Answer(f"8/{at}", "8", ("x",), Cell(8, at), text=f"\nat {at}") for at in (0, 50)]
    keys = [
        Answer("8/0", "8", ("123",), Cell(8, 0), text="It is 123, not 4"),
        Answer("16/0", "16", ("9",), Cell(16, 0)),
    ]
    assert read(Needle=needles, Passkey=keys) == {
        "needle/o__m/results.json": {
            "8": {"0": [{"target": "x", "prediction": "\nat 0"}], "50": [{"target": "x", "prediction": "\nat 50"}]}
        },
        "passkey/o__m/results.json": {
            "8": {"0": [{"target": "123", "prediction": "123"}]},
            "16": {"0": [{"target": "9", "prediction": ""}]},
        },
    }


def topic(number: int, at: int, tokens: Any) -> Answer:
    return Answer(f"{number}/{at}", str(number), ("tea",), Cell(number, 0), {"tokens": tokens}, f"{number} {at}")


def test_topics_of_two_groups_with_one_mean_share_a_key() -> None:
    found = read(TopicRetrieval=[topic(5, 0, 100), topic(5, 1, 103), topic(10, 0, 101), topic(15, 0, 300)])
    assert found == {
        "topic_retrieval/o__m/results.json": {
            "101": [{"target": "tea", "prediction": text} for text in ("5 0", "5 1", "10 0")],
            "300": [{"target": "tea", "prediction": "15 0"}],
        }
    }


def test_tests_of_other_authors_have_no_file() -> None:
    assert files("m", "official", {"Needle": [Answer("8/0", "8", ("x",), Cell(8, 0))]}) == {}
    assert read(LongEvalLines=[Answer("200/0", "200", ("7",), Cell(200, 0))]) == {}


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        ("Passkey", Answer("8/0", "8", ("1",))),
        ("Needle", Answer("8/0", "8", (), Cell(8, 0))),
        ("TopicRetrieval", topic(5, 0, None)),
        ("TopicRetrieval", topic(5, 0, "12")),
    ],
)
def test_answers_that_lack_their_place_are_refused(task: str, answer: Answer) -> None:
    with pytest.raises(BadData, match="run the task again"):
        files("m", "flagembedding", {task: [answer]})
