"""run.json as values: what ran, with which settings, on which data, where, how long, and what came of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any, Literal, get_args

from flagbench.results.migrations import RUN, SCHEMA_VERSION, current

_DEEPEST = 100  # levels; the records that FlagBench writes have less than ten

Status = Literal["success", "partial", "error"]


@dataclass(frozen=True)
class TaskRecord:
    """One task of a run.

    Attributes:
        name: Task.
        kind: MTEB's task type.
        status: ``error`` tasks have no scores; those of ``partial`` ones are over a part of the task, and no average
            is made of them.
        settings: Everything that moves the score: see ``results/identity.py``.
        digest: Hash of ``settings``.
        scores: Main score by split and subset.
        data: Status, differences and source of the rows.
        search: Search engine and its settings; None where nothing was searched.
        seconds: Wall time by stage.
        texts: Texts asked for, distinct ones, and those that this run encoded; the others were cached.
        error: One line, for status ``error``.
        finished: UTC time, ISO 8601.
        backend: Matrix backend of the model, and after a ``+`` that of its reranker;
            empty where everything was cached.
        files: Its result files, relative to the folder of the run.
        note: Note on the scores; empty for none.
        sample: Sample of the task's data: ``profile``, ``items`` and ``of`` (how many of how many), and
            ``error``, half the width of the 95% interval that the drawing adds to the score; None for all of it.
        later_error: Why the task failed when it was last evaluated, after these scores were made; empty where it did
            not.
    """

    name: str
    kind: str
    status: Status
    settings: Mapping[str, Any]
    digest: str
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    search: Mapping[str, Any] | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    texts: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    finished: str = ""
    backend: str = ""
    files: Sequence[str] = ()
    note: str = ""
    sample: Mapping[str, Any] | None = None
    later_error: str = ""

    @property
    def score(self) -> float | None:
        """The task's score: the mean over splits and subsets, as MTEB takes it; None without scores."""
        values = [score for by_subset in self.scores.values() for score in by_subset.values()]
        return fmean(values) if values else None

    def check(self) -> None:
        """See that the record can be written and read again: it comes from a benchmark, which may be anybody's.

        Raises:
            ValueError: It cannot.
        """
        try:
            text = json.dumps(asdict(self), allow_nan=False)
            _check_task(self.name, _task(json.loads(text)))
        except (TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class RunRecord:
    """One run.json.

    Attributes:
        benchmark: Name of the benchmark that ran last.
        model: ``org/model``.
        revision: Commit or hash of files.
        spec: Effective model settings.
        reranker: Settings of the reranker behind the model, None for none.
        evidence: Where each setting came from.
        environment: Versions, machine, device, threads.
        tasks: Records by task name.
        schema_version: Of this layout.
    """

    benchmark: str
    model: str
    revision: str
    spec: Mapping[str, Any]
    evidence: tuple[str, ...]
    environment: Mapping[str, Any]
    tasks: Mapping[str, TaskRecord]
    reranker: Mapping[str, Any] | None = None
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """Text of the file."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> RunRecord:
        """Read the text of a file, of this version or an earlier one.

        Raises:
            ValueError: It is no run record, or one of a later version.
        """
        data = current(text, RUN)
        if _deeper(data, _DEEPEST):
            raise ValueError(f"nested too deeply: more than {_DEEPEST} levels")
        try:
            tasks = {name: _task(record) for name, record in data["tasks"].items()}
            record = cls(**data | {"evidence": tuple(data["evidence"]), "tasks": tasks})
            _check(record)
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"not a run record: {error}") from error
        return record


def _task(record: Mapping[str, Any]) -> TaskRecord:
    return TaskRecord(**{**record, "files": tuple(record.get("files", ()))})


def _check(record: RunRecord) -> None:
    """See that what is read of a record is what it should be.

    Raises:
        ValueError: Something is not.
    """
    if not all(isinstance(text, str) for text in (record.model, record.revision, record.benchmark)):
        raise ValueError("model, revision and benchmark must be texts")
    for name, task in record.tasks.items():
        _check_task(name, task)


def _check_task(name: str, task: TaskRecord) -> None:
    inner = [task.settings.get(part, {}) for part in ("task", "data", "options")]
    parts = (task.settings, task.data, task.scores, *inner, *task.scores.values())
    if not all(isinstance(part, Mapping) for part in parts):
        raise ValueError(f"settings, data and scores of task {name} must be objects")
    if not isinstance(task.data.get("differences", []), list):
        raise ValueError(f"the differences of the data of task {name} must be a list")
    if not all(
        isinstance(its, Mapping) and type(its.get("rows")) is int and isinstance(its.get("digest"), str)
        for its in _values(task.data.get("content", {}))
    ):
        raise ValueError(f"the content of the data of task {name} must have rows and a digest for each part")
    if not isinstance(task.sample, Mapping | None):
        raise ValueError(f"the sample of task {name} must be an object or null")
    scores = [score for by_subset in task.scores.values() for score in by_subset.values()]
    if not all(isinstance(score, int | float) and math.isfinite(score) for score in scores):
        raise ValueError(f"a score of task {name} is not a number")
    if task.status not in get_args(Status):
        raise ValueError(f"task {name} has the unknown status {task.status!r}")
    if not all(
        isinstance(text, str) for text in (task.kind, task.digest, task.error, task.note, task.later_error, *task.files)
    ):
        raise ValueError(f"kind, digest, error, note and files of task {name} must be texts")


def _values(parts: Any) -> Sequence[Any]:
    return list(parts.values()) if isinstance(parts, Mapping) else [parts]


def _deeper(value: Any, levels: int) -> bool:
    """Whether a value of JSON is nested more deeply."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_deeper(each, levels - 1) for each in inner)
