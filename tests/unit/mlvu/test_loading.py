"""MLVU's questions: the real dev annotations, and every way in which a file may be wrong."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadData, UnknownName
from flagbench.mlvu.loading import Question, annotation_files, anomalies, find_file, question_set, read, verdict
from flagbench.mlvu.registry import averaged, datasets, find
from flagbench.runners.data.sources import Folder

_EGO = find("MLVU-dev_ego")
_SCENES = find("MLVU-dev_subPlot")
_SUMMARIES = find("MLVU-dev_summary")
_SPORTS = find("MLVU-test_sportsQA")
_SSC = find("MLVU-test_SSC")
_VS = find("MLVU-test_VS")

# As published; rows counted from 0.
_ANOMALIES = {
    "answer not among candidates": ["2_needle:34", "2_needle:338"],
    "empty question": ["7_topic_reasoning:26"],
    "empty candidates": ["7_topic_reasoning:26"],
    "empty answer": ["3_ego:119", "3_ego:313", "7_topic_reasoning:26"],
    # Those of ego are the options that equal the empty answer.
    "empty candidate": ["1_plotQA:23", "3_ego:119", "3_ego:313"],
    "duplicate candidates, the gold": [
        *(f"1_plotQA:{row}" for row in (335, 387, 493)),
        "6_anomaly_reco:66",
        "7_topic_reasoning:26",
        "7_topic_reasoning:163",
    ],
    "duplicate candidates, not the gold": [
        *(f"1_plotQA:{row}" for row in (18, 23)),
        *(f"6_anomaly_reco:{row}" for row in (2, 8, 45, 127, 130, 142, 164, 179)),
    ],
    "same video and question twice": [f"3_ego:{row}" for row in (68, 70, 76, 115, 176, 189, 234, 323)],
    "same video twice in summary": ["9_summary:92", "9_summary:110"],
}


@pytest.fixture(scope="module")
def released(shared_data: Path) -> list[Question]:
    """All dev questions."""
    folder = shared_data / "MLVU" / "MVLU"
    return [question for row in datasets() if row.set == "dev" for question in read(row, folder).all]


def _entry(**other: Any) -> dict[str, Any]:
    entry = {
        "video": "ego_1.mp4",
        "duration": 361.5,
        "question": "Where?",
        "candidates": ["here", "there", "up", "down"],
        "answer": "up",
        "question_type": "ego",
    }
    return {key: value for key, value in {**entry, **other}.items() if value is not ...}


def _sport(number: int, **other: Any) -> dict[str, Any]:
    return _entry(
        question_type="sportsQA", question_id=f"SQA_{number}", candidates=["a", "b", "c", "d", "up", "f"], **other
    )


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Any], Path]:
    """Writes a file of a repo's snapshot, and gives the snapshot."""

    def write(name: str, content: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return tmp_path

    return write


def test_the_real_rows_are_the_published_ones(shared_data: Path) -> None:
    for row in datasets():
        if row.set == "dev":
            questions = read(row, shared_data / "MLVU" / "MVLU")
            found = verdict(questions, Folder(questions.source.parent))
            assert (found.status, found.differences) == ("counts agree", ())
            assert found.source == f"file {questions.source}"
            assert {(question.task, question.folder) for question in questions.all} == {
                (row.task_name, f"video/{row.file}")
            }
            assert [question.id for question in questions.all] == [f"{row.file}:{at}" for at in range(row.rows)]


def test_the_anomalies_of_the_real_rows_are_exactly_the_known_ones(released: list[Question]) -> None:
    found = defaultdict(list)
    for each in anomalies(released):
        found[each.what].append(each.id)
    blanks = {what: found.pop(what) for what in list(found) if what.startswith("blanks")}
    assert dict(found) == _ANOMALIES
    assert {what: len(ids) for what, ids in blanks.items()} == {
        "blanks around the question": 24,
        "blanks around the answer": 24,
        "blanks around the candidate": 24,
    }
    assert {each.split(":")[0] for ids in blanks.values() for each in ids} == {"3_ego"}


def test_gold_letters_are_those_of_the_official_rule(shared_data: Path, released: list[Question]) -> None:
    """Held against a second reading of the files: walk through the options, and keep the last that fits."""
    letters = {question.id: question.gold for question in released if question.candidates}
    for row in averaged("dev"):
        entries = json.loads((shared_data / f"MLVU/MVLU/json/{row.file}.json").read_text(encoding="utf-8"))
        for number, entry in enumerate(entries):
            expected = ""
            for letter, text in zip("ABCD", entry["candidates"], strict=True):
                if text == entry["answer"]:
                    expected = letter
            assert letters.pop(f"{row.file}:{number}") == expected
    assert not letters


def test_cleaned_leaves_out_the_five_rows_that_nobody_can_answer(released: list[Question]) -> None:
    kept = {question.id for question in question_set(released, "cleaned")}
    assert sorted({question.id for question in released} - kept) == [
        "2_needle:338",
        "2_needle:34",
        "3_ego:119",
        "3_ego:313",
        "7_topic_reasoning:26",
    ]
    assert question_set(released, "as-released") == tuple(released)
    ambiguous = [question for question in question_set(released, "cleaned") if len(question.golds) > 1]
    assert [question.id for question in ambiguous] == [
        each for each in _ANOMALIES["duplicate candidates, the gold"] if each != "7_topic_reasoning:26"
    ]
    assert ambiguous[0].golds == ("B", "C")
    assert all(question.gold == question.golds[-1] for question in ambiguous)


def test_open_questions_of_the_real_rows(released: list[Question]) -> None:
    scenes = [question for question in released if question.task == _SCENES.task_name]
    assert {bool(question.points) for question in scenes} == {True}
    assert (min(len(each.points) for each in scenes), max(len(each.points) for each in scenes)) == (1, 13)
    summaries = [question for question in released if question.task == _SUMMARIES.task_name]
    assert {question.points for question in summaries} == {()}
    assert {(each.candidates, each.gold, each.golds) for each in scenes + summaries} == {((), "", ())}
    assert all(each.answer for each in scenes + summaries)


def test_an_unknown_question_set_is_named() -> None:
    with pytest.raises(UnknownName, match="unknown question set 'clean'; did you mean cleaned"):
        question_set([], "clean")


@pytest.mark.parametrize("place", ["MLVU/json/3_ego.json", "json/3_ego.json"])
def test_a_question_comes_back_whole(write: Callable[[str, Any], Path], place: str) -> None:
    folder = write(place, [_entry(), _entry(candidates=["up", "b", "up", "d"], duration=7)])
    questions = read(_EGO, folder)
    assert questions.source == find_file(_EGO, folder) == folder / place
    texts = ("here", "there", "up", "down")
    task, video = "MLVU-dev_ego", "video/3_ego"
    first = Question("3_ego:0", task, "ego_1.mp4", video, "Where?", texts, "up", "C", ("C",), True, (), 361.5)
    assert questions.all[0] == first
    assert first.letters == "ABCD"
    assert (questions.all[1].gold, questions.all[1].golds, questions.all[1].duration) == ("C", ("A", "C"), 7.0)
    found = verdict(questions, Folder(questions.source.parent))
    assert found.status == "differs"
    assert found.differences == ("questions: 2 instead of 352", "videos: 1 instead of 84")


def test_the_hubs_layout_is_read_before_the_other(write: Callable[[str, Any], Path]) -> None:
    write("json/3_ego.json", [_entry(question="other")])
    folder = write("MLVU/json/3_ego.json", [_entry()])
    assert read(_EGO, folder).all[0].question == "Where?"


@pytest.mark.parametrize("answer", ["Up", "up ", "", "nowhere"])
def test_the_answer_must_equal_a_candidate_to_the_blank(write: Callable[[str, Any], Path], answer: str) -> None:
    (question,) = read(_EGO, write("json/3_ego.json", [_entry(answer=answer)])).all
    assert (question.gold, question.golds, question.labelled) == ("", (), True)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (3, "is not an object"),
        (_entry(video=...), "has no video"),
        (_entry(video=3), "video is not a text"),
        (_entry(video=""), "video '' is not the name of a file"),
        (_entry(video="../x.mp4"), r"video '\.\./x\.mp4' is not the name of a file"),
        (_entry(video=".."), r"video '\.\.' is not the name of a file"),
        (_entry(question=...), "has no question"),
        (_entry(question=None), "question is not a text"),
        (_entry(candidates=...), "has no candidates"),
        (_entry(candidates="abcd"), "candidates are not a list of 2 to 4"),
        (_entry(candidates=["up"]), "candidates are not a list of 2 to 4"),
        (_entry(candidates=list("abcde")), "candidates are not a list of 2 to 4"),
        (_entry(candidates=["up", None]), "a candidate is not a text"),
        (_entry(candidates=["up", True]), "a candidate is not a text"),
        (_entry(answer=...), "has no answer"),
        (_entry(answer=None), "answer is not a text"),
        (_entry(answer=["up"]), "answer is not a text"),
        (_entry(question_type=...), "has no question_type"),
        (_entry(question_type="count"), "has the question_type 'count' instead of 'ego'"),
        (_entry(duration=...), "duration is not a number of seconds"),
        (_entry(duration="9"), "duration is not a number of seconds"),
        (_entry(duration=True), "duration is not a number of seconds"),
        (_entry(duration=10**400), "duration is not a number of seconds"),
        (_entry(duration=0), "duration is not a number of seconds"),
        (_entry(scoring_points="x"), "scoring_points are not a list of texts"),
        (_entry(scoring_points=[]), "scoring_points are not a list of texts"),
        (_entry(scoring_points=["x", " "]), "scoring_points are not a list of texts"),
    ],
)
def test_a_wrong_row_is_named(write: Callable[[str, Any], Path], entry: Any, message: str) -> None:
    folder = write("json/3_ego.json", [_entry(), entry])
    with pytest.raises(BadData, match=rf"3_ego\.json: row 1 \(from 0\):? {message}") as caught:
        read(_EGO, folder)
    assert str(caught.value).endswith("; fix the data")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{", "is not JSON"),
        ("{}", "is not a list of questions; fetch it again"),
        ("[]", "has no questions of MLVU-dev_ego"),
        ("[" * 100_000, "is nested too deeply"),
        ('[{"duration": NaN}]', "holds NaN, which is no number of JSON"),
    ],
)
def test_a_damaged_file_is_named(write: Callable[[str, Any], Path], content: str, message: str) -> None:
    with pytest.raises(BadData, match=message) as caught:
        read(_EGO, write("json/3_ego.json", content))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "3_ego.json").write_bytes(b'["\xff"]')
    with pytest.raises(BadData, match="is not UTF-8"):
        read(_EGO, tmp_path)


def test_a_folder_without_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData) as caught:
        read(_EGO, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} has no questions of MLVU-dev_ego: none of MLVU/json/3_ego.json, json/3_ego.json is there; "
        "fetch them from the hub repo MLVU/MVLU"
    )


def test_test_questions_are_told_by_their_ids(write: Callable[[str, Any], Path]) -> None:
    other = _entry(question_type="ego", question_id="ER_0", candidates=list("abcdef"), answer="f")
    folder = write("test-ground-truth/test_mcq_gt.json", [_sport(7), other, _sport(0, duration=..., answer="b")])
    write("test_multi_choice_tasks.json", [_sport(1)])
    questions = read(_SPORTS, folder)
    assert [(each.id, each.gold, each.duration, each.folder) for each in questions.all] == [
        ("SQA_7", "E", 361.5, "video"),
        ("SQA_0", "B", 0.0, "video"),
    ]
    assert [each.id for each in read(find("MLVU-test_ego"), folder).all] == ["ER_0"]
    assert verdict(questions, Folder(questions.source.parent)).differences == ("questions: 2 instead of 36",)


@pytest.mark.parametrize("place", ["test_multi_choice_tasks.json", "MLVU_Test/test_question.json"])
def test_test_questions_without_answers_have_no_gold(write: Callable[[str, Any], Path], place: str) -> None:
    folder = write(place, [_sport(0, answer=...), _sport(1, answer=None), _sport(2)])
    questions = read(_SPORTS, folder).all
    assert [(each.labelled, each.answer, each.gold) for each in questions] == [
        (False, "", ""),
        (False, "", ""),
        (True, "up", "E"),
    ]
    assert len(question_set(questions, "cleaned")) == 3
    assert [each.what for each in anomalies(questions)] == ["same video and question twice"] * 3


def test_ground_truth_must_have_answers(write: Callable[[str, Any], Path]) -> None:
    with pytest.raises(BadData, match=r"row 0 \(from 0\) has no answer; fix the data"):
        read(_SPORTS, write("MLVU_Test/test-ground-truth/test_mcq_gt.json", [_sport(0, answer=...)]))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([_sport(0), _sport(0)], "id 'SQA_0' is listed twice"),
        ([_sport(0) | {"question_type": "ego"}], "id 'SQA_0' and question_type 'ego' contradict each other"),
        ([_sport(0) | {"question_id": "XQ_0"}], "id 'XQ_0' and question_type 'sportsQA' contradict each other"),
        ([_sport(0) | {"question_id": 3}], "question_id is not a text"),
        ([_entry()], "has no question_id"),
        ([_sport(0) | {"candidates": list("abcdefg")}], "candidates are not a list of 2 to 6"),
    ],
)
def test_wrong_test_rows_are_named(write: Callable[[str, Any], Path], entries: list[Any], message: str) -> None:
    folder = write("test-ground-truth/test_mcq_gt.json", entries)
    with pytest.raises(BadData, match=message) as caught:
        read(_SPORTS, folder)
    assert str(caught.value).endswith("; fix the data")


def test_numbers_among_options_are_read_as_their_digits(write: Callable[[str, Any], Path]) -> None:
    row = _sport(0) | {"candidates": [1, 2, 3, 4, 5, 6], "answer": 3}
    (question,) = read(_SPORTS, write("test-ground-truth/test_mcq_gt.json", [row])).all
    assert (question.candidates, question.answer, question.gold) == (("1", "2", "3", "4", "5", "6"), "3", "C")


def test_fewer_options_than_published_are_told(write: Callable[[str, Any], Path]) -> None:
    questions = read(_SPORTS, write("test-ground-truth/test_mcq_gt.json", [_sport(0) | {"candidates": ["up", "b"]}]))
    assert verdict(questions, Folder(questions.source.parent)).differences[1:] == (
        "questions that have other than 6 candidates: 1 instead of 0",
    )


def test_open_test_questions(write: Callable[[str, Any], Path]) -> None:
    scene = {"video": "s.mp4", "question": "What?", "answer": "That.", "scoring_points": ["one", "two"]}
    folder = write("test-ground-truth/test_ssc_gt.json", [scene, scene | {"question_id": "SSC_9"}])
    questions = read(_SSC, folder)
    assert [(each.id, each.points, each.answer, each.candidates) for each in questions.all] == [
        ("SSC_0", ("one", "two"), "That.", ()),
        ("SSC_9", ("one", "two"), "That.", ()),
    ]
    assert verdict(questions, Folder(questions.source.parent)).status == "unknown"
    with pytest.raises(BadData, match="has no questions of MLVU-test_VS"):
        read(_VS, folder)
    bare = [scene | {"question_type": "subPlot"}, {"video": "v.mp4", "question": "Sum up.", "question_type": "summary"}]
    write("test_generation_tasks.json", bare)
    (summary,) = read(_VS, folder).all
    assert (summary.id, summary.labelled, summary.video) == ("VS_1", False, "v.mp4")


def test_anomalies_are_found_in_questions_of_any_origin(write: Callable[[str, Any], Path]) -> None:
    folder = write(
        "json/3_ego.json",
        [
            _entry(),
            _entry(question="\t "),
            _entry(question="Who?", answer="me"),
            _entry(question="When?", candidates=["x", "x", "up", "y"]),
            _entry(question="Why?", candidates=["x", " ", "up", "up"]),
            _entry(question="How ?", candidates=["x", "\n", "up ", "z"], answer="up "),
            _entry(),
            _entry(question="Which?", candidates=[" ", "\t"], answer=" "),
            _entry(question="Whose?", candidates=["", ""], answer="me"),
        ],
    )
    write("json/9_summary.json", [_entry(question_type="summary", question=each) for each in "ab"])
    questions = [*read(_EGO, folder).all, *read(_SUMMARIES, folder).all]
    assert [(each.id[-1], each.what) for each in anomalies(questions)] == [
        ("0", "same video and question twice"),
        ("1", "empty question"),
        ("1", "blanks around the question"),
        ("2", "answer not among candidates"),
        ("3", "duplicate candidates, not the gold"),
        ("4", "empty candidate"),
        ("4", "duplicate candidates, the gold"),
        ("4", "blanks around the candidate"),
        ("5", "empty candidate"),
        ("5", "blanks around the answer"),
        ("5", "blanks around the candidate"),
        ("6", "same video and question twice"),
        ("7", "empty answer"),
        ("7", "empty candidates"),
        ("7", "blanks around the answer"),
        ("7", "blanks around the candidate"),
        ("8", "answer not among candidates"),
        ("8", "empty candidates"),
        ("8", "duplicate candidates, not the gold"),
        ("0", "same video twice in summary"),
        ("1", "same video twice in summary"),
    ]
    assert [each.id for each in question_set(questions, "cleaned")] == [
        *(f"3_ego:{number}" for number in (0, 3, 4, 5, 6)),
        "9_summary:0",
        "9_summary:1",
    ]


def test_every_task_says_where_its_questions_may_be() -> None:
    files = {row.task_name: annotation_files(row) for row in datasets()}
    assert files["MLVU-dev_plotQA"] == ("MLVU/json/1_plotQA.json", "json/1_plotQA.json")
    assert files["MLVU-test_ego"][0] == "test-ground-truth/test_mcq_gt.json"
    assert files["MLVU-test_SSC"][0] == "test-ground-truth/test_ssc_gt.json"
    assert files["MLVU-test_VS"][0] == "test-ground-truth/test_vs_gt.json"
