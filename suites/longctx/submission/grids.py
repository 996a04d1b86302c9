"""Results of needles, passkeys and topics as FlagEmbedding's evaluations write them: ``<test>/<model>/results.json``.

Source: https://github.com/FlagOpen/FlagEmbedding at 7ed43d6, research/Long_LLM, eval_needle.py, eval_passkey.py and
eval_topic.py. Topics are keyed there by the mean length of a group's prompts; groups with one mean share a key, and the
scores that are logged by it are those of the last of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from flagbench import BadData
from flagbench.suites.longctx.passkey import first_digits
from flagbench.suites.longctx.registry import Row, row_of
from flagbench.suites.longctx.sample import Answer

_FOLDERS = {"needle": "needle", "passkey": "passkey", "topic": "topic_retrieval"}
_PROTOCOLS = ("flagembedding", "qlora")


def has_file(row: Row, protocol: str) -> bool:
    """Tell whether FlagEmbedding's evaluations write a file of a task by the rules of a protocol."""
    return row.kind in _FOLDERS and protocol in _PROTOCOLS


def files(model: str, protocol: str, answers: Mapping[str, Sequence[Answer]]) -> Mapping[str, str]:
    """The files of a run.

    Args:
        model: Name of the model in the folder; no path.
        protocol: Whose rules made them; those of other authors have no such file.
        answers: By task, of those of grids, in the order of the data.

    Returns:
        Texts by path.

    Raises:
        BadData: A saved answer is none of the task's.
    """
    made = {}
    for name, its in answers.items():
        row = row_of(name)
        if has_file(row, protocol):
            results = _by_mean(its) if row.kind == "topic" else _by_cell(name, its, digits=row.kind == "passkey")
            made[f"{_FOLDERS[row.kind]}/{model}/results.json"] = json.dumps(results)
    return made


def _by_cell(name: str, answers: Sequence[Answer], *, digits: bool) -> dict[str, dict[str, list[dict[str, str]]]]:
    results: dict[str, dict[str, list[dict[str, str]]]] = {}
    for each in answers:
        if each.cell is None or not each.references:
            raise BadData(f"the answer '{each.id:.40}' of {name} has no length and depth: run the task again")
        text = first_digits(each.text) if digits else each.text
        depths = results.setdefault(str(each.cell.length), {})
        depths.setdefault(str(each.cell.depth), []).append({"target": each.references[0], "prediction": text})
    return results


def _by_mean(answers: Sequence[Answer]) -> dict[str, list[dict[str, Any]]]:
    """Answers by the mean tokens of their group's prompts, cut to a whole number; without the chat template's own."""
    groups: dict[str, list[Answer]] = {}
    for each in answers:
        groups.setdefault(each.subset, []).append(each)
    results: dict[str, list[dict[str, Any]]] = {}
    for its in groups.values():
        lengths = [each.facts.get("tokens") for each in its]
        known = [length for length in lengths if type(length) is int]
        if len(known) != len(its) or not all(each.references for each in its):
            raise BadData(f"the answer '{its[0].id:.40}' does not say how long its prompt was: run the task again")
        key = str(int(sum(known) / len(known)))
        results.setdefault(key, []).extend({"target": each.references[0], "prediction": each.text} for each in its)
    return results
