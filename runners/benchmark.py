"""What the engine needs of a benchmark, and where each benchmark is found."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from flagbench import UnknownName
from models.contract import Adapter, Scorer
from runners.progress import Progress
from runners.request import RunRequest
from runners.snapshots import Snapshots
from runners.task import Task

if TYPE_CHECKING:
    from runners.kept import Keeping

# Found by name, so that the engine never imports a benchmark's package.
BENCHMARKS: Mapping[str, str] = {"cmteb": "cmteb.benchmark:CMTEB", "mteb": "cmteb.benchmark:MTEB"}


@dataclass(frozen=True)
class DataVerdict:
    """Whether the rows that were scored are the published ones.

    Attributes:
        status: ``exact``; ``differs`` from the published statistics; ``unknown`` where none are published.
        differences: One line for each statistic that differs.
        source: Where the rows came from.
    """

    status: Literal["exact", "differs", "unknown"]
    differences: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Loaded:
    """A task with its data, ready to be scored.

    Attributes:
        task: The registry row.
        data: The identity verdict.
        content: The benchmark's own object.
    """

    task: Task
    data: DataVerdict
    content: Any


@dataclass(frozen=True)
class Contestant:
    """What is scored, loaded.

    Attributes:
        adapter: An encoder, or a reranker alone.
        reranker: Re-orders what the encoder retrieved; None for none.
        rerank_top_k: Passages that it sees of each query.
        keeping: The store of embeddings and scores; None to keep nothing.
    """

    adapter: Adapter
    reranker: Scorer | None = None
    rerank_top_k: int = 0
    keeping: Keeping | None = None


@dataclass(frozen=True)
class Outcome:
    """What scoring one task gave.

    Attributes:
        document: Text of the leaderboard's result file.
        model_meta: Text of the leaderboard's model file.
        scores: Main score by split and subset.
        search: What searched (``IndexInfo``), None where nothing did.
        seconds: Wall time of the stages ``encode``, ``search`` and ``score``.
        texts: Texts asked for, how many of them were distinct, and how many of those went through the model.
    """

    document: str
    model_meta: str
    scores: Mapping[str, Mapping[str, float]]
    search: Mapping[str, Any] | None
    seconds: Mapping[str, float]
    texts: Mapping[str, int]


class Benchmark(Protocol):
    """One benchmark: which tasks it has, and how one of them is loaded and scored."""

    @property
    def name(self) -> str:
        """As on the command line."""
        ...

    @property
    def title(self) -> str:
        """As in a table's heading."""
        ...

    def tasks(self) -> tuple[Task, ...]:
        """All rows."""
        ...

    def select(self, request: RunRequest) -> tuple[Task, ...]:
        """The rows asked for.

        Raises:
            BadInput: A name, type, group or subset that is unknown or contradicts another.
        """
        ...

    def average_over(self, request: RunRequest) -> tuple[Task, ...]:
        """The rows that the benchmark's average is made of; empty when it has none."""
        ...

    def mini_data(self) -> Path | None:
        """Folder of the miniature data that ships with the package; None when there is none."""
        ...

    def check(self, task: Task, snapshots: Snapshots) -> None:
        """See whether the data is there, without reading rows.

        Raises:
            BadInput: The dataset, a config or a split is absent.
        """
        ...

    def load(self, task: Task, snapshots: Snapshots) -> Loaded:
        """Read the rows and hold them against the published statistics.

        Raises:
            BadData: Rows that cannot be read, lack a column, or hold an empty text.
        """
        ...

    def evaluate(self, loaded: Loaded, contestant: Contestant, progress: Progress, predictions: Path | None) -> Outcome:
        """Score a model on a loaded task.

        Raises:
            ModelFault: The model gave something unusable.
        """
        ...


def find_benchmark(name: str) -> Benchmark:
    """The benchmark of this name.

    Raises:
        UnknownName: There is none.
    """
    if name not in BENCHMARKS:
        raise UnknownName("benchmark", name, BENCHMARKS)
    module, attribute = BENCHMARKS[name].split(":")
    benchmark: Benchmark = getattr(importlib.import_module(module), attribute)
    return benchmark


def names_of(tasks: Sequence[Task]) -> str:
    """Task names in one line, for messages."""
    return ", ".join(task.name for task in tasks)
