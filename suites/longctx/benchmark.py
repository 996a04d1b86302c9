"""Long contexts as the engine takes them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from flagbench import BadInput
from flagbench.flags import flags_of
from flagbench.runners.benchmark import Benchmark, EvaluatedModel, Listing, Loaded, Outcome, Volume
from flagbench.runners.data.fault_list import first_faults
from flagbench.runners.generation.server_options import ServerOptions
from flagbench.runners.request import RunRequest, options_of
from flagbench.runners.task import Task
from flagbench.suites.longctx.options import SPREAD, LongContextOptions
from flagbench.suites.longctx.registry import GENERATED, kind_of, row_of, rows
from flagbench.suites.longctx.selection import left_out, resolved, select

if TYPE_CHECKING:
    from flagbench.models.contract import Adapter, TextGenerator
    from flagbench.models.loading.resolve import Model
    from flagbench.models.spec import ModelSpec
    from flagbench.results.published.scores import PublishedTable
    from flagbench.results.record import RunRecord
    from flagbench.runners.data.snapshots import Snapshots
    from flagbench.runners.data.sources import Source
    from flagbench.runners.generation.demand import Demand
    from flagbench.runners.progress import Progress
    from flagbench.runners.run.plan import Plan
    from flagbench.suites.longctx.sample import Content

_MINI_LENGTHS, _MINI_DEPTHS, _MINI_ROWS = (1024, 2048), (0, 50, 100), 2
"""Of the miniature data: short enough for a processor, and long enough for RULER's shortest questions."""

_WITHOUT_HUB = frozenset({"needle", "ruler"})
"""Kinds whose texts no repository of the hub has as files."""


_WITHOUT_TEXT = frozenset({"perplexity", "mmlu"})
"""Kinds that are answered by probabilities, which no server gives, however its tokens are counted."""

_SPREAD = {"rows_chosen": "spread"}
"""Among the options of a task of which a part is asked that earlier versions took from the beginning."""


class _LongContext(Benchmark):
    """Needles, passkeys, topics, LongBench, InfiniteBench, RULER, perplexity and MMLU over any language model."""

    name = "longctx"
    title = "Long contexts"
    imports = ("flagbench.suites.longctx.evaluation",)
    options = LongContextOptions
    commands = MappingProxyType(
        {"score": "flagbench.suites.longctx.commands", "submit": "flagbench.suites.longctx.commands"}
    )
    abilities = frozenset({"generate"})
    counted = "samples"
    examples = (
        "flagbench evaluate Qwen/Qwen2.5-7B-Instruct --benchmark longctx --groups ruler --lengths 4096,8192",
        "flagbench evaluate ./SmolLM2-135M-Instruct.Q4_1.gguf --benchmark longctx --tasks Passkey --lengths 256,512",
        "flagbench evaluate my-model --benchmark longctx --groups longbench --data ./data --api-base "
        "http://localhost:8000/v1 --tokenizer ./my-model",
    )

    def tasks(self) -> tuple[Task, ...]:
        """See Benchmark: by the first protocol of each."""
        return tuple(row.task(row.protocols[0]) for row in rows())

    def select(self, request: RunRequest) -> tuple[Task, ...]:
        """See Benchmark: without names those of the groups asked for, or of the first, that have the protocol."""
        return select(request)

    def left_out(self, request: RunRequest) -> Sequence[str]:
        """See Benchmark: tasks of a group that lack the protocol asked for."""
        return left_out(request)

    def listing(self, tasks: Sequence[Task]) -> Listing:
        """See Benchmark."""
        found = []
        for task in tasks:
            row = row_of(task.name)
            data = "" if row.dataset == GENERATED else row.dataset
            count = f"{row.rows:,}" if row.rows else ""
            found.append([row.name, row.group, row.category, ", ".join(row.protocols), data, count, row.main_score])
        headings = ["task", "group", "category", "protocols", "dataset", "rows", "main score"]
        return Listing(headings, found, "tasks without a dataset are generated")

    def option_settings(self, request: RunRequest) -> Mapping[str, Any]:
        """See Benchmark: as they are over the miniature data, where that has some of its own; a server is part of the
        model's settings.
        """
        found = super().option_settings(replace(request, options=_options(request)))
        of_servers = {each.field for each in flags_of(ServerOptions)}
        return {name: value for name, value in found.items() if name not in of_servers}

    def task_options(self, task: Task, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """See Benchmark: those that change something, and whether a part of a grid is spread over it."""
        found = resolved(task, options)
        return {**found, **(_SPREAD if _spread(task, found) else {})}

    def former_task_options(self, task: Task, options: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """See Benchmark: once all of them as they were given, and the first depths under the same ones."""
        return None if _spread(task, resolved(task, options)) else options

    def averages(self, request: RunRequest) -> Mapping[str, Sequence[str]]:
        """See Benchmark: those that the sources print, which the tasks of the run make up."""
        from flagbench.suites.longctx.averages import averages

        return averages([task.name for task in self.select(request)] if request.model else [row.name for row in rows()])

    def outputs(self, task: Task, model: ModelSpec, reranker: ModelSpec | None) -> tuple[str, ...]:
        """See Benchmark."""
        from flagbench.suites.longctx.saved import Saved

        return (Saved.file(task.name),)

    def next_commands(self, plan: Plan, done: Collection[str]) -> Sequence[str]:
        """See Benchmark: predictions are handed in where the tasks of the run have all their samples."""
        from flagbench.results.runs import find_run
        from flagbench.suites.longctx.submission import SUBMITTED
        from flagbench.suites.longctx.submission.shortage import shortage

        folder = shlex.quote(str(plan.store.folder))
        whole = not plan.request.mini and _options(plan.request).rows is None
        submitted = whole and any(row_of(name).group in SUBMITTED for name in done)
        if submitted and plan.store.folder.is_dir():  # tasks of an earlier run too: all are handed in together
            tasks = find_run(plan.store.folder).record.tasks
            submitted = not any(
                shortage(row, protocol, record.texts.get("asked", 0), record)
                for row in rows()
                if (record := tasks.get(row.name)) is not None
                for protocol in record.scores
            )
        return [f"flagbench {verb} {self.name} {folder}" for verb in ("score", *(["submit"] * submitted))]

    def mini_data(self) -> Path:
        """See Benchmark."""
        return Path(__file__).parent / "mini"

    def model(self, request: RunRequest, on_cpu: Callable[[], bool]) -> Model:
        """See Benchmark: a language model that writes texts, here or behind a server."""
        from flagbench.models.servers.text_model import Server, TextServerModel, uncounted
        from flagbench.models.text_models import resolve_text_generator

        options = _options(request)
        options.check_server()
        server = Server(options.api_base, options.extra(), options.rate_limit()) if options.api_base else None
        if server and (request.overrides.dtype or request.overrides.adapters or request.batch_size):
            raise BadInput("--dtype, --adapter and --batch-size are the server's affair: drop them, or --api-base")
        found = resolve_text_generator(
            request.model,
            request.revision,
            request.overrides,
            server=server,
            trust_remote_code=request.trust_remote_code,
            allow_pickle=request.allow_pickle,
            on_cpu=on_cpu,
        )
        counts = any(task.kind not in _WITHOUT_TEXT for task in self.select(request))
        if isinstance(found, TextServerModel) and found.counted is None and counts:
            raise uncounted(found.spec)
        return found

    def source(self, task: Task, snapshots: Snapshots) -> Source:
        """See Benchmark: generated tasks have none, and those that the hub has nothing for do without."""
        from flagbench.suites.longctx.generated import Generated
        from flagbench.suites.longctx.layouts import source_of

        made = task.dataset == GENERATED or (snapshots.root is None and task.kind in _WITHOUT_HUB)
        return Generated() if made else source_of(row_of(task.name), snapshots)

    def volume(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Volume:
        """See Benchmark: samples as published, of all data alone."""
        published = row_of(task.name).rows if snapshots.root is None else 0
        return Volume(published or None, self.source(task, snapshots).size())

    def check(self, task: Task, snapshots: Snapshots, request: RunRequest) -> None:
        """See Benchmark: all rows are read, since a fault is better known now than tomorrow."""
        self._read(task, snapshots, request)

    def evidence(self, request: RunRequest) -> Sequence[str]:
        """See Benchmark: whose rules there are."""
        by_protocol: dict[str, list[str]] = {}
        for task in self.select(request):
            by_protocol.setdefault(task.splits[0], []).append(task.name)
        lines = [f"protocol {protocol}: {', '.join(names)}" for protocol, names in by_protocol.items()]
        if request.mini:
            options = _options(request)
            lengths, depths = (", ".join(f"{each:,}" for each in its) for its in (options.lengths, options.depths))
            lines.append(f"miniature data: lengths {lengths}; depths {depths}; --rows {options.rows}")
        return lines

    def load(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Loaded:
        """See Benchmark."""
        content = self._read(task, snapshots, request)
        return Loaded(task, content.verdict, content, notes=content.notes)

    def faults(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Iterator[str]:
        """See Benchmark."""
        return first_faults(task.name, lambda report: self._read(task, snapshots, request, report))

    def evaluate(
        self, loaded: Loaded, evaluated: EvaluatedModel, progress: Progress, predictions: Path | None
    ) -> Outcome:
        """See Benchmark. Answers are always kept, so there are no other predictions."""
        from flagbench.suites.longctx.evaluation import evaluate

        return evaluate(loaded, evaluated, progress)

    def demand(self, loaded: Loaded, adapter: Adapter, answered: Collection[str], progress: Progress) -> Demand:
        """See Benchmark."""
        from flagbench.suites.longctx.demand import demand

        return demand(loaded.content, cast("TextGenerator", adapter).tokens, answered, progress)

    def published_with(self, tasks: Collection[str]) -> PublishedTable | None:
        """See Benchmark."""
        from flagbench.suites.longctx.published.table import table_of

        return table_of(tasks)

    def published_for(self, record: RunRecord) -> PublishedTable | None:
        """See Benchmark: by the rules of one protocol, or a sum of lengths."""
        from flagbench.suites.longctx.published.table import table_for

        return table_for(record)

    def _read(
        self,
        task: Task,
        snapshots: Snapshots,
        request: RunRequest,
        fault: Callable[[str], None] | None = None,
    ) -> Content:
        row = row_of(task.name)
        return kind_of(row).read(row, self.source(task, snapshots), _options(request), fault)


def _spread(task: Task, options: Mapping[str, Any]) -> bool:
    """Whether a part of a grid is asked, by the resolved options of its task."""
    return options["rows"] is not None and task.kind in SPREAD


def _options(request: RunRequest) -> LongContextOptions:
    """The options of a run; those that are not given are small over the miniature data."""
    options = options_of(request, LongContextOptions)
    if not request.mini:
        return options
    return replace(
        options,
        lengths=options.lengths or _MINI_LENGTHS,
        depths=options.depths or _MINI_DEPTHS,
        rows=options.rows or _MINI_ROWS,
    )


LONG_CONTEXT: Benchmark = _LongContext()
