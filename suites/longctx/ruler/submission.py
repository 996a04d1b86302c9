"""RULER's own files of predictions and scores, as its scripts write and read them (scripts/pred, scripts/eval).

A run of a length is a folder ``<length>/pred`` with a file for each task and the table of their scores.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from flagbench import BadData
from flagbench.suites.longctx.registry import row_of
from flagbench.suites.longctx.ruler.scores import cleaned, string_match
from flagbench.suites.longctx.sample import Answer


def files(model: str, answers: Mapping[str, Sequence[Answer]]) -> dict[str, str]:
    """The files of a run.

    Args:
        model: Name of the model in the folder; no path.
        answers: By task, of those of RULER.

    Returns:
        Texts by path: ``<model>/<length>/pred/<task>.jsonl``, and the tables of each length beside them.

    Raises:
        BadData: A saved answer is none of the task's.
    """
    found: dict[int, dict[str, list[Answer]]] = {}
    for name, its in answers.items():
        for each in its:
            if not all(type(each.facts.get(fact)) is int for fact in ("number", "tokens")):
                raise BadData(
                    f"the answer '{each.id:.40}' of {name} does not say its number, or how long its prompt was: run "
                    "the task again"
                )
        for length, of_length in by_length(its).items():
            found.setdefault(length, {})[name] = of_length
    made: dict[str, str] = {}
    for length, tasks in sorted(found.items()):
        folder = f"{model}/{length}/pred"
        parts = {row_of(name).part: (row_of(name).main_score, its) for name, its in tasks.items()}
        made |= {f"{folder}/{part}.jsonl": predictions(its) for part, (_, its) in parts.items()}
        name, table = summary(parts)
        made[f"{folder}/{name}"] = table
        made[f"{folder}/submission.csv"] = submission({part: its for part, (_, its) in parts.items()})
    return made


def by_length(answers: Iterable[Answer]) -> dict[int, list[Answer]]:
    """The answers to a task at each length, shortest first, in the order of their samples."""
    found: dict[int, list[Answer]] = {}
    for answer in sorted(answers, key=lambda each: (int(each.subset), int(each.facts["number"]))):
        found.setdefault(int(answer.subset), []).append(answer)
    return found


def predictions(answers: Sequence[Answer]) -> str:
    """The file ``pred/<task>.jsonl`` of a length: what ``evaluate.py`` reads of a task.

    ``input``, which it shows and does not score by, is empty: a result does not keep prompts. ``index`` is the sample's
    number; RULER's own files have there, for needles, the place of the answer in the prompt.

    Args:
        answers: To a task at a length, in order.
    """
    rows = [
        {
            "index": answer.facts["number"],
            "pred": answer.text,
            "input": "",
            "outputs": list(answer.references),
            "others": {},
            "truncation": -1,
            "length": answer.facts["tokens"],
        }
        for answer in answers
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


def percent(metric: str, answers: Sequence[Answer]) -> float:
    """The score of a task at a length as RULER writes it: in percent, with two decimals."""
    return round(fmean(string_match(metric, answer.text, answer.references) for answer in answers) * 100, 2)


def summary(scored: Mapping[str, tuple[str, Sequence[Answer]]]) -> tuple[str, str]:
    """The table of scores of a length, with the number of empty answers.

    Args:
        scored: Metric and answers at that length, by RULER's name of the task.

    Returns:
        Name of the file and its text.
    """
    tasks = list(scored)
    lines: list[list[object]] = [
        ["Tasks", *tasks],
        ["Score", *(percent(metric, answers) for metric, answers in scored.values())],
        ["Nulls", *(_nulls(answers) for _, answers in scored.values())],
    ]
    name = "summary.csv" if len(tasks) > 1 else f"summary-{tasks[0]}.csv"
    return name, _table([list(range(len(tasks) + 1)), *lines])


def submission(scored: Mapping[str, Sequence[Answer]]) -> str:
    """The file ``submission.csv`` of a length: all answers as they are scored, by RULER's name of the task."""
    lines = [
        [task, answer.facts["number"], cleaned(answer.text)] for task, answers in scored.items() for answer in answers
    ]
    return _table([["Task", "ID", "Prediction"], *lines])


def _nulls(answers: Sequence[Answer]) -> str:
    return f"{sum(not cleaned(answer.text) for answer in answers)}/{len(answers)}"


def _table(lines: Iterable[Sequence[object]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(lines)
    return file.getvalue()
