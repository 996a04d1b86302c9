"""``flagbench show``: what its CSV gives a spreadsheet."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.e2e.commands import here
from tests.unit.results.test_runs import made_task, write_run


def test_nothing_in_a_csv_is_a_formula(tmp_path: Path) -> None:
    run = write_run(tmp_path, "org/m", made_task("=A", None, status="error", error="=1+1"))
    for more in ((), ("--task", "=A")):
        rows = list(csv.reader(here("show", run, *more, "--format", "csv").stdout.splitlines()))
        cells = [cell for row in rows for cell in row if "=" in cell]
        assert any("=A" in cell for cell in cells)
        assert not [cell for cell in cells if cell.startswith("=")]
