"""Runs that are ranked and verified: scores that their own values contradict are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.runners.commands.published import read_run
from tests.unit.results.test_runs import made_task, write_run

_VALUES = {"ndcg_at_10": {"q1": 0.25, "q2": 0.75}}


def test_scores_are_the_means_of_the_values_beside_them(tmp_path: Path) -> None:
    assert list(read_run(write_run(tmp_path / "good", "org/m", made_task("A", 0.5, values=_VALUES))).tasks) == ["A"]
    wrong = write_run(tmp_path / "wrong", "org/m", made_task("A", 0.9, values=_VALUES))
    with pytest.raises(BadInput, match=r"A: the score of dev is 0\.9, and the mean of its values per query is 0\.5"):
        read_run(wrong)
    copied = tmp_path / "copied.json"
    copied.write_bytes((wrong / "flagbench" / "run.json").read_bytes())
    assert list(read_run(copied).tasks) == ["A"]  # nothing lies beside it
