"""The predictions file of MLVU's test set, held against the official sample."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.mlvu.loading import Question
from flagbench.mlvu.registry import averaged
from flagbench.mlvu.submission import Checked, Prediction, check, text, write

_OPTIONS = ("one", "two", "three", "four", "five", "six")


def _questions() -> list[Question]:
    """As many as are published, with ids like theirs."""
    return [
        Question(f"{row.file}_{number}", row.task_name, "a.mp4", "video", "?", _OPTIONS, "", "", (), False, (), 9.0)
        for row in averaged("test")
        for number in range(row.rows)
    ]


def _answers(questions: list[Question]) -> dict[str, str]:
    return {question.id: "ABCDEF"[number % 6] for number, question in enumerate(questions)}


def test_the_file_is_that_of_the_official_sample(shared_data: Path, tmp_path: Path) -> None:
    sample = shared_data / "MLVU" / "test_res_example.json"
    entries = json.loads(sample.read_text(encoding="utf-8"))
    by_id = {question.id: question for question in _questions()}
    answers = {entry["question_id"]: f"({entry['option']}) because" for entry in entries}
    checked = check([by_id[entry["question_id"]] for entry in entries], answers)
    assert not checked.partial
    target = tmp_path / "new" / "test_res.json"
    write(checked, target)
    assert target.read_bytes() == sample.read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["test_res.json"]


def test_predictions_come_in_the_order_of_the_questions() -> None:
    questions = _questions()
    answers = _answers(questions)
    checked = check(questions, dict(reversed(answers.items())))
    assert [each.question_id for each in checked.predictions] == [question.id for question in questions]
    assert checked.predictions[0] == Prediction("TR_0", "topic_reasoning", "A")
    assert {each.option for each in checked.predictions} == set("ABCDEF")


def test_the_text_of_one_prediction() -> None:
    checked = Checked((Prediction("AR_0", "anomaly_reco", "D"),), (), (), ())
    assert text(checked) == (
        '[\n    {\n        "question_id": "AR_0",\n        "question_type": "anomaly_reco",\n'
        '        "option": "D"\n    }\n]'
    )


def test_what_is_missing_or_names_no_option_is_named() -> None:
    questions = _questions()
    answers = _answers(questions)
    for number in range(7):
        del answers[f"TR_{number}"]
    answers |= {"AR_0": "I cannot tell", "AR_1": "A or B", "AR_2": "G", "AR_3": "the answer is f"}
    with pytest.raises(BadInput) as caught:
        check(questions, answers)
    assert str(caught.value) == (
        "the predictions cannot be submitted: 7 of 502 questions have no answer: TR_0, TR_1, TR_2, TR_3, TR_4 "
        "and 2 more; 3 answers name no option, or more than one: AR_0, AR_1, AR_2 (--allow-partial writes the others)"
    )
    checked = check(questions, answers, allow_partial=True)
    assert len(checked.predictions) == 492
    assert (len(checked.missing), checked.unparsed, checked.short) == (7, ("AR_0", "AR_1", "AR_2"), ())
    assert checked.partial
    assert Prediction("AR_3", "anomaly_reco", "F") in checked.predictions


def test_data_with_fewer_questions_than_published_is_named() -> None:
    questions = [question for question in _questions() if question.id not in {"TR_0", "SQA_35"}]
    with pytest.raises(BadInput) as caught:
        check(questions, _answers(questions))
    assert str(caught.value) == (
        "the predictions cannot be submitted: 2 tasks do not have all published questions: "
        "MLVU-test_topic_reasoning (90 of 91), MLVU-test_sportsQA (35 of 36) (--allow-partial writes the others)"
    )
    assert len(check(questions, _answers(questions), allow_partial=True).predictions) == 500


def test_answers_to_other_questions_are_named() -> None:
    questions = _questions()
    with pytest.raises(BadInput) as caught:
        check(questions, {**_answers(questions), "TR_91": "A", "1_plotQA:0": "A"}, allow_partial=True)
    assert str(caught.value) == "2 answers are to no question of the test set: TR_91, 1_plotQA:0; remove them"


def test_questions_that_are_not_of_the_test_sets_options_are_named() -> None:
    questions = _questions()
    for task in ("MLVU-dev_ego", "MLVU-test_SSC"):
        with pytest.raises(
            BadInput, match=f"question ER_0 belongs to {task}: only the test set's options are submitted"
        ):
            check([replace(each, task=task) if each.id == "ER_0" else each for each in questions], {})


def test_a_question_twice_is_named() -> None:
    questions = _questions()
    with pytest.raises(BadInput, match="question ER_0 is listed twice; fix the data"):
        check([*questions, next(each for each in questions if each.id == "ER_0")], _answers(questions))


def test_nothing_is_never_a_submission() -> None:
    with pytest.raises(BadInput, match="the predictions cannot be submitted: 502 of 502 questions have no answer"):
        check(_questions(), {}, allow_partial=True)
    with pytest.raises(BadInput, match="the predictions cannot be submitted"):
        check([], {}, allow_partial=True)


def test_a_file_that_is_there_is_replaced_only_when_asked(tmp_path: Path) -> None:
    checked = Checked((Prediction("AR_0", "anomaly_reco", "D"),), (), (), ())
    target = tmp_path / "test_res.json"
    target.write_text("mine", encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        write(checked, target)
    assert str(caught.value) == f"{target} exists already: use --overwrite, or another --output"
    assert target.read_text(encoding="utf-8") == "mine"
    write(checked, target, overwrite=True)
    assert target.read_text(encoding="utf-8") == text(checked)


def test_a_target_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = Checked((Prediction("AR_0", "anomaly_reco", "D"),), (), (), ())
    with pytest.raises(BadInput, match="is a folder: give the name of a file"):
        write(checked, tmp_path, overwrite=True)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BadInput, match="file is not a folder: use another --output"):
        write(checked, tmp_path / "file" / "test_res.json")
    with pytest.raises(BadInput, match=r"cannot write .*: .*; use another --output"):
        write(checked, tmp_path / "file" / "deeper" / "test_res.json")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    target = tmp_path / "test_res.json"
    target.write_text("mine", encoding="utf-8")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadInput, match="No space left on device"):
        write(checked, target, overwrite=True)
    assert target.read_text(encoding="utf-8") == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "test_res.json"]
