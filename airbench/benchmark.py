"""AIR-Bench as the engine takes it: the datasets as tasks, what they leave on disk, and what may stand side by side."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flagbench import BadInput
from flagbench.airbench.options import AirBenchOptions
from flagbench.airbench.registry import REVISION, Dataset, datasets, select
from flagbench.runners.benchmark import (
    RETRIEVAL_ABILITIES,
    Benchmark,
    EvaluatedModel,
    Listing,
    Loaded,
    Outcome,
    Volume,
)
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.request import RunRequest, options_of
from flagbench.runners.task import Task

if TYPE_CHECKING:
    from flagbench.models.spec import ModelSpec
    from flagbench.results.record import RunRecord
    from flagbench.runners.data.sources import Source
    from flagbench.runners.data.task_texts import TaskTexts
    from flagbench.runners.progress import Progress
    from flagbench.runners.run.plan import Plan

MINI = Path(__file__).parent / "mini"


class _AirBench(Benchmark):
    """All versions of AIR-Bench. A task is a dataset; its splits are evaluated together or one after the other.

    There are no averages here: they are those of ``flagbench score``, by type, domain and language.
    """

    name = "air-bench"
    title = "AIR-Bench"
    imports = ("flagbench.airbench.evaluation", "datasets.load")
    options = AirBenchOptions
    abilities = RETRIEVAL_ABILITIES
    commands = MappingProxyType({"score": "flagbench.airbench.commands", "submit": "flagbench.airbench.commands"})
    examples = (
        "flagbench evaluate BAAI/bge-m3 --benchmark air-bench --languages zh --splits dev",
        "flagbench evaluate BAAI/bge-m3 --benchmark air-bench --domains law --reranker BAAI/bge-reranker-v2-m3",
        "flagbench evaluate ./checkpoint-2000 --benchmark air-bench --mini --output results",
    )

    def tasks(self) -> tuple[Task, ...]:
        """See Benchmark."""
        return tuple(map(_task, datasets()))

    def select(self, request: RunRequest) -> tuple[Task, ...]:
        """See Benchmark."""
        options = options_of(request, AirBenchOptions)
        chosen = select(
            versions=options.versions,
            types=request.types,
            domains=options.domains,
            languages=options.languages,
            names=options.datasets,
            splits=options.splits,
            tasks=request.tasks,
        )
        if request.mini:
            present = {dataset.task_name for dataset in mini_datasets()}
            chosen = tuple(dataset for dataset in chosen if dataset.task_name in present)
            if not chosen:
                raise BadInput(f"--mini has none of these datasets; it has {', '.join(sorted(present))}")
        return tuple(map(_task, chosen))

    def next_commands(self, plan: Plan, done: Collection[str]) -> Sequence[str]:
        """See Benchmark: dev labels are public; an archive is of all test sets of one version."""
        rows = [dataset_of(step.task) for step in plan.steps if step.task.name in done]
        known = mini_datasets() if plan.request.mini else datasets()
        folder = shlex.quote(str(plan.store.folder))
        root = plan.snapshots.root
        data = " --mini" if plan.request.mini else f" --data {shlex.quote(str(root))}" if root else ""
        found = []
        if any("dev" in row.splits for row in rows):
            found.append(f"flagbench score air-bench {folder}{data}")
        for version in dict.fromkeys(row.version for row in rows):
            wanted = {row.task_name for row in known if row.version == version and "test" in row.splits}
            if wanted and wanted <= {row.task_name for row in rows if "test" in row.splits}:
                name, model = shlex.quote(plan.name), plan.model.checkpoint
                mixed = bool(plan.model.spec.mixture)
                local = plan.reranker is not None or model is None or model.local or mixed
                who = "--anonymous" if local else f"--model-url https://huggingface.co/{name}"
                found.append(
                    f"flagbench submit air-bench {folder} --benchmark-version {version} --model-name {name} {who}{data}"
                )
        return found

    def listing(self, tasks: Sequence[Task]) -> Listing:
        """See Benchmark."""
        rows, total = [], 0
        for task in tasks:
            dataset = dataset_of(task)
            tokens = dataset.tokens(dataset.splits)
            total += tokens
            queries = ", ".join(f"{dataset.queries[split]:,} {split}" for split in dataset.splits)
            size = [f"{dataset.passages:,}", queries, _millions(tokens)]
            rows.append(
                [dataset.version, dataset.type, dataset.domain, dataset.language, dataset.name, *size, task.main_score]
            )
        headings = ["version", "type", "domain", "language", "dataset", "passages", "queries", "tokens", "main score"]
        closing = f"about {_millions(total)} tokens to encode, as the official tables count them"
        return Listing(headings, rows, closing)

    def volume(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Volume:
        """See Benchmark: texts as the official tables count them, of all data alone."""
        dataset = dataset_of(task)
        texts = dataset.passages + sum(dataset.queries[split] for split in task.splits)
        return Volume(texts if snapshots.root is None else None, self.source(task, snapshots).size())

    def settings(self, task: Task) -> Mapping[str, Any]:
        """See Benchmark: the splits do not change one another's results."""
        return {name: value for name, value in super().settings(task).items() if name != "splits"}

    def outputs(self, task: Task, model: ModelSpec, reranker: ModelSpec | None) -> tuple[str, ...]:
        """See Benchmark."""
        from flagbench.airbench.evaluation import outputs

        return outputs(dataset_of(task), model, reranker)

    def kept_rankings(self, record: RunRecord, task: str) -> Sequence[str]:
        """See Benchmark: the search results, those of the reranker where there is one."""
        from flagbench.airbench.search_results import NO_RERANKER

        stage = str(record.reranker.get("name")).split("/")[-1] if record.reranker else NO_RERANKER
        files = map(PurePosixPath, record.tasks[task].files)
        return [str(file) for file in files if file.parts[1:2] == ("search_results",) and file.parts[3:4] == (stage,)]

    def check_results(self, plan: Plan) -> None:
        """See Benchmark: a submission has one model with one set of settings, so its folder holds no others."""
        from flagbench.airbench.guard import check_results

        check_results(plan)

    def mini_data(self) -> Path | None:
        """See Benchmark."""
        return MINI

    def check(self, task: Task, snapshots: Snapshots, request: RunRequest) -> None:
        """See Benchmark."""
        from flagbench.airbench.loading import check

        check(dataset_of(task), snapshots)

    def load(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Loaded:
        """See Benchmark."""
        from flagbench.airbench.loading import load

        return load(task, dataset_of(task), snapshots)

    def label_sources(self, task: Task, snapshots: Snapshots) -> Sequence[Source]:
        """See Benchmark: the dev labels have a repo of their own."""
        dataset = dataset_of(task)
        return [snapshots.source(dataset.qrels_repo, REVISION)] if "dev" in dataset.splits else []

    def evaluate(
        self, loaded: Loaded, evaluated: EvaluatedModel, progress: Progress, predictions: Path | None
    ) -> Outcome:
        """See Benchmark. Search results are always kept, so there are no other predictions."""
        from flagbench.airbench.evaluation import evaluate

        return evaluate(loaded, evaluated, progress)

    def texts(self, loaded: Loaded) -> Iterator[TaskTexts]:
        """See Benchmark: labels of the test split are not published, so that it has no pairs."""
        from flagbench.airbench.evaluation import texts

        return texts(loaded.content)


AIR_BENCH: Benchmark = _AirBench()


def mini_datasets() -> tuple[Dataset, ...]:
    """The datasets of the miniature data that ships with the package."""
    return tuple(
        dataset
        for dataset in datasets()
        if (MINI / dataset.repo / dataset.benchmark_version / f"{dataset.corpus_split}.jsonl").is_file()
    )


def dataset_of(task: Task) -> Dataset:
    """The dataset behind a task, with the task's splits."""
    dataset = next(dataset for dataset in datasets() if dataset.task_name == task.name)
    return replace(dataset, splits=task.splits)


def _task(dataset: Dataset) -> Task:
    return Task(
        name=dataset.task_name,
        kind="Retrieval",
        dataset=dataset.repo,
        revision=REVISION,
        splits=dataset.splits,
        main_score=dataset.main_metric,
        group=dataset.version,
    )


def _millions(tokens: int) -> str:
    """Tokens as people count them."""
    return f"{tokens / 1e9:,.1f} G" if tokens >= 1e9 else f"{tokens / 1e6:,.1f} M"
