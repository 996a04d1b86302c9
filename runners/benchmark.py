"""Interface of a benchmark to the engine; ``runners/registry.py`` lists the benchmarks."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flagbench.flags import flags_of
from flagbench.models.contract import Adapter, Scorer
from flagbench.models.spec import Ability
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.data.sources import Source
from flagbench.runners.data.verdict import DataVerdict as DataVerdict
from flagbench.runners.data.volume import Volume as Volume
from flagbench.runners.encoding.notes import VectorNotes
from flagbench.runners.progress import Progress
from flagbench.runners.request import Profile, RunRequest, options_of
from flagbench.runners.task import Listing as Listing
from flagbench.runners.task import Task, cells, pick

if TYPE_CHECKING:
    from flagbench import BadInput
    from flagbench.models.loading.resolve import Model
    from flagbench.models.spec import ModelSpec
    from flagbench.results.averages import Averages, Parts
    from flagbench.results.published.scores import PublishedTable, Updated
    from flagbench.results.record import RunRecord
    from flagbench.results.sample import Sample
    from flagbench.runners.data.task_texts import TaskTexts
    from flagbench.runners.encoding.cache import EmbeddingCache
    from flagbench.runners.generation.demand import Demand
    from flagbench.runners.run.plan import Plan
    from flagbench.runners.search.index import SearchWorker

TEXT_ABILITIES: frozenset[Ability] = frozenset({"encode", "score", "search"})

RETRIEVAL_ABILITIES: frozenset[Ability] = TEXT_ABILITIES | {"replay"}
"""Of benchmarks whose retrieval goes through ``runners/search/retriever.py``: rankings made before as well."""


@dataclass(frozen=True)
class Loaded:
    """A task with its data, ready to be scored.

    Attributes:
        task: The registry row.
        data: The identity verdict.
        content: The benchmark's own object.
        sample: What of the data was drawn; None for all of it.
        notes: What the user must know of the data, a line each.
    """

    task: Task
    data: DataVerdict
    content: Any
    sample: Sample | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class EvaluatedModel:
    """The model under evaluation, loaded, with everything that scores a task with it.

    Attributes:
        adapter: An encoder, a searcher without vectors, a replayer of rankings, or a reranker alone.
        reranker: Re-orders what the encoder retrieved; None for none.
        rerank_top_k: Passages re-ranked per query.
        cache: The embedding cache, with pair scores; no cache when None.
        journal: File for the answers of a running task, so that a killed run goes on; none is written when None.
        digest: Of all settings that move the task's score: a journal of another is not read.
        search_worker: Gives the workers that search a corpus; None where this process searches.
        notes: Takes what is known of the vectors of the task that runs.
    """

    adapter: Adapter
    reranker: Scorer | None = None
    rerank_top_k: int = 0
    cache: EmbeddingCache | None = None
    journal: Path | None = None
    digest: str = ""
    search_worker: Callable[[], SearchWorker] | None = None
    notes: VectorNotes = field(default_factory=VectorNotes)


@dataclass(frozen=True)
class Outcome:
    """Result of scoring one task.

    Attributes:
        files: Text of the task's result files, by name in the folder of the run.
        shared: Text of files there that all tasks share.
        scores: Main score by split and subset; empty where there are no labels.
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


ALL_ROWS = "all rows"
"""What ``Benchmark.looked_at`` says of most data."""


class Benchmark(ABC):
    """One benchmark: which tasks it has, and how one of them is loaded and scored.

    A benchmark states ``name``, ``title``, ``tasks``, ``check``, ``load`` and ``evaluate``. Everything else has a
    default: that of a benchmark of texts, of which the rows of the first group are evaluated.

    Attributes:
        name: As on the command line.
        title: As in a table's heading.
        imports: Modules that ``load`` and ``evaluate`` take; only a run imports them.
        options: Frozen dataclass of the benchmark's own flags (``flagbench/flags.py``); None for none.
        commands: Module with ``add_<command>(parser)`` for each of ``score`` and ``submit`` that takes its results.
        abilities: What the models that it evaluates can do.
        profiles: How much of each task's data it can evaluate.
        examples: Command lines for ``--help``; empty for general ones.
        counted: What its volume counts, as the heading of a column.
        recorded: Whether runs record its title and averages, as looking them up takes long.
    """

    name: str
    title: str
    imports: Sequence[str] = ()
    options: type[Any] | None = None
    commands: Mapping[str, str] = MappingProxyType({})
    abilities: frozenset[Ability] = TEXT_ABILITIES
    profiles: Sequence[Profile] = ("full",)
    examples: Sequence[str] = ()
    counted: str = "texts"
    recorded: bool = False

    @abstractmethod
    def tasks(self) -> tuple[Task, ...]:
        """All rows."""

    def task_named(self, name: str) -> str:
        """The name of the task that is meant by one in any letters; empty where there is none."""
        return next((task.name for task in self.tasks() if task.name.lower() == name.lower()), "")

    def named(self, name: str) -> Benchmark | None:
        """A benchmark within this one that has a name of its own; None, the default, where it has none of this name."""
        return None

    def names(self) -> Sequence[str]:
        """The names of the benchmarks within this one; by default there are none."""
        return ()

    def left_out(self, request: RunRequest) -> Sequence[str]:
        """Tasks of a selection that cannot be evaluated, by the reason, a line each; by default there are none."""
        return ()

    def select(self, request: RunRequest) -> tuple[Task, ...]:
        """The selected tasks: where no names are given, those of the group of the first row.

        Raises:
            BadInput: A name, type, group or subset that is unknown or contradicts another.
        """
        rows, hint = self.tasks(), f"see flagbench tasks --benchmark {self.name}"
        return pick(rows, names=request.tasks, kinds=request.types, group=rows[0].group, hint=hint)

    def averages(self, request: RunRequest) -> Averages:
        """Names of the tasks, or labels of other averages, that each average of the benchmark is made of, by its label;
        by default there are none.

        Args:
            request: What was asked for; one without a model stands for any run that lies there.
        """
        return {}

    def parts(self) -> Parts:
        """Splits and subsets of its tasks that count in its averages, where a task can run over others; by default that
        is not looked at.
        """
        return {}

    def listing(self, tasks: Sequence[Task]) -> Listing:
        """The rows as a table for people."""
        headings = ["task", "type", "group", "dataset", "revision", "splits", "main score"]
        return Listing(headings, [cells(task) for task in tasks])

    def settings(self, task: Task) -> Mapping[str, Any]:
        """Settings of the task that move its score, as plain values; by default the whole row."""
        return asdict(task)

    def option_settings(self, request: RunRequest) -> Mapping[str, Any]:
        """Options that move scores and are in neither the row nor the model's settings; by default all of them.

        But for those that select tasks.
        """
        if self.options is None:
            return {}
        options = options_of(request, self.options)
        return {each.field: getattr(options, each.field) for each in flags_of(self.options) if not each.selects}

    def task_options(self, task: Task, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Those of ``option_settings`` that move the score of a task; by default all of them."""
        return options

    def former_task_options(self, task: Task, options: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The ``task_options`` of an earlier version whose results stand; None, the default, where none differ."""
        return None

    def outputs(self, task: Task, model: ModelSpec, reranker: ModelSpec | None) -> tuple[str, ...]:
        """Names of the files that the task leaves in the folder of the run; by default ``<Task>.json``."""
        return (f"{task.name}.json",)

    def kept_rankings(self, record: RunRecord, task: str) -> Sequence[str]:
        """Names of the files with a run's final rankings of a task, in the folder of the run; by default mteb's
        predictions, which ``--save-predictions`` keeps.

        Args:
            record: Of the run.
            task: Name of one of its tasks.
        """
        from flagbench.results.store import predictions_file

        return (predictions_file(task),)

    def check_results(self, plan: Plan) -> None:  # noqa: B027 - a default, which few override
        """See whether the results may go beside those that are there; a default that replaces and keeps those aside.

        Raises:
            BadInput: They may not.
        """

    def next_commands(self, plan: Plan, done: Collection[str]) -> Sequence[str]:
        """Commands for the results of a run, complete, each of which works for what was run; by default those of
        ``commands`` on the folder of the run.

        Args:
            plan: What was run.
            done: Names of its tasks that have a result.
        """
        folder = shlex.quote(str(plan.store.folder))
        return [f"flagbench {verb} {self.name} {folder}" for verb in ("score", "submit") if verb in self.commands]

    def mini_data(self) -> Path | None:
        """Folder of the miniature data that ships with the package; None, the default, when there is none."""
        return None

    def mini_tasks(self) -> Sequence[Task]:
        """The tasks of the miniature data, where looking for them takes long; none, the default, to look for them."""
        return ()

    def model(self, request: RunRequest, on_cpu: Callable[[], bool]) -> Model:
        """The requested model, not loaded; by default one of texts.

        Args:
            request: What was asked for.
            on_cpu: Says whether it will run on the processor; asked only where that matters.

        Raises:
            BadInput: There is none, or it is of a kind that this benchmark cannot take.
        """
        from flagbench.runners.text_model import text_model

        return text_model(request, on_cpu)

    def check_sizes(self, task: Task, snapshots: Snapshots, request: RunRequest) -> None:  # noqa: B027 - a default
        """See that no file of the data is too large to be read, before a digest reads all of its bytes; by default that
        is not looked at.

        Raises:
            BadInput: One is, or the data is absent.
        """

    @abstractmethod
    def check(self, task: Task, snapshots: Snapshots, request: RunRequest) -> None:
        """See whether the data is there, without reading rows.

        Raises:
            BadInput: The dataset, a config or a split is absent.
        """

    def evidence(self, request: RunRequest) -> Sequence[str]:
        """How the data was recognised, a line each, where that is not given; by default none."""
        return ()

    def unrecognised(self, request: RunRequest) -> Sequence[BadInput]:
        """The faults of parts of the data that make no task, for ``flagbench validate``; by default there are none."""
        return ()

    def faults(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Iterator[str]:
        """All faults of a task's rows that ``evaluate`` would refuse, for ``flagbench validate``; by default none are
        looked for.
        """
        yield from ()

    def looked_at(self, task: Task, snapshots: Snapshots) -> str:
        """Which rows of a task ``faults`` looks at, in words; empty where it looks at none."""
        return "" if type(self).faults is Benchmark.faults else ALL_ROWS

    def remarks(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Sequence[str]:
        """Remarks on oddities of a task's data, a line each, for ``flagbench validate``; none where that takes long."""
        return ()

    def volume(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Volume:
        """How much there is of a task, found without reading its rows or asking the hub; by default the size alone.

        Raises:
            BadInput: The dataset is absent, or what is there of it cannot be read.
        """
        return Volume(bytes=self.source(task, snapshots).size())

    @abstractmethod
    def load(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Loaded:
        """Read the data and check it against the published statistics.

        Raises:
            BadData: Rows that cannot be read, lack a column, or hold an empty text.
        """

    def data(self, task: Task, snapshots: Snapshots, request: RunRequest) -> DataVerdict:
        """Say how a task's data stands to the official data, for ``flagbench data``; by default as ``load`` does.

        Raises:
            BadInput: As ``load``.
        """
        return self.load(task, snapshots, request).data

    def source(self, task: Task, snapshots: Snapshots) -> Source:
        """The source of a task's rows; by default the snapshot, or the repo of the hub, of its dataset."""
        return snapshots.source(task.dataset, task.revision)

    def label_sources(self, task: Task, snapshots: Snapshots) -> Sequence[Source]:
        """The sources of labels that lie apart from the task's dataset: a finished task is scored again where they
        have changed. By default there are none.
        """
        return ()

    @abstractmethod
    def evaluate(
        self, loaded: Loaded, evaluated: EvaluatedModel, progress: Progress, predictions: Path | None
    ) -> Outcome:
        """Score a model on a loaded task.

        Raises:
            ModelFault: The model gave something unusable.
        """

    def demand(self, loaded: Loaded, adapter: Adapter, answered: Collection[str], progress: Progress) -> Demand:
        """Count what evaluating a task would ask of a model, for ``--dry-run``, which others than these refuse.

        Args:
            loaded: The task.
            adapter: The model, of which the tokenizer alone is read.
            answered: Ids of samples that a run before this one has answers to.
            progress: The progress to report to.
        """
        raise NotImplementedError

    def texts(self, loaded: Loaded) -> Iterator[TaskTexts]:
        """The texts that a task's scores are over, for ``flagbench leaks``, which others than these refuse."""
        raise NotImplementedError

    def published(self) -> PublishedTable | None:
        """The published scores that a run is ranked among and verified against; None where there are none."""
        return None

    def published_with(self, tasks: Collection[str]) -> PublishedTable | None:
        """The published scores for a run of these tasks, where a benchmark has several tables; by default the one."""
        return self.published()

    def published_for(self, record: RunRecord) -> PublishedTable | None:
        """The published scores for a run, where its rules decide as well; by default by its tasks alone."""
        return self.published_with(record.tasks)

    def update_published(self, checkout: Path) -> Updated | None:
        """Make the table of published scores anew from a checkout of the repository in which the results are published;
        None, the default, where it comes with the benchmark.

        Raises:
            BadInput: There are no results of this benchmark.
        """
        return None


def names_of(tasks: Sequence[Task]) -> str:
    """Task names in one line, for messages."""
    return ", ".join(task.name for task in tasks)
