"""run.json as values: what ran, with which settings, on which data, where, how long, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Literal, NotRequired

from typing_extensions import TypedDict

from flagbench.files import parse_json
from flagbench.results.averages import score_of
from flagbench.results.definition import Definition, check_definition
from flagbench.results.interning import Interned
from flagbench.results.migrations import RUN, SCHEMA_VERSION, current
from flagbench.results.shapes import (
    CLOSED,
    ROUNDED,
    Count,
    Digest,
    FileName,
    Finite,
    NotNegative,
    Number,
    Positive,
    Seconds,
    Text,
    check_range,
    check_shape,
    fields_among_others,
    having,
    score_range,
)

Status = Literal["success", "partial", "error"]

MACHINE = ("processor", "threads", "OMP_NUM_THREADS", "device", "device_name")
"""Of an environment, what times depend on."""


@fields_among_others
class _TaskSettings(TypedDict, total=False):
    main_score: Text
    options: Mapping[str, Any]


@fields_among_others
class _Rankings(TypedDict, total=False):
    digest: Text


@fields_among_others
class _Settings(TypedDict, total=False):
    """The settings of a task that FlagBench computes with; all others are free."""

    task: _TaskSettings
    data: Mapping[str, Any]
    options: Mapping[str, Any]
    rankings: _Rankings


class _Content(TypedDict):
    """A part of the data: see ``Content`` in runners/data/verdict.py."""

    rows: Count
    digest: Digest


@fields_among_others
class _Data(TypedDict, total=False):
    status: Text
    differences: list[Text]
    content: Mapping[str, _Content]
    source: Text


@fields_among_others
class _Sample(TypedDict, total=False):
    profile: Text
    items: Count
    of: Count
    error: Number | None


class Average(TypedDict):
    """An average that the data of a run decides: names of the tasks that it is the mean of."""

    benchmark: Text
    label: Text
    tasks: list[Text]


class VectorRanges(TypedDict):
    """Ranges of the bytes of vectors: how many parts of the data have their own, and the hash and the ends of all."""

    parts: Count
    digest: Digest
    lowest: Finite
    highest: Finite


class Vectors(TypedDict):
    """Vectors that a task's scores were made with."""

    dimensions: Count
    precision: Text
    bytes_per_million: Count
    ranges: NotRequired[VectorRanges]


class PartInterval(TypedDict):
    """Uncertainty of a split and subset: standard error of its score, and the numbers of items and of clusters."""

    error: NotNegative
    items: Positive
    clusters: Positive


class Interval(TypedDict):
    """The 95% interval of a score, and what is known of its splits and subsets."""

    low: Number
    high: Number
    parts: Mapping[str, Mapping[str, PartInterval]]


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
        environment: Where the task was made, as in the run; None where that is the run's.
        average: Average that the task is in, where the data of the run decides that and no benchmark alone:
            ``benchmark``, ``label``, and ``tasks``, the names of all that it is the mean of; None where it is in no
            such average.
        vectors: Vectors that the model made: ``dimensions``, ``precision``, ``bytes_per_million`` of them, and for
            bytes the ``ranges``; None where it made no dense ones.
        file_digests: SHA-256 of the text of each of its files, in hex; records of before have none, and nor have files
            that an earlier FlagBench wrote.
        interval: How far the score may be from that of other items of the same kind: ``results/uncertainty.py``. None
            without values per item, and in records of before.
    """

    __pydantic_config__ = CLOSED

    name: Text
    kind: Text
    status: Status
    settings: Annotated[Mapping[str, Any], having(_Settings)]
    digest: Digest
    scores: Mapping[str, Mapping[str, Number]] = field(default_factory=dict)
    data: Annotated[Mapping[str, Any], having(_Data)] = field(default_factory=dict)
    search: Mapping[str, Any] | None = None
    seconds: Mapping[str, Seconds] = field(default_factory=dict)
    texts: Mapping[str, Count] = field(default_factory=dict)
    error: Text = ""
    finished: Text = ""
    backend: Text = ""
    files: Sequence[FileName] = ()
    note: Text = ""
    sample: Annotated[Mapping[str, Any], having(_Sample)] | None = None
    later_error: Text = ""
    environment: Mapping[str, Any] | None = None
    average: Average | None = None
    vectors: Vectors | None = None
    file_digests: Mapping[FileName, Digest] = field(default_factory=dict)
    interval: Interval | None = None

    @property
    def main_score(self) -> str:
        """Name of the metric that its scores are of; empty where that is not recorded."""
        return str(self.settings.get("task", {}).get("main_score", ""))

    @property
    def score(self) -> float | None:
        """The task's score: the mean over splits and subsets, as MTEB takes it; None without scores."""
        return score_of(self.name, self.scores)

    def check(self) -> None:
        """See that the record can be written and read again: it comes from a benchmark, which may be anybody's.

        Raises:
            ValueError: It cannot.
        """
        try:
            written = parse_json(json.dumps(asdict(self), allow_nan=False))
        except (TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        check_shape(TaskRecord, written)
        _check_score(self)


@dataclass(frozen=True)
class RunRecord:
    """One run.json.

    Attributes:
        benchmark: Name of the benchmark that left a result last.
        model: ``org/model``.
        revision: Commit or hash of files.
        spec: Effective model settings.
        reranker: Settings of the reranker behind the model, None for none.
        definition: The benchmark's title and averages, where looking them up takes long; None where it does not, and
            in records of before.
        evidence: Where each setting came from.
        environment: Versions, machine, device, threads.
        tasks: Records by task name.
        schema_version: Of this layout.
    """

    __pydantic_config__ = CLOSED

    benchmark: Text
    model: Text
    revision: Text
    spec: Mapping[str, Any]
    evidence: tuple[Text, ...]
    environment: Mapping[str, Any]
    tasks: Mapping[str, TaskRecord]
    reranker: Mapping[str, Any] | None = None
    definition: Definition | None = None
    schema_version: int = SCHEMA_VERSION

    @property
    def sampled(self) -> bool:
        """Whether a task of it ran on a sample of its data."""
        return any(task.sample for task in self.tasks.values())

    def environment_of(self, task: str) -> Mapping[str, Any]:
        """Where one of its tasks was made."""
        own = self.tasks[task].environment
        return self.environment if own is None else own

    def after(self, earlier: RunRecord) -> RunRecord:
        """This record with the tasks of an earlier one, each of which keeps the environment that it was made in."""
        tasks = {}
        for name, task in earlier.tasks.items():
            made = earlier.environment_of(name)
            tasks[name] = replace(task, environment=None if made == self.environment else made)
        return replace(self, tasks=tasks)

    @property
    def model_at(self) -> str:
        """The model and its revision, for people; rankings that were given have none."""
        return self.model if self.spec.get("ability") == "replay" else f"{self.model} at {self.revision}"

    def to_json(self) -> str:
        """Text of the file."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | Mapping[str, Any], interned: Interned | None = None) -> RunRecord:
        """Read the text of a file, of this version or an earlier one.

        Args:
            text: Of the file, or the object in it.
            interned: What records that were read before hold, of which this one takes what it has in common with them;
                None for a record on its own.

        Raises:
            ValueError: It is no run record, or one of a later version.
        """
        data = current(text, RUN)
        check_shape(cls, data)
        if data.get("definition"):
            check_definition(data["definition"])
        interned = interned or Interned()
        tasks = {}
        for name, record in data.pop("tasks").items():
            task = _task(record, interned)
            if task.name != name:
                raise ValueError(f"task {name} has the name {task.name!r} in its record")
            _check_score(task)
            tasks[task.name] = task
        return cls(**interned.inside(data | {"evidence": tuple(data["evidence"])}), tasks=tasks)


_ALIKE = ("name", "kind", "status", "data", "search", "texts", "backend", "sample", "environment", "average", "vectors")
"""Fields of a task that other tasks, or the same one of other runs, have alike."""


def _task(record: Mapping[str, Any], interned: Interned) -> TaskRecord:
    """A task of a record. Its settings name model and task, so that no others are equal; the parts of them are."""
    alike = {name: interned(record[name]) for name in _ALIKE if record.get(name)}
    files = interned(tuple(record.get("files", ())))
    return TaskRecord(**{**record, **alike, "settings": interned.inside(record["settings"]), "files": files})


def _check_score(task: TaskRecord) -> None:
    """See that a task's scores are possible.

    Raises:
        ValueError: One is not.
    """
    metric = task.main_score
    try:
        for by_subset in task.scores.values():
            check_range(metric, by_subset.values(), score_range(metric))
    except ValueError as error:
        raise ValueError(f"a score of task {task.name} is not possible: {error}") from error
    ends, score = task.interval, task.score
    if ends and not (score is not None and ends["low"] - ROUNDED <= score <= ends["high"] + ROUNDED):
        raise ValueError(f"the interval of task {task.name} does not hold its score")
