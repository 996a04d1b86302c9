"""Many runs at the width of a terminal: nothing is cut, no column is blank or broken, and every figure is there."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from flagbench.results.compare.compare import Comparison, compare
from flagbench.results.compare.screen import render
from tests.unit.results.compare.test_compare import runs_of, with_values
from tests.unit.results.test_runs import made_task

_TASKS = ("CovidRetrieval", "EcomRetrieval", "T2Retrieval")


def _comparison(folder: Path, runs: int, tasks: int = 3) -> Comparison:
    """Runs whose scores are all different."""
    names = [f"base-of-a-long-name-{number:02}-binary" for number in range(runs)]
    found = {
        name: [made_task(task, (100 * at + 7 * place + 1) / 10_000) for place, task in enumerate(_TASKS[:tasks])]
        for at, name in enumerate(names)
    }
    return compare(runs_of(folder, **found))


def _printed(comparison: Comparison, width: int) -> str:
    out = Console(file=io.StringIO(), width=width, color_system=None)
    for part in render(comparison, width):
        out.print(part, soft_wrap=not hasattr(part, "columns"))
    return str(out.file.getvalue())  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [60, 80, 140])
@pytest.mark.parametrize(("runs", "tasks"), [(5, 3), (12, 2), (12, 3), (40, 1), (40, 3)])
def test_a_table_of_many_runs_is_turned_or_split_and_has_every_figure(
    tmp_path: Path, runs: int, tasks: int, width: int
) -> None:
    comparison = _comparison(tmp_path, runs, tasks)
    text = _printed(comparison, width)
    rows = [line for line in text.splitlines() if line.startswith("│")]
    assert rows
    assert max(map(len, rows)) <= width
    cells = {cell.strip() for line in rows for cell in line.strip("│").split("│")}
    for line in comparison.lines:
        assert {f"{100 * (cell.score or 0):.2f}" for cell in line.cells} <= cells
        assert {f"{100 * (cell.delta or 0):+.2f}" for cell in line.cells[1:]} <= cells
    assert "…" not in text
    named = "".join(line.strip("│").split("│")[0].strip() for line in rows).replace(" ", "")  # on several lines
    for number, run in enumerate(comparison.runs, 1):
        assert f"#{number}{run.label}" in named or f"#{number} is {run.label}" in text


def test_tests_of_a_narrow_terminal_say_what_is_left_out_and_break_no_number(tmp_path: Path) -> None:
    one, two, three = ([with_values(name, [low] * 12) for name in _TASKS] for low in (10, 20, 30))
    text = _printed(compare(runs_of(tmp_path, one=one, two=two, three=three)), 70)
    rows = [line for line in text.splitlines() if line.startswith("│")]
    assert sum("+10.00 to +10.00" in line for line in rows) == len(_TASKS) + 1  # and of the average
    assert sum("0.0029" in line for line in rows) == 2 * len(_TASKS)  # 6 times 2 / 2^12
    assert "item by item, ndcg_at_10, 12 queries" in text
    assert max(map(len, rows)) <= 70
    (line,) = (line for line in text.splitlines() if line.startswith("left out"))
    assert line == "left out, as the terminal is narrow: p, + / = / -; --format csv has all columns"
