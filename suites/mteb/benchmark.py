"""Every text task of mteb by name, as the engine takes it."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flagbench import BadInput, UnknownName
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.mteb.benchmark import ThroughMteb, check_layout, drawable
from flagbench.runners.request import RunRequest, options_of
from flagbench.runners.task import Task, pick
from flagbench.suites.mteb.options import MtebOptions

if TYPE_CHECKING:
    from flagbench.results.published.scores import PublishedTable


class _Mteb(ThroughMteb):
    """Any text task of mteb, with mteb's own revisions, splits and main scores."""

    name = "mteb"
    title = "MTEB"
    options = MtebOptions
    commands = MappingProxyType({"submit": "flagbench.suites.mteb.commands"})
    examples = (
        "flagbench evaluate BAAI/bge-m3 --benchmark mteb --tasks SciFact,NFCorpus",
        "flagbench evaluate BAAI/bge-m3 --benchmark mteb --tasks MassiveIntentClassification --subsets de,fr",
        "flagbench evaluate ./checkpoint-2000 --benchmark mteb --tasks STS12 --output results",
    )

    def tasks(self) -> tuple[Task, ...]:
        """See Benchmark."""
        import mteb

        from flagbench.runners.mteb.bridge import quiet

        with quiet():
            return tuple(_row(task) for task in mteb.get_tasks(modalities=["text"]))

    def select(self, request: RunRequest) -> tuple[Task, ...]:
        """See Benchmark."""
        from mteb.get_tasks import _TASKS_REGISTRY

        hint = "see flagbench tasks --benchmark mteb"
        if not request.tasks:
            raise BadInput("--benchmark mteb needs --tasks NAME,…: mteb has more than a thousand; " + hint)
        for name in request.tasks:
            if name not in _TASKS_REGISTRY:
                raise UnknownName("task", name, _TASKS_REGISTRY, hint)
        rows = tuple(_row(_TASKS_REGISTRY[name]()) for name in request.tasks)
        rows = pick(rows, names=request.tasks, kinds=request.types, group="mteb", hint=hint)
        rows = drawable(rows, request)
        subsets = options_of(request, MtebOptions).subsets
        return tuple(_only_subsets(row, subsets) for row in rows) if subsets else rows

    def check(self, task: Task, snapshots: Snapshots, request: RunRequest) -> None:
        """See Benchmark."""
        from mteb.abstasks import AbsTask, AbsTaskRetrieval

        from flagbench.runners.mteb.loading import mteb_task

        loader = type(mteb_task(task)).load_data
        if loader is AbsTaskRetrieval.load_data:
            check_layout(task, snapshots, separate_configs=True)
        elif loader is AbsTask.load_data:
            check_layout(task, snapshots, separate_configs=False)
        else:  # the task reads its repo in a way of its own
            snapshots.source(task.dataset, task.revision).card()

    def published(self) -> PublishedTable | None:
        """See Benchmark: the tasks of C-MTEB have the same scores under either name."""
        from flagbench.runners.registry import find_benchmark

        return find_benchmark("cmteb").published()


MTEB: ThroughMteb = _Mteb()


def _row(task: Any) -> Task:
    metadata = task.metadata
    return Task(
        name=metadata.name,
        kind=metadata.type,
        dataset=metadata.dataset["path"],
        revision=metadata.dataset["revision"],
        splits=tuple(task.eval_splits),
        main_score=metadata.main_score,
        group="mteb",
        subsets=tuple(metadata.hf_subsets),
    )


def _only_subsets(row: Task, wanted: tuple[str, ...]) -> Task:
    """The row with only the wanted subsets; a monolingual row stays as it is."""
    if row.subsets == ("default",):
        return row
    kept = tuple(subset for subset in row.subsets if subset in wanted)
    if not kept:
        raise UnknownName("subset", ",".join(wanted), row.subsets, f"of {row.name}, which has {', '.join(row.subsets)}")
    return replace(row, subsets=kept)
