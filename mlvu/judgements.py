"""Judgements of the open tasks: grades of one item, their file, and the means of a whole set."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flagbench.files import parse_json
from flagbench.mlvu.criteria import COMPONENTS, POINT_SCALE, SCALE, OpenTask
from flagbench.runners.generation.judge import GradeFile


@dataclass(frozen=True)
class JudgeItem:
    """One answer to an open question.

    Attributes:
        id: Of the question.
        task: ``subPlot`` (SSC) or ``summary`` (VS).
        question: Its text.
        reference: What is right; the judge sees it for a summary.
        scoring_points: What an answer must mention; the judge sees them for a sub-scene caption.
        response: The model's answer, as it is.
    """

    id: str
    task: OpenTask
    question: str
    reference: str
    scoring_points: tuple[str, ...]
    response: str


@dataclass(frozen=True)
class Judgement:
    """The grades of one item.

    Attributes:
        id: Of the question.
        task: Of the item.
        accuracy: SSC: mean grade (1 to 5) of the scoring points, each 1, 3 or 5; the other numbers are whole.
        relevance: SSC.
        completeness: VS.
        reliability: VS.
        points: SSC: grade of each scoring point.
        attempts: Calls of the judge that this took.
    """

    id: str
    task: OpenTask
    accuracy: float | None = None
    relevance: int | None = None
    completeness: int | None = None
    reliability: int | None = None
    points: tuple[int, ...] = ()
    attempts: int = 1


@dataclass(frozen=True)
class Failure:
    """An item without grades, which no mean counts.

    Attributes:
        id: Of the question.
        task: Of the item.
        fault: What was wrong with the judge's last reply.
    """

    id: str
    task: OpenTask
    fault: str


@dataclass(frozen=True)
class Judged:
    """The grades of a set of items, and their means.

    Attributes:
        judge: Name of the judge.
        judge_settings: All that its grades depend on, as plain values.
        prompt_version: Hash of the judge's prompt texts.
        items: Grades, in the order of the items.
        failed: Items that got none.
        calls: Of the judge, in this run.
        cached: Items that were graded in an earlier run.
    """

    judge: str
    judge_settings: Mapping[str, Any]
    prompt_version: str
    items: tuple[Judgement, ...]
    failed: tuple[Failure, ...]
    calls: int
    cached: int

    @property
    def components(self) -> dict[str, float | None]:
        """Mean accuracy, relevance, completeness and reliability, 1 to 5, of the items that have grades."""
        means: dict[str, float | None] = {}
        for task, names in COMPONENTS.items():
            graded = [each for each in self.items if each.task == task]
            for name in names:
                means[name] = math.fsum(getattr(each, name) for each in graded) / len(graded) if graded else None
        return means

    @property
    def ssc(self) -> float | None:
        """Accuracy + relevance, 2 to 10; None without an item that has grades."""
        return self._sum("subPlot")

    @property
    def vs(self) -> float | None:
        """Completeness + reliability, 2 to 10; None without an item that has grades."""
        return self._sum("summary")

    @property
    def g_avg(self) -> float | None:
        """(SSC + VS) / 2; None where one of them is not there, or an item has no grades."""
        ssc, vs = self.ssc, self.vs
        return None if ssc is None or vs is None or self.failed else (ssc + vs) / 2

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as stored in a result."""
        counts = {
            task: {
                "judged": sum(each.task == task for each in self.items),
                "failed": sum(each.task == task for each in self.failed),
            }
            for task in COMPONENTS
        }
        scores = {"components": self.components, "SSC": self.ssc, "VS": self.vs, "G-Avg": self.g_avg, "counts": counts}
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain | scores

    def _sum(self, task: OpenTask) -> float | None:
        first, second = (self.components[name] for name in COMPONENTS[task])
        return None if first is None or second is None else first + second


def read_reply(reply: str, item: JudgeItem, attempts: int) -> Judgement:
    """Read a judge's reply: one JSON object of the requested form, and nothing beside it.

    Thoughts up to ``</think>`` and a Markdown fence around the whole are taken off: they leave no doubt.

    Raises:
        ValueError: It is something else; the message says what, for the judge to read.
    """
    text = reply.rpartition("</think>")[2].strip()
    if text.startswith("```") and text.endswith("```"):
        text = text[3:-3].removeprefix("json")
    try:
        value = parse_json(text, halves=True)
    except ValueError as error:
        raise ValueError(f"it is not one JSON object and nothing else: it {error}") from None
    if not isinstance(value, dict) or list(value) != ["scores"]:
        raise ValueError("it is not an object with the one key 'scores'")
    return grades(value["scores"], item, attempts)


def grades(scores: object, item: JudgeItem, attempts: int) -> Judgement:
    """Check the grades of an item.

    Raises:
        ValueError: A key is missing or too many, or a grade is not on its scale.
    """
    names = ("points", "relevance") if item.task == "subPlot" else COMPONENTS[item.task]
    if not isinstance(scores, dict) or set(scores) != set(names):
        raise ValueError(f"'scores' is not an object with the keys {' and '.join(names)} alone")
    if item.task == "summary":
        first, second = (_grade(name, scores[name], SCALE) for name in names)
        return Judgement(item.id, item.task, completeness=first, reliability=second, attempts=attempts)
    points, wanted = scores["points"], len(item.scoring_points)
    if not isinstance(points, list) or len(points) != wanted:
        count = f"{len(points)} grades" if isinstance(points, list) else "no list"
        raise ValueError(f"'points' has {count} for {wanted} scoring points")
    each = tuple(_grade(f"point {place}", value, POINT_SCALE) for place, value in enumerate(points, start=1))
    relevance = _grade("relevance", scores["relevance"], SCALE)
    return Judgement(item.id, item.task, sum(each) / wanted, relevance, points=each, attempts=attempts)


def as_scores(judgement: Judgement) -> dict[str, Any]:
    """The grades as a judge gives them; ``grades`` is the way back."""
    if judgement.task == "subPlot":
        return {"points": list(judgement.points), "relevance": judgement.relevance}
    return {name: getattr(judgement, name) for name in COMPONENTS[judgement.task]}


class JudgementFile:
    """Judgements in a file of grades.

    Args:
        path: Made with its folder when the first is added; None keeps them in memory alone.

    Raises:
        BadInput: It cannot be read.
    """

    def __init__(self, path: Path | None) -> None:
        self._file = GradeFile(path)

    def get(self, key: str, item: JudgeItem) -> Judgement | None:
        """The judgement stored under a key; None where there is none, or its grades are not possible."""
        row = self._file.get(key)
        if row is None:
            return None
        with suppress(ValueError):
            attempts = row.get("attempts")
            return grades(row.get("scores"), item, attempts if type(attempts) is int and attempts > 0 else 1)
        return None

    def add(self, key: str, judgement: Judgement) -> None:
        """Keep one, on disk when this returns.

        Raises:
            BadInput: It cannot be written.
        """
        scores = as_scores(judgement)
        row = {"id": judgement.id, "task": judgement.task, "scores": scores, "attempts": judgement.attempts}
        self._file.add(key, row)


def _grade(name: str, value: object, scale: Sequence[int]) -> int:
    # True is an int to Python, and 4.0 equals 4.
    if type(value) is not int or value not in scale:
        raise ValueError(f"{name} is {_short(value)}, not one of {', '.join(map(str, scale))}")
    return value


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
