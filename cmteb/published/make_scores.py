"""Write scores.csv from a table of published results: ``python cmteb/published/make_scores.py RESULTS.csv``.

RESULTS.csv has a line for each model, revision, task and split of embeddings-benchmark/results on GitHub: the columns
``model``, ``revision``, ``task``, ``split``, ``mteb_version`` and one for each metric. The tasks are those of C-MTEB's
core group, from ``cmteb/tasks.toml``.
"""

from __future__ import annotations

import csv
import io
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_TASKS = Path(__file__).parents[1] / "tasks.toml"
_HEAD = """\
# Published C-MTEB scores, from embeddings-benchmark/results on GitHub, read 2026-08. Made by make_scores.py, beside
# this file; not written by hand. A line a model: those with results on all 31 tasks, every BAAI/bge model, and
# sentence-transformers/all-MiniLM-L6-v2. A column a task and split, with the main score as published: 6 decimals.
# Blank: no score of that metric was published. "+" joins the revisions, and the versions of mteb, of a model's results.
"""
_PREFIX = "BAAI/bge"
_ALSO = "sentence-transformers/all-MiniLM-L6-v2"

# What older versions of mteb called a main score. Other metrics of the same task do not stand in for it: some models
# have the average precision of Ocnli and Cmnli and not their accuracy.
_FORMER_NAMES = {"map_at_1000": "map"}

Cell = tuple[str, str]


@dataclass
class _Revision:
    """Published results of one revision of a model: scores by task and split, all its tasks, versions of mteb."""

    scores: dict[Cell, str] = field(default_factory=dict)
    tasks: set[str] = field(default_factory=set)
    versions: dict[Cell, str] = field(default_factory=dict)


def text(source: Path) -> str:
    """The whole of scores.csv.

    Args:
        source: Table of published results.

    Raises:
        ValueError: A model has two different scores for one thing.
    """
    tasks = [task for task in tomllib.loads(_TASKS.read_text(encoding="utf-8"))["task"] if task["group"] == "core"]
    cells = [(task["name"], split) for task in tasks for split in task["splits"]]
    kinds = {task["name"]: task["kind"] for task in tasks}
    with source.open(encoding="utf-8", newline="") as file:
        models = _models(csv.DictReader(file), {task["name"]: task for task in tasks})
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write(["model", "revision", "mteb", *(task for task, _ in cells)])
    write(["type", "", "", *(kinds[task] for task, _ in cells)])
    write(["split", "", "", *(split for _, split in cells)])
    for name in sorted(models):
        every = set().union(*(revision.tasks for revision in models[name].values()))
        if every == set(kinds) or name.startswith(_PREFIX) or name == _ALSO:
            write([name, *_row(name, models[name], cells)])
    return _HEAD + out.getvalue()


def _models(
    lines: Iterable[Mapping[str, str]], tasks: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, _Revision]]:
    """Published results, by model and revision."""
    models: dict[str, dict[str, _Revision]] = {}
    for line in lines:
        task = tasks.get(line["task"])
        if task is None or line["split"] not in task["splits"]:
            continue
        metric = task["main_score"]
        score = line[metric] or line[_FORMER_NAMES.get(metric, metric)]
        revision = models.setdefault(line["model"], {}).setdefault(line["revision"], _Revision())
        if score or line["main_score"]:
            revision.tasks.add(task["name"])
        if score:
            cell = (task["name"], line["split"])
            _put(revision.scores, cell, score, f"{line['model']} at {line['revision']}")
            revision.versions.setdefault(cell, line["mteb_version"])
    return models


def _put(scores: dict[Cell, str], cell: Cell, score: str, whose: str) -> None:
    if scores.setdefault(cell, score) != score:
        raise ValueError(f"{whose} has two scores for {cell}: {scores[cell]} and {score}")


def _row(name: str, revisions: Mapping[str, _Revision], cells: Sequence[Cell]) -> list[str]:
    """Revision, versions of mteb and scores of a model: the results of all its revisions together, as MTEB joins them.

    Where two revisions have a score for the same thing, none of them differs.
    """
    joined: dict[Cell, str] = {}
    versions: set[str] = set()
    used = []
    for label in sorted(revisions, key=lambda label: (-len(revisions[label].scores), label)):
        revision = revisions[label]
        if revision.scores.keys() - joined.keys():
            used.append(label)
        for cell, score in revision.scores.items():
            _put(joined, cell, score, name)
            versions.add(revision.versions[cell])
    return ["+".join(used), "+".join(sorted(versions - {""})), *(joined.get(cell, "") for cell in cells)]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} RESULTS.csv")
    Path(__file__).with_name("scores.csv").write_text(text(Path(sys.argv[1])), encoding="utf-8")
