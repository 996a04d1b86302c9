"""MLVU's tasks.toml held against the published counts, and what is picked from it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from flagbench import BadInput, UnknownName
from flagbench.mlvu import registry
from flagbench.mlvu.registry import Row, averaged, datasets, find, read_rows, select

_SEE = "; see flagbench tasks --benchmark mlvu"

_ROW = """
[[task]]
set = "dev"
name = "plotQA"
kind = "multiple-choice"
file = "1_plotQA"
letters = 4
rows = 539
videos = 160
"""

# As published: name, prefix of the ids, questions.
_TEST = [
    ("topic_reasoning", "TR", 91),
    ("anomaly_reco", "AR", 39),
    ("needleQA", "NQA", 60),
    ("ego", "ER", 53),
    ("plotQA", "PQA", 50),
    ("sportsQA", "SQA", 36),
    ("order", "AO", 70),
    ("count", "AC", 60),
    ("tutorialQA", "TQA", 43),
]


def _names(rows: tuple[Row, ...]) -> list[str]:
    return [row.task_name.removeprefix("MLVU-") for row in rows]


def _read(tmp_path: Path, text: str) -> tuple[Row, ...]:
    path = tmp_path / "tasks.toml"
    path.write_text(text, encoding="utf-8")
    return read_rows(path)


def test_dev_has_2175_questions_with_options_and_418_without() -> None:
    dev = [row for row in datasets() if row.set == "dev"]
    assert sum(row.rows for row in dev if row.letters == 4) == 2175
    assert sum(row.rows for row in dev if row.kind == "open" and row.letters == 0) == 418
    assert len(dev) == 9
    assert [row.file[0] for row in dev] == list("123456789")


def test_test_has_502_questions_with_six_options() -> None:
    test = [row for row in datasets() if row.set == "test" and row.kind == "multiple-choice"]
    assert [(row.name, row.file, row.rows) for row in test] == _TEST
    assert sum(row.rows for row in test) == 502
    assert {row.letters for row in test} == {6}
    assert [(row.name, row.rows) for row in datasets() if row.set == "test" and row.kind == "open"] == [
        ("SSC", 0),
        ("VS", 0),
    ]


def test_the_dev_rows_are_those_of_the_annotation_files(shared_data: Path) -> None:
    for row in datasets():
        if row.set == "dev":
            entries = json.loads((shared_data / f"MLVU/MVLU/json/{row.file}.json").read_text(encoding="utf-8"))
            assert (row.rows, row.videos) == (len(entries), len({entry["video"] for entry in entries}))
            assert {entry["question_type"] for entry in entries} == {row.name}
            assert {len(entry.get("candidates", [])) for entry in entries} == {row.letters}


def test_the_test_rows_are_those_of_the_sample_predictions(shared_data: Path) -> None:
    entries = json.loads((shared_data / "MLVU/test_res_example.json").read_text(encoding="utf-8"))
    counts = Counter((entry["question_id"].rpartition("_")[0], entry["question_type"]) for entry in entries)
    assert counts == {(row.file, row.name): row.rows for row in averaged("test")}


def test_what_a_row_says_of_itself() -> None:
    dev, test = find("MLVU-dev_findNeedle"), find("MLVU-test_needleQA")
    assert (dev.repo, test.repo) == ("MLVU/MVLU", "MLVU/MLVU_Test")
    assert (dev.video_folder, test.video_folder) == ("video/2_needle", "video")
    assert dev.revision == test.revision == "main"
    assert (dev.main_score, find("MLVU-dev_summary").main_score) == ("accuracy", "points")
    assert [row.task_name for row in datasets() if row.summary] == ["MLVU-dev_summary", "MLVU-test_VS"]
    assert len({row.task_name for row in datasets()}) == len(set(datasets())) == 20


def test_m_avg_is_made_of_seven_tasks_or_nine() -> None:
    assert (len(averaged("dev")), len(averaged("test"))) == (7, 9)


def test_an_unknown_full_name_is_named() -> None:
    with pytest.raises(UnknownName, match=r"unknown task 'MLVU-dev_plot'; did you mean MLVU-dev_plotQA"):
        find("MLVU-dev_plot")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_ROW + "colour = 3\n", "tasks.toml: task dev plotQA has unknown or missing keys: colour"),
        (_ROW.replace("rows = 539\n", ""), "tasks.toml: task dev plotQA has unknown or missing keys: rows"),
        (_ROW.replace('set = "dev"\n', ""), "tasks.toml: task ? plotQA has unknown or missing keys: set"),
        (_ROW + _ROW, "tasks.toml: task dev plotQA is listed twice"),
        (_ROW.replace("539", '"539"'), "tasks.toml: task dev plotQA has a wrong value of rows"),
        (_ROW.replace("539", "-1"), "tasks.toml: task dev plotQA has a wrong value of rows"),
        (_ROW.replace("539", "true"), "tasks.toml: task dev plotQA has a wrong value of rows"),
        (_ROW.replace("letters = 4", "letters = 0"), "tasks.toml: task dev plotQA has a wrong value of letters"),
        (_ROW.replace('"1_plotQA"', '""'), "tasks.toml: task dev plotQA has a wrong value of file"),
        (_ROW.replace('"1_plotQA"', "7"), "tasks.toml: task dev plotQA has a wrong value of file"),
        (_ROW.replace('"1_plotQA"', '["1_plotQA"]'), "tasks.toml: task dev plotQA has a wrong value of file"),
        (_ROW.replace('"plotQA"', "7"), "tasks.toml: task dev 7 has a wrong value of name"),
        (_ROW.replace("160", "-1"), "tasks.toml: task dev plotQA has a wrong value of videos"),
        (_ROW.replace("160", "0.5"), "tasks.toml: task dev plotQA has a wrong value of videos"),
        (_ROW.replace("letters = 4", "letters = -4"), "tasks.toml: task dev plotQA has a wrong value of letters"),
        (_ROW.replace("multiple-choice", "open"), "tasks.toml: task dev plotQA has a wrong value of letters"),
        (
            _ROW.replace("539", '"539"').replace("160", "-1").replace('"1_plotQA"', '""'),
            "tasks.toml: task dev plotQA has a wrong value of file, rows, videos",
        ),
        (_ROW.replace('"dev"', '"train"'), "tasks.toml: task train plotQA has a wrong value of set"),
        (_ROW.replace("multiple-choice", "closed"), "tasks.toml: task dev plotQA has a wrong value of kind"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        _read(tmp_path, text)
    assert str(caught.value) == message


def test_dev_is_picked_when_nothing_is_named() -> None:
    assert select() == tuple(row for row in datasets() if row.set == "dev")
    assert select(sets=["test", "DEV"]) == datasets()


def test_tasks_are_known_by_full_and_short_names_and_by_their_files() -> None:
    assert _names(select(tasks=["Count", "plotqa", "MLVU-dev_ego", "8_sub_scene"])) == [
        "dev_plotQA",
        "dev_ego",
        "dev_count",
        "dev_subPlot",
    ]
    assert _names(select(sets=["test"], tasks=["ego", "tqa"])) == ["test_ego", "test_tutorialQA"]
    assert _names(select(sets=["dev", "test"], tasks=["ego"])) == ["dev_ego", "test_ego"]


def test_full_names_pick_tasks_of_any_set() -> None:
    assert _names(select(tasks=["MLVU-test_ego"])) == ["test_ego"]
    assert _names(select(tasks=["MLVU-test_ego", "MLVU-dev_plotQA"])) == ["dev_plotQA", "test_ego"]
    assert _names(select(tasks=["MLVU-test_ego", "tutorialQA"])) == ["test_ego", "test_tutorialQA"]


def test_types_are_picked() -> None:
    assert _names(select(types=["open"])) == ["dev_subPlot", "dev_summary"]
    assert _names(select(sets=["test"], types=["Open"])) == ["test_SSC", "test_VS"]
    assert select(types=["open", "multiple-choice"]) == select()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"sets": ["tset"]}, "unknown set 'tset'; did you mean test?"),
        ({"sets": ["validation"]}, "unknown set 'validation'; known: dev, test"),
        ({"types": ["multichoice"]}, "unknown task type 'multichoice'; did you mean multiple-choice?"),
        ({"tasks": ["plotQ"]}, "unknown task 'plotQ'; did you mean plotQA or 1_plotQA?"),
        ({"tasks": ["MLVU-dev_sumary"]}, "unknown task 'MLVU-dev_sumary'; did you mean MLVU-dev_summary?"),
    ],
)
def test_an_unknown_value_is_named_with_the_nearest_ones(asked: dict[str, list[str]], message: str) -> None:
    with pytest.raises(UnknownName) as caught:
        select(**asked)
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith(_SEE)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"tasks": ["tutorialQA"]}, "task 'tutorialQA' is in the test set of MLVU only: use --sets test"),
        (
            {"tasks": ["MLVU-test_ego"], "sets": ["dev"]},
            "task 'MLVU-test_ego' is in the test set of MLVU only: use --sets test",
        ),
        (
            {"tasks": ["findNeedle"], "sets": ["test"]},
            "task 'findNeedle' is in the dev set of MLVU only: use --sets dev",
        ),
        (
            {"tasks": ["ego", "count"], "types": ["open"]},
            "--tasks ego,count and --types open have no task in common: drop one",
        ),
    ],
)
def test_flags_that_exclude_one_another_are_named(asked: dict[str, list[str]], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        select(**asked)
    assert str(caught.value) == message
    assert not isinstance(caught.value, UnknownName)


def test_the_registry_needs_nothing_but_the_standard_library() -> None:
    known = {"flagbench", *sys.stdlib_module_names}
    text = Path(registry.__file__).read_text(encoding="utf-8")
    lines = [line.split()[1].split(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))]
    assert set(lines) <= known
