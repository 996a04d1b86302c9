"""The file that a task leaves: its questions as they were read, each with the model's answer. Scoring needs no more."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired

from typing_extensions import TypedDict

from flagbench import BadData, BadInput
from flagbench.files import MIB, inside, read_json
from flagbench.mlvu.labels import give_labels, read_labels
from flagbench.mlvu.loading import Anomaly, Question, label_files, question_set, verdict
from flagbench.mlvu.registry import Row, find
from flagbench.paths import check_folder
from flagbench.results.data_state import DataState
from flagbench.results.shapes import Seconds, Text, Truth, check_shape, fields_among_others

if TYPE_CHECKING:
    from flagbench.mlvu.content import Content
    from flagbench.runners.data.snapshots import Snapshots

_BENCHMARK = "MLVU"
_FORMER = {True: DataState.COUNTS_AGREE, False: DataState.DIFFERS}
"""Of files that earlier versions wrote, which say whether the counts agree."""

_TUPLES = ("candidates", "golds", "points")
_LARGEST = 1024 * MIB


@fields_among_others
class _QuestionFields(TypedDict):
    id: Text
    task: Text
    video: Text
    folder: Text
    question: Text
    candidates: list[Text]
    answer: Text
    gold: Text
    golds: list[Text]
    labelled: Truth
    points: list[Text]
    duration: Seconds
    response: Text | None


@fields_among_others
class _File(TypedDict):
    benchmark: Text
    task: Text
    question_set: Text
    missing: Text
    comparable: NotRequired[Truth]
    data: NotRequired[Text]
    questions: list[_QuestionFields]


@dataclass(frozen=True)
class Saved:
    """Answers to a task.

    Attributes:
        row: The task.
        question_set: Name of the question set.
        questions: All of it.
        answers: By question; questions whose video was missing have none.
        missing: One line on the videos that could not be used.
        state: Of the data.
        odd: Labels that were given later and differ from the file of questions; no part of the file.
    """

    row: Row
    question_set: str
    questions: tuple[Question, ...]
    answers: Mapping[str, str]
    missing: str
    state: DataState
    odd: tuple[Anomaly, ...] = ()

    @classmethod
    def of(cls, content: Content, answers: Mapping[str, str]) -> Saved:
        """The record of an answered task."""
        state = content.verdict.status
        return cls(content.row, content.question_set, content.questions, answers, content.missing, state)

    @property
    def labelled(self) -> bool:
        """True when the right answers are there."""
        return all(question.labelled for question in self.questions)

    def with_labels(self, snapshots: Snapshots) -> Saved:
        """The same with the labels of a data folder; as it is where it has some.

        Args:
            snapshots: The data folder.

        Raises:
            BadData: See ``read_labels`` and ``give_labels``.
        """
        if self.labelled or self.row.set == "dev":
            return self
        source = snapshots.source(self.row.repo, self.row.revision)
        labels, odd = read_labels(self.row, source.files(*label_files(self.row)))
        questions = question_set(give_labels(self.questions, labels), self.question_set)
        state = DataState.worst([self.state, verdict(labels, source).status])
        return replace(self, questions=questions, state=state, odd=tuple(odd))

    def to_json(self) -> str:
        """The text of the file."""
        values = {
            "benchmark": _BENCHMARK,
            "task": self.row.task_name,
            "question_set": self.question_set,
            "missing": self.missing,
            "data": str(self.state),
            "questions": [{**asdict(each), "response": self.answers.get(each.id)} for each in self.questions],
        }
        return json.dumps(values, indent=1) + "\n"  # ASCII: an answer may hold half a surrogate pair


def read_saved(path: Path) -> Saved:
    """Read a task's file.

    Raises:
        BadData: It is damaged, or no such file.
    """
    fix = "evaluate again, or copy it again"
    values = read_json(path, fix, largest=_LARGEST, halves=True, error=BadData)
    try:
        check_shape(_File, values)
        if values["benchmark"] != _BENCHMARK:
            raise ValueError(f"it is of {values['benchmark']!r:.80}")
        questions = tuple(_question(each) for each in values["questions"])
        if "data" not in values and "comparable" not in values:
            raise ValueError("it does not say what its data is")
        if twice := [id_ for id_, count in Counter(each.id for each in questions).items() if count > 1]:
            raise ValueError(f"question {twice[0]!r:.80} is listed twice")
    except ValueError as error:
        raise BadData(f"{path} holds no answers to MLVU ({error}): {fix}") from error
    rows = zip(questions, values["questions"], strict=True)
    answers = {question.id: each["response"] for question, each in rows if each["response"] is not None}
    row = find(values["task"])
    state = DataState.of({"status": values["data"]}) if "data" in values else _FORMER[values["comparable"]]
    return Saved(row, values["question_set"], questions, answers, values["missing"], state)


def find_saved(root: Path) -> dict[Path, list[Path]]:
    """Files of answers below a folder, by the folder of their run.

    Raises:
        BadInput: There are none, or one is a link that leads out of the folder.
    """
    check_folder(root, "name one with answers of flagbench evaluate --benchmark mlvu below it")
    runs: dict[Path, list[Path]] = {}
    # Resolved, because the folder given may be one of these itself, by a relative path or a link.
    place = root.resolve()
    found = [*place.rglob(f"{_BENCHMARK}/*/*.json")]
    found += place.glob("*/*.json") if place.name == _BENCHMARK else ()
    found += place.glob("*.json") if place.parent.name == _BENCHMARK else ()
    for path in (inside(place, each.relative_to(place), "put the file in its place") for each in sorted(found)):
        if path.parent.name in {"dev", "test"} and "/flagbench/replaced/" not in path.as_posix():
            runs.setdefault(path.parent.parent.parent, []).append(path)
    if not runs:
        raise BadInput(f"{root} holds no answers to MLVU; flagbench evaluate --benchmark mlvu makes some")
    return runs


def _question(values: Mapping[str, Any]) -> Question:
    known = {each.name for each in fields(Question)}
    chosen: dict[str, Any] = {
        name: tuple(value) if name in _TUPLES else value for name, value in values.items() if name in known
    }
    return Question(**chosen)
