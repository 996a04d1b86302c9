"""MMLU as FlagEmbedding asks it: the letter that a model finds most probable as the whole of its answer.

The rules are those of ``research/Long_LLM/activation_beacon/main/eval_mmlu.py``. A question and its four choices are
the user's message, behind a line that names the subject and any worked examples; the answer is the letter whose tokens
have the least mean loss as the assistant's message, the first one of equals. Accuracy is averaged over the questions of
each subject, then over the subjects: of a category, or of all.

As published, what is asked in row n of the file is scored with subject and answer of the row whose ``query_id`` is n.
These are one row in the published file; where they are not, a note says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, TypeGuard

from flagbench import BadData, counted, first_few
from flagbench.models.contract import Tokens
from flagbench.models.prompts import Prompt, Text
from flagbench.runners.data.content import of_columns
from flagbench.runners.data.row_files import RowFile
from flagbench.runners.data.sources import Source
from flagbench.runners.data.verdict import Content as Part
from flagbench.runners.data.verdict import judge
from flagbench.suites.longctx.bundle import bundle_file
from flagbench.suites.longctx.layouts import checked_rows, refused
from flagbench.suites.longctx.options import LongContextOptions
from flagbench.suites.longctx.prompts import filled, prompts
from flagbench.suites.longctx.registry import Row, protocol_of
from flagbench.suites.longctx.sample import Answer, Asking, Content, Metrics, Sample
from flagbench.suites.longctx.scope import as_asked, setting

LETTERS = ("A", "B", "C", "D")
ACCURACY = "accuracy"
ALL = "All"
_SHOTS = 0

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "STEM": (
        "abstract_algebra",
        "astronomy",
        "college_biology",
        "college_chemistry",
        "college_computer_science",
        "college_mathematics",
        "college_physics",
        "computer_security",
        "conceptual_physics",
        "electrical_engineering",
        "elementary_mathematics",
        "high_school_biology",
        "high_school_chemistry",
        "high_school_computer_science",
        "high_school_mathematics",
        "high_school_physics",
        "high_school_statistics",
        "machine_learning",
    ),
    "Social Sciences": (
        "econometrics",
        "high_school_geography",
        "high_school_government_and_politics",
        "high_school_macroeconomics",
        "high_school_microeconomics",
        "high_school_psychology",
        "human_sexuality",
        "professional_psychology",
        "public_relations",
        "security_studies",
        "sociology",
        "us_foreign_policy",
    ),
    "Humanities": (
        "formal_logic",
        "high_school_european_history",
        "high_school_us_history",
        "high_school_world_history",
        "international_law",
        "jurisprudence",
        "logical_fallacies",
        "moral_disputes",
        "moral_scenarios",
        "philosophy",
        "prehistory",
        "professional_law",
        "world_religions",
    ),
    "Others": (
        "anatomy",
        "business_ethics",
        "clinical_knowledge",
        "college_medicine",
        "global_facts",
        "human_aging",
        "management",
        "marketing",
        "medical_genetics",
        "miscellaneous",
        "nutrition",
        "professional_accounting",
        "professional_medicine",
        "virology",
    ),
}
"""The subjects of each category, as the benchmark's authors sort them."""

SUBJECTS = frozenset(subject for its in CATEGORIES.values() for subject in its)


@dataclass(frozen=True)
class Question:
    """A question with its choices.

    Attributes:
        id: Number of its row, from 0.
        subject: As the data names it, of ``SUBJECTS``.
        query: The question.
        choices: Four of them.
        answer: Place of the right one, from 0.
    """

    id: str
    subject: str
    query: str
    choices: tuple[str, ...]
    answer: int


@dataclass(frozen=True)
class Asked:
    """A question as it is asked and scored.

    Attributes:
        question: What is asked.
        scored_by: The row that has the subject and the answer that it is scored by.
        examples: Worked ones before it: the first of its subject.
    """

    question: Question
    scored_by: Question
    examples: tuple[Question, ...] = ()


def asking(row: Row, protocol: str) -> Asking:
    """See Kind."""
    return Asking("options")


def published(row: Row, protocol: str, template: str) -> Mapping[str, Any]:
    """See Kind."""
    return {"shots": _SHOTS}


def read(row: Row, source: Source, options: LongContextOptions, fault: Callable[[str], None] | None = None) -> Content:
    """See Kind."""
    file = bundle_file(source, f"{row.part}/test.json")
    found = {"test": _questions(file, fault)}
    if not found["test"]:
        raise BadData(f"{file.path} has no question: put the bundle's file there")
    examples: dict[str, list[Question]] = {}
    if options.shots:
        found["dev"] = _questions(bundle_file(source, f"{row.part}/dev.json"), fault)
        for _, each in found["dev"]:
            examples.setdefault(each.subject, []).append(each)
    questions, notes = _matched(file, found["test"], fault or refused)
    lines = [f"questions: {len(questions):,} instead of {row.rows:,}"] if len(questions) != row.rows else []
    verdict = judge({part: _content(its) for part, its in found.items()}, lines, [source], "main", None)
    kept = questions[: options.rows]
    verdict = as_asked(verdict, len(kept), len(questions), "questions", setting("--shots", options.shots, _SHOTS))
    if len(kept) < len(questions):
        notes.append(f"the first {len(kept):,} of {counted(len(questions), 'question')}")
    asked = [replace(each, examples=tuple(examples.get(each.question.subject, ())[: options.shots])) for each in kept]
    if lacking := {each.question.subject for each in asked if len(each.examples) < options.shots}:
        notes.append(f"fewer than {counted(options.shots, 'example')} for {first_few(sorted(lacking))}")
    return Content(row, protocol_of(row, options.protocol), options, verdict, asked, notes)


def ids(content: Content) -> Sequence[str]:
    """See Kind."""
    return [each.question.id for each in content.rows]


def samples(content: Content, tokens: Tokens, wanted: Collection[str]) -> Iterator[Sample]:
    """See Kind: the four letters are compared; nothing of the prompt depends on the tokenizer."""
    for each in content.rows:
        question = each.question
        if question.id in wanted:
            yield Sample(
                question.id,
                each.scored_by.subject,
                (LETTERS[each.scored_by.answer],),
                Prompt(parts=(Text(prompt_of(question, each.examples)),)),
                LETTERS,
            )


def prompt_of(question: Question, examples: Sequence[Question]) -> str:
    """The user's message, which ends where the letter is to follow.

    Args:
        question: What is asked.
        examples: Worked ones before it.
    """
    texts = prompts("mmlu")
    head = filled(texts["head"], subject=question.subject.replace("_", " "))
    worked = [f"{_with_choices(each, each.query)} {LETTERS[each.answer]}\n\n" for each in examples]
    return "".join([head, *worked, _with_choices(question, question.query.strip())])


def score(row: Row, protocol: str, answers: Sequence[Answer]) -> Metrics:
    """See Kind: 1 where the most probable letter is the right one.

    Raises:
        BadData: An answer has not the log-probabilities of four letters.
    """
    found = {}
    for each in answers:
        if len(each.numbers) != len(LETTERS) or len(each.references) != 1:
            raise BadData(f"question {each.id} has {len(each.numbers)} numbers instead of {len(LETTERS)}: ask it again")
        letter = LETTERS[max(range(len(LETTERS)), key=each.numbers.__getitem__)]  # the first of equals
        found[each.id] = float(letter == each.references[0])
    return {ACCURACY: found}


def categories(by_subject: Mapping[str, float]) -> dict[str, float]:
    """The means of the categories, over the subjects that there are, and last of all subjects.

    Args:
        by_subject: Accuracy of each subject: the scores of the task by subset.
    """
    found = {
        category: fmean(by_subject[subject] for subject in subjects if subject in by_subject)
        for category, subjects in CATEGORIES.items()
        if by_subject.keys() & set(subjects)
    }
    return {**found, ALL: fmean(by_subject.values())}


def remark(by_subject: Mapping[str, float]) -> str:
    """The means of the categories in percent, for people."""
    return ", ".join(f"{name} {100 * mean:.2f}" for name, mean in categories(by_subject).items())


def _with_choices(question: Question, query: str) -> str:
    choices = dict(zip(LETTERS, question.choices, strict=True))
    return filled(prompts("mmlu")["sample"], query=query, **choices)


def _questions(file: RowFile, fault: Callable[[str], None] | None) -> list[tuple[Any, Question]]:
    """The questions of a file, each with its ``query_id``."""
    found = []
    for number, checked in enumerate(checked_rows(file, fault)):
        query, subject = checked.text("query"), checked.text("subject")
        choices, answer = checked.texts("choices"), checked.count("answer")
        if query is None or subject is None or choices is None or answer is None:
            continue
        if not query.strip():
            checked.fault("'query' is empty")
        elif subject not in SUBJECTS:
            checked.fault(f"the subject {subject!r:.60} is none of MMLU")
        elif len(choices) != len(LETTERS) or answer >= len(LETTERS):
            checked.fault(f"{len(choices)} choices with the answer {answer}, instead of 4 with one from 0 to 3")
        else:
            found.append((checked.row.get("query_id"), Question(str(number), subject, query, choices, answer)))
    return found


def _matched(
    file: RowFile, found: Sequence[tuple[Any, Question]], report: Callable[[str], None]
) -> tuple[list[Asked], list[str]]:
    """The questions with the rows that they are scored by, and a note where these are others."""
    by_id = {query_id: each for query_id, each in found if _is_whole(query_id)}
    made = []
    for _, each in found:
        if scored_by := by_id.get(int(each.id)):
            made.append(Asked(each, scored_by))
        else:
            report(
                f"{file.path} has no row with the query_id {each.id}, by which row {each.id} is scored: fix the data"
            )
    others = sum(each.scored_by is not each.question for each in made)
    note = f"{counted(others, 'question')} scored by another row, whose query_id is the row's number, as published"
    return made, [note] if others else []


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _content(found: Sequence[tuple[Any, Question]]) -> Part:
    questions = [each for _, each in found]
    return of_columns(
        {
            "query_id": [json.dumps(query_id) for query_id, _ in found],
            "subject": [each.subject for each in questions],
            "query": [each.query for each in questions],
            "choices": [list(each.choices) for each in questions],
            "answer": [each.answer for each in questions],
        },
        ordered=True,
    )
