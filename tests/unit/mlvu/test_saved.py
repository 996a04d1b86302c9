"""The file of a task's answers: its text to the character, what is read of it, and where such files are found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadData, BadInput
from flagbench.mlvu.loading import Question
from flagbench.mlvu.registry import find
from flagbench.mlvu.saved import Saved, find_saved, read_saved
from flagbench.results.data_state import DataState

FIX = "evaluate again, or copy it again"
ROW = find("MLVU-dev_ego")
QUESTIONS = (
    Question("3_ego:0", ROW.task_name, "a.mp4", "video/3_ego", "Où?", ("x", "y"), "x", "A", ("A",), True, (), 2.5),
    Question("3_ego:1", ROW.task_name, "b.mp4", "video/3_ego", "Who?", ("x", "y"), "", "", (), False, ("p",), 0.0),
)
SAVED = Saved(ROW, "cleaned", QUESTIONS, {"3_ego:0": "A) \ud83d"}, "1 of 2 videos cannot be used", DataState.DIFFERS)


def values(**other: Any) -> dict[str, Any]:
    """The content of the file, with other values; ``...`` for none."""
    whole: dict[str, Any] = json.loads(SAVED.to_json()) | other
    return {name: value for name, value in whole.items() if value is not ...}


def write(folder: Path, content: Any) -> Path:
    path = folder / "ego.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_the_text_of_a_file_of_answers() -> None:
    text = SAVED.to_json()
    assert text.isascii()
    assert text.startswith('{\n "benchmark": "MLVU",\n "task": "MLVU-dev_ego",\n "question_set": "cleaned",\n')
    assert text.endswith("}\n")
    both = {"task": "MLVU-dev_ego", "folder": "video/3_ego", "candidates": ["x", "y"]}
    right = {"answer": "x", "gold": "A", "golds": ["A"], "labelled": True, "points": [], "response": "A) \ud83d"}
    none = {"answer": "", "gold": "", "golds": [], "labelled": False, "points": ["p"], "response": None}
    assert json.loads(text) == {
        "benchmark": "MLVU",
        "task": "MLVU-dev_ego",
        "question_set": "cleaned",
        "missing": "1 of 2 videos cannot be used",
        "data": "differs",
        "questions": [
            {"id": "3_ego:0", "video": "a.mp4", "question": "Où?", "duration": 2.5} | both | right,
            {"id": "3_ego:1", "video": "b.mp4", "question": "Who?", "duration": 0.0} | both | none,
        ],
    }


def test_what_was_written_is_read_again_and_more_fields_do_not_matter(tmp_path: Path) -> None:
    assert read_saved(write(tmp_path, SAVED.to_json())) == SAVED
    more = [{**each, "later": 1} for each in values()["questions"]]
    assert read_saved(write(tmp_path, values(questions=more, later=1))) == SAVED
    assert not SAVED.labelled
    assert Saved(ROW, "cleaned", QUESTIONS[:1], {}, "", DataState.OFFICIAL).labelled


FIRST, SECOND = values()["questions"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (values(benchmark="C-MTEB"), "it is of 'C-MTEB'"),
        (values(data=...), "it does not say what its data is"),
        (values(questions=[FIRST, FIRST]), "question '3_ego:0' is listed twice"),
        (values(questions=[FIRST, SECOND, SECOND, FIRST]), "question '3_ego:0' is listed twice"),
    ],
    ids=["another benchmark", "no state", "twice", "two of them twice"],
)
def test_a_file_of_something_else_says_why(content: Any, why: str, tmp_path: Path) -> None:
    path = write(tmp_path, content)
    with pytest.raises(BadData) as caught:
        read_saved(path)
    assert str(caught.value) == f"{path} holds no answers to MLVU ({why}): {FIX}"


@pytest.mark.parametrize("field", ["benchmark", "task", "question_set", "missing", "questions"])
def test_every_field_must_be_there(field: str, tmp_path: Path) -> None:
    path = write(tmp_path, values(**{field: ...}))
    with pytest.raises(BadData, match=rf"ego\.json holds no answers to MLVU \(.*{field}.*\): {FIX}$"):
        read_saved(path)


@pytest.mark.parametrize("field", [*FIRST])
def test_every_field_of_a_question_must_be_there_and_of_its_type(field: str, tmp_path: Path) -> None:
    for broken in ({name: value for name, value in FIRST.items() if name != field}, {**FIRST, field: {}}):
        path = write(tmp_path, values(questions=[broken]))
        with pytest.raises(BadData, match=rf"ego\.json holds no answers to MLVU \(.*{field}.*\): {FIX}$"):
            read_saved(path)


def test_what_is_no_json_is_damaged_data(tmp_path: Path) -> None:
    for text in (SAVED.to_json()[:-4], "", "\x00"):
        path = write(tmp_path, text)
        with pytest.raises(BadData) as caught:
            read_saved(path)
        assert str(caught.value).startswith(f"{path} is not JSON (")
        assert str(caught.value).endswith(f"): {FIX}")
    with pytest.raises(BadData, match=rf"^{tmp_path}/none\.json cannot be read \(No such file or directory\): {FIX}$"):
        read_saved(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("then", "state"), [({"comparable": True}, DataState.COUNTS_AGREE), ({"comparable": False}, DataState.DIFFERS)]
)
def test_the_state_of_the_data_counts_before_what_earlier_versions_wrote(
    then: dict[str, Any], state: DataState, tmp_path: Path
) -> None:
    assert read_saved(write(tmp_path, values(data=..., **then))).state == state
    assert read_saved(write(tmp_path, values(data="official", **then))).state == DataState.OFFICIAL


# Where they are found.


def test_files_are_listed_by_run_in_the_order_of_their_names(tmp_path: Path) -> None:
    places = [f"{run}/MLVU/{task}.json" for run in ("b/r", "a/r") for task in ("test/ego", "dev/order", "dev/count")]
    for name in (*places, "a/r/MLVU/dev/count.txt", "a/r/MLVU/train/ego.json", "a/r/dev/ego.json", "dev/ego.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}", encoding="utf-8")
    found = find_saved(tmp_path)
    assert list(found) == [tmp_path / "a/r", tmp_path / "b/r"]
    for run, paths in found.items():
        assert [path.relative_to(run).as_posix() for path in paths] == [
            "MLVU/dev/count.json",
            "MLVU/dev/order.json",
            "MLVU/test/ego.json",
        ]
    for folder in (tmp_path / "dev", tmp_path / "a/r/dev", tmp_path / "a/r/MLVU/train"):
        with pytest.raises(BadInput) as caught:
            find_saved(folder)
        assert str(caught.value) == (
            f"{folder} holds no answers to MLVU; flagbench evaluate --benchmark mlvu makes some"
        )


def test_what_is_no_folder_and_what_leads_out_of_it_are_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, "{}")
    for place, what in ((path, "is not a folder"), (tmp_path / "none", "does not exist")):
        with pytest.raises(BadInput) as caught:
            find_saved(place)
        assert str(caught.value).startswith(f"{place} {what}: name one with answers")
    folder = tmp_path / "run" / "MLVU" / "dev"
    folder.mkdir(parents=True)
    (folder / "ego.json").symlink_to(path)
    with pytest.raises(BadInput) as caught:
        find_saved(tmp_path / "run")
    assert str(caught.value) == (
        f"{folder / 'ego.json'} is a link that leads out of {tmp_path / 'run'}: put the file in its place"
    )
