"""The speed of a model: by its own finished runs on this machine alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flagbench.results.record import RunRecord
from flagbench.results.store import RunStore
from flagbench.runners.benchmark import Volume
from flagbench.runners.commands.volumes import time_cell, times
from flagbench.runners.request import RunRequest
from flagbench.runners.run.environment import describe
from flagbench.runners.run.expected import measured
from flagbench.runners.run.plan import Plan, resolve
from tests.unit.page_runs import page_task


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return resolve(RunRequest("flagbench/random", "cmteb", mini=True, tasks=("STSB", "LCQMC"), output=tmp_path))


def record(plan: Plan, **environment: object) -> RunRecord:
    """A run that encoded 200 texts in 2 s, and found all others cached."""
    tasks = {
        "A": page_task("A"),
        "B": page_task("B", texts={"asked": 90, "distinct": 90, "encoded": 1}, seconds={"encode": 0.1}),
    }
    here = describe(plan.devices) | environment
    spec = plan.model.spec
    return RunRecord("cmteb", plan.name, spec.revision, spec.as_dict(), (), here, tasks)


def test_a_finished_run_on_this_machine_says_how_fast_a_model_is(plan: Plan) -> None:
    assert measured(plan) is None
    found = measured(replace(plan, earlier=record(plan)))
    assert found is not None
    assert (found.per_second, found.unit, found.source) == (100.0, "texts", plan.store.run_file)
    for other in (
        {"processor": "another"},
        {"threads": 64},
        {"OMP_NUM_THREADS": "77"},
        {"device": "cuda:0"},
        {"device_name": "another"},
    ):
        elsewhere = record(plan, **other)
        assert measured(replace(plan, earlier=elsewhere)) is None
        # A task of that run may be of this machine all the same, and one of a run on this machine of that.
        here, there = record(plan).environment, elsewhere.environment
        for run, its, known in ((elsewhere, here, True), (record(plan), there, False)):
            tasks = {name: replace(task, environment=its) for name, task in run.tasks.items()}
            assert (measured(replace(plan, earlier=replace(run, tasks=tasks))) is not None) == known
    assert measured(replace(plan, earlier=record(plan), reranker=plan.model)) is None


def test_a_quick_run_says_it_for_the_full_one(plan: Plan) -> None:
    quick = RunStore(plan.request.output / "quick", plan.name, plan.store.folder.name)
    quick.prepare()
    quick.run_file.write_text(record(plan).to_json(), encoding="utf-8")
    quick.release()
    found = measured(plan)
    assert found is not None
    assert found.source == quick.run_file
    quick.run_file.write_text("{", encoding="utf-8")
    assert measured(plan) is None


def _leave(plan: Plan, profile: str, **environment: object) -> RunStore:
    """A run of a profile, finished."""
    output = plan.request.output if profile == "full" else plan.request.output / profile
    store = RunStore(output, plan.name, plan.store.folder.name)
    store.prepare()
    store.run_file.write_text(record(plan, **environment).to_json(), encoding="utf-8")
    store.release()
    return store


def test_the_runs_of_other_profiles_are_looked_at_after_its_own(plan: Plan, tmp_path: Path) -> None:
    """Also where its own is of another machine; a full run says it for a sample."""
    full, smoke = _leave(plan, "full"), _leave(plan, "smoke")
    _leave(plan, "quick", threads=64)

    def source(of: Plan) -> Path | None:
        found = measured(of)
        return found and found.source

    assert source(replace(plan, earlier=record(plan))) == full.run_file
    assert source(plan) == smoke.run_file, "its own is known as the earlier one, or not at all"
    of_smoke = replace(plan, request=replace(plan.request, profile="smoke"), earlier=None)
    assert source(of_smoke) == full.run_file
    full.run_file.unlink()
    smoke.run_file.unlink()
    assert source(replace(plan, earlier=record(plan, threads=64))) is None


def test_answers_are_those_to_questions(plan: Plan) -> None:
    task = page_task("A", texts={"asked": 30, "answered": 30}, seconds={"answer": 60.0})
    found = measured(replace(plan, earlier=replace(record(plan), tasks={"A": task})))
    assert found is not None
    assert (found.per_second, found.unit) == (0.5, "questions")


def test_the_time_is_that_of_the_tasks_whose_texts_are_known(plan: Plan) -> None:
    speed = measured(replace(plan, earlier=record(plan)))
    tasks = [step.task for step in plan.steps]
    known = {tasks[0].name: Volume(30_000), tasks[1].name: Volume()}
    assert [time_cell(volume, speed, "texts") for volume in known.values()] == ["5 min", "—"]
    assert time_cell(Volume(50), speed, "texts") == "under 1 s"
    assert time_cell(Volume(30_000), speed, "questions") == "—"
    line = times(tasks, known, speed, "texts")
    assert line.startswith("about 5 min in 1 of 2 tasks, at 100 texts a second, as ")
    assert times(tasks, known, None, "texts").startswith("—, until a task of this model is finished here")
