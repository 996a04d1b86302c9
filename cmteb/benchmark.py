"""C-MTEB as the engine takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flagbench import BadInput
from flagbench.cmteb.options import CmtebOptions
from flagbench.results.kinds import RANKED
from flagbench.runners.benchmark import Volume, names_of
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.mteb.benchmark import ThroughMteb, check_layout, drawable
from flagbench.runners.request import RunRequest, options_of
from flagbench.runners.task import Task, pick, read_tasks

if TYPE_CHECKING:
    from flagbench.results.published.scores import PublishedTable, Updated

_HERE = Path(__file__).parent
_MINI = _HERE / "mini"


@dataclass(frozen=True)
class CmtebTask(Task):
    """A row of tasks.toml.

    Attributes:
        texts: Texts of the scored splits by mteb's statistics; None where it has none. No result depends on them.
    """

    texts: int | None = None


class _CMteb(ThroughMteb):
    """The 31 tasks of ``MTEB(cmn, v1)`` and the groups beside them."""

    name = "cmteb"
    title = "C-MTEB"
    options = CmtebOptions
    official = _HERE / "official.toml"
    folders = ("zho", "multilingual")
    examples = (
        "flagbench evaluate BAAI/bge-small-zh-v1.5 --mini",
        "flagbench evaluate ./checkpoint-2000 --types sts,retrieval --output results",
        "flagbench evaluate BAAI/bge-m3 --types retrieval --reranker BAAI/bge-reranker-v2-m3",
    )

    def tasks(self) -> tuple[Task, ...]:
        """See Benchmark."""
        return read_tasks(_HERE / "tasks.toml", CmtebTask)

    def settings(self, task: Task) -> Mapping[str, Any]:
        """See Benchmark."""
        return {name: value for name, value in super().settings(task).items() if name != "texts"}

    def volume(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Volume:
        """See Benchmark: of the official data the table says it, so that a list reads no statistics of mteb."""
        if snapshots.root is None and isinstance(task, CmtebTask) and task.texts is not None:
            return Volume(task.texts, self.source(task, snapshots).size())
        return super().volume(task, snapshots, request)

    def select(self, request: RunRequest) -> tuple[Task, ...]:
        """See Benchmark."""
        tasks = self.tasks()
        if request.mini:
            mini = tuple(task for task in tasks if task.group == "core" and (_MINI / task.dataset).is_dir())
            asked = {name.lower() for name in request.tasks}
            absent = [task.name for task in tasks if task.name.lower() in asked and task not in mini]
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

    def mteb_task(self, task: Task) -> Any:
        """See ThroughMteb: two tasks that mteb does not have are defined here."""
        if task.group == "crosslingual":
            from flagbench.runners.mteb.reexports import by_name

            with by_name("mteb"):
                from flagbench.cmteb.crosslingual import TASKS
            return TASKS[task.name]()
        return super().mteb_task(task)

    def check(self, task: Task, snapshots: Snapshots, request: RunRequest) -> None:
        """See Benchmark."""
        check_layout(task, snapshots, separate_configs=task.kind in RANKED and task.group != "crosslingual")

    def published(self) -> PublishedTable:
        """See Benchmark."""
        from flagbench.cmteb.published.table import table

        return table()

    def update_published(self, checkout: Path) -> Updated | None:
        """See Benchmark: they come with FlagBench, and mteb's benchmark of the same 31 tasks takes newer ones."""
        raise BadInput(
            "the published scores of C-MTEB come with FlagBench and are not made anew; for newer ones of the same 31 "
            'tasks name --benchmark "MTEB(cmn, v1)", for the table and for the run'
        )


CMTEB: ThroughMteb = _CMteb()
