"""Imports ahead of a run, while Python looks for no garbage."""

from __future__ import annotations

import gc
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flagbench.runners.commands.imports import import_ahead
from flagbench.runners.garbage import uncollected
from flagbench.runners.registry import OWN, find_benchmark
from flagbench.runners.request import RunRequest
from flagbench.runners.run.plan import resolve


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_nothing_is_collected_meanwhile_and_what_is_alive_then_is_left_alone_for_good() -> None:
    gc.unfreeze()
    with uncollected():
        assert not gc.isenabled()
        kept = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() > len(kept)
    frozen = {id(each) for each in gc.get_objects()}
    assert not any(id(each) in frozen for each in kept)


def test_what_is_alive_may_be_collected_later_where_rows_are_read_already() -> None:
    gc.unfreeze()
    with uncollected(frozen=False):
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_an_error_leaves_the_collector_as_it_was() -> None:
    gc.unfreeze()
    with pytest.raises(ValueError, match="bad"), uncollected():
        raise ValueError("bad")
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()


def test_only_tasks_that_will_run_have_anything_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = RunRequest(
        model="flagbench/random", benchmark="cmteb", mini=True, tasks=("STSB", "LCQMC"), output=tmp_path
    )
    plan = resolve(request)
    done = replace(plan, steps=tuple(replace(step, state="finished") for step in plan.steps))
    rest = replace(done, steps=(done.steps[0], plan.steps[1]))
    monkeypatch.delitem(sys.modules, "flagbench.runners.mteb.probe", raising=False)
    monkeypatch.delitem(sys.modules, "flagbench.runners.mteb.evaluation", raising=False)
    import_ahead([done])
    assert "flagbench.runners.mteb.evaluation" not in sys.modules
    import_ahead([done, rest])
    assert "flagbench.runners.mteb.evaluation" in sys.modules


@pytest.mark.parametrize("name", OWN)
def test_every_benchmark_names_modules_that_are_there(name: str) -> None:
    imports = find_benchmark(name).imports
    assert imports
    for module in imports:
        assert importlib.util.find_spec(module), module
