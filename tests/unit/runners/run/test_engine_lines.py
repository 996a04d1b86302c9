"""What a run says while it goes on, what it notes of its tasks, and what it lets go of at its end."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flagbench import BadData
from flagbench.models.loading.resolve import LoadedModels
from flagbench.runners.benchmark import DataVerdict, EvaluatedModel, Loaded, Outcome
from flagbench.runners.request import RunRequest
from flagbench.runners.run import engine, environment
from flagbench.runners.run.environment import describe
from flagbench.runners.run.plan import Plan, resolve
from flagbench.runners.store.store import Store
from flagbench.runners.task import Task

_SCORED = Outcome(
    files={"STSB.json": "{}"},
    shared={},
    scores={"test": {"default": 0.4321}},
    search=None,
    seconds={"encode": 2.0},
    texts={},
)


class Told:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def task(self, name: str) -> None:
        self.said.append(("task", name))

    def stage(self, name: str, total: int) -> None:
        self.said.append(("stage", name, total))

    def advance(self, items: int) -> None:
        self.said.append(("advance", items))

    def line(self, text: str) -> None:
        self.said.append(("line", re.sub(r"in \d+\.\d s$", "in T s", text)))


@pytest.fixture
def request_(tmp_path: Path) -> RunRequest:
    return RunRequest(
        model="flagbench/random", benchmark="cmteb", mini=True, tasks=("STSB", "LCQMC"), output=tmp_path / "out"
    )


def _run(plan: Plan, load: Callable[..., Any], evaluate: Callable[..., Any]) -> tuple[Any, list[tuple[Any, ...]]]:
    told = Told()
    real = plan.benchmark
    made = SimpleNamespace(
        name="cmteb",
        load=load,
        evaluate=evaluate,
        source=real.source,
        label_sources=real.label_sources,
        recorded=real.recorded,
    )
    with LoadedModels() as loaded:
        return engine.run(replace(plan, benchmark=made), told, loaded), told.said  # type: ignore[arg-type]


def _loaded(task: Task, *_: Any) -> Loaded:
    return Loaded(task, DataVerdict("official", (), "here"), None, notes=("a note", "another"))  # type: ignore[arg-type]


def test_each_task_is_told_as_it_begins_and_ends_and_a_finished_one_is_skipped(request_: RunRequest) -> None:
    def load(task: Task, *_: Any) -> Loaded:
        if task.name == "LCQMC":
            raise BadData("no rows")
        return _loaded(task)

    finished, said = _run(resolve(request_), load, lambda *_: _SCORED)
    failed = [("task", "LCQMC"), ("stage", "loading data", 1), ("line", "LCQMC: failed")]
    assert said == [*failed, ("task", "STSB"), ("stage", "loading data", 1), ("line", "STSB: 43.21 in T s")]
    assert [record.status for record in finished.records] == ["error", "success"]
    again, said = _run(resolve(request_), load, lambda *_: pytest.fail("it is finished"))
    skipped = "STSB: finished before with the same settings, skipped"
    assert said == [*failed, ("line", skipped)]
    before, after = finished.records[1], again.records[1]
    assert (after.digest, after.scores, after.finished) == (before.digest, before.scores, before.finished)
    assert (again.exit_code, finished.exit_code) == (2, 2)


def test_a_task_without_a_score_is_done_and_its_notes_are_one(request_: RunRequest) -> None:
    outcome = replace(_SCORED, scores={}, note="mind this")
    finished, said = _run(resolve(replace(request_, tasks=("STSB",))), _loaded, lambda *_: outcome)
    assert said[-1] == ("line", "STSB: done in T s")
    (record,) = finished.records
    assert (record.note, record.status, record.backend) == ("a note; another; mind this", "success", "")
    assert record.seconds["encode"] == 2.0
    assert record.seconds["data"] < 60


@pytest.mark.parametrize(
    ("where", "error", "first"),
    [
        ("load", ValueError("one\ntwo"), "ValueError: one"),
        ("evaluate", KeyError("a"), "KeyError: 'a'"),
        ("evaluate", SystemExit(3), "SystemExit: 3"),
    ],
    ids=repr,
)
def test_a_mistake_is_its_first_line_and_where_its_traceback_is(
    where: str, error: BaseException, first: str, request_: RunRequest
) -> None:
    def fails(*_: Any) -> Any:
        raise error

    plan = resolve(replace(request_, tasks=("STSB",)))
    finished, _ = _run(plan, fails if where == "load" else _loaded, fails)
    (record,) = finished.records
    traces = plan.store.run_file.with_name("STSB.traceback.txt")
    assert record.error == f"{first} (traceback in {traces})"
    assert (finished.exit_code, record.kind, record.digest) == (1, "STS", plan.steps[0].digest)
    assert record.settings == plan.steps[0].settings
    text = traces.read_text(encoding="utf-8")
    assert text.startswith("Traceback (most recent call last):")
    assert "in fails" in text


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"flagbench/run.json": "{}"}, "the result file 'flagbench/run.json' would replace the record"),
        ({"a.json": b"{}"}, "the result file 'a.json' is no text"),
        ({"../a.json": "{}"}, "'../a.json' is no name of a file in the folder"),
    ],
)
@pytest.mark.parametrize("kind", ["files", "shared"])
def test_a_result_file_that_cannot_be_is_refused_and_nothing_is_written(
    kind: str, files: dict[str, Any], said: str, request_: RunRequest
) -> None:
    plan = resolve(replace(request_, tasks=("STSB",)))
    outcome = replace(_SCORED, **{kind: files})
    finished, _ = _run(plan, _loaded, lambda *_: outcome)
    assert said in finished.records[0].error
    assert finished.exit_code == 1
    assert not (plan.store.folder / "STSB.json").exists()


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to the store, in order."""
    done: list[str] = []
    for name in ("trim", "close"):
        real = getattr(Store, name)
        monkeypatch.setattr(Store, name, lambda self, _real=real, _name=name: done.append(_name) or _real(self))
    return done


@pytest.mark.parametrize("fails", [False, True])
def test_the_cache_is_within_its_size_and_closed_whatever_happens(
    fails: bool, request_: RunRequest, closed: list[str], tmp_path: Path
) -> None:
    seen: list[Any] = []

    def evaluate(_: Loaded, evaluated: EvaluatedModel, *__: Any) -> Outcome:
        assert evaluated.cache is not None
        seen.append((evaluated.cache.store.root, evaluated.cache.half, list(closed)))
        if fails:
            raise KeyboardInterrupt
        return _SCORED

    asked = replace(request_, tasks=("STSB",), store=tmp_path / "s", store_bytes=5, store_fp16=True)
    plan = resolve(asked)
    if fails:
        with pytest.raises(KeyboardInterrupt):
            _run(plan, _loaded, evaluate)
    else:
        _run(plan, _loaded, evaluate)
    assert seen == [(tmp_path / "s", True, ["trim"])]
    assert closed == ["trim", "close"]
    _run(resolve(replace(asked, overwrite=True)), _loaded, lambda *_: _SCORED)  # nobody holds the results


def test_the_processor_is_named_as_the_kernel_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = "processor\t: 0\nmodel name\t: A CPU: 9 @ 2 GHz \nflags : x\nmodel name\t: Another\n"
    (tmp_path / "cpuinfo").write_text(text, encoding="utf-8")
    monkeypatch.setattr(environment, "Path", lambda _: tmp_path / "cpuinfo")
    assert describe(("cpu",))["processor"] == "A CPU: 9 @ 2 GHz"
    for there in (False, True):
        monkeypatch.setattr(environment.platform, "processor", lambda there=there: "p" if there else "")
        monkeypatch.setattr(environment.platform, "machine", lambda: "m")
        monkeypatch.setattr(environment, "Path", lambda _: tmp_path / "none")
        assert describe(("cpu",))["processor"] == ("p" if there else "m")


def test_versions_are_those_of_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = environment.metadata.version

    def version(name: str) -> str:
        if name == "scipy":
            raise environment.metadata.PackageNotFoundError(name)
        return real(name) if name != "faiss-gpu" else "9"

    monkeypatch.setattr(environment.metadata, "version", version)
    versions = describe(("cpu",))["versions"]
    names = ["datasets", "faiss-cpu", "faiss-gpu", "mteb", "numpy", "pytrec-eval-terrier", "safetensors"]
    names += ["scikit-learn", "tokenizers", "torch", "transformers"]
    assert list(versions) == ["python", "flagbench", *names]
