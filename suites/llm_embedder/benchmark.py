"""LLM-Embedder's tasks as the engine takes them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flagbench import BadInput, first_few
from flagbench.runners.benchmark import Benchmark, EvaluatedModel, Listing, Loaded, Outcome
from flagbench.runners.request import RunRequest, options_of
from flagbench.runners.task import Task, pick_of_groups
from flagbench.suites.llm_embedder.options import LlmEmbedderOptions
from flagbench.suites.llm_embedder.registry import BUNDLE, READER, Row, row_of, rows

if TYPE_CHECKING:
    from flagbench.models.loading.resolve import Model
    from flagbench.results.published.scores import PublishedTable
    from flagbench.runners.data.snapshots import Snapshots
    from flagbench.runners.data.task_texts import TaskTexts
    from flagbench.runners.progress import Progress
    from flagbench.suites.llm_embedder.bundle import BundleFiles

_FAULTS_SHOWN = 50
_DRAWN = ("popqa", "nq")
"""Tasks with solved examples that are drawn, by how they are scored."""


class _LlmEmbedder(Benchmark):
    """Retrieval and what a language model makes of it, from the bundle that LLM-Embedder's authors publish."""

    name = "llm-embedder"
    title = "LLM-Embedder's tasks"
    imports = ("flagbench.suites.llm_embedder.loading", "flagbench.suites.llm_embedder.evaluation")
    options = LlmEmbedderOptions
    commands = MappingProxyType({"score": "flagbench.suites.llm_embedder.commands"})
    abilities = frozenset({"encode", "search"})
    examples = (
        "flagbench evaluate BAAI/llm-embedder --benchmark llm-embedder --data ./data --tasks ToolBench,QReCC",
        "flagbench evaluate BAAI/llm-embedder --benchmark llm-embedder --data ./data --groups reader --reader "
        "meta-llama/Llama-2-7b-chat-hf",
        "flagbench evaluate flagbench/random --benchmark llm-embedder --mini --output results",
    )

    def tasks(self) -> tuple[Task, ...]:
        """See Benchmark."""
        return tuple(row.task for row in rows())

    def select(self, request: RunRequest) -> tuple[Task, ...]:
        """See Benchmark: without names the tasks of the groups asked for, or of the first."""
        groups = options_of(request, LlmEmbedderOptions).groups
        hint = f"see flagbench tasks --benchmark {self.name}"
        return pick_of_groups(self.tasks(), names=request.tasks, kinds=request.types, groups=groups, hint=hint)

    def listing(self, tasks: Sequence[Task]) -> Listing:
        """See Benchmark."""
        known = self.published().kinds
        found = [
            [row.name, row.group, row.queries, row.corpus or "-", row.main_score, _published(row, known)]
            for row in map(_row, tasks)
        ]
        closing = f"files of the bundle of {BUNDLE}; QReCC's corpus is the dataset namespace-Pt/qrecc-corpus"
        if unverified := [f"{row.name}: {row.unverified}" for row in map(_row, tasks) if row.unverified]:
            closing += f". Unverified: {'; '.join(unverified)}"
        return Listing(["task", "group", "queries", "corpus", "main score", "published"], found, closing)

    def option_settings(self, request: RunRequest) -> Mapping[str, Any]:
        """See Benchmark: the reader with all its settings, and what it is given."""
        options = options_of(request, LlmEmbedderOptions)
        if not options.reader:
            return {}
        reader = self._reader(request).spec.as_dict()
        return {"reader": reader, "knowledge": options.knowledge, "seed": options.seed}

    def task_options(self, task: Task, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """See Benchmark: a reader is that of the tasks that need one, and a seed that of those that draw."""
        row = _row(task)
        if row.group != READER:
            return {}
        return {name: value for name, value in options.items() if name != "seed" or row.how in _DRAWN}

    def mini_data(self) -> Path:
        """See Benchmark."""
        return Path(__file__).parent / "mini"

    def model(self, request: RunRequest, on_cpu: Callable[[], bool]) -> Model:
        """See Benchmark: LLM-Embedder gets the instructions of each task."""
        from flagbench.runners.text_model import text_model
        from flagbench.suites.llm_embedder.instructions import of_any_family, with_instructions

        _check_reader(request, [_row(task) for task in self.select(request)])
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

    def evidence(self, request: RunRequest) -> Sequence[str]:
        """See Benchmark: the reader, and lengths of passages that are not the published ones."""
        tasks = [_row(task) for task in self.select(request)]
        lines = []
        if any(row.group == READER for row in tasks):
            reader = self._reader(request)
            lines += [f"reader: {reader.spec.name} at {reader.spec.revision}, {reader.spec.dtype}", *reader.evidence]
        lines += [
            f"{row.name}: published with passages of {row.passage_length} tokens, as --max-length {row.passage_length} "
            "cuts them"
            for row in tasks
            if row.passage_length
        ]
        return lines

    def check(self, task: Task, snapshots: Snapshots, request: RunRequest) -> None:
        """See Benchmark."""
        self.source(task, snapshots).check()

    def load(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Loaded:
        """See Benchmark."""
        from flagbench.suites.llm_embedder.loading import load

        loaded = load(task, self.source(task, snapshots))
        if _row(task).group != READER:
            return loaded
        from flagbench.suites.llm_embedder.reader_evaluation import with_reader

        return with_reader(loaded, self._reader(request), request, _device(request))

    def faults(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Iterator[str]:
        """See Benchmark."""
        from flagbench.suites.llm_embedder.loading import read, read_for_reader

        found: list[str] = []
        read_all = read_for_reader if _row(task).group == READER else read
        read_all(_row(task), self.source(task, snapshots), found.append)
        yield from found[:_FAULTS_SHOWN]
        if len(found) > _FAULTS_SHOWN:
            yield f"{task.name}: and {len(found) - _FAULTS_SHOWN:,} more faults"

    def evaluate(
        self, loaded: Loaded, evaluated: EvaluatedModel, progress: Progress, predictions: Path | None
    ) -> Outcome:
        """See Benchmark."""
        if _row(loaded.task).group == READER:
            from flagbench.suites.llm_embedder import reader_evaluation

            return reader_evaluation.evaluate(loaded, evaluated, progress)
        from flagbench.suites.llm_embedder.evaluation import evaluate

        return evaluate(loaded, evaluated, progress)

    def texts(self, loaded: Loaded) -> Iterator[TaskTexts]:
        """See Benchmark: of tasks that a reader answers there are none."""
        from flagbench.suites.llm_embedder.evaluation import texts

        return iter(()) if _row(loaded.task).group == READER else texts(loaded.content)

    def published(self) -> PublishedTable:
        """See Benchmark."""
        from flagbench.suites.llm_embedder.published.table import table

        return table()

    def _reader(self, request: RunRequest) -> Model:
        from flagbench.suites.llm_embedder.reader_evaluation import find_reader

        return find_reader(request, lambda: _device(request) == "cpu")


def _row(task: Task) -> Row:
    return row_of(task.name)


def _published(row: Row, known: Collection[str]) -> str:
    """Whether scores of a task are published, for people."""
    if row.unverified:
        return "unverified"
    return "yes" if row.name in known else "no"


def _device(request: RunRequest) -> str:
    """Where a reader runs: on the first of several devices."""
    from flagbench.models.device import resolve_device, resolve_devices

    return resolve_devices(request.devices)[0] if request.devices else resolve_device(request.device)


def _check_reader(request: RunRequest, tasks: Sequence[Row]) -> None:
    """See that there is a reader where one is needed, and that what is said of one has a use.

    Raises:
        BadInput: It is not so.
    """
    options = options_of(request, LlmEmbedderOptions)
    reading = [row.name for row in tasks if row.group == READER]
    if reading and not options.reader:
        raise BadInput(
            f"{first_few(reading)} {'needs' if len(reading) == 1 else 'need'} a language model that reads what is "
            "retrieved: name one with --reader"
        )
    given = {
        "--reader": options.reader,
        "--knowledge": options.knowledge != "model",
        "--seed": options.seed != 1,
        "--reader-batch-size": options.reader_batch_size != 1,
    }
    if not reading and (flag := next((flag for flag, value in given.items() if value), "")):
        raise BadInput(f"{flag} is for tasks that need a reader, and {first_few(row.name for row in tasks)} need none")


LLM_EMBEDDER: Benchmark = _LlmEmbedder()
