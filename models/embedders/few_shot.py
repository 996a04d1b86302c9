"""Solved examples of bge-en-icl, one file a task, as prompts."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from flagbench import BadInput
from flagbench.files import parse_json, read_text
from flagbench.models.spec import Prompts
from flagbench.paths import near_by

_FIX = "fix or copy it again"
_SUFFIXES = (".csv", ".jsonl")


def with_examples(prompts: Prompts, folder: Path) -> tuple[Prompts, list[str]]:
    """Put the solved examples of each task before its instruction.

    The files are FlagEmbedding's (``evaluation/mteb/examples/*.csv``): one a task, named after it, a query and its
    response a row; the first line names the columns. ``*.jsonl`` files have one object a line, its first two values
    are taken. The form of an example is that of ``FlagICLModel``.

    Args:
        prompts: Task instructions in the form ``<instruct>…\\n<query>``.
        folder: With the files.

    Returns:
        Prompts, and what was done, line by line.

    Raises:
        BadInput: No such folder, no file of a task in it, or a file with no usable row.
    """
    if not folder.is_dir():
        near = near_by(folder, folders=True)
        raise BadInput(f"--examples {folder}: no such folder{near}; it holds <Task>.csv or <Task>.jsonl files")
    files = {path.stem: path for suffix in _SUFFIXES for path in sorted(folder.glob(f"*{suffix}")) if path.is_file()}
    changed: list[tuple[str, str]] = []
    used: list[str] = []
    for selector, text in prompts:
        task = selector.removesuffix("-query").replace("*", "")
        if task not in files:
            changed.append((selector, text))
            continue
        solved = [f"{text}{query}\n<response>{response}" for query, response in _rows(files[task])]
        changed.append((selector, "\n\n".join(solved) + "\n\n" + text))
        used.append(task)
    if not used:
        raise BadInput(f"--examples {folder}: no file there is named after a task with an instruction")
    evidence = [f"solved examples: {len(used)} tasks, from {folder.name}"]
    if idle := sorted(files.keys() - set(used)):
        evidence.append(f"solved examples not used, for no task of that name has an instruction: {', '.join(idle)}")
    return tuple(changed), evidence


def _rows(path: Path) -> list[tuple[str, str]]:
    text = read_text(path, _FIX)
    rows = _of_csv(path, text) if path.suffix == ".csv" else _of_jsonl(path, text)
    if not rows or any(len(row) < 2 or not all(isinstance(value, str) for value in row) for row in rows):
        raise BadInput(f"{path}: each row must have a query and a response, and there must be one")
    return [(row[0], row[1]) for row in rows]


def _of_csv(path: Path, text: str) -> list[tuple[Any, ...]]:
    try:
        return [tuple(row[:2]) for row in list(csv.reader(io.StringIO(text, newline="")))[1:] if row]
    except csv.Error as error:
        raise BadInput(f"{path} is not CSV ({error}): {_FIX}") from error


def _of_jsonl(path: Path, text: str) -> list[tuple[Any, ...]]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            raise BadInput(f"{path}, line {number:,}, {error}: {_FIX}") from error
        if not isinstance(row, dict):
            raise BadInput(f"{path}, line {number:,}, is no JSON object: {_FIX}")
        rows.append(tuple(row.values())[:2])
    return rows
