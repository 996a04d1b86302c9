"""Composed retrieval as the engine takes it."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flagbench import BadInput
from flagbench.runners.benchmark import Benchmark, EvaluatedModel, Listing, Loaded, Outcome, Volume
from flagbench.runners.data.fault_list import first_faults
from flagbench.runners.request import RunRequest, options_of
from flagbench.runners.task import Task, pick_of_groups
from flagbench.suites.composed.options import ComposedOptions
from flagbench.suites.composed.registry import MEANS, row_of, rows

if TYPE_CHECKING:
    from flagbench.models.spec import ModelSpec
    from flagbench.runners.data.snapshots import Snapshots
    from flagbench.runners.data.sources import Source
    from flagbench.runners.progress import Progress
    from flagbench.runners.run.plan import Plan

_PROTOCOLS: Mapping[str, str] = {
    "cirr": "CIRR: a query's own image is left out of its ranking; recall_subset is among the five others of its set",
    "fashioniq": "FashionIQ: a query's own image stays among the candidates; its captions are joined by ', and '",
    "circo": "CIRCO: a query's own image stays among the candidates; map_at_k is over min(relevant, k)",
    "webqa": "WebQA: recall_at_k is over all relevant candidates; hit_rate is the authors' Easy_Recall",
    "mbeir": "M-BEIR: hit_rate_at_k is its Recall@k; texts get a capital and a full stop, as UniIR has them; no "
    "instruction is put before a query unless the model has one",
}
"""What moves a score and is not the model's, by layout."""


class _Composed(Benchmark):
    """CIRR, FashionIQ, CIRCO, WebQA and M-BEIR from the folders that their authors publish."""

    name = "composed"
    title = "Composed retrieval"
    imports = ("flagbench.suites.composed.loading", "flagbench.suites.composed.evaluation")
    options = ComposedOptions
    commands = MappingProxyType(
        {"score": "flagbench.suites.composed.commands", "submit": "flagbench.suites.composed.commands"}
    )
    abilities = frozenset({"encode"})
    examples = (
        "flagbench evaluate BAAI/BGE-VL-base --benchmark composed --data ./cir --tasks CIRR,CIRCO",
        "flagbench evaluate BAAI/BGE-VL-base --benchmark composed --data ./cir --groups cir-test --circo-text concept",
        "flagbench evaluate flagbench/random --benchmark composed --mini --output results",
    )

    def tasks(self) -> tuple[Task, ...]:
        """See Benchmark."""
        return tuple(row.task for row in rows())

    def select(self, request: RunRequest) -> tuple[Task, ...]:
        """See Benchmark: without names the tasks of the groups asked for, or of the first."""
        groups = options_of(request, ComposedOptions).groups
        hint = f"see flagbench tasks --benchmark {self.name}"
        return pick_of_groups(self.tasks(), names=request.tasks, kinds=request.types, groups=groups, hint=hint)

    def averages(self, request: RunRequest) -> Mapping[str, tuple[str, ...]]:
        """See Benchmark: those that the authors of a data set report."""
        chosen = {task.name for task in self.select(request)} if request.model else {row.name for row in rows()}
        means = {title: tuple(row.name for row in rows() if row.layout == layout) for layout, title in MEANS.items()}
        return {title: names for title, names in means.items() if chosen.intersection(names)}

    def listing(self, tasks: Sequence[Task]) -> Listing:
        """See Benchmark."""
        found = []
        for task in tasks:
            row = row_of(task.name)
            counts = [f"{count:,}" if count else "-" for count in (row.queries, row.passages)]
            found.append([row.name, row.group, row.dataset, row.part, *counts, row.main_score])
        return Listing(["task", "group", "dataset", "part", "queries", "candidates", "main score"], found)

    def outputs(self, task: Task, model: ModelSpec, reranker: ModelSpec | None) -> tuple[str, ...]:
        """See Benchmark: with the first candidates of each query."""
        from flagbench.suites.composed.submission import Rankings

        return (f"{task.name}.json", Rankings.file(task.name))

    def next_commands(self, plan: Plan, done: Collection[str]) -> Sequence[str]:
        """See Benchmark."""
        from flagbench.suites.composed.submission import SERVERS

        folder = shlex.quote(str(plan.store.folder))
        verbs = {
            "score": any(row_of(name).labelled for name in done),
            "submit": any(name in SERVERS for name in done) and not plan.request.mini,
        }
        return [f"flagbench {verb} {self.name} {folder}" for verb, wanted in verbs.items() if wanted]

    def mini_data(self) -> Path:
        """See Benchmark."""
        return Path(__file__).parent / "mini"

    def source(self, task: Task, snapshots: Snapshots) -> Source:
        """See Benchmark: a folder, for the hub has none of it as its authors lay it out."""
        if snapshots.root is None:
            raise BadInput(
                f"--benchmark {self.name} reads --data DIR: put the data of {task.name} into DIR/{task.dataset} as its "
                "authors publish it"
            )
        return snapshots.source(task.dataset, task.revision)

    def check(self, task: Task, snapshots: Snapshots, request: RunRequest) -> None:
        """See Benchmark."""
        from flagbench.suites.composed.loading import check

        check(row_of(task.name), self.source(task, snapshots), options_of(request, ComposedOptions))

    def check_sizes(self, task: Task, snapshots: Snapshots, request: RunRequest) -> None:
        """See Benchmark: ``check`` reads no rows, and looks at the sizes of annotations."""
        self.check(task, snapshots, request)

    def evidence(self, request: RunRequest) -> Sequence[str]:
        """See Benchmark: the protocol of each data set, and files with texts that are read in place of annotations."""
        tasks = self.select(request)
        protocols = [_PROTOCOLS[layout] for layout in dict.fromkeys(row_of(task.name).layout for task in tasks)]
        return [*protocols, *self._read_ready(tasks, request)]

    def _read_ready(self, tasks: Sequence[Task], request: RunRequest) -> Iterator[str]:
        from flagbench.runners.data.snapshots import Snapshots
        from flagbench.suites.composed.loading import ready

        snapshots = Snapshots(request.data)
        for task in tasks if request.data else ():
            try:
                files = ready(row_of(task.name), self.source(task, snapshots))
            except BadInput:  # the data is absent, which is said where it is needed
                continue
            if files:
                yield f"{task.name}: queries and candidates are FlagEmbedding's, read from {' and '.join(files)}"

    def option_settings(self, request: RunRequest) -> Mapping[str, Any]:
        """See Benchmark: a text of CIRCO that is not chosen is its caption."""
        settings = super().option_settings(request)
        return {**settings, "circo_text": settings["circo_text"] or "caption"}

    def volume(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Volume:
        """See Benchmark: without a folder the published counts, of a folder its size."""
        row = row_of(task.name)
        if snapshots.root is None:
            return Volume(row.queries + row.passages if row.queries and row.passages else None)
        return super().volume(task, snapshots, request)

    def load(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Loaded:
        """See Benchmark."""
        from flagbench.suites.composed.loading import load

        return load(task, self.source(task, snapshots), options_of(request, ComposedOptions))

    def faults(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Iterator[str]:
        """See Benchmark."""
        from flagbench.suites.composed.loading import read

        row, source, options = row_of(task.name), self.source(task, snapshots), options_of(request, ComposedOptions)
        return first_faults(task.name, lambda report: read(row, source, options, report, decode=True))

    def evaluate(
        self, loaded: Loaded, evaluated: EvaluatedModel, progress: Progress, predictions: Path | None
    ) -> Outcome:
        """See Benchmark. Rankings are always kept, so there are no other predictions."""
        from flagbench.suites.composed.evaluation import evaluate

        return evaluate(loaded, evaluated, progress)


COMPOSED: Benchmark = _Composed()
