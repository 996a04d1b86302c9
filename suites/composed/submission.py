"""Rankings of a task as a run keeps them, and the files that the test servers of CIRR and CIRCO take."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flagbench import BadData, BadInput
from flagbench.files import inside, read_json
from flagbench.results.shapes import CLOSED, Text, check_shape
from flagbench.results.store import write_atomic
from flagbench.suites.composed.cirr import VERSION
from flagbench.suites.composed.registry import row_of
from flagbench.suites.composed.scoring import SUBSET_CUTOFFS

TOP = 50
"""Candidates of a ranking that are kept: as many as both servers take."""

SERVERS: Mapping[str, str] = {"CIRRTest": "http://cirr.cecs.anu.edu.au/", "CIRCOTest": "https://circo.micc.unifi.it/"}
"""By task where its files are handed in."""

_FIX = "run the task again"
_LONGEST_ID = 18  # digits, of a number of 64 bits


@dataclass(frozen=True)
class Rankings:
    """The first candidates of each query of a task.

    Attributes:
        task: Name.
        rankings: Ids of candidates by query, the best first.
        subsets: Those within a query's set; empty where the task has none.
    """

    __pydantic_config__ = CLOSED

    task: Text
    rankings: Mapping[str, list[Text]]
    subsets: Mapping[str, list[Text]] = field(default_factory=dict)

    @staticmethod
    def file(task: str) -> str:
        """Path of a task's rankings in the folder of a run."""
        return f"rankings/{task}.json"

    def to_json(self) -> str:
        """Text of the file."""
        return json.dumps(vars(self), ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, folder: Path, task: str) -> Rankings:
        """The rankings of a task.

        Args:
            folder: Of a run.
            task: Name.

        Raises:
            BadData: The file cannot be read, or is of another task.
        """
        path = inside(folder, cls.file(task), _FIX, error=BadData)
        values = read_json(path, _FIX, error=BadData)
        try:
            check_shape(cls, values)
        except ValueError as error:
            raise BadData(f"{path} holds no rankings ({error}): {_FIX}") from error
        if values["task"] != task:
            raise BadData(f"{path} holds the rankings of {values['task']:.60}, not of {task}: {_FIX}")
        return cls(**values)


@dataclass(frozen=True)
class SubmissionFile:
    """A file for a server.

    Attributes:
        name: Of the file.
        content: What it holds.
        short: What it lacks, a line each.
    """

    name: str
    content: Mapping[str, Any]
    short: tuple[str, ...]


def files_of(rankings: Rankings) -> list[SubmissionFile]:
    """The files that the server of a task takes: https://github.com/Cuberick-Orion/CIRR/blob/main/Test-split_server.md,
    https://github.com/miccunifi/CIRCO#submission-format.

    Raises:
        BadData: An id is none of the task's.
    """
    if rankings.task == "CIRCOTest":
        return [_file(rankings.task, "circo.json", rankings.rankings, TOP, _number)]
    made = []
    for metric, found, count in (
        ("recall", rankings.rankings, TOP),
        ("recall_subset", rankings.subsets, SUBSET_CUTOFFS[-1]),
    ):
        its = _file(rankings.task, f"cirr_{metric}.json", found, count, str)
        made.append(SubmissionFile(its.name, {"version": VERSION, "metric": metric, **its.content}, its.short))
    return made


def _file(
    task: str, name: str, found: Mapping[str, Sequence[str]], count: int, as_id: Callable[[str], Any]
) -> SubmissionFile:
    wanted = row_of(task).queries
    content = {query: [as_id(each) for each in ids[:count]] for query, ids in found.items()}
    return SubmissionFile(name, content, tuple(_short(name, content, wanted, count)))


def _short(name: str, content: Mapping[str, Sequence[Any]], queries: int, count: int) -> Iterator[str]:
    if len(content) != queries:
        yield f"{name} has {len(content):,} of {queries:,} queries"
    if less := [query for query, ids in content.items() if len(set(ids)) < count]:
        yield f"{name} has fewer than {count} candidates for {len(less):,} queries (first: {less[0]:.40})"


def _number(id_: str) -> int:
    if not id_.isascii() or not id_.isdigit() or len(id_) > _LONGEST_ID:
        raise BadData(f"the candidate '{id_:.60}' is no image of COCO, whose ids are numbers: {_FIX}")
    return int(id_)


def write(files: Sequence[SubmissionFile], folder: Path, *, overwrite: bool) -> list[Path]:
    """Write the files, each whole or not at all.

    Args:
        files: To write.
        folder: It is made.
        overwrite: Files that are there already may be replaced.

    Raises:
        BadInput: One is there already, or cannot be written.
    """
    targets = [folder / each.name for each in files]
    for target in targets:
        if target.exists() and not overwrite:
            raise BadInput(f"{target} exists already: use --overwrite, or another --output")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"cannot write {folder}: {error.strerror}; use another --output") from error
    for each, target in zip(files, targets, strict=True):
        write_atomic(target, json.dumps(each.content, separators=(",", ":")))
    return targets
