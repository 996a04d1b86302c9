"""The file that a task leaves: what was answered to each sample, with all that its score needs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NotRequired

from typing_extensions import TypedDict

from flagbench import BadData
from flagbench.files import MIB
from flagbench.results.shapes import Count, Finite, Text, check_shape, fields_among_others
from flagbench.suites.longctx.registry import Row, row_of, rows
from flagbench.suites.longctx.sample import Answer, Cell

if TYPE_CHECKING:
    from flagbench.results.runs import Run

_BENCHMARK = "longctx"
_FIX = "evaluate the task again with --overwrite, or copy the file again"
_LARGEST = 1024 * MIB


@fields_among_others
class _AnswerFields(TypedDict):
    id: Text
    subset: Text
    references: list[Text]
    cell: NotRequired[list[Count] | None]
    facts: NotRequired[dict[str, Any]]
    text: NotRequired[Text]
    numbers: NotRequired[list[Finite]]


@fields_among_others
class _File(TypedDict):
    benchmark: Text
    task: Text
    protocol: Text
    answers: list[_AnswerFields]


@dataclass(frozen=True)
class Saved:
    """Answers to a task.

    Attributes:
        row: The task.
        protocol: Whose rules made the prompts.
        answers: To all samples, in the order in which they are asked.
    """

    row: Row
    protocol: str
    answers: tuple[Answer, ...]

    @staticmethod
    def file(task: str) -> str:
        """Path of a task's answers in the folder of a run."""
        return f"LongContext/{task}.json"

    def to_json(self) -> str:
        """The text of the file."""
        values = {
            "benchmark": _BENCHMARK,
            "task": self.row.name,
            "protocol": self.protocol,
            "answers": [{"id": each.id, **as_fields(each)} for each in self.answers],
        }
        return json.dumps(values, indent=1, allow_nan=False) + "\n"  # ASCII: an answer may hold half a surrogate pair


def as_fields(answer: Answer) -> dict[str, Any]:
    """An answer without its id as plain values; what is empty is left out."""
    cell = [answer.cell.length, answer.cell.depth] if answer.cell else None
    optional = {"cell": cell, "facts": dict(answer.facts), "text": answer.text, "numbers": list(answer.numbers)}
    return {
        "subset": answer.subset,
        "references": list(answer.references),
        **{name: value for name, value in optional.items() if value},
    }


def from_fields(name: str, values: Mapping[str, Any]) -> Answer:
    """An answer from its id and what ``as_fields`` gave.

    Raises:
        ValueError: Its cell is none.
    """
    cell = values.get("cell")
    if cell is not None and len(cell) != 2:
        raise ValueError(f"the cell of {name!r:.80} is not a length and a depth")
    return Answer(
        id=name,
        subset=values["subset"],
        references=tuple(values["references"]),
        cell=Cell(*cell) if cell else None,
        facts=values.get("facts", {}),
        text=values.get("text", ""),
        numbers=tuple(values.get("numbers", ())),
    )


def read_saved(run: Run, task: str) -> Saved:
    """Read the answers to a task of a run.

    Args:
        run: The run.
        task: Name of one of its tasks.

    Raises:
        BadData: The file is damaged, or absent.
    """
    path = run.folder / Saved.file(task)
    values = run.json(Saved.file(task), _FIX, largest=_LARGEST, halves=True, error=BadData)
    try:
        check_shape(_File, values)
        if values["benchmark"] != _BENCHMARK or values["task"] != task:
            raise ValueError(f"it is of {values['benchmark']!r:.80}, task {values['task']!r:.80}")
        row = row_of(task)
        if values["protocol"] not in row.protocols:
            raise ValueError(f"{task} has no protocol {values['protocol']!r:.80}")
        answers = tuple(from_fields(each["id"], each) for each in values["answers"])
        if twice := [name for name, count in Counter(each.id for each in answers).items() if count > 1]:
            raise ValueError(f"sample {twice[0]!r:.80} is listed twice")
    except ValueError as error:
        raise BadData(f"{path} holds no answers to {task} ({error}): {_FIX}") from error
    return Saved(row, values["protocol"], answers)


def saved_of(run: Run) -> Sequence[Saved]:
    """The answers to all tasks of a run that have results, in the order of the table of tasks.

    Raises:
        BadData: As ``read_saved``.
    """
    done = {name for name, record in run.record.tasks.items() if record.status in ("success", "partial")}
    return [read_saved(run, row.name) for row in rows() if row.name in done]
