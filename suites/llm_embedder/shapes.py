"""Columns that the rows of each kind of task need, and what is wrong with rows that have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NotRequired

from typing_extensions import TypedDict

from flagbench.results.shapes import Count, Text, fields_among_others
from flagbench.suites.llm_embedder.kinds import BY_OPTIONS, LETTERS, TASKS, subjects

Fault = Callable[[Mapping[str, Any], int], str]
"""What is wrong with a row, given how many passages the corpus has: the rest of a sentence about it; empty for nothing.
"""

_NO_ANSWER = "has no text in answers"


@fields_among_others
class _Labelled(TypedDict):
    query: Text
    pos_index: list[Count]


@fields_among_others
class _Answered(TypedDict):
    query: Text
    answers: list[Text]


@fields_among_others
class _Long(TypedDict):
    text: Text


@fields_among_others
class _Dialogue(TypedDict):
    query: Text
    history: list[Text]
    answers: list[Text]


@fields_among_others
class _Example(TypedDict):
    query: Text
    answers: list[Text]
    options: NotRequired[list[Text] | None]
    task_name: Text


@fields_among_others
class _Choices(TypedDict):
    query: Text
    subject: Text
    choices: list[Text]
    answer: Count


@fields_among_others
class _Relation(TypedDict):
    query: Text
    prop_id: Count
    obj: Text
    possible_answers: list[Text]


SHAPES: Mapping[str, type[Any]] = {
    "retrieval": _Labelled,
    "answers": _Answered,
    "lrlm": _Long,
    "msc": _Dialogue,
    "icl": _Example,
    "mmlu": _Choices,
    "popqa": _Relation,
    "nq": _Answered,
}
"""By how a task is scored."""


def _labels(row: Mapping[str, Any], passages: int) -> str:
    labels = row["pos_index"]
    beyond = [label for label in labels if label >= passages]
    if beyond:
        return f"names row {beyond[0]} in pos_index, and the corpus has {passages:,} rows from 0"
    return "" if labels else "has no row number in pos_index"


def _answers(row: Mapping[str, Any], _: int) -> str:
    return "" if row["answers"] else _NO_ANSWER


def _dialogue(row: Mapping[str, Any], _: int) -> str:
    return "" if row["answers"] and row["answers"][0].strip() else _NO_ANSWER


def _example(row: Mapping[str, Any], _: int) -> str:
    if not row["answers"]:
        return _NO_ANSWER
    if row["task_name"] not in TASKS or TASKS[row["task_name"]][1] not in BY_OPTIONS:
        return ""
    options, right = row.get("options") or [], row["answers"][0].strip()
    if len(options) < 2 or not all(option.strip() for option in options):
        return "has not two texts or more in options"
    if right not in map(str, range(len(options))):
        return f"has the answer '{right:.60}' instead of the number of one of its {len(options)} options, from 0"
    return ""


def _choices(row: Mapping[str, Any], _: int) -> str:
    if len(row["choices"]) != len(LETTERS):
        return f"has {len(row['choices'])} choices instead of {len(LETTERS)}"
    if row["answer"] >= len(LETTERS):
        return f"has the answer {row['answer']} instead of the number of a choice, from 0"
    return "" if row["subject"] in subjects() else f"has the subject '{row['subject']:.60}', which MMLU has not"


FAULTS: Mapping[str, Fault] = {
    "retrieval": _labels,
    "answers": _answers,
    "lrlm": lambda row, passages: "",
    "msc": _dialogue,
    "icl": _example,
    "mmlu": _choices,
    "popqa": lambda row, passages: "" if row["possible_answers"] else "has no text in possible_answers",
    "nq": _answers,
}
"""By how a task is scored."""
