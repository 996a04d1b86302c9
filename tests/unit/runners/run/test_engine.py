"""A plan that is run: what its tasks end with, and what it leaves behind."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import flagbench
from flagbench import BadData, BadInput, FlagbenchError, ModelFault
from flagbench.models.loading.resolve import LoadedModels
from flagbench.models.spec import ModelSpec
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.store import predictions_file
from flagbench.runners.benchmark import DataVerdict, EvaluatedModel, Loaded, Outcome
from flagbench.runners.progress import Silent
from flagbench.runners.request import RunRequest
from flagbench.runners.run import engine
from flagbench.runners.run.environment import describe
from flagbench.runners.run.plan import Plan, resolve
from flagbench.runners.task import Task
from flagbench.suites.own.options import OwnOptions

_TASKS = ("STSB", "LCQMC", "T2Reranking")
_EMPTY = Outcome(files={}, shared={}, scores={}, search=None, seconds={}, texts={})


@pytest.fixture
def request_(tmp_path: Path) -> RunRequest:
    return RunRequest(model="flagbench/random", benchmark="cmteb", mini=True, tasks=_TASKS, output=tmp_path / "out")


def _run(plan: Plan, faults: Mapping[str, Exception], evaluate: Callable[..., Outcome] | None = None) -> Any:
    """Run a plan whose tasks do what is said here; those without a fault load."""

    def load(task: Task, *_: Any) -> Loaded:
        if task.name in faults:
            raise faults[task.name]
        return Loaded(task, DataVerdict("official", (), "here"), None)

    its = plan.benchmark
    made = SimpleNamespace(
        **{each: getattr(its, each) for each in ("name", "title", "recorded", "averages", "mini_data", "parts")},
        load=load,
        evaluate=evaluate or (lambda *_: _EMPTY),
        source=its.source,
        label_sources=its.label_sources,
    )
    with LoadedModels() as loaded:
        return engine.run(replace(plan, benchmark=made), Silent(), loaded)  # type: ignore[arg-type]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(
    ("faults", "code"),
    [
        ([], 0),
        ([ModelFault("broken")], 1),
        ([RuntimeError("a mistake")], 1),
        ([BadData("no rows")], 2),
        ([BadData("no rows"), ModelFault("broken")], 2),
        ([BadData("no rows"), RuntimeError("a mistake")], 2),
    ],
    ids=["none", "model", "mistake", "data", "data and model", "data and mistake"],
)
def test_the_code_is_that_of_the_worst_task_whichever_comes_first(
    request_: RunRequest, faults: list[Exception], code: int, backwards: bool
) -> None:
    plan = resolve(request_)
    names = [step.task.name for step in plan.steps]
    placed = dict(zip(names, faults[::-1] if backwards else faults, strict=False))

    finished = _run(plan, placed)

    assert finished.exit_code == code
    statuses = {record.name: record.status for record in finished.records}
    assert statuses == {name: "error" if name in placed else "success" for name in names}
    for name, error in placed.items():
        traces = plan.store.run_file.with_name(f"{name}.traceback.txt")
        assert traces.exists() == (not isinstance(error, FlagbenchError))


def test_the_traceback_of_a_task_goes_when_it_succeeds_and_those_of_others_stay(request_: RunRequest) -> None:
    plan = resolve(request_)
    mistake = RuntimeError("a mistake")
    _run(plan, {"STSB": mistake, "LCQMC": mistake})
    _run(resolve(request_), {"LCQMC": mistake})
    left = sorted(path.name for path in plan.store.run_file.parent.glob("*.traceback.txt"))
    assert left == ["LCQMC.traceback.txt"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_answers_of_a_killed_run_are_gone_on_with_unless_the_task_is_run_again(
    request_: RunRequest, overwrite: bool
) -> None:
    plan = resolve(replace(request_, tasks=("STSB",), overwrite=overwrite))
    (step,) = plan.steps
    left, _ = plan.store.journal(step.task.name, step.settings)
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_text("answers", encoding="utf-8")
    seen: list[bool] = []

    def evaluate(_: Loaded, evaluated: EvaluatedModel, *__: Any) -> Outcome:
        assert evaluated.journal == left
        seen.append(left.exists())
        return _EMPTY

    assert _run(plan, {}, evaluate).exit_code == 0
    assert seen == [not overwrite]


def test_a_model_that_cannot_be_loaded_ends_the_run_and_no_task_has_a_result(request_: RunRequest) -> None:
    plan = resolve(request_)
    asked: list[str] = []

    def refuse(**_: Any) -> Any:
        raise BadInput("no weights")

    def evaluate(loaded: Loaded, evaluated: EvaluatedModel, *_: Any) -> Outcome:
        asked.append(loaded.task.name)
        evaluated.adapter.prepare(["text"], role="query")  # type: ignore[attr-defined]
        return _EMPTY

    model = SimpleNamespace(spec=plan.model.spec, evidence=(), checkpoint=None, load=refuse, tokens=lambda **_: None)
    with pytest.raises(BadInput, match="no weights"):
        _run(replace(plan, model=model), {}, evaluate)  # type: ignore[arg-type]
    assert asked == [plan.steps[0].task.name]
    record = plan.store.read()
    assert record is None or not record.tasks


def test_what_a_run_leaves_of_itself(request_: RunRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part of run.json, of a task that says all that a task can say."""
    asked = replace(request_, tasks=("CovidRetrieval",), reranker="flagbench/random-reranker", rerank_top_k=7)
    plan = resolve(asked)
    assert plan.reranker is not None
    (step,) = plan.steps
    name = step.task.name
    outcome = Outcome(
        files={f"{name}.json": "{}", f"flagbench/per_query/{name}.json": "[]"},
        shared={"model_meta.json": "{}"},
        scores={"dev": {"default": 0.25}},
        search={"library": "faiss"},
        seconds={"encode": 1.0},
        texts={"asked": 3, "distinct": 2, "encoded": 1},
        note="mind this",
        partial=True,
        sample={"profile": "quick", "items": 1, "of": 2, "error": None},
    )
    monkeypatch.setattr(plan.benchmark, "recorded", True)
    finished = _run(plan, {}, lambda *_: outcome)
    assert finished.exit_code == 0
    kept = plan.store.read()
    assert kept is not None
    assert kept.definition is not None
    assert kept.definition["title"] == "C-MTEB"
    assert len(kept.definition["averages"]["Avg"]) == 31
    assert kept.definition["miniature"] is not None
    assert kept.definition["miniature"]["folders"] == ["cmteb", "mini"]
    assert (kept.benchmark, kept.model, kept.revision) == ("cmteb", "flagbench/random+random-reranker", "v1+v1")
    assert kept.spec == plain(plan.model.spec.as_dict())
    assert kept.reranker == plain(plan.reranker.spec.as_dict()) | {"top_k": 7}
    assert kept.evidence == plan.model.evidence
    assert kept.environment == plain(describe(("cpu",)))
    (record,) = finished.records
    written = kept.tasks[name]
    assert written.file_digests.keys() == {f"{name}.json", f"flagbench/per_query/{name}.json"}
    assert plain(asdict(replace(written, file_digests={}))) == plain(asdict(record))
    assert kept.tasks.keys() == {name}
    assert record.seconds.keys() == {"data", "encode"}
    assert record == TaskRecord(
        name=name,
        kind="Retrieval",
        status="partial",
        settings=step.settings,
        digest=step.digest,
        scores={"dev": {"default": 0.25}},
        data=record.data,
        search={"library": "faiss"},
        seconds={"data": record.seconds["data"], "encode": 1.0},
        texts={"asked": 3, "distinct": 2, "encoded": 1},
        error="",
        finished=record.finished,
        backend="",
        files=(f"{name}.json", f"flagbench/per_query/{name}.json"),
        note="mind this",
        sample={"profile": "quick", "items": 1, "of": 2, "error": None},
    )
    assert record.data["source"] == "here"
    assert abs(datetime.now(UTC) - datetime.fromisoformat(record.finished)) < timedelta(minutes=5)
    written = {
        path.relative_to(plan.store.folder).as_posix() for path in plan.store.folder.rglob("*") if path.is_file()
    }
    assert written >= {*outcome.files, *outcome.shared, "flagbench/run.json"}


def plain(value: Any) -> Any:
    """As JSON has it."""
    return json.loads(json.dumps(value))


def test_the_environment_has_what_moves_times_and_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = describe(("cpu",))
    assert list(found) == [
        *("versions", "platform", "processor", "threads", "OMP_NUM_THREADS", "device", "device_name")
    ]
    assert (found["OMP_NUM_THREADS"], found["device"]) == ("3", "cpu")
    assert found["device_name"] == found["processor"]
    assert found["threads"] == len(os.sched_getaffinity(0))
    versions = found["versions"]
    assert (versions["python"], versions["flagbench"]) == (platform.python_version(), flagbench.__version__)
    for package in ("torch", "transformers", "mteb", "numpy"):
        assert versions[package] == metadata.version(package)
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert describe(("cpu",))["OMP_NUM_THREADS"] is None


def test_models_of_earlier_runs_that_this_one_has_no_use_for_are_let_go(request_: RunRequest) -> None:
    """Before its own are loaded, so that there is room for them."""

    class Held:
        def __init__(self, spec: ModelSpec) -> None:
            self.spec, self.open = spec, True

        def close(self) -> None:
            self.open = False

    plan = resolve(replace(request_, tasks=("STSB",)))
    other = replace(plan.model, spec=replace(plan.model.spec, revision="another"))
    with LoadedModels() as loaded:
        kept, gone = (loaded.take(model, lambda: Held(model.spec)) for model in (plan.model, other))  # noqa: B023
        made = SimpleNamespace(name="cmteb", recorded=False, load=_no_data, evaluate=None)
        engine.run(replace(plan, benchmark=made), Silent(), loaded)  # type: ignore[arg-type]
        assert (kept.open, gone.open) == (True, False)  # type: ignore[attr-defined]
        assert loaded.take(plan.model, lambda: pytest.fail("it is here")) is kept


def _no_data(*_: Any) -> Loaded:
    raise BadData("no rows")


@pytest.mark.parametrize("save", [True, False])
def test_predictions_are_kept_once_their_task_has_a_result(request_: RunRequest, save: bool) -> None:
    plan = resolve(replace(request_, tasks=("STSB",), save_predictions=save))
    given: list[Path | None] = []

    def evaluate(_: Any, __: Any, ___: Any, predictions: Path | None, *, fault: Exception | None = None) -> Outcome:
        given.append(predictions)
        if predictions:
            (predictions / "STSB_predictions.json").write_text(f"{len(given)}", encoding="utf-8")
        if fault:
            raise fault
        return replace(_EMPTY, files={"STSB.json": "{}"})

    kept = plan.store.folder / predictions_file("STSB")
    assert _run(plan, {}, partial(evaluate, fault=ModelFault("broken"))).exit_code == 1
    assert not kept.exists()
    assert _run(plan, {}, evaluate).exit_code == 0
    assert kept.exists() == save
    assert _run(plan, {}, partial(evaluate, fault=ModelFault("broken"))).exit_code == 1
    if save:
        assert kept.read_text(encoding="utf-8") == "2"
        assert not any(path and path.exists() for path in given)


def test_data_that_changes_between_plan_and_load_gives_no_score(tmp_path: Path) -> None:
    """The result would be known by the data that is no longer there, and be skipped when that comes back."""
    rows = [{"sentence1": f"a{row}", "sentence2": f"b{row}", "score": row} for row in range(4)]
    for name in ("one", "two"):
        (tmp_path / "sets" / name).mkdir(parents=True)
        (tmp_path / "sets" / name / "test.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    options = OwnOptions(data_set=tmp_path / "sets")
    own = RunRequest(model="flagbench/random", benchmark="own", options=options, output=tmp_path / "out")
    plan = resolve(own)
    (tmp_path / "sets/two/test.jsonl").write_text("\n".join(map(json.dumps, rows[::-1])), encoding="utf-8")
    with LoadedModels() as loaded:
        finished = engine.run(plan, Silent(), loaded)
    assert [record.status for record in finished.records] == ["success", "error"]
    assert finished.records[1].error == "the data of two has changed since this run began: start it again"
    assert finished.exit_code == 2


def test_a_data_set_that_is_another_one_when_it_is_loaded_fails_in_one_line(tmp_path: Path) -> None:
    rows = [{"sentence1": f"a{row}", "sentence2": f"b{row}", "score": row} for row in range(4)]
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "test.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    options = OwnOptions(data_set=tmp_path / "pairs")
    plan = resolve(RunRequest(model="flagbench/random", benchmark="own", options=options, output=tmp_path / "out"))
    (tmp_path / "pairs" / "task.toml").write_text('name = "renamed"\n', encoding="utf-8")
    with LoadedModels() as loaded:
        finished = engine.run(plan, Silent(), loaded)
    assert "has no longer the data set pairs" in finished.records[0].error
    assert finished.exit_code == 2


@pytest.mark.parametrize("trusts", [True, False])
@pytest.mark.parametrize(
    ("asked", "devices", "made_by"),
    [
        ({}, ("cpu",), "load"),
        ({}, ("cpu", "cpu"), "pool_on"),
        ({"engine": "ray", "ray_address": "h:1"}, ("cuda",), "pool_on_ray"),
    ],
)
def test_a_model_is_loaded_where_and_as_it_was_asked_for(
    trusts: bool,
    asked: dict[str, Any],
    devices: tuple[str, ...],
    made_by: str,
    request_: RunRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The workers of a pool load it themselves; only those of a cluster search as well."""
    plan = resolve(replace(request_, tasks=("STSB",)))
    how = replace(plan.request, batch_size=3, backend="torch", trust_remote_code=trusts, allow_pickle=not trusts)
    loads: list[Any] = []
    adapter = SimpleNamespace(backend="made", spec=plan.model.spec)

    def made(name: str, *given: Any) -> Any:
        *where, spec, load = given
        assert spec == plan.model.spec
        loads.append((name, *where))
        return load(device="inside")

    for name in ("pool_on", "pool_on_ray"):
        monkeypatch.setattr(engine, name, lambda *given, name=name: made(name, *given))
    model = SimpleNamespace(
        spec=plan.model.spec,
        evidence=(),
        checkpoint="files",
        load=lambda **given: loads.append(given) or adapter,
        tokens=lambda **_: None,
    )
    searches: list[Any] = []

    def evaluate(_: Loaded, evaluated: EvaluatedModel, *__: Any) -> Outcome:
        searches.append(evaluated.search_worker)
        assert evaluated.adapter.adapter is adapter  # type: ignore[attr-defined]
        return _EMPTY

    changed = replace(plan, request=replace(how, **asked), model=model, devices=devices)  # type: ignore[arg-type]
    (record,) = _run(changed, {}, evaluate).records
    assert (record.status, record.backend) == ("success", "made")
    place = {"pool_on": [("pool_on", devices)], "pool_on_ray": [("pool_on_ray", "h:1", "cuda")], "load": []}[made_by]
    loaded = {"batch_size": 3, "trust_remote_code": trusts, "allow_pickle": not trusts, "backend": "torch"}
    assert loads == [*place, loaded | {"device": "inside" if place else "cpu"}]
    assert [each is None for each in searches] == [made_by != "pool_on_ray"]
    assert made_by != "pool_on_ray" or searches[0]() is adapter


def test_what_is_finished_has_the_average_of_this_run_and_other_tasks_keep_theirs(request_: RunRequest) -> None:
    plan = resolve(request_)
    assert _run(plan, {}, lambda loaded, *_: replace(_EMPTY, files={f"{loaded.task.name}.json": "{}"})).exit_code == 0
    again = resolve(replace(request_, tasks=("STSB", "LCQMC")))
    assert {step.state for step in again.steps} == {"finished"}
    averages = {"of the folder": ["STSB", "T2Reranking"]}
    _run(replace(again, averages=averages, of_data=frozenset(averages)), {})
    kept = _run(replace(resolve(replace(request_, overwrite=True, tasks=("LCQMC",))), averages=averages), {})
    assert [record.average for record in kept.records] == [None]
    changed = replace(again, averages=averages, of_data=frozenset(averages))
    rerun = replace(changed, steps=(changed.steps[0], replace(changed.steps[1], state="again")))
    _run(rerun, {}, lambda *_: replace(_EMPTY, files={"X.json": "{}"}))
    record = plan.store.read()
    assert record is not None
    average = {"benchmark": "cmteb", "label": "of the folder", "tasks": ["STSB", "T2Reranking"]}
    found = {name: task.average for name, task in record.tasks.items()}
    assert found == {"T2Reranking": None, "LCQMC": None, "STSB": average}


def _scored(plan: Plan, faults: Mapping[str, Exception] | None = None) -> RunRecord:
    """Run a plan whose tasks leave a file each, and read what is recorded then."""
    _run(plan, faults or {}, lambda loaded, *_: replace(_EMPTY, files={f"{loaded.task.name}.json": "{}"}))
    record = plan.store.read()
    assert record is not None
    return record


def test_a_failed_attempt_does_not_change_the_settings_of_the_results_that_stand(request_: RunRequest) -> None:
    plan = resolve(replace(request_, tasks=("STSB", "LCQMC")))
    before = _scored(plan)
    spec = replace(plan.model.spec, query_max_length=8)
    other = replace(plan, model=replace(plan.model, spec=spec, evidence=("--max-length",)))
    steps = [replace(step, settings=step.settings | {"n": 2}, state="again") for step in plan.steps]
    failed = _scored(replace(other, steps=tuple(steps)), {"STSB": BadData("no rows"), "LCQMC": BadData("no rows")})
    assert (failed.spec, failed.evidence) == (before.spec, before.evidence)
    assert {task.later_error for task in failed.tasks.values()} == {"no rows"}
    partly = _scored(replace(other, steps=tuple(steps)), {"STSB": BadData("no rows")})
    assert (partly.spec["query_max_length"], partly.evidence) == (8, ("--max-length",))


def test_each_task_keeps_the_environment_that_it_was_made_in(
    request_: RunRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on(threads: str, *names: str, faults: Mapping[str, Exception] | None = None) -> dict[str, Any]:
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        record = _scored(resolve(replace(request_, tasks=names, overwrite=True)), faults)
        return {name: record.environment_of(name)["OMP_NUM_THREADS"] for name in record.tasks}

    assert on("1", "STSB") == {"STSB": "1"}
    assert on("2", "LCQMC") == {"STSB": "1", "LCQMC": "2"}
    assert on("3", "STSB", faults={"STSB": BadData("no rows")}) == {"STSB": "1", "LCQMC": "2"}
    assert on("1", "T2Reranking") == {"STSB": "1", "LCQMC": "2", "T2Reranking": "1"}
    store = resolve(request_).store
    record = store.read()
    assert record is not None
    assert [record.tasks[name].environment is None for name in ("STSB", "LCQMC", "T2Reranking")] == [True, False, True]
    assert on("2", "STSB", "LCQMC", "T2Reranking") == dict.fromkeys(("STSB", "LCQMC", "T2Reranking"), "2")
