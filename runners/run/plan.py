"""Everything about a run that can be known, and can fail, before any weight is loaded."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from flagbench import AbsentData, BadData, BadInput, NoHub, first_few, printable
from flagbench.files import user_path
from flagbench.models.device import devices_line
from flagbench.models.loading.resolve import Model
from flagbench.models.spec import joint_name
from flagbench.paths import near_by
from flagbench.results.averages import Averages, task_of
from flagbench.results.data_state import in_mini
from flagbench.results.identity import settings_digest
from flagbench.results.record import Average, RunRecord, TaskRecord
from flagbench.results.store import RunStore
from flagbench.runners.benchmark import Benchmark
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.rankings.model import RankedModel
from flagbench.runners.registry import benchmarks_that, find_benchmark
from flagbench.runners.request import RunRequest
from flagbench.runners.run.devices import RequestedDevice
from flagbench.runners.run.models import models_of
from flagbench.runners.run.same_model import check_same_model
from flagbench.runners.run.settings import changes, kept_options, model_settings, task_settings
from flagbench.runners.task import Task

State = Literal["new", "finished", "again"]

OTHER_SETTINGS = "settings differ: "
"""How the reason begins to evaluate a task again that has a result with other settings."""

_Fault = tuple[Task, BadInput]
"""A task that has no usable data, and why."""


@dataclass(frozen=True)
class Step:
    """One task of a plan.

    Attributes:
        task: Registry row.
        settings: All that moves its score.
        former_settings: The same as an earlier FlagBench wrote them; None where nothing has changed.
        outputs: Names of the files that it will leave.
        labels: Settings of the sources of its labels, where these lie apart from its dataset.
        state: ``finished`` tasks are skipped; ``again`` ones have a result with other settings, or were asked for.
        reason: Why ``again``.
    """

    task: Task
    settings: Mapping[str, Any]
    former_settings: Mapping[str, Any] | None
    outputs: tuple[str, ...]
    labels: Sequence[Mapping[str, Any]] = ()
    state: State = "new"
    reason: str = ""

    @property
    def digest(self) -> str:
        """Hash of the settings."""
        return settings_digest(self.settings)

    @property
    def former_digest(self) -> str:
        """Hash of the settings as an earlier FlagBench wrote them; empty where nothing has changed."""
        return settings_digest(self.former_settings) if self.former_settings is not None else ""


@dataclass(frozen=True)
class Plan:
    """A run, resolved.

    Attributes:
        request: What was asked for.
        benchmark: The benchmark.
        model: The model, not loaded.
        reranker: The reranker behind it, not loaded; None for none.
        devices: Where it will run: a worker on each where there are several.
        snapshots: Where the data is.
        store: Where the results go.
        earlier: The record of earlier runs, None for a first one.
        steps: Tasks in order.
        averages: Of the benchmark.
        left_out: Names of tasks whose data is not there, where these may be left out.
        of_data: Labels of averages that the data decides: the benchmark alone does not know them.
        faults: Tasks that have no usable data, and why; of a plan that is only looked at.
    """

    request: RunRequest
    benchmark: Benchmark
    model: Model
    reranker: Model | None
    devices: tuple[str, ...]
    snapshots: Snapshots
    store: RunStore
    earlier: RunRecord | None
    steps: tuple[Step, ...]
    averages: Averages
    left_out: tuple[str, ...] = ()
    of_data: frozenset[str] = frozenset()
    faults: Sequence[_Fault] = ()

    @property
    def device(self) -> str:
        """The device to run on, in a word."""
        return devices_line(self.devices)

    @property
    def name(self) -> str:
        """Name of what is scored, as in the results folder."""
        return joint_name(self.model.spec, self.reranker.spec if self.reranker else None)[0]

    def recorded_average(self, task: str) -> Average | None:
        """The largest average of its data that a task is in; None for none."""
        found = [label for label in self.of_data if task in self.averages[label]]
        if not found:
            return None
        label = max(found, key=lambda each: len(self.averages[each]))
        return Average(benchmark=self.benchmark.name, label=label, tasks=list(map(task_of, self.averages[label])))


def resolve(request: RunRequest) -> Plan:
    """Resolve tasks, model, device, data and output.

    Args:
        request: What was asked for. Every task needs usable data, or if it is lenient one of them does, and the plan
            names the faults of the others.

    Raises:
        BadInput: Anything that would stop the run later and can be seen now.
    """
    benchmark = find_benchmark(request.benchmark)
    if request.ray_address and request.engine != "ray":
        raise BadInput("--ray-address needs --engine ray")
    _check_profile(request, benchmark)
    tasks = benchmark.select(request)
    snapshots = Snapshots(data_root(request, benchmark))
    device = RequestedDevice(request)
    model, reranker = models_of(request, benchmark, tasks, device)
    device.check_runs(filter(None, (model, reranker)))
    for each in filter(None, (model, reranker)):
        _check_name(each, candidates=reranker is not None)
    name, name_revision = joint_name(model.spec, reranker.spec if reranker else None)
    store = RunStore(_output(request), name, name_revision)
    _check_folder("--output", store.run_file.parent)
    if request.store:
        _check_folder("--store", request.store)
    elif request.store_fp16:
        raise BadInput(
            "--store-fp16 is the format of the embedding cache, and --no-store turns it off: drop one of them"
        )
    earlier = store.read()
    check_same_model(model, earlier, store.folder)
    second: dict[str, Any] = (
        {"reranker": {**reranker.spec.as_dict(), "top_k": request.rerank_top_k}} if reranker else {}
    )
    kept = {"store": "fp16"} if request.store_fp16 else {}
    drawn = {"profile": request.profile} if request.profile != "full" else {}
    options = benchmark.option_settings(request)

    mini = folder.parts[-2:] if (folder := benchmark.mini_data()) else ()

    def step(task: Task) -> Step:
        source = benchmark.source(task, snapshots)
        for flag, folder in (("--output", store.run_file.parent), ("--store", request.store)):
            if folder is not None and source.holds(folder):
                raise BadInput(f"{flag} {folder} is in the data of {task.name}, which it would change: choose another")
        benchmark.check_sizes(task, snapshots, request)
        beside = {"task": task_settings(benchmark, task)}
        if its := benchmark.task_options(task, options):
            beside["options"] = kept_options(benchmark, its)
        if isinstance(model, RankedModel):
            beside["rankings"] = {"digest": model.tasks[task.name].digest}
        settings = {**model_settings(model.spec, task), **second, **kept, **drawn, **beside}
        before = source.former_settings()
        former = settings | {"data": before} if before else None
        if then := benchmark.former_task_options(task, options):
            former = settings | {"data": source.settings(), "options": kept_options(benchmark, then)}
        made = Step(
            task,
            settings | {"data": source.settings()},
            former,
            outputs=benchmark.outputs(task, model.spec, reranker.spec if reranker else None),
            labels=[labels.settings() for labels in benchmark.label_sources(task, snapshots)],
        )
        return _with_state(made, store, earlier, (mini, request.mini), overwrite=request.overwrite)

    steps, left_out, faults = _with_data(
        tasks, step, lambda task: benchmark.check(task, snapshots, request), skip=request.skip_missing
    )
    if request.mini:
        faults = tuple((task, _no_miniature(task, benchmark, error)) for task, error in faults)
    if faults and (not request.lenient or not steps):
        raise _refusal(faults, len(tasks))
    averages = benchmark.averages(request)
    devices = device.names if any(each and each.checkpoint for each in (model, reranker)) else ("cpu",)
    of_data = averages.keys() - benchmark.averages(RunRequest("", benchmark.name, mini=request.mini)).keys()
    plan = Plan(
        request,
        benchmark,
        model,
        reranker,
        devices,
        snapshots,
        store,
        earlier,
        steps,
        averages,
        left_out,
        frozenset(of_data),
        faults,
    )
    benchmark.check_results(plan)
    return plan


def _check_profile(request: RunRequest, benchmark: Benchmark) -> None:
    if request.profile not in benchmark.profiles:
        names = benchmarks_that(lambda other: request.profile in other.profiles)
        raise BadInput(f"--profile {request.profile} is for --benchmark {names}: drop it, or choose one of these")


def _output(request: RunRequest) -> Path:
    """Results folder: those of a profile go beside the full ones, which they neither replace nor join."""
    output = user_path(request.output)
    return output if request.profile == "full" else output / request.profile


def data_root(request: RunRequest, benchmark: Benchmark) -> Path | None:
    """The folder of snapshots of a request; None for the hub.

    Raises:
        BadInput: There is none, or the benchmark has no miniature data.
    """
    if request.mini:
        if request.data:
            raise BadInput("--mini brings its own data: drop --mini or --data")
        root = benchmark.mini_data()
        if root is None:
            others = benchmarks_that(lambda other: other.mini_data() is not None)
            raise BadInput(f"--mini: {benchmark.name} has no miniature data; use --benchmark {others}")
        return root
    if request.data is None:
        return None
    root = user_path(request.data)
    if not root.is_dir():
        near = near_by(request.data, folders=True)
        raise BadInput(f"--data {request.data}: no such folder{near}; it must hold snapshots as <org>/<repo>/")
    return root


def _with_data(
    tasks: tuple[Task, ...], step: Callable[[Task], Step], check: Callable[[Task], None], *, skip: bool
) -> tuple[tuple[Step, ...], tuple[str, ...], tuple[_Fault, ...]]:
    """A step for each task, whose data is usable. That of finished ones is the same as when they were evaluated.

    Args:
        tasks: Those that were asked for.
        step: Makes one of a task.
        check: Refuses data.
        skip: Whether tasks whose data is not there are left out, unless it is that of all.

    Returns:
        The steps, the names of the tasks that are left out, and the tasks that have no usable data.

    Raises:
        NoHub: The hub cannot be reached.
    """
    steps: list[Step] = []
    faults: list[_Fault] = []
    for task in tasks:
        try:
            made = step(task)
            if made.state != "finished":
                check(task)
            steps.append(made)
        except NoHub:  # the others would wait for it in vain
            raise
        except BadInput as error:
            faults.append((task, error))
    absent = [task.name for task, error in faults if isinstance(error, AbsentData)] if skip and steps else []
    faults = [(task, error) for task, error in faults if task.name not in absent]
    return tuple(steps), tuple(absent), tuple(faults)


def _no_miniature(task: Task, benchmark: Benchmark, error: BadInput) -> BadInput:
    """What is said of data that --mini lacks: it is nothing that a user could put there."""
    if not isinstance(error, AbsentData):
        return error
    name = shlex.quote(benchmark.name)
    return AbsentData(f"--mini has no data of {task.name}: flagbench tasks --benchmark {name} --mini lists what it has")


def _refusal(faults: Sequence[_Fault], tasks: int) -> BadInput:
    """What is said of the tasks of a run that have no usable data."""
    if len(faults) == 1:
        return faults[0][1]
    return BadData(f"{without_data(faults, tasks)}. The first: {faults[0][1]}")


def without_data(faults: Sequence[_Fault], tasks: int) -> str:
    """Count and names of the tasks without usable data among some, and what to do."""
    absent = any(isinstance(error, AbsentData) for _, error in faults)
    some = absent and len(faults) < tasks
    hint = "choose others with --tasks" + (", or those that are there with --skip-missing" if some else "")
    return f"{len(faults)} of {tasks} tasks have no usable data ({_names(task for task, _ in faults)}); {hint}"


def _names(tasks: Iterable[Task]) -> str:
    return first_few(task.name for task in tasks)


def _check_name(model: Model, *, candidates: bool) -> None:
    """Refuse a model whose name, which may be that of a folder or a file, cannot be that of results.

    Args:
        model: It.
        candidates: Whether it is a run file whose passages are re-ranked.
    """
    name = model.spec.name
    if not name.isprintable():
        what = "file" if isinstance(model, RankedModel) else "folder"
        flag = "--name" if what == "folder" else "" if candidates else "--model-name"
        said = (
            f"'{printable(name):.80}' cannot be the name of a model, which is that of its results: it has line breaks, "
            f"control characters or half a character; rename the {what}"
        )
        raise BadInput(said + (f", or give a name with {flag}" if flag else ""))


def _check_folder(flag: str, folder: Path) -> None:
    """Refuse what neither is a folder nor can become one."""
    existing = folder
    try:
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        if not existing.is_dir():
            raise BadInput(f"{flag} {folder}: {existing} is a file, not a folder; choose another")
        if flag == "--output" and not os.access(existing, os.W_OK | os.X_OK):
            raise BadInput(f"{flag} {folder}: {existing} cannot be written; choose another")
    except OSError as error:
        raise BadInput(f"{flag} {folder}: {error.strerror}; choose another") from error


def _with_state(
    step: Step,
    store: RunStore,
    earlier: RunRecord | None,
    mini: tuple[Sequence[str], bool] = ((), False),
    *,
    overwrite: bool,
) -> Step:
    """A step that knows whether it is finished.

    Args:
        step: Without that.
        store: With the results.
        earlier: What it records.
        mini: The last folders of the path of the miniature data, and whether the run is over that.
        overwrite: Whether what is finished runs again.
    """
    name = step.task.name
    before: TaskRecord | None = earlier.tasks.get(name) if earlier else None
    # Records before labels had digests say nothing of them.
    labelled = not step.labels or before is None or before.data.get("labels", step.labels) == step.labels
    digests = (step.digest, step.former_digest)
    finished = any(store.finished(earlier, name, digest, step.outputs) for digest in digests)
    if finished and labelled and not overwrite:
        return replace(step, state="finished")
    if before is None or before.status == "error":
        return step
    if before.digest not in digests:
        differ = changes(before.settings, step.settings)
        if (was := in_mini(before, mini[0])) != mini[1]:  # which says more than digests of content
            its = "the miniature data" if was else "other data than the miniature"
            differ = chain([f"it was over {its}"], (line for line in differ if not line.startswith("data.")))
        reason = OTHER_SETTINGS + "; ".join(differ)
    elif overwrite:
        reason = "as asked for"
    elif before.later_error:
        reason = "it failed when it was last evaluated"
    elif not labelled:
        reason = "its labels have changed"
    else:
        reason = "its result file is gone" if set(step.outputs) <= set(before.files) else "another split is asked for"
    return replace(step, state="again", reason=reason)
