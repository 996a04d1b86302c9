"""The predictions file of the test set's multiple-choice questions, as MLVU's evaluation takes it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flagbench import BadInput, counted, first_few
from flagbench.mlvu.loading import Question
from flagbench.mlvu.registry import Row, averaged, find
from flagbench.mlvu.scoring import robust
from flagbench.results.store import write_atomic


@dataclass(frozen=True)
class Prediction:
    """A line of the file.

    Attributes:
        question_id: As published.
        question_type: The official name of the task.
        option: A letter of the question's options.
    """

    question_id: str
    question_type: str
    option: str


@dataclass(frozen=True)
class Checked:
    """Predictions that were found fit to be submitted.

    Attributes:
        predictions: In the order of the questions.
        missing: Ids without an answer, which a partial submission leaves out.
        unparsed: Ids whose answers name no option, which it leaves out as well.
        short: Tasks of which the data has fewer questions than are published, with both numbers.
    """

    predictions: tuple[Prediction, ...]
    missing: tuple[str, ...]
    unparsed: tuple[str, ...]
    short: tuple[str, ...]

    @property
    def partial(self) -> bool:
        """True when something is left out."""
        return bool(self.missing or self.unparsed or self.short)


def check(questions: Sequence[Question], answers: Mapping[str, str], *, allow_partial: bool = False) -> Checked:
    """Turn answers into predictions, and see that they are complete. Letters are read forgivingly (``robust``).

    Args:
        questions: All multiple-choice questions of the test set.
        answers: By id, as the model wrote them.
        allow_partial: Leave out questions that have no answer, or one that names no option.

    Raises:
        BadInput: A question of another set, an answer to none of them, or (if not allowed) something is left out.
    """
    rows = {question.id: find(question.task) for question in questions}
    for question in questions:
        row = rows[question.id]
        if row.set != "test" or row.kind != "multiple-choice":
            raise BadInput(
                f"question {question.id} belongs to {row.task_name}: only the test set's options are submitted"
            )
    if len(rows) < len(questions):
        twice = Counter(question.id for question in questions).most_common(1)[0][0]
        raise BadInput(f"question {twice} is listed twice; fix the data")
    if foreign := [each for each in answers if each not in rows]:
        raise BadInput(f"{len(foreign)} answers are to no question of the test set: {first_few(foreign)}; remove them")
    predictions, unparsed = [], []
    for question in questions:
        if question.id not in answers:
            continue
        letter = robust(answers[question.id], question)
        if letter is None:
            unparsed.append(question.id)
        else:
            predictions.append(Prediction(question.id, rows[question.id].name, letter))
    missing = [question.id for question in questions if question.id not in answers]
    checked = Checked(tuple(predictions), tuple(missing), tuple(unparsed), _short(rows.values()))
    if not predictions or (checked.partial and not allow_partial):
        raise BadInput(f"the predictions cannot be submitted: {_faults(checked, len(questions))}")
    return checked


def _short(rows: Iterable[Row]) -> tuple[str, ...]:
    """Tasks whose questions are not as many as published: ``MLVU-test_ego (1 of 53)``."""
    counts = Counter(row.task_name for row in rows)
    others = (row for row in averaged("test") if counts[row.task_name] != row.rows)
    return tuple(f"{row.task_name} ({counts[row.task_name]} of {row.rows})" for row in others)


def _faults(checked: Checked, questions: int) -> str:
    reasons = lacking(checked, questions) or ["there are no questions"]
    return "; ".join(reasons) + (" (--allow-partial writes the others)" if checked.predictions else "")


def lacking(checked: Checked, questions: int) -> list[str]:
    """What a submission lacks, a line each.

    Args:
        checked: What ``check`` gave.
        questions: How many there are.
    """
    kinds = {
        f"{len(checked.missing)} of {questions} questions have no answer": checked.missing,
        f"{counted(len(checked.unparsed), 'answer')} {'names' if len(checked.unparsed) == 1 else 'name'} no option, or "
        "more than one": checked.unparsed,
        f"{counted(len(checked.short), 'task')} {'does' if len(checked.short) == 1 else 'do'} not have all published "
        "questions": checked.short,
    }
    shown = len(averaged("test"))  # all tasks
    return [
        f"{what}: {first_few(which, shown) if which is checked.short else first_few(which)}"
        for what, which in kinds.items()
        if which
    ]


def text(checked: Checked) -> str:
    """The file's text, laid out as the official sample: four blanks, and no line break at its end."""
    rows = [
        {"question_id": each.question_id, "question_type": each.question_type, "option": each.option}
        for each in checked.predictions
    ]
    return json.dumps(rows, indent=4, ensure_ascii=False)


def check_target(target: Path, *, overwrite: bool) -> None:
    """See that the file can be written, before the work.

    Raises:
        BadInput: It is there already, is a folder, or lies in none.
    """
    if target.is_dir():
        raise BadInput(f"{target} is a folder: give the name of a file")
    if target.exists() and not overwrite:
        raise BadInput(f"{target} exists already: use --overwrite, or another --output")
    if target.parent.exists() and not target.parent.is_dir():
        raise BadInput(f"{target.parent} is not a folder: use another --output")


def write(checked: Checked, target: Path, *, overwrite: bool = False) -> None:
    """Write the predictions file, whole or not at all.

    Args:
        checked: What ``check`` gave.
        target: The file; its folder is made.
        overwrite: One that is there already may be replaced.

    Raises:
        BadInput: It is there already, or cannot be written.
    """
    check_target(target, overwrite=overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"cannot write {target}: {error.strerror}; use another --output") from error
    write_atomic(target, text(checked))
