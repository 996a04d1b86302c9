"""Runs that were scored with unlike versions of mteb."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.versions import mteb_differs, mteb_of, ties


def run_of(version: object, kind: str = "STS") -> RunRecord:
    task = TaskRecord("A", kind, "success", {}, "")
    return RunRecord("b", "org/m", "1", {}, (), {"versions": {"mteb": version}}, {"A": task})


@pytest.mark.parametrize(
    ("one", "other", "kind", "line"),
    [
        ("2.26.24", "2.26.24", "STS", ""),
        ("2.26.24", None, "STS", ""),
        ("2.21.0", "2.26.24", "STS", "versions of mteb differ: 2.21.0 and 2.26.24"),
        (
            "2.21.7",
            "2.21.8",
            "PairClassification",
            "versions of mteb differ: 2.21.7 and 2.21.8; since mteb 2.21.8 the thresholds of pair classification do "
            "not split equal scores",
        ),
        ("2.21.8", "2.26.0", "PairClassification", "versions of mteb differ: 2.21.8 and 2.26.0"),
    ],
)
def test_versions_that_differ_are_one_line(one: object, other: object, kind: str, line: str) -> None:
    assert mteb_differs(run_of(one, kind), run_of(other, kind)) == line
    if "since" in line:  # whichever of the two has such a task
        assert mteb_differs(run_of(one), run_of(other, kind)) == mteb_differs(run_of(one, kind), run_of(other)) == line


def test_joined_versions_and_odd_records() -> None:
    assert ties("1.38.9+2.30.0", "2.26.0", {"PairClassification"})
    assert not ties("2.9.1", "1.2.3", {"PairClassification"})
    odd = RunRecord("b", "m", "1", {}, (), {"versions": 3}, {})
    assert mteb_of(odd) == mteb_of(run_of(7)) == ""


def test_the_version_of_a_task_is_that_of_when_it_was_scored() -> None:
    """Whatever else is evaluated later into the same folder."""
    (task,) = run_of("2.21.0").tasks.values()
    old = replace(task, environment={"versions": {"mteb": "2.21.0"}})
    grown = replace(run_of("2.26.24"), tasks={"A": old, "B": replace(task, name="B")})
    assert mteb_of(grown) == "2.21.0+2.26.24"
    assert mteb_differs(run_of("2.21.0"), grown) == "", "B is in one of them alone"
    assert mteb_differs(run_of("2.26.24"), grown) == "versions of mteb differ: 2.26.24 and 2.21.0"
    failed = replace(grown, tasks={"A": replace(old, status="error"), "B": replace(task, name="B")})
    assert mteb_of(failed) == "2.26.24"
