"""Runs that stand side by side on a page: without tests, alone, or without a task in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.results.compare.compare import side_by_side
from tests.unit.results.compare.test_compare import runs_of, with_values
from tests.unit.results.test_runs import made_task


def test_without_values_by_query_no_file_of_them_is_read(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, one=[with_values("A", [10] * 12)], two=[with_values("A", [20] * 12)])
    for path in tmp_path.rglob("per_query/A.json"):
        path.write_text("{", encoding="utf-8")
    (cell,) = side_by_side(runs, by_query=False).lines[0].cells[1:]
    assert (cell.delta, cell.test, cell.untested) == (pytest.approx(0.1), None, "not asked for")
    with pytest.raises(BadInput, match="evaluate A again"):
        side_by_side(runs)
    # A run alone has nothing to be tested against.
    (line,) = side_by_side(runs[:1]).lines
    assert [cell.score for cell in line.cells] == [0.1]


def test_runs_that_share_no_task_stand_side_by_side_all_the_same(tmp_path: Path) -> None:
    found = side_by_side(runs_of(tmp_path, one=[made_task("A", 0.25)], two=[made_task("B", 0.5)]))
    assert [[cell.status for cell in line.cells] for line in found.lines] == [
        ["success", "missing"],
        ["missing", "success"],
    ]
    assert (found.missing, found.tallies) == ((("B",), ("A",)), ((0, 0, 0), (0, 0, 0)))
