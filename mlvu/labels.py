"""Labels of the test set, which are published apart from its questions: checked against these, and given to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from flagbench import BadData, first_few
from flagbench.mlvu.loading import (
    Anomaly,
    Question,
    Questions,
    first_of,
    golds_of,
    label_files,
    question_files,
    read_file,
)
from flagbench.mlvu.registry import Row

_OTHER_CANDIDATES = "other candidates than in the file of questions"


def read_labels(row: Row, folder: Path) -> tuple[Questions, list[Anomaly]]:
    """Read the labels of a task of the test set.

    Args:
        row: The task.
        folder: The repo's snapshot.

    Returns:
        The labels, and those that are odd (``check_labels``).

    Raises:
        BadData: There are none, they are damaged, or are not those of the questions beside them.
    """
    names = label_files(row)
    if (source := first_of(names, folder)) is None:
        raise BadData(
            f"{folder} has no labels of {row.task_name}: none of {', '.join(names)} is there; fetch them from the hub "
            f"repo {row.repo}"
        )
    labels = read_file(row, source)
    return labels, check_labels(labels, folder)


def check_labels(questions: Questions, folder: Path) -> list[Anomaly]:
    """Compare the labels of a task with the file of its questions, where both are there.

    Args:
        questions: As they were read: with labels, or without.
        folder: The repo's snapshot.

    Returns:
        Questions whose candidates, or their order, differ between the files: a letter does not mean the same in both.

    Raises:
        BadData: A question has no label, or a label no question, or it is of another question or video; or the file of
            questions is damaged.
    """
    row = questions.row
    labels, source = (first_of(names(row), folder) for names in (label_files, question_files))
    if labels is None or source is None:
        return []
    bare = read_file(row, source).all
    _check_same(bare, questions.all, f"{labels} has no label of", f"questions in {source}")
    _check_same(questions.all, bare, f"{source} has no question of", f"labels in {labels}")
    by_id = {question.id: question for question in bare}
    pairs = [(each, by_id[each.id]) for each in questions.all if each.candidates]
    for label, question in pairs:
        _check_alike(label, question, labels, f"in {source}")
    return [
        Anomaly(label.id, _OTHER_CANDIDATES) for label, question in pairs if label.candidates != question.candidates
    ]


def _check_same(these: Sequence[Question], those: Sequence[Question], lacks: str, of: str) -> None:
    """See that each of these has its like among those: by id, and by video where ids are made up."""
    names = [Counter(each.id if each.candidates else each.video for each in questions) for questions in (these, those)]
    if missing := names[0] - names[1]:
        named = first_few(missing.elements())
        raise BadData(f"{lacks} {missing.total()} of the {len(these)} {of} ({named}); fetch both files again")


def _check_alike(label: Question, question: Question, source: Path, where: str) -> None:
    """See that a label is of the question and the video that have its id; blanks do not count.

    Raises:
        BadData: It is not.
    """
    for what, of_label, of_question in (
        ("question", label.question, question.question),
        ("video", label.video, question.video),
    ):
        if of_label.split() != of_question.split():
            raise BadData(
                f"{source}: row {label.id} has the {what} '{of_label:.80}', and it is '{of_question:.80}' {where}: "
                "fetch the labels again"
            )


def give_labels(questions: Iterable[Question], labels: Questions) -> tuple[Question, ...]:
    """Questions with their labels. A letter is that of the candidates as the question has them.

    Args:
        questions: Of the same task, without labels.
        labels: As ``read_labels`` gave them.

    Raises:
        BadData: A question has no label, or one of another question, video or candidates.
    """
    return tuple(_with_label(question, _label_of(question, labels), labels.source) for question in questions)


def _with_label(question: Question, label: Question, source: Path) -> Question:
    _check_alike(label, question, source, "in the answers")
    if sorted(label.candidates) != sorted(question.candidates):
        raise BadData(
            f"{source}: question {question.id} has other candidates than those that were answered; evaluate again"
        )
    golds = golds_of(question.candidates, label.answer)
    gold = golds[-1] if golds else ""
    return replace(question, answer=label.answer, gold=gold, golds=golds, labelled=True, points=label.points)


def _label_of(question: Question, labels: Questions) -> Question:
    """The label of a question: by id, and by video and text where ids are made up."""
    if question.candidates:
        fitting = [each for each in labels.all if each.id == question.id]
    else:
        fitting = [each for each in labels.all if each.video == question.video]
        fitting = fitting if len(fitting) == 1 else [each for each in fitting if each.question == question.question]
    if len(fitting) != 1:
        many = f"{len(fitting)} labels" if fitting else "no label"
        raise BadData(f"{labels.source} has {many} of question {question.id} on {question.video}; fetch it again")
    return fitting[0]
