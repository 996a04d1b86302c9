"""Published scores of a benchmark of mteb: a table that is made of a checkout of mteb's results repository.

``results/<org>__<model>/<revision>/<Task>.json`` holds the scores of a task, as mteb writes them.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from typing_extensions import TypedDict

from flagbench import BadInput
from flagbench.files import as_number, read_json
from flagbench.results.averages import Averages, Member, Weights, in_parts, task_of, weights
from flagbench.results.published.scores import SUBSET, PublishedTable, Updated, read_scores
from flagbench.results.shapes import Text, check_shape, fields_among_others
from flagbench.results.store import write_atomic
from flagbench.runners.request import cache_folder
from flagbench.runners.task import Task

REPOSITORY = "embeddings-benchmark/results"
_MAKER = "mteb"
_FORMER_NAMES = {
    "map_at_1000": "map",
    "hit_rate_at_1": "cv_recall_at_1",
    "hit_rate_at_3": "cv_recall_at_3",
    "image_acc": "main_score",
}
"""What older versions of mteb called a main score; results of ImageCoDe had no name for theirs."""

Cell = tuple[str, str, str]
"""A task, a split and a subset; an empty one stands for all that the benchmark states."""


@fields_among_others
class _Subset(TypedDict):
    hf_subset: Text


@fields_among_others
class _Result(TypedDict):
    mteb_version: Text | None
    scores: Mapping[Text, list[_Subset]]


@dataclass(frozen=True)
class _Revision:
    """Results of one revision of a model."""

    label: str
    scores: Mapping[Cell, float]
    versions: frozenset[str]


def place(name: str) -> Path:
    """The file with the published scores of a benchmark, in the user's cache."""
    return cache_folder() / "reference" / f"{re.sub('[^a-z0-9.]+', '-', name.lower()).strip('-')}.csv"


def table(name: str, rows: Sequence[Task]) -> PublishedTable | None:
    """The published scores of a benchmark; None where no table of them was made.

    Args:
        name: Of the benchmark.
        rows: Its tasks.

    Raises:
        BadInput: The table is damaged.
    """
    path = place(name)
    if not path.is_file():
        return None
    try:
        file = read_scores(path, _MAKER)
    except (ValueError, IndexError, OSError, csv.Error) as error:
        raise BadInput(f"{path} is damaged: make it again with flagbench reference update") from error
    read = datetime.date.fromtimestamp(path.stat().st_mtime)
    return PublishedTable(
        benchmark=name,
        title=name,
        source=f"{REPOSITORY}, read {read:%Y-%m-%d}",
        kinds=file.kinds,
        splits=file.splits,
        models=file.models,
        groups=file.by_kind,
        subsets={row.name: row.subsets for row in rows},
    )


def with_averages(
    table: PublishedTable | None, averages: Averages, aggregates: Mapping[str, Sequence[Member]]
) -> PublishedTable | None:
    """A table of published scores with the averages that its benchmark takes.

    Args:
        table: The table; None for none.
        averages: Those of the benchmark; without any the table is left as it is.
        aggregates: The tasks of each aggregate, or the parts of them, by its name.
    """
    if table is None or not averages:
        return table
    over = {label: weights(averages, label) for label in averages}
    if not _has_subsets(table, in_parts(averages)):
        over = {label: of for label, of in over.items() if all(isinstance(member, str) for member in of.members)}
        aggregates = {name: [task_of(member) for member in its] for name, its in aggregates.items()}
    own = next((label for label in ("Mean (Task)", "Mean (TaskType)") if label in over), "")
    kinds = {label.removesuffix(" mean"): tuple(of.members) for label, of in over.items() if label.endswith(" mean")}
    return replace(
        table,
        groups=kinds or table.groups,
        average=own,
        weights=over[own] if own else Weights(),
        aggregates=aggregates,
    )


def _has_subsets(table: PublishedTable, tasks: Collection[str]) -> bool:
    """Whether the scores of some tasks are known by subset wherever they are published."""
    return all(task in each.subsets for each in table.models.values() for task in tasks if task in each.scores)


def update(checkout: Path, name: str, rows: Sequence[Task], by_subset: Collection[str] = ()) -> Updated:
    """Make the table anew.

    A cell is a task and split: the mean of the main score over the subsets that the benchmark states, of 6 decimals;
    blank where one of them was not published. Tasks of which parts count have a cell for each subset. Of several
    revisions of a model that with the most scores comes first, and the others fill in what it lacks, as mteb joins
    them.

    Args:
        checkout: Of the results repository.
        name: Of the benchmark.
        rows: Its tasks.
        by_subset: Those of which parts count in its averages.

    Raises:
        BadInput: There are no results of its tasks.
    """
    folder = checkout / "results"
    if not folder.is_dir():
        raise BadInput(f"{checkout} has no folder results/: name a checkout of https://github.com/{REPOSITORY}")
    cells = [
        (row.name, split, subset)
        for row in rows
        for split in row.splits
        for subset in (row.subsets if row.name in by_subset else ("",))
    ]
    lines: list[list[str]] = []
    unread: list[str] = []
    for model in sorted(each for each in folder.iterdir() if each.is_dir()):
        revisions = [_revision(each, rows, by_subset, unread) for each in sorted(model.iterdir()) if each.is_dir()]
        line = _line(model.name.replace("__", "/", 1), [each for each in revisions if each.scores], cells)
        if line and (line[0].startswith("#") or not all(cell.isprintable() for cell in line)):
            unread.append(
                f"{model} has a name, a revision or a version that no line of the table holds: it is left out"
            )
        elif line:
            lines.append(line)
    if not lines:
        raise BadInput(f"{checkout} has no results of {name}: name a checkout of https://github.com/{REPOSITORY}")
    path = place(name)
    replaced = path.is_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, _csv(name, rows, cells, lines))
    return Updated(path, len(lines), sum(all(line[3:]) for line in lines), tuple(unread), replaced)


def _csv(name: str, rows: Sequence[Task], cells: Sequence[Cell], lines: Sequence[Sequence[str]]) -> str:
    out = io.StringIO()
    out.write(f"# Published scores of {name}, from {REPOSITORY} on GitHub. Made by flagbench reference update.\n")
    write = csv.writer(out, lineterminator="\n").writerow
    kinds = {row.name: row.kind for row in rows}
    write(["model", "revision", "mteb", *(task for task, _, _ in cells)])
    write(["type", "", "", *(kinds[task] for task, _, _ in cells)])
    write(["split", "", "", *(split for _, split, _ in cells)])
    if any(subset for _, _, subset in cells):
        write([SUBSET, "", "", *(subset for _, _, subset in cells)])
    for line in lines:
        write(line)
    return out.getvalue()


def _line(model: str, revisions: Sequence[_Revision], cells: Sequence[Cell]) -> list[str]:
    joined: dict[Cell, float] = {}
    used: list[str] = []
    versions: set[str] = set()
    for each in sorted(revisions, key=lambda each: (-len(each.scores), each.label)):
        if each.scores.keys() - joined.keys():
            used.append(each.label)
            versions |= each.versions
            joined = {**each.scores, **joined}
    if not joined:
        return []
    scores = [f"{joined[cell]:.6f}" if cell in joined else "" for cell in cells]
    return [model, "+".join(used), "+".join(sorted(versions)), *scores]


def _revision(folder: Path, rows: Sequence[Task], by_subset: Collection[str], unread: list[str]) -> _Revision:
    scores: dict[Cell, float] = {}
    versions: set[str] = set()
    for row in rows:
        path = folder / f"{row.name}.json"
        if not path.is_file():
            continue
        try:
            result = read_json(path, "it is left out", constants=True)
            check_shape(_Result, result)
        except BadInput as error:
            unread.append(str(error))
        except ValueError as error:
            unread.append(f"{path} holds no scores of {row.name} ({error}): it is left out")
        else:
            faults: list[str] = []
            found = dict(_scores(result, row, faults, apart=row.name in by_subset))
            unread += [f"{path}: {fault}" for fault in faults]
            scores |= found
            versions |= {version} if found and (version := result["mteb_version"]) else set()
    return _Revision(folder.name, scores, frozenset(versions))


def _scores(
    result: Mapping[str, Any], row: Task, faults: list[str], *, apart: bool = False
) -> Iterator[tuple[Cell, float]]:
    """The scores of a task by split, where every subset has one.

    Args:
        result: Of the task; splits, subsets and metrics that its benchmark does not take may hold anything.
        row: The task.
        faults: Gets a line about each split that a score which is none leaves out.
        apart: Whether each subset has a score of its own, and not the split.
    """
    for split in row.splits:
        known = {each["hf_subset"]: each for each in result["scores"].get(split, ())}
        try:
            found = {subset: _main(known[subset], row.main_score) for subset in row.subsets if subset in known}
        except ValueError as error:
            faults.append(f"{error}: its {split} is left out")
            continue
        values = {subset: value for subset, value in found.items() if value is not None}
        if len(values) < len(row.subsets):
            continue
        if apart:
            yield from (((row.name, split, subset), value) for subset, value in values.items())
        else:
            yield (row.name, split, ""), fmean(values.values())


def _main(entry: Mapping[str, Any], metric: str) -> float | None:
    """The main score of a subset; None where it was not published.

    Raises:
        ValueError: It is no number from -1 to 1.
    """
    value = entry.get(metric)
    if value is None:
        value = entry.get(_FORMER_NAMES.get(metric, metric))
    if value is None:
        return None
    score = as_number(value)
    if score is None or not -1 <= score <= 1:
        raise ValueError(f"{metric} of {entry['hf_subset']:.40} is {json.dumps(value):.40}, no number from -1 to 1")
    return score
