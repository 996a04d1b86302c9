"""Walks a plan: loads each task's data, scores the model on it, and stores every result as it comes."""

from __future__ import annotations

import datetime
import functools
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

from flagbench import BadData, FlagbenchError, ModelFault
from flagbench.files import check_name
from flagbench.models.contract import Adapter, Remarked, Scorer
from flagbench.models.device import joint_device
from flagbench.models.loading.deferred import Deferred
from flagbench.models.loading.resolve import LoadedModels, Model
from flagbench.models.spec import joint_name
from flagbench.results.figures import scale_of
from flagbench.results.record import Interval, RunRecord, TaskRecord
from flagbench.results.runs import difference, shared_metric
from flagbench.results.uncertainty import measured
from flagbench.results.values import Values
from flagbench.runners.benchmark import EvaluatedModel, Loaded, Outcome
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.encoding.cache import EmbeddingCache
from flagbench.runners.encoding.notes import VectorNotes
from flagbench.runners.encoding.probes import Probes, check_probes, check_still
from flagbench.runners.facts import facts_of
from flagbench.runners.garbage import uncollected
from flagbench.runners.progress import Progress
from flagbench.runners.rankings.model import RankedModel
from flagbench.runners.run.environment import describe
from flagbench.runners.run.finished import Finished, skip
from flagbench.runners.run.plan import Plan, Step
from flagbench.runners.search.index import SearchWorker
from flagbench.runners.store.store import Store
from flagbench.runners.terminal import encodable
from flagbench.runners.workers.cluster import pool_on_ray
from flagbench.runners.workers.processes import pool_on


def run(plan: Plan, progress: Progress, loaded: LoadedModels) -> Finished:
    """Run a plan.

    The weights are loaded when the cache first lacks something of the model. A task that fails does not stop the
    others.

    Args:
        plan: What to do.
        progress: The progress to report to.
        loaded: Models that runs before this one have loaded.

    Raises:
        BadInput: The model cannot be loaded, or results cannot be written.
    """
    engine = _Engine(plan, progress, loaded)
    try:
        return engine.run()
    finally:
        engine.close()


class _Engine:
    def __init__(self, plan: Plan, progress: Progress, loaded: LoadedModels) -> None:
        self._plan = plan
        self._loaded = loaded
        self._progress = progress
        self._cache = _cache(plan, progress)
        self._models: list[Deferred] = []
        self._evaluated = self._evaluated_model()
        self._probed: list[tuple[Deferred, Probes]] = []
        self._exit_code = 0

    def run(self) -> Finished:
        plan = self._plan
        probes = self._probes()
        plan.store.prepare()
        earlier = plan.store.read()  # by now another run may have added to it
        spec = plan.model.spec
        second = plan.reranker.spec if plan.reranker else None
        name, revision = joint_name(spec, second)
        new = RunRecord(
            benchmark=plan.benchmark.name,
            model=name,
            revision=revision,
            spec=spec.as_dict(),
            reranker=second.as_dict() | {"top_k": plan.request.rerank_top_k} if second else None,
            evidence=tuple(map(encodable, (*plan.model.evidence, *probes))),
            environment=describe(plan.devices),
            tasks={},
            definition=facts_of(plan.benchmark).definition() if plan.benchmark.recorded else None,
        )
        record = replace(earlier or new, tasks=self._tasks_before(earlier))
        done: list[TaskRecord] = []
        for step in plan.steps:
            if step.state == "finished":
                done.append(skip(step, record, self._progress))
                continue
            self._progress.task(step.task.name)
            with plan.store.new_predictions(kept=plan.request.save_predictions) as predictions:
                result, files = self._score(step, predictions)
                self._probe_again()
                failed = result.status == "error"
                if not failed:  # what failed leaves the settings of the results that stand
                    record = new.after(record)
                # Rankings that do not fit the data are no attempt of a model, and leave nothing.
                if not (failed and not earlier and isinstance(plan.model, RankedModel) and not plan.reranker):
                    record = plan.store.write_task(record, result, files, step.former_digest, predictions)
            done.append(result)
            self._progress.line(_summary(result))
        plan.store.remove_empty()
        return Finished(tuple(done), self._exit_code)

    def _probes(self) -> list[str]:
        """See that models which may have changed are those that cached vectors are of; a line for each that has not.

        Also where all vectors are cached: which are must not decide whether a change is seen.
        """
        if all(step.state == "finished" for step in self._plan.steps):
            return []
        own = [(model, model.spec.own) for model in self._models]
        for model, its in own:
            if its and its.probed:
                self._probed.append((model, check_probes(model, model.adapter, self._cache)))
        for _, probes in self._probed:
            if probes.moved:
                self._progress.line(f"warning: {probes.moved}")
        return [probes.line for _, probes in self._probed]

    def _probe_again(self) -> None:
        """See that models which may change are still what they were before the task, also where it failed.

        Raises:
            BadInput: One has changed: no score of the task, and of no task after it, is that of a model.
        """
        for place, (model, before) in enumerate(self._probed):
            try:
                now = check_still(model, model.adapter, self._cache, before)
            except ModelFault as error:
                self._progress.line(f"warning: whether it is still the same model could not be asked ({error})")
            else:
                self._probed[place] = model, now

    def _tasks_before(self, earlier: RunRecord | None) -> dict[str, TaskRecord]:
        """The tasks of earlier runs; what is finished is in the averages that this run has."""
        tasks = dict(earlier.tasks) if earlier else {}
        for step in self._plan.steps:
            if step.state == "finished" and step.task.name in tasks:
                average = self._plan.recorded_average(step.task.name)
                tasks[step.task.name] = replace(tasks[step.task.name], average=average)
        return tasks

    def close(self) -> None:
        """Release the cache and the results folder."""
        self._plan.store.release()
        if self._cache:
            self._cache.store.close()

    def _evaluated_model(self) -> EvaluatedModel:
        """The model, and its reranker; each is loaded when the cache lacks something of it."""
        plan = self._plan
        self._loaded.keep_only(filter(None, (plan.model, plan.reranker)))
        for model in filter(None, (plan.model, plan.reranker)):
            devices = plan.devices if model.checkpoint else ("cpu",)
            load = functools.partial(self._load_model, model, devices)
            tokens = None
            if model.spec.ability == "generate":
                tokens = functools.partial(model.tokens, trust_remote_code=plan.request.trust_remote_code)
            self._models.append(Deferred(model.spec, joint_device(devices), load, tokens))
        reranker = cast("Scorer", self._models[1]) if plan.reranker else None
        first = self._models[0]
        # Also when all vectors are cached: which are must not decide who multiplies them.
        search_worker = (lambda: cast("SearchWorker", first.adapter)) if plan.request.engine == "ray" else None
        return EvaluatedModel(first, reranker, plan.request.rerank_top_k, self._cache, search_worker=search_worker)

    def _load_model(self, model: Model, devices: Sequence[str]) -> Adapter:
        request = self._plan.request
        self._progress.stage(f"loading {model.spec.name}", 1)
        load = functools.partial(
            model.load,
            batch_size=request.batch_size,
            trust_remote_code=request.trust_remote_code,
            allow_pickle=request.allow_pickle,
            backend=request.backend,
        )
        with uncollected(frozen=False):  # torch and transformers are imported here
            adapter = self._take(model, devices, load)
        if isinstance(adapter, Remarked) and adapter.odd:
            self._progress.line(f"warning: {adapter.odd}")
        return adapter

    def _take(self, model: Model, devices: Sequence[str], load: Callable[..., Adapter]) -> Adapter:
        request = self._plan.request
        if request.engine == "ray":
            return self._loaded.take(model, lambda: pool_on_ray(request.ray_address, devices[0], model.spec, load))
        if len(devices) > 1:
            return self._loaded.take(model, lambda: pool_on(devices, model.spec, load))
        return self._loaded.take(model, lambda: load(device=devices[0]))

    def _score(self, step: Step, predictions: Path | None) -> tuple[TaskRecord, dict[str, str]]:
        plan = self._plan
        try:
            self._progress.stage("loading data", 1)
            started = time.perf_counter()
            loaded = plan.benchmark.load(step.task, plan.snapshots, plan.request)
            _check_unchanged(plan, step)
            _check_like(plan, step, loaded)
            load_seconds = time.perf_counter() - started
        except (Exception, SystemExit) as error:  # whatever one task does to itself, the others go on
            return self._failed(step, error), {}
        journal, digest = plan.store.journal(step.task.name, step.settings, step.former_settings)
        if plan.request.overwrite:
            journal.unlink(missing_ok=True)
        notes = VectorNotes()
        evaluated = replace(self._evaluated, journal=journal, digest=digest, notes=notes)
        try:
            outcome = plan.benchmark.evaluate(loaded, evaluated, self._progress, predictions)
            record = self._record(step, loaded, outcome, load_seconds, notes)
            files = _checked({**outcome.files, **outcome.shared})
        except (Exception, SystemExit) as error:
            if any(error is model.error for model in self._models):
                raise  # without the model no task has a score
            return self._failed(step, error), {}
        self._traceback_file(step).unlink(missing_ok=True)
        return record, files

    def _record(
        self, step: Step, loaded: Loaded, outcome: Outcome, load_seconds: float, notes: VectorNotes
    ) -> TaskRecord:
        """What is kept of an outcome.

        Raises:
            ValueError: It cannot be kept.
        """
        record = TaskRecord(
            name=step.task.name,
            kind=step.task.kind,
            status="partial" if outcome.partial else "success",
            settings=step.settings,
            digest=step.digest,
            scores=outcome.scores,
            data=asdict(replace(loaded.data, source=encodable(loaded.data.source))),
            search=outcome.search,
            seconds={"data": load_seconds, **outcome.seconds},
            texts=outcome.texts,
            finished=_now(),
            backend="+".join(model.backend for model in self._models if model.backend),
            files=tuple(outcome.files),
            note="; ".join(filter(None, (*loaded.notes, outcome.note, *_notes_of(self._models)))),
            sample=outcome.sample,
            average=self._plan.recorded_average(step.task.name),
            vectors=notes.as_dict(self._plan.model.spec),
        )
        record.check()
        return replace(record, interval=_interval(record, outcome.files))

    def _traceback_file(self, step: Step) -> Path:
        return self._plan.store.run_file.with_name(f"{step.task.name}.traceback.txt")

    def _failed(self, step: Step, error: BaseException) -> TaskRecord:
        code = error.exit_code if isinstance(error, FlagbenchError) else 1
        self._exit_code = max(self._exit_code, code)
        if isinstance(error, FlagbenchError):
            text = str(error)
        else:
            text = f"{type(error).__name__}: {error}"
            path = self._traceback_file(step)
            path.write_text("".join(traceback.format_exception(error)), encoding="utf-8", errors="backslashreplace")
            text = f"{text.splitlines()[0]} (traceback in {path})"
        return TaskRecord(
            name=step.task.name,
            kind=step.task.kind,
            status="error",
            settings=step.settings,
            digest=step.digest,
            error=encodable(text),
            finished=_now(),
            average=self._plan.recorded_average(step.task.name),
        )


def _interval(record: TaskRecord, files: Mapping[str, str]) -> Interval | None:
    """The interval of a task by the values of its items; None where it leaves none that make its score.

    Values that cannot be read lose no result: what reads them later says so.
    """
    text = files.get(Values.file(record.name))
    if text is None or record.score is None:
        return None
    try:
        values = Values.from_json(text, record.scores)
    except ValueError:
        return None
    metric = shared_metric((record, record), (values, values))
    return measured(values, metric, record.scores, record.main_score) if metric else None


def _check_unchanged(plan: Plan, step: Step) -> None:
    """See that what was loaded is the data that the settings of the step name.

    Raises:
        BadData: It was changed since the plan was made.
    """
    if step.settings["data"].get("source") != "folder":  # a commit of the hub does not change
        return
    now = Snapshots(plan.snapshots.root)  # the sources of the plan know what they found then
    labels = [source.settings() for source in plan.benchmark.label_sources(step.task, now)]
    if plan.benchmark.source(step.task, now).settings() != step.settings["data"] or labels != list(step.labels):
        raise BadData(f"the data of {step.task.name} has changed since this run began: start it again")


def _check_like(plan: Plan, step: Step, loaded: Loaded) -> None:
    """See that what was loaded is the data that rankings were made over, where that is known.

    Raises:
        BadData: It is not.
    """
    like = plan.model.tasks[step.task.name].like if isinstance(plan.model, RankedModel) else None
    if like is None:
        return
    now = replace(like, settings=step.settings, data=asdict(loaded.data))
    if lines := list(difference(like, now)):
        raise BadData(f"{step.task.name} is not the data that was ranked ({lines[0]}): use the same data")


def _checked(files: Mapping[str, str]) -> dict[str, str]:
    """Result files, which lie in the folder of the run.

    Raises:
        ValueError: One would lie elsewhere or is no text.
    """
    for name, text in files.items():
        if check_name(name) == "flagbench/run.json":
            raise ValueError(f"the result file {name!r} would replace the record")
        if not isinstance(text, str):
            raise ValueError(f"the result file {name!r} is no text")
    return dict(files)


def _cache(plan: Plan, progress: Progress) -> EmbeddingCache | None:
    """The store, within its size; None where nothing is to be kept."""
    request = plan.request
    if request.store is None:
        return None
    store = Store(request.store, cap_bytes=request.store_bytes, warn=progress.line)
    store.trim()
    return EmbeddingCache(store, half=request.store_fp16)


def _notes_of(models: Sequence[Deferred]) -> list[str]:
    """What results are to say of models, each once."""
    return list(dict.fromkeys(note for model in models for note in model.notes))


def _summary(record: TaskRecord) -> str:
    if record.status == "error":
        return f"{record.name}: failed"
    seconds = sum(record.seconds.values())
    return f"{record.name}: {scale_of(record.main_score).figure(record.score) or 'done'} in {seconds:.1f} s"


def _now() -> str:
    return datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds")
