"""MMLU as FlagEmbedding asks and scores it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from flagbench import AbsentData, BadData
from flagbench.results.data_state import DataState
from flagbench.suites.longctx import mmlu
from flagbench.suites.longctx.mmlu import CATEGORIES, SUBJECTS
from flagbench.suites.longctx.options import LongContextOptions
from flagbench.suites.longctx.registry import row_of
from flagbench.suites.longctx.sample import Answer
from tests.unit.suites.longctx.bundle_files import bundle
from tests.unit.suites.longctx.word_tokens import WordTokens

ROW = row_of("MMLU")
OPTIONS = LongContextOptions()
ASTRONOMY = {
    "query_id": 0,
    "query": " Which one shines? ",
    "subject": "astronomy",
    "choices": ["Moon", "Venus", "Sun", "Mars"],
    "answer": 2,
}
GEOGRAPHY = {
    "query_id": 1,
    "query": "Where is Cairo?",
    "subject": "high_school_geography",
    "choices": ["Peru", "Egypt", "Oman", "Chad"],
    "answer": 1,
}
EXAMPLES = [
    {**ASTRONOMY, "query": "One? ", "choices": ["a", "b", "c", "d"], "answer": 0},
    {**GEOGRAPHY, "query": "Two?", "choices": ["e", "f", "g", "h"], "answer": 3},
    {**ASTRONOMY, "query": "Three?", "choices": ["i", "j", "k", "l"], "answer": 1},
]


def _prompts(folder: Path, files: Mapping[str, list[Any]], options: LongContextOptions) -> list[str]:
    content = mmlu.read(ROW, bundle(folder, files), options)
    samples = mmlu.samples(content, WordTokens(), set(mmlu.ids(content)))
    return [sample.prompt.text for sample in samples if sample.prompt]


def test_question_without_examples(tmp_path: Path) -> None:
    files = {"mmlu/test.json": [ASTRONOMY, GEOGRAPHY]}
    assert _prompts(tmp_path, files, OPTIONS) == [
        "The following are multiple choice questions (with answers) about astronomy.\n\n"
        "Which one shines?\nA. Moon\nB. Venus\nC. Sun\nD. Mars\nAnswer:",
        "The following are multiple choice questions (with answers) about high school geography.\n\n"
        "Where is Cairo?\nA. Peru\nB. Egypt\nC. Oman\nD. Chad\nAnswer:",
    ]
    content = mmlu.read(ROW, bundle(tmp_path, files), OPTIONS)
    assert mmlu.asking(ROW, "flagembedding").asked == "options"
    (sample,) = mmlu.samples(content, WordTokens(), {"1"})
    assert (sample.id, sample.subset, sample.references) == ("1", "high_school_geography", ("B",))
    assert (sample.options, sample.windows) == (("A", "B", "C", "D"), ())


def test_examples_are_the_first_of_the_subject_and_stand_as_they_are(tmp_path: Path) -> None:
    files = {"mmlu/test.json": [ASTRONOMY], "mmlu/dev.json": EXAMPLES}
    head = "The following are multiple choice questions (with answers) about astronomy.\n\n"
    # The published code strips the question that is asked, and not its examples.
    one = "One? \nA. a\nB. b\nC. c\nD. d\nAnswer: A\n\n"
    two = "Three?\nA. i\nB. j\nC. k\nD. l\nAnswer: B\n\n"
    asked = "Which one shines?\nA. Moon\nB. Venus\nC. Sun\nD. Mars\nAnswer:"
    assert _prompts(tmp_path, files, replace(OPTIONS, shots=1)) == [head + one + asked]
    assert _prompts(tmp_path, files, replace(OPTIONS, shots=2)) == [head + one + two + asked]
    assert _prompts(tmp_path, files, replace(OPTIONS, shots=5)) == [head + one + two + asked]
    content = mmlu.read(ROW, bundle(tmp_path, files), replace(OPTIONS, shots=5))
    assert content.notes == ["fewer than 5 examples for astronomy"]
    assert content.verdict.content.keys() == {"test", "dev"}


def test_braces_in_a_question_stay(tmp_path: Path) -> None:
    odd = {**ASTRONOMY, "query": "What is {A}?", "choices": ["{B}", "{}", "{0}", "}"]}
    (prompt,) = _prompts(tmp_path, {"mmlu/test.json": [odd]}, OPTIONS)
    assert prompt.endswith("What is {A}?\nA. {B}\nB. {}\nC. {0}\nD. }\nAnswer:")


def test_row_is_scored_by_the_row_whose_query_id_is_its_number(tmp_path: Path) -> None:
    files = {"mmlu/test.json": [{**ASTRONOMY, "query_id": 1}, {**GEOGRAPHY, "query_id": 0}]}
    content = mmlu.read(ROW, bundle(tmp_path, files), OPTIONS)
    first, second = mmlu.samples(content, WordTokens(), {"0", "1"})
    assert first.prompt is not None
    assert "Which one shines?" in first.prompt.text
    assert (first.id, first.subset, first.references) == ("0", "high_school_geography", ("B",))
    assert (second.id, second.subset, second.references) == ("1", "astronomy", ("C",))
    assert content.notes == ["2 questions scored by another row, whose query_id is the row's number, as published"]


def test_row_without_a_row_to_score_it_by_is_a_fault(tmp_path: Path) -> None:
    source = bundle(tmp_path, {"mmlu/test.json": [ASTRONOMY, {**GEOGRAPHY, "query_id": 7}]})
    with pytest.raises(BadData, match="has no row with the query_id 1, by which row 1 is scored"):
        mmlu.read(ROW, source, OPTIONS)


def test_most_probable_letter_is_the_answer_and_the_first_of_equals() -> None:
    def accuracy(numbers: tuple[float, ...], right: str) -> float:
        return mmlu.score(ROW, "flagembedding", [Answer("0", "astronomy", (right,), numbers=numbers)])["accuracy"]["0"]

    assert accuracy((-3.0, -2.0, -0.5, -9.0), "C") == 1.0
    assert accuracy((-3.0, -2.0, -0.5, -9.0), "A") == 0.0
    assert accuracy((-3.0, -1.0, -1.0, -9.0), "B") == 1.0
    assert accuracy((-3.0, -1.0, -1.0, -9.0), "C") == 0.0
    with pytest.raises(BadData, match="question 0 has 3 numbers instead of 4"):
        accuracy((-3.0, -1.0, -1.0), "B")


def test_every_subject_has_one_category() -> None:
    assert {name: len(subjects) for name, subjects in CATEGORIES.items()} == {
        "STEM": 18,
        "Social Sciences": 12,
        "Humanities": 13,
        "Others": 14,
    }
    assert len(SUBJECTS) == 57


def test_categories_are_means_over_subjects_and_not_over_questions() -> None:
    by_subject = {"astronomy": 1.0, "machine_learning": 0.5, "philosophy": 0.25}
    assert mmlu.categories(by_subject) == pytest.approx({"STEM": 0.75, "Humanities": 0.25, "All": 1.75 / 3})
    assert mmlu.remark(by_subject) == "STEM 75.00, Humanities 25.00, All 58.33"


def test_miniature_data_is_read_and_scored_as_a_naive_count_does() -> None:
    from flagbench.runners.data.sources import Folder

    folder = Path(mmlu.__file__).parent / "mini" / "namespace-Pt" / "projects"
    content = mmlu.read(ROW, Folder(folder), replace(OPTIONS, shots=2))
    assert content.verdict.status == DataState.DIFFERS
    samples = list(mmlu.samples(content, WordTokens(), set(mmlu.ids(content))))
    lines = (folder / "long-llm" / "mmlu" / "test.json").read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    # Always C: right where the file says 2.
    answers = [Answer(each.id, each.subset, each.references, numbers=(-2.0, -2.0, -1.0, -2.0)) for each in samples]
    accuracy = mmlu.score(ROW, "flagembedding", answers)["accuracy"]
    by_subject: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        by_subject[row["subject"]].append(float(row["answer"] == 2))
    found: dict[str, list[float]] = defaultdict(list)
    for each in answers:
        found[each.subset].append(accuracy[each.id])
    assert {name: fmean(values) for name, values in found.items()} == {
        name: fmean(values) for name, values in by_subject.items()
    }


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"subject": "cooking"}, "the subject 'cooking' is none of MMLU"),
        ({"choices": ["a", "b", "c"]}, "3 choices with the answer 1, instead of 4"),
        ({"choices": ["a", "b", "c", 4]}, "'choices' is not a list of texts"),
        ({"answer": 4}, "4 choices with the answer 4, instead of 4 with one from 0 to 3"),
        ({"answer": "B"}, "'answer' is not a whole number"),
        ({"answer": True}, "'answer' is not a whole number"),
        ({"answer": 1.0}, "'answer' is not a whole number"),
        ({"query": " "}, "'query' is empty"),
    ],
)
def test_faulty_row_is_named(tmp_path: Path, change: dict[str, Any], fault: str) -> None:
    source = bundle(tmp_path, {"mmlu/test.json": [ASTRONOMY, {**GEOGRAPHY, **change}]})
    with pytest.raises(BadData, match=rf"test\.json, line 2: {fault}"):
        mmlu.read(ROW, source, OPTIONS)
    faults: list[str] = []
    assert mmlu.ids(mmlu.read(ROW, source, OPTIONS, faults.append)) == ["0"]
    assert len(faults) == 1


def test_file_of_examples_is_needed_for_examples_alone(tmp_path: Path) -> None:
    source = bundle(tmp_path, {"mmlu/test.json": [ASTRONOMY]})
    assert mmlu.read(ROW, source, OPTIONS).rows
    with pytest.raises(AbsentData, match=r"has no long-llm/mmlu/dev\.json"):
        mmlu.read(ROW, source, replace(OPTIONS, shots=1))
    with pytest.raises(BadData, match="has no question"):
        mmlu.read(ROW, bundle(tmp_path / "empty", {"mmlu/test.json": []}), OPTIONS)


def test_rows_are_the_first_ones(tmp_path: Path) -> None:
    source = bundle(tmp_path, {"mmlu/test.json": [ASTRONOMY, GEOGRAPHY]})
    content = mmlu.read(ROW, source, replace(OPTIONS, rows=1))
    assert mmlu.ids(content) == ["0"]
    assert content.notes == ["the first 1 of 2 questions"]
