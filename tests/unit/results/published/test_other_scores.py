"""Scores that are of something else than the published ones: of other subsets, or made by another mteb."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flagbench.results.published.verify import render, verify
from tests.unit.results.published.test_verify import TABLE, against, run_of, task, verdicts


def test_a_task_over_other_subsets_is_not_compared_unless_it_failed_anyway() -> None:
    table = replace(TABLE, subsets={"S1": ("default", "zh")})
    for subsets, verdict in (
        (("default", "zh"), "OK"),
        (("default",), "not compared"),
        (("default", "zh", "en"), "not compared"),
    ):
        its = task("S1", None, scores={"test": dict.fromkeys(subsets, 0.5)})
        found = verify(run_of(its), against({"S1": 0.5}), table)
        assert verdicts(found) == {"S1": verdict}
        assert (
            ("2 that are published" in found.tasks[0].note) == (found.tasks[0].published is None) == (verdict != "OK")
        )
    split = {"test": {"default": 0.5, "zh": 0.5}, "dev": {"default": 0.5}}  # one split is enough to tell
    assert table.other_subsets("S1", split)
    assert not table.other_subsets("S2", split)
    failed = task("S1", None, status="error", error="no disk")
    assert verdicts(verify(run_of(failed), against({"S1": 0.5}), table)) == {"S1": "FAIL"}


@pytest.mark.parametrize(
    ("ours", "made_by", "said"),
    [
        ("2.1.0", "mteb 2.0.0+2.1.0", False),
        ("2.1.0", "mteb 2.0.0+2.1.00", True),
        ("2.1.0", "other 1.0", False),
        (None, "mteb 2.0.0", False),
    ],
)
def test_another_version_of_mteb_is_said_and_one_of_those_that_made_the_scores_is_not(
    ours: str | None, made_by: str, said: bool
) -> None:
    record = replace(run_of(task("S1", 0.5)), environment={"versions": {"mteb": ours}})
    hints = list(verify(record, against({"S1": 0.5}, made_by), TABLE).hints)
    theirs = made_by.removeprefix("mteb ")
    assert hints == ([f"the run was scored with mteb {ours}, the published scores with mteb {theirs}"] if said else [])


def test_a_difference_that_rounds_to_nothing_has_no_minus() -> None:
    for off, shown in ((-4e-6, "+0.000"), (-6e-6, "-0.001"), (4e-6, "+0.000"), (-0.0, "+0.000")):
        table = render(verify(run_of(task("S1", 0.5 + off)), against({"S1": 0.5}), TABLE))
        assert list(table.columns[4].cells) == [shown]
