"""C-MTEB, and every other text task of mteb by name, as the engine takes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flagbench import BadData, BadInput, UnknownName
from flagbench.cmteb.options import CmtebOptions, MtebOptions
from flagbench.results.kinds import RANKED
from flagbench.runners.benchmark import Benchmark, EvaluatedModel, Loaded, Outcome, Volume, names_of
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.request import PROFILES, RunRequest, options_of
from flagbench.runners.task import Task, pick, read_tasks

if TYPE_CHECKING:
    from flagbench.results.published.scores import PublishedTable
    from flagbench.runners.progress import Progress
    from flagbench.runners.run.plan import Plan

_HERE = Path(__file__).parent
_MINI = _HERE / "mini"


class ThroughMteb(Benchmark):
    """A benchmark whose tasks are mteb's task objects, which score them; mteb is imported when it is first needed."""

    imports = ("flagbench.cmteb.loading", "flagbench.cmteb.evaluation")
    profiles = PROFILES

    def volume(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Volume:
        """See Benchmark: texts by mteb's statistics, which are of the official data; of a folder what is there."""
        from flagbench.cmteb.volume import counted_texts, published_texts

        source = self.source(task, snapshots)
        texts = published_texts(task) if snapshots.root is None else counted_texts(task, source.card())
        return Volume(texts, source.size())

    def load(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Loaded:
        """See Benchmark."""
        from flagbench.cmteb.loading import load
        from flagbench.cmteb.sampling import sampled

        return sampled(load(task, snapshots), request.profile)

    def evaluate(
        self, loaded: Loaded, evaluated: EvaluatedModel, progress: Progress, predictions: Path | None
    ) -> Outcome:
        """See Benchmark."""
        from flagbench.cmteb.evaluation import evaluate

        return evaluate(loaded, evaluated, progress, predictions)

    def next_commands(self, plan: Plan, done: Collection[str]) -> Sequence[str]:
        """See Benchmark: none, for a submission is of a model on the hub and of all tasks, which a run is seldom of."""
        return ()

    def published(self) -> PublishedTable:
        """See Benchmark: the tasks of C-MTEB have the same scores under either name."""
        from flagbench.cmteb.published.table import table

        return table()


class _CMteb(ThroughMteb):
    """The 31 tasks of ``MTEB(cmn, v1)`` and the groups beside them."""

    name = "cmteb"
    title = "C-MTEB"
    options = CmtebOptions
    examples = (
        "flagbench evaluate BAAI/bge-small-zh-v1.5 --mini",
        "flagbench evaluate ./checkpoint-2000 --types sts,retrieval --output results",
        "flagbench evaluate BAAI/bge-m3 --types retrieval --reranker BAAI/bge-reranker-v2-m3",
    )

    def tasks(self) -> tuple[Task, ...]:
        """See Benchmark."""
        return read_tasks(_HERE / "tasks.toml")

    def select(self, request: RunRequest) -> tuple[Task, ...]:
        """See Benchmark."""
        tasks = self.tasks()
        if request.mini:
            mini = tuple(task for task in tasks if task.group == "core" and (_MINI / task.dataset).is_dir())
            absent = [task.name for task in tasks if task.name in request.tasks and task not in mini]
            if absent:
                raise BadInput(f"--mini has no {', '.join(absent)}; it has {names_of(mini)}")
            tasks = mini
        chosen = pick(
            tasks,
            names=request.tasks,
            kinds=request.types,
            group=options_of(request, CmtebOptions).group,
            hint="see flagbench tasks --benchmark cmteb",
        )
        return drawable(chosen, request)

    def averages(self, request: RunRequest) -> Mapping[str, Sequence[str]]:
        """See Benchmark: the mean of each type, and that of all tasks (not of the types), as on the leaderboard."""
        core = [task for task in self.tasks() if task.group == "core"]
        if request.mini:
            core = [task for task in core if (_MINI / task.dataset).is_dir()]
        kinds = dict.fromkeys(task.kind for task in core)
        means = {f"{kind} mean": [task.name for task in core if task.kind == kind] for kind in kinds}
        return {**means, "Avg": [task.name for task in core]}

    def mini_data(self) -> Path | None:
        """See Benchmark."""
        return _MINI

    def check(self, task: Task, snapshots: Snapshots, request: RunRequest) -> None:
        """See Benchmark."""
        _check_layout(task, snapshots, separate_configs=task.kind in RANKED and task.group != "crosslingual")


class _Mteb(ThroughMteb):
    """Any text task of mteb, with mteb's own revisions, splits and main scores."""

    name = "mteb"
    title = "MTEB"
    options = MtebOptions
    commands = MappingProxyType({"submit": "flagbench.cmteb.commands"})
    examples = (
        "flagbench evaluate BAAI/bge-m3 --benchmark mteb --tasks SciFact,NFCorpus",
        "flagbench evaluate BAAI/bge-m3 --benchmark mteb --tasks MassiveIntentClassification --subsets de,fr",
        "flagbench evaluate ./checkpoint-2000 --benchmark mteb --tasks STS12 --output results",
    )

    def tasks(self) -> tuple[Task, ...]:
        """See Benchmark."""
        import mteb

        from flagbench.cmteb.bridge import quiet

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

        from flagbench.cmteb.loading import mteb_task

        loader = type(mteb_task(task)).load_data
        if loader is AbsTaskRetrieval.load_data:
            _check_layout(task, snapshots, separate_configs=True)
        elif loader is AbsTask.load_data:
            _check_layout(task, snapshots, separate_configs=False)
        else:  # the task reads its repo in a way of its own
            snapshots.source(task.dataset, task.revision).card()


CMTEB: Benchmark = _CMteb()
MTEB: Benchmark = _Mteb()


def drawable(tasks: tuple[Task, ...], request: RunRequest) -> tuple[Task, ...]:
    """The same tasks, which can all be drawn from where a profile asks for it.

    Raises:
        BadInput: One cannot.
    """
    if request.profile != "full":
        from flagbench.cmteb.sampling import refuse_others

        refuse_others(tasks, request.profile)
    return tasks


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


def _check_layout(task: Task, snapshots: Snapshots, *, separate_configs: bool) -> None:
    """Configs, and for local folders also splits, that mteb's loader will ask for."""
    source = snapshots.source(task.dataset, task.revision)
    source.card()
    plain = not separate_configs and task.subsets == ("default",)
    present = [] if plain else source.configs()
    for subset in task.subsets:
        prefix = "" if subset == "default" else f"{subset}-"
        if separate_configs:
            qrels = f"{prefix}qrels" if prefix or "default" not in present else "default"
            queries = "query" if "query" in present else f"{prefix}queries"
            candidates = [f"{prefix}top_ranked"] if task.kind.endswith("Reranking") else []
            needed = [f"{prefix}corpus", queries, qrels, *candidates]
        else:
            needed = [subset] if subset != "default" else []
        for config in needed:
            if config not in present:
                raise BadData(f"{task.name}: {task.dataset} has no config '{config}' (it has {', '.join(present)})")
        if snapshots.root is None:
            continue
        for config in needed or [""]:
            splits = source.splits(config or None)
            wanted = [*task.splits, *(["train"] if task.kind == "Classification" else [])]
            lone = separate_configs and len(splits) == 1  # mteb takes the only split of a config whatever its name
            for split in wanted if not lone else []:
                if split not in splits:
                    raise BadData(f"{task.name}: {source.where} has no split '{split}' (it has {', '.join(splits)})")
