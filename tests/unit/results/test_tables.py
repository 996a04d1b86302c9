"""Scores of many models at the width of a terminal: each figure is there, names stay apart, nothing is cut."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flagbench.results.table import Row
from flagbench.results.tables import side_by_side

_NAMES = [f"cocktail/0.{number:02}-a-base_0.{99 - number:02}-tuned" for number in range(40)]


def _columns(models: int, tasks: int) -> dict[str, tuple[list[Row], list[Row]]]:
    """Models whose scores are all different; one of the averages is of none of them."""
    return {
        name: (
            [Row(f"TaskOfMine{task}", "Retrieval", (at * 20 + task + 1) / 1000, True) for task in range(tasks)],
            [Row("Retrieval mean", "", (at * 20 + 9001) / 10_000, False), Row("Avg", "", None, False, "1 of 2")],
        )
        for at, name in enumerate(_NAMES[:models])
    }


def _printed(width: int, models: int, tasks: int, sizes: dict[str, str] | None = None) -> str:
    out = Console(file=io.StringIO(), width=width, color_system=None)
    for part in side_by_side("C-MTEB", _columns(models, tasks), width, sizes):
        out.print(part, soft_wrap=not hasattr(part, "columns"))
    return str(out.file.getvalue())  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [60, 80, 140])
@pytest.mark.parametrize(("models", "tasks"), [(2, 12), (5, 1), (12, 3), (40, 2), (40, 12)])
def test_every_figure_of_every_model_is_shown(models: int, tasks: int, width: int) -> None:
    text = _printed(width, models, tasks)
    rows = [line for line in text.splitlines() if line.startswith(("│", "┃"))]
    assert max(map(len, rows)) <= width
    cells = {cell.strip() for line in rows for cell in line.strip("│").split("│")}
    for tasks_of, means in _columns(models, tasks).values():
        assert {f"{100 * (row.score or 0):.2f}" for row in tasks_of} <= cells
        assert f"{100 * (means[0].score or 0):.2f}*" in cells
    legend = [line for line in text.splitlines() if " is cocktail/" in line]
    whole = [name for name in _NAMES[:models] if name in text]
    assert legend in ([], [f"#{number} is {name}" for number, name in enumerate(_NAMES[:models], 1)])
    shortened = {cell for cell in cells if "…" in cell}
    headings = {cell.strip() for line in rows for cell in line.strip("┃").split("┃") if "…" in cell}
    assert len(legend) == models or len(whole) == models or models in (len(shortened), len(headings))


def test_points_have_a_row_with_their_size_beside_the_average() -> None:
    sizes = {name: f"{8 * at} MB" for at, name in enumerate(_NAMES[:12], 1)}
    rows = [line for line in _printed(80, 12, 3, sizes).splitlines() if line.startswith("│")]
    assert max(map(len, rows)) <= 80
    for at in range(12):
        assert any(f"{(at * 20 + 9001) / 100:.2f}* │" in line and f" {8 * (at + 1)} MB │" in line for line in rows)
