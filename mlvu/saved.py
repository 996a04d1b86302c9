"""The file that a task leaves: its questions as they were read, each with the model's answer. Scoring needs no more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flagbench import BadData, BadInput
from flagbench.mlvu.loading import Question
from flagbench.mlvu.registry import Row, find
from flagbench.results.data_state import DataState

if TYPE_CHECKING:
    from flagbench.mlvu.content import Content

_BENCHMARK = "MLVU"
_FORMER = {True: DataState.COUNTS_AGREE, False: DataState.DIFFERS}
"""Of files that earlier versions wrote, which say whether the counts agree."""

_TUPLES = ("candidates", "golds", "points")


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
    """

    row: Row
    question_set: str
    questions: tuple[Question, ...]
    answers: Mapping[str, str]
    missing: str
    state: DataState

    @classmethod
    def of(cls, content: Content, answers: Mapping[str, str]) -> Saved:
        """The record of an answered task."""
        state = content.verdict.status
        return cls(content.row, content.question_set, content.questions, answers, content.missing, state)

    @property
    def labelled(self) -> bool:
        """True when the right answers are there."""
        return all(question.labelled for question in self.questions)

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
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if values["benchmark"] != _BENCHMARK:
            raise ValueError(f"of {values['benchmark']}")
        questions = tuple(_question(each) for each in values["questions"])
        rows = zip(questions, values["questions"], strict=True)
        answers = {question.id: str(each["response"]) for question, each in rows if each["response"] is not None}
        return Saved(
            find(values["task"]),
            str(values["question_set"]),
            questions,
            answers,
            str(values["missing"]),
            DataState.of({"status": values["data"]}) if "data" in values else _FORMER[bool(values["comparable"])],
        )
    except BadInput:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadData(f"{path} holds no answers to MLVU ({message}): evaluate again, or copy it again") from error


def find_saved(root: Path) -> dict[Path, list[Path]]:
    """Files of answers below a folder, by the folder of their run.

    Raises:
        BadInput: There are none.
    """
    if not root.is_dir():
        raise BadInput(f"{root} is not a folder")
    runs: dict[Path, list[Path]] = {}
    # Resolved, because the folder given may be one of these itself, by a relative path or a link.
    place = root.resolve()
    found = [*place.rglob(f"{_BENCHMARK}/*/*.json")]
    found += place.glob("*/*.json") if place.name == _BENCHMARK else ()
    found += place.glob("*.json") if place.parent.name == _BENCHMARK else ()
    for path in sorted(found):
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
