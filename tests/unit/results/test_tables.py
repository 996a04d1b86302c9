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
        out.print(part)
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
    assert "…" not in text
    joined = "".join(cell.strip() for line in rows for cell in line.strip("│┃").replace("┃", "│").split("│")[:1])
    headed = ["".join(cells).strip() for cells in _columns_of(text)]
    for name in _NAMES[:models]:  # whole, or on several lines of its column
        assert name in joined or any(name in each for each in headed)


def _columns_of(text: str) -> list[list[str]]:
    """The lines of each column of each table, from its headings to its end."""
    found: list[list[str]] = []
    for block in text.split("┏")[1:]:
        lines = [line.replace("┃", "│").strip("│").split("│") for line in block.splitlines() if line[:1] in "│┃"]
        found += [[cell.strip() for cell in column] for column in zip(*lines, strict=True)]
    return found


def test_points_have_a_row_with_their_size_beside_the_average() -> None:
    sizes = {name: f"{8 * at} MB" for at, name in enumerate(_NAMES[:12], 1)}
    rows = [line for line in _printed(80, 12, 3, sizes).splitlines() if line.startswith("│")]
    assert max(map(len, rows)) <= 80
    for at in range(12):
        assert any(f"{(at * 20 + 9001) / 100:.2f}* │" in line and f" {8 * (at + 1)} MB │" in line for line in rows)
