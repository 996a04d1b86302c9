"""A task of LLM-Embedder, read from the bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from typing_extensions import TypedDict

from flagbench import BadData
from flagbench.results.shapes import Count, Text, fields_among_others
from flagbench.runners.benchmark import Loaded
from flagbench.runners.data.content import of_columns
from flagbench.runners.data.verdict import Content, judge
from flagbench.runners.search.ranking import Texts
from flagbench.runners.task import Task
from flagbench.suites.llm_embedder.bundle import BundleFiles
from flagbench.suites.llm_embedder.reading import FIX, Asked, Reading
from flagbench.suites.llm_embedder.registry import Row, row_of


@fields_among_others
class _Labelled(TypedDict):
    query: Text
    pos_index: list[Count]


@fields_among_others
class _Answered(TypedDict):
    query: Text
    answers: list[Text]


@dataclass(frozen=True)
class Collection:
    """A task's data, read.

    Attributes:
        queries: In their order.
        passages: The corpus; ids are row numbers.
        labels: Relevant rows of the corpus by query, as they are listed; empty where answers are looked for.
        answers: Right answers by query; empty where there are labels.
    """

    queries: Texts
    passages: Texts
    labels: Mapping[str, Sequence[int]] = field(default_factory=dict)
    answers: Mapping[str, Sequence[str]] = field(default_factory=dict)


def load(task: Task, bundle: BundleFiles) -> Loaded:
    """Read a task's data.

    Args:
        task: One of this benchmark.
        bundle: Its files.

    Raises:
        BadData: A file is absent or cannot be read, or a row is faulty: the first fault.
    """
    found = read(row_of(task.name), bundle, refuse)
    content = {"queries": _content(found.queries), "corpus": _content(found.passages), "labels": _of_labels(found)}
    return Loaded(task, judge(content, None, [bundle], task.revision, None), found)


def read(row: Row, bundle: BundleFiles, report: Callable[[str], None]) -> Collection:
    """Read a task's data.

    Args:
        row: Of the task.
        bundle: Its files.
        report: Takes each fault of a row.

    Raises:
        BadData: A file is absent or cannot be read.
    """
    reading = Reading(bundle, report)
    asked = reading.asked(row.queries, _Labelled if row.how == "retrieval" else _Answered)
    passages = reading.corpus(row.corpus, row.columns)
    if row.how == "retrieval":
        asked = [each for each in asked if _has_labels(each, len(passages.ids), report)]
        labels = {each.id: tuple(each.row["pos_index"]) for each in asked}
        return Collection(_queries(asked), passages, labels=labels)
    asked = [each for each in asked if _has_answers(each, report)]
    return Collection(_queries(asked), passages, answers={each.id: tuple(each.row["answers"]) for each in asked})


def refuse(fault: str) -> None:
    """Raise a fault.

    Raises:
        BadData: It.
    """
    raise BadData(fault)


def _queries(asked: Sequence[Asked]) -> Texts:
    return Texts([each.id for each in asked], [each.row["query"] for each in asked])


def _has_labels(each: Asked, passages: int, report: Callable[[str], None]) -> bool:
    labels = each.row["pos_index"]
    beyond = [label for label in labels if label >= passages]
    if not labels:
        report(f"{each.where} has no row number in pos_index: {FIX}")
    for label in beyond[:1]:
        report(f"{each.where} names row {label} in pos_index, and the corpus has {passages:,} rows from 0: {FIX}")
    return bool(labels) and not beyond


def _has_answers(each: Asked, report: Callable[[str], None]) -> bool:
    if each.row["answers"]:
        return True
    report(f"{each.where} has no text in answers: {FIX}")
    return False


def _content(texts: Texts) -> Content:
    # What the row of a passage is, its place says.
    return of_columns({"id": texts.ids, "text": texts.texts}, ordered=True)


def _of_labels(found: Collection) -> Content:
    by_query: Mapping[str, Sequence[int] | Sequence[str]] = found.labels or found.answers
    return of_columns(
        {
            "query": [query for query, its in by_query.items() for _ in its],
            "label": [str(label) for its in by_query.values() for label in its],
        },
        ordered=True,
    )
