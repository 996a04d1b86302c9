"""Which tasks of a plan run again and why, which have data, and which average of its data a task records."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from flagbench import AbsentData, BadData, BadInput, NoHub
from flagbench.results.record import TaskRecord
from flagbench.runners.run import plan as planning
from flagbench.runners.run.plan import Plan, Step
from flagbench.runners.run.settings import kept_options
from flagbench.runners.task import Task


def task(name: str = "A") -> Task:
    return Task(name, "STS", f"org/{name}", "main", ("test",), "accuracy", "core")


_STEP = Step(task(), {"n": 2}, {"n": 1}, ("A.json", "flagbench/per_query/A.json"))
_LABELS = [{"source": "folder", "content": "c1"}]


def before(**fields: Any) -> TaskRecord:
    plain: dict[str, Any] = {"settings": {"n": 2}, "digest": _STEP.digest, "files": _STEP.outputs}
    return TaskRecord("A", "STS", **{"status": "success"} | plain | fields)


@pytest.mark.parametrize(
    ("record", "stands", "overwrite", "state", "reason"),
    [
        (None, "", False, "new", ""),
        (None, "", True, "new", ""),
        (before(status="error"), "", False, "new", ""),
        (before(status="error", digest="0"), "", True, "new", ""),
        (before(), "now", False, "finished", ""),
        (before(digest=_STEP.former_digest), "former", False, "finished", ""),
        (before(), "now", True, "again", "as asked for"),
        (before(digest=_STEP.former_digest), "", True, "again", "as asked for"),
        (before(later_error="no disk"), "", True, "again", "as asked for"),
        (before(later_error="no disk"), "", False, "again", "it failed when it was last evaluated"),
        (before(digest="0", settings={"n": 0}), "", False, "again", "settings differ: n 0 -> 2"),
        (
            before(digest="0", settings={"n": 0, "m": "x"}),
            "",
            True,
            "again",
            "settings differ: n 0 -> 2; m 'x' -> None",
        ),
        (before(), "", False, "again", "its result file is gone"),
        (before(files=("more", *_STEP.outputs)), "", False, "again", "its result file is gone"),
        (before(files=_STEP.outputs[:1]), "", False, "again", "another split is asked for"),
    ],
)
def test_a_task_is_finished_or_runs_again_for_the_first_of_the_reasons(
    record: TaskRecord | None, stands: str, overwrite: bool, state: str, reason: str
) -> None:
    asked: list[tuple[Any, ...]] = []
    known = {"now": _STEP.digest, "former": _STEP.former_digest}

    def finished(*given: Any) -> bool:
        asked.append(given)
        return given[2] == known.get(stands)

    earlier: Any = SimpleNamespace(tasks={"A": record} if record else {"B": before()})
    made = planning._with_state(_STEP, SimpleNamespace(finished=finished), earlier, overwrite=overwrite)  # type: ignore[arg-type]
    assert (made.state, made.reason) == (state, reason)
    assert asked[0] == (earlier, "A", _STEP.digest, _STEP.outputs)


@pytest.mark.parametrize(
    ("labels", "known", "state"),
    [
        (_LABELS, {"labels": _LABELS}, "finished"),
        (_LABELS, {"labels": [{"source": "folder", "content": "c2"}]}, "again"),
        (_LABELS, {"labels": []}, "again"),
        (_LABELS, {}, "finished"),  # a record of before labels had digests
        ([], {"labels": _LABELS}, "finished"),
    ],
)
def test_other_labels_run_a_task_again(labels: Any, known: dict[str, Any], state: str) -> None:
    step = Step(_STEP.task, _STEP.settings, None, _STEP.outputs, labels=labels)
    earlier: Any = SimpleNamespace(tasks={"A": before(data=known)})
    store: Any = SimpleNamespace(finished=lambda *given: given[2] == step.digest)
    made = planning._with_state(step, store, earlier, overwrite=False)
    assert (made.state, made.reason) == (state, "its labels have changed" if state == "again" else "")
    assert step.former_digest == ""


def test_a_task_records_the_largest_average_that_the_data_alone_decides() -> None:
    averages = {"few": ["A", "B"], "all": ["A", "B", "C"], "published": ["A", "B", "C", "D"]}
    plan: Any = SimpleNamespace(of_data={"few", "all"}, averages=averages, benchmark=SimpleNamespace(name="own"))
    assert Plan.recorded_average(plan, "A") == {"benchmark": "own", "label": "all", "tasks": ["A", "B", "C"]}
    assert Plan.recorded_average(plan, "C") == {"benchmark": "own", "label": "all", "tasks": ["A", "B", "C"]}
    assert Plan.recorded_average(plan, "D") is None


def _planned(skip: bool, **faults: BadInput) -> tuple[list[str], tuple[str, ...], list[str], list[str]]:
    """Tasks that run, that are left out and that are at fault, and whose data was looked at, of five tasks."""
    checked: list[str] = []

    def check(of: Task) -> None:
        checked.append(of.name)
        if of.name in faults:
            raise faults[of.name]

    def step(of: Task) -> Step:
        if of.name == "E":
            raise AbsentData("no folder")
        return Step(of, {}, None, (), state="finished" if of.name == "A" else "new")

    steps, absent, found = planning._with_data(tuple(map(task, "ABCDE")), step, check, skip=skip)
    return [each.task.name for each in steps], absent, [of.name for of, _ in found], checked


def test_tasks_whose_data_is_not_there_may_be_left_out_and_wrong_data_may_not() -> None:
    faults = {"A": BadData("of a finished task"), "B": AbsentData("no files"), "D": BadData("no split")}
    assert _planned(False, **faults) == (["A", "C"], (), ["B", "D", "E"], ["B", "C", "D"])
    assert _planned(True, **faults) == (["A", "C"], ("B", "E"), ["D"], ["B", "C", "D"])
    with pytest.raises(NoHub):
        _planned(True, C=NoHub("no answer"))
    _, _, left = planning._with_data((task("E"),), Mock(side_effect=AbsentData("no folder")), Mock(), skip=True)
    assert [of.name for of, _ in left] == ["E"], "where nothing is there, nothing is left out"


def test_the_hint_is_to_leave_out_what_is_not_there_where_some_is() -> None:
    wrong = [(task(name), BadData(f"bad {name}")) for name in "AB"]
    line = "2 of 7 tasks have no usable data (A, B); choose others with --tasks"
    assert planning.without_data(wrong, 7) == line
    some = [*wrong[:1], (task("B"), AbsentData("gone"))]
    assert planning.without_data(some, 7) == f"{line}, or those that are there with --skip-missing"
    assert planning.without_data(some, 2).endswith("(A, B); choose others with --tasks"), "none is there"
    refusal = planning._refusal(some, 7)
    assert isinstance(refusal, BadData)
    assert str(refusal) == f"{line}, or those that are there with --skip-missing. The first: bad A"
    assert planning._refusal(some[1:], 7) is some[1][1]


@pytest.mark.parametrize("lacking", [os.W_OK, os.X_OK])
def test_a_folder_of_results_is_one_to_write_into_and_a_cache_one_to_read(
    lacking: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) == tmp_path and not mode & lacking)
    with pytest.raises(BadInput) as caught:
        planning._check_folder("--output", tmp_path / "a" / "b")
    assert str(caught.value) == f"--output {tmp_path / 'a' / 'b'}: {tmp_path} cannot be written; choose another"
    planning._check_folder("--store", tmp_path / "a" / "b")


def test_options_are_kept_as_plain_values_or_refused() -> None:
    benchmark: Any = SimpleNamespace(name="odd")
    given = {"path": PurePosixPath("a/b"), "many": ({"deep": (1, PurePosixPath("c"))}, [None]), "text": "二", "x": 0.5}
    kept = {"path": "a/b", "many": [{"deep": [1, "c"]}, [None]], "text": "二", "x": 0.5}
    assert kept_options(benchmark, given) == kept
    for value in (float("nan"), {1, 2}, b"x"):
        with pytest.raises(BadInput) as caught:
            kept_options(benchmark, {"good": 1, "bad": value})
        assert str(caught.value).startswith(f"the benchmark 'odd' cannot be run: its option bad is {value!r}, and not")
