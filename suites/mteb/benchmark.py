"""Every task of mteb of texts and images by name, and its benchmarks by theirs, as the engine takes them."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flagbench import BadInput, first_few, known_name
from flagbench.runners.benchmark import Benchmark, Listing
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.mteb.benchmark import ThroughMteb, check_layout, drawable, parts_with_images
from flagbench.runners.request import RunRequest, options_of
from flagbench.runners.task import Task, pick
from flagbench.suites.mteb.options import MtebOptions

if TYPE_CHECKING:
    from flagbench.results.averages import Averages, Parts
    from flagbench.results.published.scores import PublishedTable, Updated
    from flagbench.suites.mteb.catalogue import Entry
    from flagbench.suites.mteb.named import Definition


_NO_INSTRUCTION = (
    "mteb ran Visualized-BGE, CLIP, EVA-CLIP and SigLIP without instructions; one that a model or --query-instruction "
    "has stands before queries with images as before others"
)


class _Mteb(ThroughMteb):
    """Any task of mteb of texts and images, with mteb's own revisions, splits and main scores."""

    name = "mteb"
    title = "MTEB"
    options = MtebOptions
    commands = MappingProxyType({"submit": "flagbench.suites.mteb.commands"})
    examples: Sequence[str] = (
        "flagbench evaluate BAAI/bge-m3 --benchmark mteb --tasks SciFact,NFCorpus",
        "flagbench evaluate BAAI/bge-m3 --benchmark mteb --types sts --languages zh,en",
        "flagbench evaluate BAAI/bge-visualized-m3 --benchmark mteb --types VisualSTS --allow-pickle --output results",
    )

    def task_named(self, name: str) -> str:
        """See Benchmark."""
        from flagbench.runners.mteb.version import tasks_registry

        return next((each for each in tasks_registry() if each.lower() == name.lower()), "")

    def named(self, name: str) -> Benchmark | None:
        """See Benchmark: those of mteb, and some of papers."""
        from flagbench.suites.mteb.named import find

        definition = find(name)
        return _Named(definition) if definition else None

    def names(self) -> Sequence[str]:
        """See Benchmark."""
        from flagbench.suites.mteb.named import names

        return names()

    def tasks(self) -> tuple[Task, ...]:
        """See Benchmark: those that can be evaluated."""
        return tuple(entry.row for entry in self._entries)

    def select(self, request: RunRequest) -> tuple[Task, ...]:
        """See Benchmark."""
        from flagbench.suites.mteb.catalogue import named_entries, refuse_those_that_cannot_run
        from flagbench.suites.mteb.drawn import TASKS as DRAWN

        options = options_of(request, MtebOptions)
        filtered = request.types or options.languages or options.domains or options.modalities
        if not (request.tasks or filtered or request.mini):
            raise BadInput(
                f"--benchmark mteb needs --tasks NAME,…: mteb has more than a thousand; {self._hint} (or name one of "
                "its benchmarks, or filter by --types, --languages, --domains or --modalities)"
            )
        found: Sequence[Entry] = self._entries
        if names := request.tasks or (DRAWN if request.mini else ()):
            found = named_entries(names, self._hint)
            refuse_those_that_cannot_run(found, "choose others with --tasks")
        return self._chosen(found, request)

    def mini_data(self) -> Path | None:
        """See Benchmark: drawings, of tasks with images."""
        return Path(__file__).parent / "mini"

    def mini_tasks(self) -> Sequence[Task]:
        """See Benchmark: so that mteb is not imported for them."""
        from flagbench.suites.mteb.drawn import ROWS

        return ROWS

    def listing(self, tasks: Sequence[Task]) -> Listing:
        """See Benchmark."""
        from flagbench.suites.mteb.catalogue import HEADINGS, as_entry, cells_of
        from flagbench.suites.mteb.drawn import LANGUAGE, ROWS

        rows = [cells_of(task, (LANGUAGE,)) if task in ROWS else as_entry(task).cells for task in tasks]
        return Listing(HEADINGS, rows, self._closing)

    def check(self, task: Task, snapshots: Snapshots, request: RunRequest) -> None:
        """See Benchmark."""
        separate = self._separate_configs(task)
        if separate is None:
            snapshots.source(task.dataset, task.revision).card()
        else:
            check_layout(task, snapshots, separate_configs=separate)

    def _separate_configs(self, task: Task) -> bool | None:
        """Whether corpus and queries of a task are configs of their own; None where it reads its repo in a way of its
        own.
        """
        from mteb.abstasks import AbsTask, AbsTaskRetrieval

        known = {AbsTaskRetrieval.load_data: True, AbsTask.load_data: False}
        return known.get(type(self.mteb_task(task)).load_data)

    def looked_at(self, task: Task, snapshots: Snapshots) -> str:
        """See Benchmark: images in a folder, for what is on the hub is not fetched for that."""
        if snapshots.root is None or "image" not in task.modalities or self._separate_configs(task) is None:
            return ""
        from flagbench.runners.mteb.image_faults import ROWS

        return f"the images of the first {ROWS:,} rows of each split"

    def faults(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Iterator[str]:
        """See Benchmark."""
        if not self.looked_at(task, snapshots):
            return
        from flagbench.runners.data.fault_list import first_faults
        from flagbench.runners.mteb.image_faults import report_broken

        source = self.source(task, snapshots)
        parts = parts_with_images(task, source, separate_configs=bool(self._separate_configs(task)))
        yield from first_faults(task.name, lambda report: report_broken(source, parts, report))

    def evidence(self, request: RunRequest) -> Sequence[str]:
        """See Benchmark: which tasks --subsets leaves whole, and what stands before queries of tasks with images."""
        from flagbench.suites.mteb.catalogue import is_whole

        chosen = self.select(request)
        wanted = options_of(request, MtebOptions).subsets
        whole = [task.name for task in chosen if is_whole(task)] if wanted else []
        said = [f"--subsets leaves {first_few(whole)} whole: no subsets to choose from"] if whole else []
        return [*said, _NO_INSTRUCTION] if any("image" in task.modalities for task in chosen) else said

    def published_with(self, tasks: Collection[str]) -> PublishedTable | None:
        """See Benchmark: that of C-MTEB, or that of tasks with images, whichever has more of them."""
        from flagbench.suites.mteb.published.images import table

        def shared(of: PublishedTable | None) -> int:
            return len(of.kinds.keys() & set(tasks)) if of else 0

        return max(self.published(), table(self.name, "mteb's tasks with images"), key=shared)

    def published(self) -> PublishedTable | None:
        """See Benchmark: the tasks of C-MTEB have the same scores under either name."""
        from flagbench.runners.registry import find_benchmark

        return find_benchmark("cmteb").published()

    has_tasks_of_its_own = False
    _closing = ""

    @property
    def _hint(self) -> str:
        return f"see flagbench tasks --benchmark {shlex.quote(self.name)}"

    @cached_property
    def _entries(self) -> Sequence[Entry]:
        from flagbench.suites.mteb.catalogue import all_entries

        return all_entries()

    def _chosen(self, found: Sequence[Entry], request: RunRequest) -> tuple[Task, ...]:
        """Those that the filters of a request leave, with the subsets that they leave."""
        from flagbench.suites.mteb.catalogue import in_domains, in_languages, in_modalities, in_subsets

        options = options_of(request, MtebOptions)
        if request.mini and request.tasks and self.mini_data() is not None:
            _check_drawn(found)
        if options.modalities or not (request.tasks or request.mini or self.has_tasks_of_its_own):
            found = in_modalities(found, options.modalities, request.types)
        if not found:
            what = "has images" if "image" in options.modalities else "is of texts alone"
            raise BadInput(f"no task of {self.title} {what}: {self._hint}")
        every = tuple(entry.row for entry in found)
        names = {row.name for row in pick(every, names=(), kinds=request.types, group="mteb", hint=self._hint)}
        if options.domains:
            names &= {entry.row.name for entry in in_domains(found, options.domains, self._hint)}
        if options.languages:
            found = in_languages(found, options.languages, self._hint)
        left = [entry for entry in found if entry.row.name in names]
        if not left:
            raise BadInput(f"no task of {self.title} is left: drop --types, --languages, --domains or --modalities")
        if options.subsets:
            left = list(in_subsets(left, options.subsets, self._hint))
        return drawable(tuple(entry.row for entry in left), request)


class _Named(_Mteb):
    """A benchmark that is made of tasks of mteb."""

    commands = MappingProxyType({})
    recorded = True
    has_tasks_of_its_own = True

    def __init__(self, definition: Definition) -> None:
        from flagbench.suites.mteb.named import in_order

        self.name, self.title = definition.name, definition.title
        self.title_separator = definition.title_separator
        self.examples = (
            f'flagbench evaluate BAAI/bge-m3 --benchmark "{self.name}"',
            f'flagbench evaluate ./checkpoint-2000 --benchmark "{self.name}" --output results',
            f'flagbench evaluate ./checkpoint-2000 --benchmark "{self.name}" --skip-missing --data ./hub-snapshots',
        )
        self._definition = replace(definition, entries=in_order(definition.entries))
        self._closing = "; ".join(definition.notes)

    def tasks(self) -> tuple[Task, ...]:
        """See Benchmark: also those that cannot be evaluated."""
        return tuple(entry.row for entry in self._definition.entries)

    def select(self, request: RunRequest) -> tuple[Task, ...]:
        """See Benchmark."""
        from flagbench.suites.mteb.catalogue import refuse_those_that_cannot_run

        found = self._asked(request)
        if request.tasks or not request.skip_missing:
            others = "" if request.tasks else ", or leave these out with --skip-missing"
            refuse_those_that_cannot_run(found, f"choose others with --tasks or --types{others}")
        runnable = [entry for entry in found if not entry.why_not]
        if request.mini and not request.tasks:
            from flagbench.suites.mteb.drawn import TASKS as DRAWN

            runnable = [entry for entry in runnable if entry.row.name in DRAWN]
        if not runnable:
            raise BadInput(f"{self.title}: none of its tasks can be evaluated; {self._hint}")
        return self._chosen(runnable, request)

    def mini_tasks(self) -> Sequence[Task]:
        """See Benchmark: as of any, those of its own."""
        return ()

    def mini_data(self) -> Path | None:
        """See Benchmark: where one of its tasks is drawn."""
        from flagbench.suites.mteb.drawn import TASKS as DRAWN

        return super().mini_data() if any(row.name in DRAWN for row in self.tasks()) else None

    def left_out(self, request: RunRequest) -> Sequence[str]:
        """See Benchmark."""
        from flagbench.suites.mteb.catalogue import reasons

        lines = reasons(self._asked(request))
        return (*(f"{line}; an average that it is part of stays blank" for line in lines), *super().left_out(request))

    def averages(self, request: RunRequest) -> Averages:
        """See Benchmark: as mteb's own summary takes them; over some subsets there are none."""
        return {} if options_of(request, MtebOptions).of_part else self._definition.averages

    def parts(self) -> Parts:
        """See Benchmark."""
        if not self._definition.averages:
            return {}
        rows = self.tasks()
        return {row.name: frozenset((split, each) for split in row.splits for each in row.subsets) for row in rows}

    def option_settings(self, request: RunRequest) -> Mapping[str, Any]:
        """See Benchmark: what is unlike mteb's."""
        return {} if self.title_separator == " " else {"title_separator": self.title_separator}

    def evidence(self, request: RunRequest) -> Sequence[str]:
        """See Benchmark."""
        return (*self._definition.notes, *super().evidence(request))

    def published(self) -> PublishedTable | None:
        """See Benchmark: the table that was made of the results repository, else the one that comes with FlagBench."""
        from flagbench.results.averages import in_parts
        from flagbench.suites.mteb.published.images import table as of_images
        from flagbench.suites.mteb.reference import table, with_averages

        rows = self.tasks()
        made = table(self.name, rows)
        averages = self._definition.averages
        if made is None and self.name == "MTEB(cmn, v1)":
            made = super().published()
        elif made is None:
            made = of_images(self.name, self.title, rows, in_parts(averages))
        return with_averages(made, averages, self._definition.aggregates)

    def published_with(self, tasks: Collection[str]) -> PublishedTable | None:
        """See Benchmark."""
        return self.published()

    def update_published(self, checkout: Path) -> Updated | None:
        """See Benchmark."""
        from flagbench.results.averages import in_parts
        from flagbench.suites.mteb.reference import update

        if not self._definition.averages:
            return None
        return update(checkout, self.name, self.tasks(), in_parts(self._definition.averages))

    def _asked(self, request: RunRequest) -> list[Entry]:
        """The tasks of the names and types that a request has; of an aggregate its parts.

        Raises:
            UnknownName: The benchmark has no task of a name, or of a type.
        """
        from flagbench.results.averages import task_of

        every, aggregates = self._definition.entries, self._definition.aggregates
        known: dict[str, tuple[str, ...]] = {entry.row.name: (entry.row.name,) for entry in every}
        known |= {name: tuple(task_of(member) for member in its) for name, its in aggregates.items()}
        names = [known_name("task", name, known, f"of {self.title}: {self._hint}") for name in request.tasks]
        parts = tuple(each for name in names for each in known[name])
        chosen = pick(self.tasks(), names=parts, kinds=request.types, group="mteb", hint=self._hint)
        wanted = {row.name for row in chosen}
        return [entry for entry in every if entry.row.name in wanted]


MTEB: ThroughMteb = _Mteb()


def _check_drawn(found: Sequence[Entry]) -> None:
    """See that the tasks that are named are some that the miniature data has.

    Raises:
        BadInput: One is not, also where it reads the same repo as one that is.
    """
    from flagbench.suites.mteb.drawn import TASKS as DRAWN

    absent = [entry.row.name for entry in found if entry.row.name not in DRAWN]
    if absent:
        raise BadInput(f"--mini has no {first_few(absent)}; it has {', '.join(DRAWN)}")
