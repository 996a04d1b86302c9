"""LLM-Embedder's tasks as the engine takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import BadInput
from flagbench.runners.benchmark import Benchmark, EvaluatedModel, Listing, Loaded, Outcome, text_model
from flagbench.runners.request import RunRequest, options_of
from flagbench.runners.task import Task, pick
from flagbench.suites.llm_embedder.options import LlmEmbedderOptions
from flagbench.suites.llm_embedder.registry import BUNDLE, Row, row_of, rows

if TYPE_CHECKING:
    from flagbench.models.loading.resolve import Model
    from flagbench.runners.data.snapshots import Snapshots
    from flagbench.runners.progress import Progress
    from flagbench.suites.llm_embedder.bundle import BundleFiles

_FAULTS_SHOWN = 50


class _LlmEmbedder(Benchmark):
    """ToolBench, QReCC and NQ from the bundle that LLM-Embedder's authors publish."""

    name = "llm-embedder"
    title = "LLM-Embedder's tasks"
    imports = ("flagbench.suites.llm_embedder.loading", "flagbench.suites.llm_embedder.evaluation")
    options = LlmEmbedderOptions
    abilities = frozenset({"encode", "search"})
    examples = (
        "flagbench evaluate BAAI/llm-embedder --benchmark llm-embedder --data ./data --tasks ToolBench,QReCC",
        "flagbench evaluate bm25 BAAI/bge-base-en --benchmark llm-embedder --data ./data --tasks ToolBench",
        "flagbench evaluate flagbench/random --benchmark llm-embedder --mini --output results",
    )

    def tasks(self) -> tuple[Task, ...]:
        """See Benchmark."""
        return tuple(row.task for row in rows())

    def select(self, request: RunRequest) -> tuple[Task, ...]:
        """See Benchmark: without names the tasks of the groups asked for, or of the first."""
        every, hint = self.tasks(), f"see flagbench tasks --benchmark {self.name}"
        groups = options_of(request, LlmEmbedderOptions).groups
        if request.tasks and groups:
            raise BadInput("--groups chooses tasks, and so does --tasks: drop one")
        chosen = {
            task.name
            for group in groups or (every[0].group,)
            for task in pick(every, names=request.tasks, kinds=request.types, group=group, hint=hint)
        }
        return tuple(task for task in every if task.name in chosen)

    def listing(self, tasks: Sequence[Task]) -> Listing:
        """See Benchmark."""
        found = [[row.name, row.group, row.queries, row.corpus or "-", row.main_score] for row in map(_row, tasks)]
        closing = f"files of the bundle of {BUNDLE}; QReCC's corpus is the dataset namespace-Pt/qrecc-corpus"
        return Listing(["task", "group", "queries", "corpus", "main score"], found, closing)

    def mini_data(self) -> Path:
        """See Benchmark."""
        return Path(__file__).parent / "mini"

    def model(self, request: RunRequest, on_cpu: Callable[[], bool]) -> Model:
        """See Benchmark: LLM-Embedder gets the instructions of each task."""
        from flagbench.suites.llm_embedder.instructions import of_any_family, with_instructions

        overrides = of_any_family(request.model, request.overrides)
        return with_instructions(text_model(replace(request, overrides=overrides), on_cpu), request.overrides)

    def source(self, task: Task, snapshots: Snapshots) -> BundleFiles:
        """See Benchmark: files of a folder, for the hub has the bundle in one archive."""
        from flagbench.suites.llm_embedder.bundle import BundleFiles

        row = _row(task)
        if snapshots.root is None:
            raise BadInput(
                f"--benchmark {self.name} reads --data DIR: unpack llm-embedder.tar.gz of the dataset {BUNDLE} into "
                f"DIR, of which {row.name} needs {' and '.join(row.files)}"
            )
        return BundleFiles(snapshots.root, row.files)

    def check(self, task: Task, snapshots: Snapshots, request: RunRequest) -> None:
        """See Benchmark."""
        self.source(task, snapshots).check()

    def load(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Loaded:
        """See Benchmark."""
        from flagbench.suites.llm_embedder.loading import load

        return load(task, self.source(task, snapshots))

    def faults(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Iterator[str]:
        """See Benchmark."""
        from flagbench.suites.llm_embedder.loading import read

        found: list[str] = []
        read(_row(task), self.source(task, snapshots), found.append)
        yield from found[:_FAULTS_SHOWN]
        if len(found) > _FAULTS_SHOWN:
            yield f"{task.name}: and {len(found) - _FAULTS_SHOWN:,} more faults"

    def evaluate(
        self, loaded: Loaded, evaluated: EvaluatedModel, progress: Progress, predictions: Path | None
    ) -> Outcome:
        """See Benchmark."""
        from flagbench.suites.llm_embedder.evaluation import evaluate

        return evaluate(loaded, evaluated, progress)


def _row(task: Task) -> Row:
    return row_of(task.name)


LLM_EMBEDDER: Benchmark = _LlmEmbedder()
