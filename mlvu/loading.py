"""Questions of MLVU from a snapshot of its repo, checked against the table; and what is odd about them.

Two question sets are made of the same rows. ``as-released`` has them all, and its gold letters are those of the
official code. ``cleaned`` leaves out what cannot be answered: a row without a question, with an empty answer, or whose
answer is not among its candidates. It keeps a row whose gold stands among the candidates twice, where the official rule
takes the last of the equal letters and the robust one any of them; a row where other candidates are equal or empty,
since its gold is clear; and a question that is asked twice.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from flagbench import BadData, UnknownName
from flagbench.files import as_number, read_json
from flagbench.mlvu.registry import Row, datasets
from flagbench.runners.data.content import of_columns
from flagbench.runners.data.sources import Source
from flagbench.runners.data.verdict import DataVerdict, judge, read_official

QuestionSet = Literal["as-released", "cleaned"]
QUESTION_SETS: tuple[QuestionSet, ...] = get_args(QuestionSet)

# A file lies in the repo's own folder, or one level down, where the hub's repos keep it: both are seen.
_TEST_GOLD = {"SSC": "test-ground-truth/test_ssc_gt.json", "VS": "test-ground-truth/test_vs_gt.json"}
_TEST_MCQ_GOLD = "test-ground-truth/test_mcq_gt.json"
_TEST_MCQ = ("test_multi_choice_tasks.json", "test_question.json")
_TEST_OPEN = ("test_generation_tasks.json",)

# The file with the open questions of both tasks distinguishes them by type, which other code spells in two ways.
_OPEN_TYPES = {"SSC": {"subPlot", "subsummary", "SSC"}, "VS": {"summary", "VS"}}


_OFFICIAL = Path(__file__).with_name("official.toml")
_LISTS = ("candidates", "points")
_SCORED = ("id", "video", "question", "candidates", "answer", "points")
"""What a score depends on, besides the videos themselves, which no digest covers."""


@dataclass(frozen=True)
class Question:
    """One question on one video.

    Attributes:
        id: ``file:index`` (from 0) in the dev set, which has no ids; the published one in the test set.
        task: The task's full name.
        video: Name of the video's file.
        folder: Folder of the task's videos, seen from the one that holds those of the set.
        question: The text.
        candidates: Options, of which the first is A; empty for an open question.
        answer: Text of the right option, or the reference of an open question.
        gold: Letter of the right option as the official code finds it: the last candidate equal to the answer. Empty
            where none is, or where the answers are not there.
        golds: Letters of all candidates that equal the answer.
        labelled: Whether the answer is there.
        points: What an answer to the question must mention; empty where the data names nothing.
        duration: Seconds; 0 where the data does not say.
    """

    id: str
    task: str
    video: str
    folder: str
    question: str
    candidates: tuple[str, ...]
    answer: str
    gold: str
    golds: tuple[str, ...]
    labelled: bool
    points: tuple[str, ...]
    duration: float

    @property
    def letters(self) -> str:
        """Those of the options, such as ``ABCD``."""
        return string.ascii_uppercase[: len(self.candidates)]


@dataclass(frozen=True)
class Questions:
    """The questions of one task, as released.

    Attributes:
        row: The task.
        all: In the order of the file.
        source: The file.
    """

    row: Row
    all: tuple[Question, ...]
    source: Path


@dataclass(frozen=True)
class Anomaly:
    """Something odd about a question; ``what`` names the kind."""

    id: str
    what: str


def label_files(row: Row) -> tuple[str, ...]:
    """Possible files of the test set's labels in its repo, the best first; those of dev are in its questions."""
    if row.set == "dev":
        return ()
    return _in_test_repo(_TEST_GOLD[row.file] if row.kind == "open" else _TEST_MCQ_GOLD)


def question_files(row: Row) -> tuple[str, ...]:
    """Possible files of a task's questions as they are asked, the best first.

    The dev files are in ``MLVU/json/`` on the hub and in ``json/`` in the official code's data. In the test repo all
    files lie at the top, or in ``MLVU_Test/``.
    """
    if row.set == "dev":
        return f"MLVU/json/{row.file}.json", f"json/{row.file}.json"
    return _in_test_repo(*(_TEST_OPEN if row.kind == "open" else _TEST_MCQ))


def annotation_files(row: Row) -> tuple[str, ...]:
    """Possible files of a task's questions in a repo, the best first: with answers before without."""
    return (*label_files(row), *question_files(row))


def _in_test_repo(*names: str) -> tuple[str, ...]:
    return tuple(folder + name for name in names for folder in ("", "MLVU_Test/"))


def first_of(names: Sequence[str], folder: Path) -> Path | None:
    """The first of these files that is in a folder; None where none is."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def find_file(row: Row, folder: Path) -> Path:
    """The file with the questions of a task.

    Args:
        row: The task.
        folder: The repo's snapshot: the hub's, or ``<root>/<org>/<repo>``.

    Raises:
        BadData: There is none.
    """
    names = annotation_files(row)
    if (found := first_of(names, folder)) is not None:
        return found
    raise BadData(
        f"{folder} has no questions of {row.task_name}: none of {', '.join(names)} is there; "
        f"fetch them from the hub repo {row.repo}"
    )


def read(row: Row, folder: Path) -> Questions:
    """Read the questions of a task.

    Args:
        row: The task.
        folder: As ``find_file``.

    Raises:
        BadData: There is no file, or as ``read_file``.
    """
    return read_file(row, find_file(row, folder))


def read_file(row: Row, source: Path) -> Questions:
    """Read the questions of a task in a file.

    Raises:
        BadData: It is damaged; a field is missing or of the wrong type; an id is listed twice.
    """
    questions = tuple(_questions(row, source, _entries(source)))
    if not questions:
        raise BadData(f"{source} has no questions of {row.task_name}; fetch it again from {row.repo}")
    ids = Counter(question.id for question in questions)
    if twice := [each for each, times in ids.items() if times > 1]:
        raise BadData(f"{source}: id '{twice[0]}' is listed twice; fix the data")
    return Questions(row, questions, source)


def verdict(questions: Questions, source: Source) -> DataVerdict:
    """Compare questions with those published: their counts, and their content where it is known.

    Args:
        questions: Of a task, as released.
        source: The repo or folder that they are from.
    """
    row, every = questions.row, questions.all
    counted = (
        ("questions", len(every), row.rows),
        ("videos", len({question.video for question in every}), row.videos),
    )
    differences = [f"{what}: {count:,} instead of {known:,}" for what, count, known in counted if 0 < known != count]
    if fewer := sum(len(question.candidates) != row.letters for question in every):
        differences.append(f"questions that have other than {row.letters} candidates: {fewer:,} instead of 0")
    counts = differences if row.rows or differences else None
    columns = {name: [getattr(each, name) for each in every] for name in _SCORED}
    content = {"questions": of_columns(columns | {name: list(map(list, columns[name])) for name in _LISTS})}
    known = read_official(_OFFICIAL).get((row.task_name, row.revision))
    found = judge(content, counts, [source], row.revision, known)
    return replace(found, source=f"file {questions.source}")


def question_set(questions: Sequence[Question], name: str) -> tuple[Question, ...]:
    """The questions of a set of that name: ``as-released`` or ``cleaned``.

    Raises:
        UnknownName: There is no such set.
    """
    if name not in QUESTION_SETS:
        raise UnknownName("question set", name, QUESTION_SETS)
    return tuple(questions) if name == "as-released" else tuple(filter(_answerable, questions))


def _answerable(question: Question) -> bool:
    if not question.question.strip():
        return False
    if not question.labelled:
        return True
    return bool(question.answer.strip()) and (not question.candidates or bool(question.golds))


def anomalies(questions: Sequence[Question]) -> list[Anomaly]:
    """All that is odd about questions of any tasks, in their order; a question may be odd in several ways."""
    tasks = {row.task_name: row for row in datasets()}
    repeats = Counter((each.task, each.video, each.question) for each in questions)
    videos = Counter((each.task, each.video) for each in questions if each.task in tasks and tasks[each.task].summary)
    found: list[Anomaly] = []
    for each in questions:
        kinds = list(_oddities(each))
        if repeats[(each.task, each.video, each.question)] > 1:
            kinds.append("same video and question twice")
        if videos[(each.task, each.video)] > 1:
            kinds.append("same video twice in summary")
        found += [Anomaly(each.id, what) for what in kinds]
    return found


def oddities_line(task: str, odd: Sequence[Anomaly]) -> str:
    """How many questions of a task are odd, and in which ways; empty where none is."""
    kinds = ", ".join(f"{what} {count}" for what, count in Counter(each.what for each in odd).most_common())
    return f"{task}: {len({each.id for each in odd})} odd questions ({kinds})" if odd else ""


def _oddities(question: Question) -> Iterator[str]:
    """Oddities of one question."""
    its = question.candidates
    if its and question.labelled and not question.golds:
        yield "answer not among candidates"
    if not question.question.strip():
        yield "empty question"
    if question.labelled and not question.answer.strip():
        yield "empty answer"
    if its and not any(each.strip() for each in its):
        yield "empty candidates"
    elif any(not each.strip() for each in its):
        yield "empty candidate"
    if len(set(its)) < len(its):
        yield "duplicate candidates, the gold" if len(question.golds) > 1 else "duplicate candidates, not the gold"
    for what, texts in (("question", [question.question]), ("answer", [question.answer]), ("candidate", its)):
        if any(each != each.strip() for each in texts):
            yield f"blanks around the {what}"


def _entries(source: Path) -> list[Any]:
    """The rows of a file, whatever they are."""
    entries = read_json(source, "fetch it again", error=BadData)
    if not isinstance(entries, list):
        raise BadData(f"{source} is not a list of questions; fetch it again")
    return entries


def _questions(row: Row, source: Path, entries: Sequence[Any]) -> Iterator[Question]:
    """The entries that belong to the task, in their order."""
    gold = row.set == "dev" or source.parent.name == "test-ground-truth"
    for index, entry in enumerate(entries):
        where = f"{source}: row {index} (from 0)"
        if not isinstance(entry, dict):
            raise BadData(f"{where} is not an object; fix the data")
        if _belongs(row, entry, where, gold=gold):
            yield _question(row, entry, index, where, gold=gold)


def _belongs(row: Row, entry: Mapping[str, Any], where: str, *, gold: bool) -> bool:
    """Tell whether an entry belongs to the task.

    Raises:
        BadData: It has no type, one that is not the file's, or one that its id contradicts.
    """
    if row.kind == "open" and row.set == "test":
        # Each task has a ground truth of its own, whose types are undocumented.
        return gold or _text(entry, "question_type", where) in _OPEN_TYPES[row.file]
    kind = _text(entry, "question_type", where)
    if row.set == "dev":
        if kind != row.name:
            raise BadData(f"{where} has the question_type '{kind}' instead of '{row.name}'; fix the data")
        return True
    question_id = _text(entry, "question_id", where)
    by_id, by_kind = question_id.rpartition("_")[0] == row.file, kind == row.name
    if by_id != by_kind:
        raise BadData(f"{where}: id '{question_id}' and question_type '{kind}' contradict each other; fix the data")
    return by_id


def _question(row: Row, entry: Mapping[str, Any], index: int, where: str, *, gold: bool) -> Question:
    """One entry, checked."""
    video = _text(entry, "video", where)
    if video in {"", ".."} or Path(video).name != video:
        raise BadData(f"{where}: video '{video}' is not the name of a file; fix the data")
    candidates = _candidates(row, entry, where) if row.kind == "multiple-choice" else ()
    labelled = gold or entry.get("answer") is not None
    answer = _option(entry["answer"], "answer", where) if labelled and "answer" in entry else ""
    if labelled and "answer" not in entry:
        raise BadData(f"{where} has no answer; fix the data")
    golds = golds_of(candidates, answer) if labelled else ()
    if row.set == "test" and labelled and candidates and not golds:  # of dev two rows are published so
        raise BadData(f"{where}: answer '{answer:.80}' is not the text of a candidate; fix the data")
    return Question(
        id=_id(row, entry, index, where),
        task=row.task_name,
        video=video,
        folder=row.video_folder,
        question=_text(entry, "question", where),
        candidates=candidates,
        answer=answer,
        gold=golds[-1] if golds else "",
        golds=golds,
        labelled=labelled,
        points=_points(entry, where),
        duration=_duration(row, entry, where),
    )


def golds_of(candidates: Sequence[str], answer: str) -> tuple[str, ...]:
    """The letters of all candidates that equal an answer."""
    return tuple(string.ascii_uppercase[at] for at, each in enumerate(candidates) if each == answer)


def _id(row: Row, entry: Mapping[str, Any], index: int, where: str) -> str:
    if row.set == "dev":
        return f"{row.file}:{index}"
    # Open questions may have none.
    if row.kind == "open" and entry.get("question_id") is None:
        return f"{row.file}_{index}"
    return _text(entry, "question_id", where)


def _text(entry: Mapping[str, Any], field: str, where: str) -> str:
    if field not in entry:
        raise BadData(f"{where} has no {field}; fix the data")
    if not isinstance(entry[field], str):
        raise BadData(f"{where}: {field} is not a text; fix the data")
    return str(entry[field])


def _option(value: Any, field: str, where: str) -> str:
    """A candidate or an answer; a count may be a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadData(f"{where}: {field} is not a text; fix the data")
    return str(value)


def _candidates(row: Row, entry: Mapping[str, Any], where: str) -> tuple[str, ...]:
    if "candidates" not in entry:
        raise BadData(f"{where} has no candidates; fix the data")
    values = entry["candidates"]
    if not isinstance(values, list) or not 2 <= len(values) <= row.letters:
        raise BadData(f"{where}: candidates are not a list of 2 to {row.letters}; fix the data")
    return tuple(_option(value, "a candidate", where) for value in values)


def _points(entry: Mapping[str, Any], where: str) -> tuple[str, ...]:
    values = entry.get("scoring_points")
    if values is None:
        return ()
    if not isinstance(values, list) or not values or not all(isinstance(each, str) and each.strip() for each in values):
        raise BadData(f"{where}: scoring_points are not a list of texts; fix the data")
    return tuple(values)


def _duration(row: Row, entry: Mapping[str, Any], where: str) -> float:
    value = entry.get("duration")
    if value is None and row.set == "test":
        return 0.0
    seconds = as_number(value)
    if seconds is None or seconds <= 0:
        raise BadData(f"{where}: duration is not a number of seconds; fix the data")
    return seconds
