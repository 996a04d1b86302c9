"""What the engine needs of a benchmark, and where each benchmark is found."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from flagbench import UnknownName
from flagbench.models.contract import Adapter, Scorer
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.progress import Progress
from flagbench.runners.request import RunRequest
from flagbench.runners.task import Task

if TYPE_CHECKING:
    from flagbench.models.loading.resolve import Model
    from flagbench.models.spec import ModelSpec
    from flagbench.results.published.scores import PublishedTable
    from flagbench.results.sample import Sample
    from flagbench.runners.encoding.cache import EmbeddingCache
    from flagbench.runners.run.plan import Plan
    from flagbench.runners.search.index import SearchWorker

# Found by name, so that the engine never imports a benchmark's package.
BENCHMARKS: Mapping[str, str] = {
    "cmteb": "flagbench.cmteb.benchmark:CMTEB",
    "mteb": "flagbench.cmteb.benchmark:MTEB",
    "air-bench": "flagbench.airbench.benchmark:AIR_BENCH",
    "mlvu": "flagbench.mlvu.benchmark:MLVU",
}

# Modules with ``add_score``, and with ``add_submit``: by command, which kinds of results it takes. Those of C-MTEB are
# scored as they are made, and go where those of every task of mteb go.
COMMANDS: Mapping[str, Mapping[str, str]] = {
    "score": {"air-bench": "flagbench.airbench.commands", "mlvu": "flagbench.mlvu.commands"},
    "submit": {
        "air-bench": "flagbench.airbench.commands",
        "mlvu": "flagbench.mlvu.commands",
        "mteb": "flagbench.cmteb.commands",
    },
}


@dataclass(frozen=True)
class Listing:
    """A table of tasks.

    Attributes:
        headings: Of its columns.
        rows: A cell for each heading.
        closing: A line below it, empty for none.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    closing: str = ""


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
        sample: What of the data was drawn; None for all of it.
    """

    task: Task
    data: DataVerdict
    content: Any
    sample: Sample | None = None


@dataclass(frozen=True)
class EvaluatedModel:
    """What is scored, loaded.

    Attributes:
        adapter: An encoder, a searcher without vectors, or a reranker alone.
        reranker: Re-orders what the encoder retrieved; None for none.
        rerank_top_k: Passages that it sees of each query.
        cache: The store of embeddings and scores; None to keep nothing.
        journal: File for answers that a task keeps while it runs, so that a killed run goes on; None to keep none.
        digest: Of all settings that move the task's score: a journal of another is not read.
        search_worker: Gives the workers that search a corpus; None where this process searches.
    """

    adapter: Adapter
    reranker: Scorer | None = None
    rerank_top_k: int = 0
    cache: EmbeddingCache | None = None
    journal: Path | None = None
    digest: str = ""
    search_worker: Callable[[], SearchWorker] | None = None


@dataclass(frozen=True)
class Outcome:
    """What scoring one task gave.

    Attributes:
        files: Text of the task's result files, by name in the folder of the run.
        shared: Text of files there that all tasks share.
        scores: Main score by split and subset; empty where the labels are not published.
        search: What searched (``IndexInfo``), None where nothing did.
        seconds: Wall time of the stages ``encode``, ``search`` and ``score``.
        texts: Texts asked for, how many of them were distinct, and how many of those went through the model.
        note: What the user must know of the scores.
        partial: Whether they are over a part of the task's data only.
        sample: What of the data was drawn by a profile, as a record has it; None for all of it.
    """

    files: Mapping[str, str]
    shared: Mapping[str, str]
    scores: Mapping[str, Mapping[str, float]]
    search: Mapping[str, Any] | None
    seconds: Mapping[str, float]
    texts: Mapping[str, int]
    note: str = ""
    partial: bool = False
    sample: Mapping[str, Any] | None = None


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

    @property
    def imports(self) -> tuple[str, ...]:
        """Modules that ``load`` and ``evaluate`` take; only a run imports them."""
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

    def averages(self, request: RunRequest) -> Mapping[str, Sequence[str]]:
        """Names of the tasks that each average of the benchmark is made of, by its label."""
        ...

    def listing(self, tasks: Sequence[Task]) -> Listing:
        """The rows as a table for people."""
        ...

    def settings(self, task: Task) -> Mapping[str, Any]:
        """What of the row moves its score, as plain values."""
        ...

    def outputs(self, task: Task, model: ModelSpec, reranker: ModelSpec | None) -> tuple[str, ...]:
        """Names of the files that the task leaves in the folder of the run."""
        ...

    def check_results(self, plan: Plan) -> None:
        """See whether the results may go beside those that are there.

        Raises:
            BadInput: They may not.
        """
        ...

    def mini_data(self) -> Path | None:
        """Folder of the miniature data that ships with the package; None when there is none."""
        ...

    def model(self, request: RunRequest, on_cpu: Callable[[], bool]) -> Model:
        """The model asked for, not loaded.

        Args:
            request: What was asked for.
            on_cpu: Says whether it will run on the processor; asked only where that matters.

        Raises:
            BadInput: There is none, or it is of a kind that this benchmark cannot take.
        """
        ...

    def check(self, task: Task, snapshots: Snapshots, request: RunRequest) -> None:
        """See whether the data is there, without reading rows.

        Raises:
            BadInput: The dataset, a config or a split is absent.
        """
        ...

    def remarks(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Sequence[str]:
        """What is odd about a task's data, a line each, for ``flagbench validate``; nothing where that takes long."""
        ...

    def load(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Loaded:
        """Read the rows and hold them against the published statistics.

        Raises:
            BadData: Rows that cannot be read, lack a column, or hold an empty text.
        """
        ...

    def evaluate(
        self, loaded: Loaded, evaluated: EvaluatedModel, progress: Progress, predictions: Path | None
    ) -> Outcome:
        """Score a model on a loaded task.

        Raises:
            ModelFault: The model gave something unusable.
        """
        ...

    def published(self) -> PublishedTable | None:
        """The published scores that a run is ranked among and verified against; None where there are none."""
        return None


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
