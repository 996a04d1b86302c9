"""Files of predictions: the fields that the authors' evaluations read, and nothing lost on the way."""

from __future__ import annotations

import json
import math

import pytest

from flagbench import BadData
from flagbench.suites.longctx.sample import Answer
from flagbench.suites.longctx.submission import infinitebench, longbench


def _answer(number: int, text: str, **facts: object) -> Answer:
    return Answer(str(number), "default", ("gold",), facts=facts, text=text)


def test_longbench() -> None:
    answers = {
        "LongBench-trec": [_answer(0, "a\u2028b\n", all_classes=["x", "y"], length=7)],
        "LongBench-E-qasper": [_answer(0, "答", all_classes=None, length=9_000)],
    }
    scores = {"LongBench-trec": {"default": 0.123456}, "LongBench-E-qasper": {"8k+": 0.5}}
    files = longbench.files("bge", answers, scores)
    assert set(files) == {
        "pred/bge/trec.jsonl",
        "pred/bge/result.json",
        "pred_e/bge/qasper.jsonl",
        "pred_e/bge/result.json",
    }
    (line, rest) = files["pred/bge/trec.jsonl"].split("\n")
    assert (json.loads(line), rest) == (
        {"pred": "a\u2028b\n", "answers": ["gold"], "all_classes": ["x", "y"], "length": 7},
        "",
    )
    assert "答" in files["pred_e/bge/qasper.jsonl"]
    assert json.loads(files["pred/bge/result.json"]) == {"trec": 12.35}
    extended = json.loads(files["pred_e/bge/result.json"])["qasper"]
    assert (list(extended), extended["8k+"]) == (["0-4k", "4-8k", "8k+"], 50.0)
    assert math.isnan(extended["0-4k"])


def test_infinitebench() -> None:
    answers = {"InfiniteBench-code_run": [_answer(1, " 4", label=[4]), _answer(0, "x", label=5)]}
    files = infinitebench.files("bge", answers)
    assert list(files) == ["bge/preds_code_run.jsonl"]
    assert [json.loads(line) for line in files["bge/preds_code_run.jsonl"].split("\n")[:-1]] == [
        {"id": 1, "prediction": " 4", "ground_truth": [4]},
        {"id": 0, "prediction": "x", "ground_truth": 5},
    ]
    with pytest.raises(BadData, match="is of no row of code_run"):
        infinitebench.files("bge", {"InfiniteBench-code_run": [Answer("a", "default", facts={"label": 4})]})
    with pytest.raises(BadData, match="not one of numbers"):
        infinitebench.files("bge", {"InfiniteBench-code_run": [Answer("0", "default")]})


def test_halves_of_surrogate_pairs_can_be_written() -> None:
    answers = {"InfiniteBench-passkey": [_answer(0, "答 \ud83d", label="1"), _answer(1, "答", label="1")]}
    (text,) = infinitebench.files("bge", answers).values()
    first, second, _ = text.encode().decode().split("\n")
    assert json.loads(first)["prediction"] == "答 \ud83d"
    assert "答" in second
