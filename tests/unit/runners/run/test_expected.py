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
    for other in ({"processor": "another"}, {"threads": 64}, {"device": "cuda:0"}):
        assert measured(replace(plan, earlier=record(plan, **other))) is None
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
