"""The published scores of mteb's tasks with images, as the tables of benchmarks that have such tasks."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flagbench.results.published.scores import Published, PublishedTable, by_kind, mean_of_subsets
from flagbench.runners.task import Task

_LABELS = 6  # columns before the scores: task, type, split, subset, metric, revisions of the data
_SOURCE = "embeddings-benchmark/results at f4cc6c8b, read 2026-08"

Part = tuple[str, str]
"""Split and subset."""


@dataclass(frozen=True)
class _Scores:
    """The file.

    Attributes:
        kinds: Type by task.
        parts: Scores by task, part and model.
        labels: Revision and versions of mteb by model.
        metrics: Main score by task.
        data: Revisions of the data by task.
    """

    kinds: Mapping[str, str]
    parts: Mapping[str, Mapping[Part, Mapping[str, float]]]
    labels: Mapping[str, tuple[str, str]]
    metrics: Mapping[str, str]
    data: Mapping[str, tuple[str, ...]]


def table(
    name: str, title: str, rows: Sequence[Task] | None = None, by_subset: Collection[str] = ()
) -> PublishedTable | None:
    """The published scores of a benchmark; None where none of its tasks is among them.

    The score of a split is the mean over the subsets that the benchmark states.

    Args:
        name: Of the benchmark.
        title: As people write it.
        rows: Its tasks; None for all that have published scores, over all of their subsets.
        by_subset: Tasks whose scores are kept by subset as well.
    """
    file = _read()
    wanted = _every(file) if rows is None else {row.name: (row.kind, row.splits, row.subsets) for row in rows}
    if not wanted.keys() & file.kinds.keys():
        return None
    models = {}
    for model, (revision, versions) in file.labels.items():
        scores: dict[str, dict[str, float]] = {}
        kept: dict[str, dict[str, dict[str, float]]] = {}
        for task, (_, splits, subsets) in wanted.items():
            parts = file.parts.get(task, {})
            for split in splits:
                known = {subset: parts.get((split, subset), {}).get(model) for subset in subsets}
                found = {subset: score for subset, score in known.items() if score is not None}
                if len(found) < len(subsets):
                    continue
                scores.setdefault(task, {})[split] = mean_of_subsets(found.values())
                if task in by_subset:
                    kept.setdefault(task, {})[split] = found
        models[model] = Published(model, revision, f"mteb {versions}", scores, kept)
    return PublishedTable(
        benchmark=name,
        title=title,
        source=_SOURCE,
        kinds={task: kind for task, (kind, _, _) in wanted.items()},
        splits={task: splits for task, (_, splits, _) in wanted.items()},
        models=models,
        groups=by_kind({task: kind for task, (kind, _, _) in wanted.items()}),
        subsets={task: subsets for task, (_, _, subsets) in wanted.items()},
        metrics={task: file.metrics[task] for task in wanted if task in file.metrics},
        revisions={task: file.data[task] for task in wanted if task in file.data},
    )


def _every(file: _Scores) -> dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Type, splits and subsets of the tasks of the file."""
    return {
        task: (
            file.kinds[task],
            tuple(dict.fromkeys(split for split, _ in parts)),
            tuple(dict.fromkeys(subset for _, subset in parts)),
        )
        for task, parts in file.parts.items()
    }


@cache
def _read() -> _Scores:
    """The file, which is read once a process."""
    with Path(__file__).with_name("images.csv").open(encoding="utf-8", newline="") as file:
        names, revisions, versions, *lines = csv.reader(line for line in file if not line.startswith("#"))
    models = names[_LABELS:]
    kinds: dict[str, str] = {}
    parts: dict[str, dict[Part, dict[str, float]]] = {}
    metrics: dict[str, str] = {}
    data: dict[str, tuple[str, ...]] = {}
    for task, kind, split, subset, metric, revised, *cells in lines:
        kinds[task], metrics[task], data[task] = kind, metric, tuple(revised.split("+"))
        scores = {model: float(cell) for model, cell in zip(models, cells, strict=True) if cell}
        parts.setdefault(task, {})[split, subset] = scores
    labels = dict(zip(models, zip(revisions[_LABELS:], versions[_LABELS:], strict=True), strict=True))
    return _Scores(kinds, parts, labels, metrics, data)
