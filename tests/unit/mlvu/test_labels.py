"""Labels of the test set: whose they are, what is odd about them, and answers that get theirs later."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadData
from flagbench.mlvu.labels import check_labels, give_labels, read_labels
from flagbench.mlvu.loading import Anomaly, Question, read, read_file
from flagbench.mlvu.registry import averaged, find
from flagbench.mlvu.saved import Saved
from flagbench.results.data_state import DataState
from flagbench.runners.data.snapshots import Snapshots
from tests.unit.mlvu_test_set import LABELS, choices, scenes, summaries, write_labels, write_test_set

_ORDER, _SSC, _VS = (find(f"MLVU-test_{name}") for name in ("order", "SSC", "VS"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The repo's folder, with questions and labels."""
    return write_test_set(tmp_path) / LABELS.parent


def bare(folder: Path, row: Any) -> tuple[Question, ...]:
    """The questions of a task as they are without labels."""
    name = "test_generation_tasks.json" if row.kind == "open" else "test_multi_choice_tasks.json"
    return read_file(row, folder / name).all


def test_all_labels_are_those_of_the_questions_beside_them(folder: Path) -> None:
    """A letter is that of the answer's text, counted a second time here."""
    letters = {row["question_id"]: "ABCDEF"[row["candidates"].index(row["answer"])] for row in choices()}
    found: dict[str, str] = {}
    for row in averaged("test"):
        labels, odd = read_labels(row, folder)
        assert read(row, folder) == labels
        assert odd == check_labels(labels, folder) == []
        given = give_labels(bare(folder, row), labels)
        assert given == labels.all
        found |= {each.id: each.gold for each in given}
    assert found == letters
    assert len(found) == 502


def test_labels_of_open_questions_go_by_video_and_text_since_there_are_no_ids(folder: Path) -> None:
    """In the file of questions both tasks stand together, so that the ids made up there are others."""
    for row, rows in ((_SSC, scenes()), (_VS, summaries())):
        given = give_labels(bare(folder, row), read_labels(row, folder)[0])
        assert [each.answer for each in given] == [each["answer"] for each in rows]
        assert [list(each.points) for each in given] == [each.get("scoring_points", []) for each in rows]
        assert all(each.labelled for each in given)
    assert [each.id for each in bare(folder, _VS)] != [each.id for each in read(_VS, folder).all]
    twice = [{**summaries()[0], "question": text, "answer": text} for text in ("one?", "two?")]
    write_labels(folder.parents[1], test_vs_gt=twice)
    labels = read_file(_VS, folder / "test-ground-truth" / "test_vs_gt.json")
    asked = replace(bare(folder, _VS)[0], question="two?")
    assert [each.answer for each in give_labels([asked], labels)] == ["two?"]
    with pytest.raises(BadData, match=r"has no label of question VS_3 on film_0\.mp4; fetch it again"):
        give_labels([replace(asked, question="three?")], labels)


def test_a_letter_is_that_of_the_candidates_that_were_shown(folder: Path) -> None:
    """Candidates in another order are odd, not wrong; other candidates are those of another question."""
    rows = choices()
    for row in rows:
        if row["question_id"] in ("AO_1", "AO_2"):
            row["candidates"] = row["candidates"][::-1]
    write_labels(folder.parents[1], test_mcq_gt=rows)
    labels, odd = read_labels(_ORDER, folder)
    assert odd == [Anomaly(id_, "other candidates than in the file of questions") for id_ in ("AO_1", "AO_2")]
    assert _saved(bare(folder, _ORDER), _ORDER).with_labels(Snapshots(folder.parents[1])).odd == tuple(odd)
    shown = bare(folder, _ORDER)
    given = give_labels(shown, labels)
    for question, label in zip(given[1:3], labels.all[1:3], strict=True):
        assert question.candidates[ord(question.gold) - ord("A")] == question.answer == label.answer
        assert question.gold != label.gold
    with pytest.raises(BadData, match="question AO_0 has other candidates than those that were answered"):
        give_labels([replace(shown[0], candidates=("x", *shown[0].candidates[1:]))], labels)


def _saved(questions: Sequence[Question], row: Any, question_set: str = "as-released") -> Saved:
    return Saved(row, question_set, tuple(questions), {}, "", DataState.COUNTS_AGREE)


def test_answers_with_labels_later_are_as_those_with_labels_at_once(folder: Path, tmp_path: Path) -> None:
    data = Snapshots(tmp_path)
    before = _saved(bare(folder, _ORDER), _ORDER)
    after = before.with_labels(data)
    assert after == replace(before, questions=read(_ORDER, folder).all)
    assert after.with_labels(Snapshots(tmp_path / "nothing")) is after, "it has labels"
    dev = _saved([replace(before.questions[0], labelled=False)], find("MLVU-dev_ego"))
    assert dev.with_labels(data) is dev
    rows = choices()
    changed = next(row for row in rows if row["question_id"] == "AO_3")
    right, changed["answer"] = changed["answer"], "none of them"
    write_labels(tmp_path, test_mcq_gt=rows)
    with pytest.raises(BadData, match=r"row \d+ \(from 0\): answer 'none of them' is not the text of a candidate"):
        before.with_labels(data)
    changed["answer"] = right
    fewer = [row for row in rows if row["question_id"] != "AO_69"]
    write_labels(tmp_path, test_mcq_gt=fewer)
    with pytest.raises(BadData, match=r"has no label of 1 of the 70 questions in .*\(AO_69\); fetch both files again"):
        before.with_labels(data)
    (folder / "test_multi_choice_tasks.json").unlink()
    short = _saved(before.questions[:3], _ORDER).with_labels(data)
    assert short.state is DataState.DIFFERS, "the labels are fewer than are published"


def test_a_label_of_another_question_or_video_under_its_id_is_refused(folder: Path, tmp_path: Path) -> None:
    """By the file of questions beside it, and without that file by what was answered."""
    rows = choices()
    first, second = (row for row in rows if row["question_id"] in ("AO_0", "AO_1"))
    before, data = _saved(bare(folder, _ORDER), _ORDER), Snapshots(tmp_path)
    first["video"], second["video"] = second["video"], first["video"]
    source = write_labels(tmp_path, test_mcq_gt=rows) / "test_mcq_gt.json"
    said = f"{source}: row AO_0 has the video 'test_AO_1.mp4', and it is 'test_AO_0.mp4' in"
    with pytest.raises(BadData, match=re.escape(f"{said} {folder}/")):
        check_labels(read(_ORDER, folder), folder)
    with pytest.raises(BadData, match=re.escape(f"{said} {folder}/")):
        before.with_labels(data)
    (folder / "test_multi_choice_tasks.json").unlink()
    with pytest.raises(BadData, match=re.escape(f"{said} the answers: fetch the labels again")):
        before.with_labels(data)
    first["video"], first["question"] = second["video"], "Another?"
    write_labels(tmp_path, test_mcq_gt=rows)
    with pytest.raises(BadData, match=r"row AO_0 has the question 'Another\?', and it is 'What is order 0\?' in"):
        before.with_labels(data)


def test_a_folder_without_labels_is_named(tmp_path: Path) -> None:
    folder = write_test_set(tmp_path, labels=False) / LABELS.parent
    assert check_labels(read(_ORDER, folder), folder) == []
    with pytest.raises(BadData) as caught:
        read_labels(_ORDER, folder)
    assert str(caught.value) == (
        f"{folder} has no labels of MLVU-test_order: none of test-ground-truth/test_mcq_gt.json, "
        "MLVU_Test/test-ground-truth/test_mcq_gt.json is there; fetch them from the hub repo MLVU/MLVU_Test"
    )
