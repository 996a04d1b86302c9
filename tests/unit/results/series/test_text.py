"""Series as text: tables of 80 columns, rows of CSV, JSON, and names that look like something else."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from flagbench import in_bytes
from flagbench.results.runs import Run, find_all
from flagbench.results.series.curves import Drawn, draw
from flagbench.results.series.text import bars, document, render, shown, to_csv, to_markdown
from tests.unit.series_runs import dims_run, draws, series_run, spec_of


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> tuple[Drawn, list[Run]]:
    """Three numbers of dimensions in two precisions; the one of 64 numbers in bytes lacks a task."""
    output = tmp_path_factory.mktemp("views")
    for dims, lost in ((64, 0.1), (128, 0.001), (None, 0.0)):
        for vectors, less in (("int8", 0.0), ("binary", 0.05)):
            means = {"A": 0.6 - lost - less, "B": 0.5 - lost - less}
            dims_run(output, dims, vectors, {"A": means["A"]} if (dims, vectors) == (64, "int8") else means)
    runs = find_all([output])
    return draw(runs, {}, apart=lambda _: False, seed=3), runs


def printed(drawn: Drawn, runs: list[Run], width: int = 80) -> str:
    out = Console(file=io.StringIO(), width=width, color_system=None)
    for part in render(drawn, runs):
        out.print(part, soft_wrap=not hasattr(part, "columns"))
    return str(out.file.getvalue())  # type: ignore[attr-defined]


def test_tables_have_80_columns_and_nothing_is_cut(views: tuple[Drawn, list[Run]]) -> None:
    text = printed(*views)
    tables = [line for line in text.splitlines() if line.startswith(("┃", "│"))]
    assert max(map(len, tables)) <= 80
    for line in ("average of 2 tasks by dimensions, vectors binary", "by dimensions (64 to full)"):
        assert line in text
    best = [curve.points[curve.best or 0] for curve in views[0].curves[0].measures[0].curves]
    marked = [line for line in tables if "best" in line and "MB" in line]
    assert len(marked) == len(best) == 2
    for line, point in zip(marked, best, strict=True):
        assert (shown(point.value) in line, in_bytes(point.size) in line) == (True, True)
    smallest = [curve.points[curve.smallest or 0] for curve in views[0].curves[0].measures[0].curves]
    marked = [line for line in tables if "smallest" in line and "MB" in line]
    assert [shown(point.value) in line for line, point in zip(marked, smallest, strict=True)] == [True, True]
    assert "org/model-dims64-int8: not run: B" in text
    assert "Holm's correction for the points of a curve on one score († corrects for all runs and tasks side by" in text
    assert "a difference may have ‡ alone), seed 3" in text


def test_the_cheapest_point_is_named(views: tuple[Drawn, list[Run]]) -> None:
    line = next(
        line for line in printed(*views).splitlines() if line.startswith("size: of the vectors of a million passages")
    )
    assert "not significantly worse: dimensions 128, vectors int8 (128 MB): " in line
    scores = {run.label: 50 * sum(task.score or 0 for task in run.record.tasks.values()) for run in views[1]}
    least, best = scores["org/model-dims128-int8"], scores["org/model-int8"]
    assert f"(128 MB): {least:.2f}, {least - best:+.2f} to the best, 95% interval " in line
    assert "400 items do not rule out a loss of 0." in line
    assert "average is best with dimensions " in line


def test_csv_has_a_row_for_each_point_and_task(views: tuple[Drawn, list[Run]]) -> None:
    drawn, runs = views
    rows = list(csv.DictReader(io.StringIO(to_csv(drawn, runs))))
    assert len(rows) == 3 * 6  # the average and two tasks
    by_place = {(row["task"], row["value"], row["second_value"]): row for row in rows}
    record = next(run for run in runs if run.record.model == "org/model-dims128-binary").record
    row = by_place["A", "128", "binary"]
    assert float(row["score"]) == record.tasks["A"].score
    assert (row["run"], row["type"], row["items"]) == ("org/model-dims128-binary", "Retrieval", "200")
    assert float(row["low"]) < float(row["score"]) < float(row["high"])
    assert float(row["bytes_per_million_passages"]) == 16e6
    gap = by_place["B", "64", "int8"]
    assert (gap["score"], gap["best"], gap["gap"]) == ("", "", "not run")
    assert [row["value"] for row in rows if row["task"] == "A" and row["second_value"] == "int8"] == [
        "64",
        "128",
        "full",
    ]
    assert {(row["value"], row["second_value"]) for row in rows if row["task"] == "A" and row["best"] == "true"} == {
        ("full", "int8"),
        ("full", "binary"),
    }


def test_json_has_what_csv_has(views: tuple[Drawn, list[Run]]) -> None:
    drawn, runs = views
    found = json.loads(json.dumps(document(drawn, runs), allow_nan=False))
    (series,) = found["series"]
    assert series["axis"]["values"] == [64, 128, "full"]
    points = [point for measure in series["measures"] for curve in measure["curves"] for point in curve["points"]]
    rows = list(csv.DictReader(io.StringIO(to_csv(drawn, runs))))
    assert [str(point["score"] if point["score"] is not None else "") for point in points] == [
        row["score"] for row in rows
    ]
    assert [point["label"] for point in points] == [row["run"] for row in rows]


def test_markdown_has_the_tables_and_notes(views: tuple[Drawn, list[Run]]) -> None:
    lines = to_markdown(*views).splitlines()
    assert "| dimensions | score | 95% interval | Δ to best | size |  |" in lines
    assert any(line.startswith("- smallest: the smallest setting (dimensions)") for line in lines)


def test_hostile_names_are_text(tmp_path: Path) -> None:
    """A task that looks like a formula, and a setting that looks like markup and moves the cursor."""
    for at in (1, 2):
        spec = spec_of(**{"[bold]\x1b[2J|x": at})
        series_run(tmp_path, f"org/m{at}", spec, {"=A|[red]": draws(0.5, 10, 1)})
    runs = find_all([tmp_path])
    drawn = draw(runs, {}, apart=lambda _: False)
    assert next(csv.DictReader(io.StringIO(to_csv(drawn, runs))))["task"] == "'=A|[red]"
    for text in (printed(drawn, runs), to_markdown(drawn, runs), to_csv(drawn, runs)):
        assert "\x1b" not in text
    assert "[bold]" in printed(drawn, runs)
    assert r"=A\|\[red]" in to_markdown(drawn, runs)


def test_without_series_there_is_no_text(tmp_path: Path) -> None:
    runs = find_all([series_run(tmp_path, "org/one", spec_of(), {"A": [0.5]})])
    drawn = draw(runs, {}, apart=lambda _: False)
    assert (render(drawn, runs), to_markdown(drawn, runs)) == ([], "")


@pytest.mark.parametrize(
    ("scores", "line"),
    [
        ([0.0, 0.5, 1.0], "▁▅█"),
        ([0.5, 0.5], "▁▁"),
        ([0.1, None, 0.8], "▁ █"),
        ([None, None], ""),
        ([], ""),
        ([-1.0, -0.5], "▁█"),
    ],
)
def test_bars(scores: list[float | None], line: str) -> None:
    assert bars(scores) == line


def test_many_points_share_bars() -> None:
    assert bars([at // 10 for at in range(200)]).startswith("▁▁")
    assert len(bars([float(at) for at in range(200)])) == 23


@pytest.mark.parametrize(
    ("value", "text"), [(64, "64"), (1234567, "1234567"), (0.1, "0.1"), (0.30000000000000004, "0.3"), ("full", "full")]
)
def test_values_as_people_read_them(value: float | str, text: str) -> None:
    assert shown(value) == text
