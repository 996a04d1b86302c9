"""What benchmarks whose tasks mteb scores have in common, as the engine takes them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flagbench import AbsentData, BadData
from flagbench.results.kinds import CLASSIFIED, RERANKED
from flagbench.runners.benchmark import RETRIEVAL_ABILITIES, Benchmark, EvaluatedModel, Loaded, Outcome, Volume
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.request import PROFILES, RunRequest
from flagbench.runners.task import Task

if TYPE_CHECKING:
    from flagbench.runners.data.sources import Source
    from flagbench.runners.data.task_texts import TaskTexts
    from flagbench.runners.progress import Progress
    from flagbench.runners.run.plan import Plan


_BLANK = "an average that it is part of stays blank"


class ThroughMteb(Benchmark):
    """A benchmark whose tasks are mteb's task objects, which score them; mteb is imported when it is first needed.

    Attributes:
        official: File with the digests of the official content of its tasks (``official.toml``); None for none.
        title_separator: What stands between a passage's title and its text; mteb has a space.
        folders: Folders of mteb's packages of task types that have its tasks, so that one task does not take the import
            of all; without any, mteb is asked for the task by its name.
    """

    imports = ("flagbench.runners.mteb.loading", "flagbench.runners.mteb.evaluation")
    abilities = RETRIEVAL_ABILITIES
    profiles = PROFILES
    official: Path | None = None
    folders: Sequence[str] = ()
    title_separator: str = " "

    def left_out(self, request: RunRequest) -> Sequence[str]:
        """See Benchmark: those that a profile cannot draw from."""
        if request.profile == "full" or not request.skip_missing:
            return ()
        from flagbench.runners.mteb.sampling import cannot_draw

        reasons = [cannot_draw(task, request.profile) for task in self.select(replace(request, profile="full"))]
        return tuple(f"{reason}; it is left out, and {_BLANK}" for reason in reasons if reason)

    def mteb_task(self, task: Task) -> Any:
        """mteb's own object of a task, limited to its splits and subsets, without data."""
        from flagbench.runners.mteb.loading import mteb_task

        return mteb_task(task, self.folders)

    def volume(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Volume:
        """See Benchmark: texts by mteb's statistics, which are of the official data; of a folder what is there."""
        from flagbench.runners.mteb.volume import counted_texts, published_texts

        source = self.source(task, snapshots)
        texts = published_texts(task) if snapshots.root is None else counted_texts(task, source.card())
        return Volume(texts, source.size())

    def load(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Loaded:
        """See Benchmark."""
        from flagbench.runners.mteb.loading import load
        from flagbench.runners.mteb.sampling import sampled

        return sampled(load(task, snapshots, self.mteb_task(task), self.official), request.profile)

    def evaluate(
        self, loaded: Loaded, evaluated: EvaluatedModel, progress: Progress, predictions: Path | None
    ) -> Outcome:
        """See Benchmark."""
        from flagbench.runners.mteb.evaluation import evaluate

        return evaluate(loaded, evaluated, progress, predictions, self.title_separator)

    def texts(self, loaded: Loaded) -> Iterator[TaskTexts]:
        """See Benchmark."""
        from flagbench.runners.mteb.texts import task_texts

        return task_texts(loaded.task, loaded.content, self.title_separator)

    def next_commands(self, plan: Plan, done: Collection[str]) -> Sequence[str]:
        """See Benchmark: none, for a submission is of a model on the hub and of all tasks, which a run is seldom of."""
        return ()


def drawable(tasks: tuple[Task, ...], request: RunRequest) -> tuple[Task, ...]:
    """The tasks that can be drawn from, where a profile asks for it: all of them, unless others may be left out.

    Raises:
        BadInput: One cannot.
    """
    if request.profile == "full":
        return tasks
    from flagbench.runners.mteb import sampling

    return sampling.drawable(tasks, request.profile, skip=request.skip_missing)


def check_layout(task: Task, snapshots: Snapshots, *, separate_configs: bool) -> None:
    """Configs, and for local folders also splits, that mteb's loader will ask for.

    Args:
        task: Whose.
        snapshots: Where its data is.
        separate_configs: Whether corpus, queries and judgements are configs of their own.

    Raises:
        BadInput: One is absent.
    """
    source = snapshots.source(task.dataset, task.revision)
    source.card()
    present = _configs(task, source, separate_configs=separate_configs)
    for subset in task.subsets:
        needed = _needed(task, subset, present, separate_configs=separate_configs)
        for config in needed:
            if config not in present:
                fault = AbsentData if snapshots.root and subset != "default" else BadData  # a part was downloaded
                raise fault(f"{task.name}: {task.dataset} has no config '{config}' (it has {', '.join(present)})")
        if snapshots.root is None:
            continue
        for config in needed or [""]:
            splits = source.splits(config or None)
            wanted = _splits(task)
            lone = separate_configs and len(splits) == 1  # mteb takes the only split of a config whatever its name
            for split in wanted if not lone else []:
                if split not in splits:
                    raise BadData(f"{task.name}: {source.where} has no split '{split}' (it has {', '.join(splits)})")


def parts_with_images(task: Task, source: Source, *, separate_configs: bool) -> Iterator[tuple[str | None, str]]:
    """The configs and splits of a task that its images are in.

    Args:
        task: Whose.
        source: Its data.
        separate_configs: See ``check_layout``.
    """
    present = _configs(task, source, separate_configs=separate_configs)
    for subset in task.subsets:
        needed = _needed(task, subset, present, separate_configs=separate_configs)
        for config in needed[:2] or [""]:  # judgements and candidates are ids
            splits = source.splits(config or None)
            for split in [each for each in _splits(task) if each in splits] or splits[:1]:
                yield config or None, split


def _configs(task: Task, source: Source, *, separate_configs: bool) -> Sequence[str]:
    plain = not separate_configs and task.subsets == ("default",)
    return [] if plain else source.configs()


def _needed(task: Task, subset: str, present: Sequence[str], *, separate_configs: bool) -> list[str]:
    """The configs of a subset: corpus and queries first where they are apart."""
    if not separate_configs:
        return [subset] if subset != "default" else []
    prefix = "" if subset == "default" else f"{subset}-"
    qrels = f"{prefix}qrels" if prefix or "default" not in present else "default"
    queries = "query" if "query" in present else f"{prefix}queries"
    candidates = [f"{prefix}top_ranked"] if task.kind in RERANKED and task.kind != "VisionCentricQA" else []
    return [f"{prefix}corpus", queries, qrels, *candidates]


def _splits(task: Task) -> list[str]:
    return [*task.splits, *(["train"] if task.kind in CLASSIFIED else [])]
