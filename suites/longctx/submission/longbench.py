"""LongBench's folder of predictions: ``pred/<model>/<task>.jsonl``, LongBench-E's in ``pred_e``, and ``result.json``.

Source: https://github.com/THUDM/LongBench at 2e00731, LongBench/pred.py and eval.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from flagbench import BadData
from flagbench.suites.longctx.longbench import BUCKETS, task_of
from flagbench.suites.longctx.registry import Row, row_of
from flagbench.suites.longctx.sample import Answer
from flagbench.suites.longctx.submission.lines import line

_DEFAULT = "default"


def folder_of(row: Row, model: str) -> str:
    """The folder of a model's predictions of a task, relative to that of eval.py."""
    return f"{'pred_e' if row.group == 'longbench-e' else 'pred'}/{model}"


def files(
    model: str, answers: Mapping[str, Sequence[Answer]], scores: Mapping[str, Mapping[str, float]]
) -> Mapping[str, str]:
    """The files of a run.

    Args:
        model: Name of the model in the folder; no path.
        answers: By task, of those of LongBench and LongBench-E, in the order of the data.
        scores: From 0 to 1, by task and subset.

    Returns:
        Texts by path.

    Raises:
        BadData: A saved answer is none of the task's.
    """
    made: dict[str, str] = {}
    results: dict[str, dict[str, Any]] = {}
    for name, its in answers.items():
        row = row_of(name)
        folder = folder_of(row, model)
        made[f"{folder}/{task_of(row)}.jsonl"] = "".join(map(_line, its))
        results.setdefault(folder, {})[task_of(row)] = _result(scores[name])
    for folder, found in results.items():
        made[f"{folder}/result.json"] = json.dumps(found, ensure_ascii=False, indent=4)
    return made


def _line(answer: Answer) -> str:
    classes, length = answer.facts.get("all_classes"), answer.facts.get("length")
    texts = classes is None or (isinstance(classes, list) and all(isinstance(each, str) for each in classes))
    if not texts or not (length is None or type(length) is int):
        raise BadData(f"the answer '{answer.id:.40}' has no classes or no length of its row: run the task again")
    content = {"pred": answer.text, "answers": list(answer.references), "all_classes": classes, "length": length}
    return line(content)


def _result(scores: Mapping[str, float]) -> float | dict[str, float]:
    if _DEFAULT in scores:
        return round(100 * scores[_DEFAULT], 2)
    return {each: round(100 * scores.get(each, float("nan")), 2) for each in BUCKETS}
