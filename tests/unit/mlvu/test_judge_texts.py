"""The words of the judge: what it is told of an unusable reply, what it is shown, and the keys of its grades."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadData, BadInput
from flagbench.mlvu.criteria import AGAIN, SYSTEM, version
from flagbench.mlvu.judge import Judge
from flagbench.mlvu.judgements import JudgeItem, Judgement, JudgementFile, read_reply
from tests.unit.mlvu.test_judge import GOOD, SCENE, SUMMARY, Scripted, judge


def test_grades_on_disk_are_by_these_texts() -> None:
    """Who changes a word of them changes the measurement: grades that were made before are then not taken again."""
    assert version() == "a885d1d17635"


def test_the_key_of_a_judgement_is_the_hash_that_files_have(tmp_path: Path) -> None:
    path = tmp_path / "judgements.jsonl"
    by = Judge(Scripted(), path, name="j", settings={"b": 1, "a": "é"})
    by.score([SCENE])
    (row,) = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    hashed = (
        '["j", {"a": "\\u00e9", "b": 1}, "a885d1d17635", ["8_sub_scene:0", "subPlot", "What does she do?", '
        '"She sings.", ["She sings", "on a boat"], "Sings."]]'
    )
    assert row["key"] == hashlib.sha256(hashed.encode()).hexdigest()
    assert {name: row[name] for name in ("id", "task", "scores", "attempts")} == {
        "id": SCENE.id,
        "task": "subPlot",
        "scores": {"points": [5, 1], "relevance": 4},
        "attempts": 1,
    }


@pytest.mark.parametrize(
    ("item", "reply", "fault"),
    [
        (SUMMARY, "[1]", "it is not an object with the one key 'scores'"),
        (SUMMARY, '{"scores": 4}', "'scores' is not an object with the keys completeness and reliability alone"),
        (SCENE, '{"scores": {}}', "'scores' is not an object with the keys points and relevance alone"),
        (SCENE, '{"scores": {"points": [5], "relevance": 9}}', "'points' has 1 grades for 2 scoring points"),
        (SCENE, '{"scores": {"points": {}, "relevance": 9}}', "'points' has no list for 2 scoring points"),
        (SCENE, '{"scores": {"points": [2, 9], "relevance": 9}}', "point 1 is 2, not one of 1, 3, 5"),
        (SCENE, '{"scores": {"points": [5, 1], "relevance": 9}}', "relevance is 9, not one of 1, 2, 3, 4, 5"),
        (
            SUMMARY,
            json.dumps({"scores": {"completeness": "é" + "x" * 40, "reliability": 1}}),
            'completeness is "\\u00e9' + "x" * 32 + "…, not one of 1, 2, 3, 4, 5",
        ),
        (
            SUMMARY,
            json.dumps({"scores": {"completeness": "x" * 38, "reliability": 1}}),
            f'completeness is "{"x" * 38}", not one of 1, 2, 3, 4, 5',
        ),
        (
            SUMMARY,
            "no",
            "it is not one JSON object and nothing else: it is not JSON (Expecting value at column 1)",
        ),
    ],
    ids=range(10),
)
def test_the_fault_that_the_judge_is_told(item: JudgeItem, reply: str, fault: str) -> None:
    model, by = judge(reply)
    (graded,) = by.score([item]).items
    assert graded.attempts == 2
    first, second = (prompt.text for prompt in model.prompts)
    assert second == first + AGAIN.format(fault=fault)
    assert second.endswith(
        f"\n\nYour last reply to this could not be used: {fault}. Grade the same material again, and reply with the "
        "JSON object alone."
    )


@pytest.mark.parametrize(
    "reply",
    [
        f"<think>4? No.</think>\n {GOOD['summary']}\n",
        f"<think>a</think> b </think>{GOOD['summary']}",
        f"```json\n{GOOD['summary']}\n```",
        f"```\n{GOOD['summary']}\n```",
        f"\n```{GOOD['summary']}```\n",
    ],
)
def test_thoughts_and_a_fence_around_the_whole_are_taken_off(reply: str) -> None:
    assert read_reply(reply, SUMMARY, 3) == Judgement(SUMMARY.id, "summary", None, None, 2, 5, (), 3)


def test_the_judge_reads_any_language_as_it_is_written() -> None:
    model, by = judge()
    by.score([replace(SUMMARY, question="谁?", response="\udcff一")])
    (prompt,) = model.prompts
    assert prompt.text == '{\n "question": "谁?",\n "reference": "A dog finds a bone.",\n "answer": "\udcff一"\n}'
    assert (prompt.system, prompt.prefill) == (SYSTEM["summary"], "")


def test_how_often_and_how_long_a_judge_is_asked_by_default() -> None:
    tokens: set[int] = set()

    class Counting(Scripted):
        def answers(self, prompts: Any, *, max_new_tokens: int) -> Any:
            tokens.add(max_new_tokens)
            return super().answers(prompts, max_new_tokens=max_new_tokens)

    model = Counting(*["no"] * 9)
    judged = Judge(model, name="j").score([SUMMARY])
    assert (judged.calls, len(model.prompts), tokens) == (3, 3, {512})
    assert [(each.id, each.task) for each in judged.failed] == [(SUMMARY.id, "summary")]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"name": ""}, "the judge has no name: give one, so that results say who judged"),
        ({"attempts": 0}, "judge j: 0 attempts of 512 tokens; give at least 1 of each"),
        ({"max_new_tokens": 0}, "judge j: 3 attempts of 0 tokens; give at least 1 of each"),
    ],
)
def test_a_judge_that_cannot_judge_is_one_line(options: dict[str, Any], line: str) -> None:
    with pytest.raises(BadInput) as caught:
        Judge(Scripted(), **{"name": "j", **options})
    assert str(caught.value) == line
    assert Judge(Scripted(), name="j", attempts=1, max_new_tokens=1).name == "j"


@pytest.mark.parametrize(
    ("items", "line"),
    [
        ([SCENE, replace(SUMMARY, id=SCENE.id)], f"{SCENE.id} is there twice: judge each answer once"),
        ([replace(SUMMARY, task="order")], f"{SUMMARY.id}: a judge grades subPlot and summary, not 'order'"),
        (
            [replace(SCENE, scoring_points=())],
            f"{SCENE.id} has no scoring points to judge by; use the data with them",
        ),
        ([replace(SUMMARY, reference="\n ")], f"{SUMMARY.id} has no reference to judge by; use the data with it"),
    ],
)
def test_an_item_that_cannot_be_judged_is_one_line(items: list[JudgeItem], line: str) -> None:
    _, by = judge()
    with pytest.raises(BadInput) as caught:
        by.score(items)
    assert str(caught.value) == line
    assert isinstance(caught.value, BadData) == ("to judge by" in line)


@pytest.mark.parametrize(
    ("row", "attempts"),
    [({}, 1), ({"attempts": 2}, 2), ({"attempts": 0}, 1), ({"attempts": "2"}, 1), ({"attempts": True}, 1)],
)
def test_grades_of_a_file_took_one_call_unless_it_says_more(row: dict[str, Any], attempts: int, tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    JudgementFile(path).add("k", Judgement(SUMMARY.id, "summary", completeness=2, reliability=5, attempts=7))
    (kept,) = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert kept.pop("attempts") == 7
    path.write_text(json.dumps(kept | row) + "\n", encoding="utf-8")
    found = JudgementFile(path).get("k", SUMMARY)
    assert found == Judgement(SUMMARY.id, "summary", completeness=2, reliability=5, attempts=attempts)
    assert JudgementFile(path).get("k", SCENE) is None, "of another kind of item"
    assert JudgementFile(path).get("other", SUMMARY) is None
