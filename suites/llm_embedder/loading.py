"""A task of LLM-Embedder, read from the bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from flagbench import BadData
from flagbench.runners.benchmark import Loaded
from flagbench.runners.data.content import of_columns
from flagbench.runners.data.verdict import Content, judge
from flagbench.runners.search.ranking import Texts
from flagbench.runners.task import Task
from flagbench.suites.llm_embedder.bundle import BundleFiles
from flagbench.suites.llm_embedder.reading import FIX, Asked, Reading
from flagbench.suites.llm_embedder.registry import READER, Row, row_of
from flagbench.suites.llm_embedder.shapes import FAULTS, SHAPES, Fault


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


@dataclass(frozen=True)
class ReaderData:
    """The data of a task that a reader answers.

    Attributes:
        asked: Its rows.
        passages: The corpus; without any where each row brings what is searched for it.
        shots: Rows that solved examples are drawn from, where these have a file of their own.
    """

    asked: Sequence[Asked]
    passages: Texts
    shots: Sequence[Asked] = ()

    @property
    def queries(self) -> Texts:
        """What the corpus is searched with."""
        return _queries(self.asked)


def load(task: Task, bundle: BundleFiles) -> Loaded:
    """Read a task's data.

    Args:
        task: One of this benchmark.
        bundle: Its files.

    Raises:
        BadData: A file is absent or cannot be read, or a row is faulty: the first fault.
    """
    row = row_of(task.name)
    if row.group == READER:
        reading = read_for_reader(row, bundle, refuse)
        content = {"queries": _of_rows(reading.asked), "corpus": _content(reading.passages)}
        if row.shots:
            content["shots"] = _of_rows(reading.shots)
        return Loaded(task, judge(content, None, [bundle], task.revision, None), reading, notes=_unverified(row))
    found = read(row, bundle, refuse)
    content = {"queries": _content(found.queries), "corpus": _content(found.passages), "labels": _of_labels(found)}
    return Loaded(task, judge(content, None, [bundle], task.revision, None), found)


def read(row: Row, bundle: BundleFiles, report: Callable[[str], None]) -> Collection:
    """Read a task of retrieval.

    Args:
        row: Of the task.
        bundle: Its files.
        report: Takes each fault of a row.

    Raises:
        BadData: A file is absent or cannot be read.
    """
    reading = Reading(bundle, report)
    passages = reading.corpus(row.corpus, row.columns)
    asked = _sound(reading.asked(row.queries, SHAPES[row.how]), FAULTS[row.how], len(passages.ids), report)
    if row.how == "retrieval":
        return Collection(_queries(asked), passages, labels={each.id: tuple(each.row["pos_index"]) for each in asked})
    return Collection(_queries(asked), passages, answers={each.id: tuple(each.row["answers"]) for each in asked})


def read_for_reader(row: Row, bundle: BundleFiles, report: Callable[[str], None]) -> ReaderData:
    """Read a task that a reader answers.

    Args:
        row: Of the task.
        bundle: Its files.
        report: Takes each fault of a row.

    Raises:
        BadData: A file is absent or cannot be read.
    """
    reading = Reading(bundle, report)
    passages = reading.corpus(row.corpus, row.columns) if row.corpus else Texts([], [])
    texts = ("text",) if row.how == "lrlm" else ("query",)
    asked = _sound(reading.asked(row.queries, SHAPES[row.how], texts), FAULTS[row.how], len(passages.ids), report)
    shots = reading.asked(row.shots, SHAPES[row.how]) if row.shots else []
    return ReaderData(asked, passages, _sound(shots, FAULTS[row.how], 0, report))


def refuse(fault: str) -> None:
    """Raise a fault.

    Raises:
        BadData: It.
    """
    raise BadData(fault)


def _sound(asked: Sequence[Asked], fault: Fault, passages: int, report: Callable[[str], None]) -> list[Asked]:
    """Rows without a fault that their shape does not show; the others are reported."""
    found = []
    for each in asked:
        if line := fault(each.row, passages):
            report(f"{each.where} {line}: {FIX}")
        else:
            found.append(each)
    return found


def _queries(asked: Sequence[Asked]) -> Texts:
    return Texts([each.id for each in asked], [each.row["query"] for each in asked])


def _unverified(row: Row) -> tuple[str, ...]:
    return (f"unverified: {row.unverified}",) if row.unverified else ()


def _of_rows(asked: Sequence[Asked]) -> Content:
    """All that a reader may be told of rows."""
    return of_columns({"id": [each.id for each in asked], "row": [dict(each.row) for each in asked]}, ordered=True)


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
