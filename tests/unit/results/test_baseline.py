"""A run as one file: what is in it, that it stands for the run, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.results.compare.compare import compare
from flagbench.results.compare.text import to_json
from flagbench.results.contradictions import contradiction
from flagbench.results.migrations import SCHEMA_VERSION
from flagbench.results.runs import find_all, find_runs, saved
from flagbench.results.store import write_atomic
from tests.unit.results.test_runs import made_task, write_run

_VALUES = {"ndcg_at_10": {"q1": 0.25, "q2": 0.75}, "recall": {"q1": 1.0, "q2": 1.0}}


def kept(folder: Path, file: Path) -> Path:
    """The run of a folder as a file."""
    (run,) = find_runs(folder)
    write_atomic(file, saved(run).to_json())
    return file


def test_it_has_the_record_and_the_values_that_make_the_scores(tmp_path: Path) -> None:
    folder = write_run(
        tmp_path / "out",
        "org/模型",
        made_task("A", 0.5, values=_VALUES),
        made_task("B"),
        made_task("C", 0.9, values=_VALUES),  # whose values do not make the score
    )
    (run,) = find_runs(folder)
    (again,) = find_runs(kept(folder, tmp_path / "base.json"))
    assert (again.record, again.label) == (run.record, "org/模型")
    values = again.values("A")
    assert values is not None
    assert values.parts == {"dev": {"default": {"ndcg_at_10": _VALUES["ndcg_at_10"]}}}
    assert (again.values("B"), again.values("D")) == (None, None)
    all_of_c = again.values("C")
    assert all_of_c is not None, "they show that the score is not theirs"
    assert all_of_c.parts == {"dev": {"default": _VALUES}}


def test_a_contradiction_is_one_in_the_file_too(tmp_path: Path) -> None:
    """Also in files of before, which were saved without the values that contradict a score."""
    folder = write_run(
        tmp_path / "out", "org/m", made_task("A", 0.5, values=_VALUES), made_task("C", 0.9, values=_VALUES)
    )
    (run,) = find_runs(folder)
    file = kept(folder, tmp_path / "base.json")
    (again,) = find_runs(file)
    said = "the score of dev is 0.9, and the mean of its values per query is 0.5"
    for each in (run, again):
        assert (contradiction(each, "A"), contradiction(each, "C")) == ("", said)
    document = json.loads(file.read_text(encoding="utf-8"))
    del document["values"]["C"]
    file.write_text(json.dumps(document), encoding="utf-8")
    (before,) = find_runs(file)
    assert contradiction(before, "A") == ""
    assert contradiction(before, "C") == "there are no values per query, though the record names a file of them"


def test_of_several_splits_an_earlier_file_may_lack_the_values_of_all(tmp_path: Path) -> None:
    """They were of the split that ran last alone, which made no score of both: nothing contradicts it."""
    scores = {"dev": {"default": 0.5}, "test": {"default": 0.7}}
    folder = write_run(tmp_path / "out", "org/m", made_task("A", scores, values=_VALUES))
    (run,) = find_runs(folder)
    assert contradiction(replace(run, folder=tmp_path, kept={}), "A") == ""


def test_it_stands_for_the_run_in_a_comparison(tmp_path: Path) -> None:
    better = {"ndcg_at_10": {"q1": 0.75, "q2": 0.95}}
    one = write_run(tmp_path / "one", "org/one", made_task("A", 0.5, values=_VALUES))
    two = write_run(tmp_path / "two", "org/two", made_task("A", 0.85, values=better))
    file = kept(one, tmp_path / "base.json")
    told = [json.loads(to_json(compare(find_all([first, two])))) for first in (one, file)]
    assert told[0]["tasks"] == told[1]["tasks"]
    assert told[0]["tasks"][0]["cells"][1]["test"]["paired"]["better"] == 2
    assert [run.label for run in find_all([file, one])] == ["org/one (base.json)", "org/one (one)"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"baseline_version": 1', '"baseline_version": 2'),
        ('"record"', '"recorded"'),
        ('"values": {\n"A"', '"values": {\n"A": 1, "B"'),
        ('"values": {\n', '"values": [\n'),
        ("0.25", '"high"'),
        ("0.25", "NaN"),
        ('"success"', '"fine"'),
        (f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 9'),
        ("}}", "}"),
    ],
)
def test_a_damaged_one_is_one_line(tmp_path: Path, old: str, new: str) -> None:
    file = kept(write_run(tmp_path / "out", "org/one", made_task("A", 0.5, values=_VALUES)), tmp_path / "base.json")
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BadInput, match="that can be read") as error:
        find_runs(file)
    assert "\n" not in str(error.value)
