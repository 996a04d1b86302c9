"""Curves on a page: places by hand, gaps, numbers as in the series, hostile names, and how much fits."""

from __future__ import annotations

import base64
import csv
import io
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from flagbench.results.figures import PERCENT
from flagbench.results.page.curve_plot import CurvePlot, Label, cost_plot, curve_plot
from flagbench.results.page.curves import view_of
from flagbench.results.page.drawn import benchmark_means, drawn_of
from flagbench.results.page.render import figure, gain, page
from flagbench.results.page.view import groups, leaderboards
from flagbench.results.runs import find_all
from flagbench.results.series.axes import Axis
from flagbench.results.series.curves import Cheapest, Curve, Measure, Point
from flagbench.results.series.setups import Value
from tests.unit.page_tree import Element, read_page
from tests.unit.page_views import KNOWN, made, section
from tests.unit.series_runs import dims_run, draws, series_run, spec_of

_EVIL = "</svg><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;{{7*7}}"


def axis(*values: Value, key: str = "length") -> Axis:
    return Axis(key, "length", "", values, not any(isinstance(value, str) for value in values))


def point(value: Value, score: float | None, spread: float | None = None, size: float | None = None) -> Point:
    low, high = (None, None) if spread is None or score is None else (score - spread, score + spread)
    return Point(value, 0, score, "" if score is not None else "not run", low, high, size=size)


def measure(*curves: Curve, cheapest: Cheapest | None = None) -> Measure:
    return Measure("A", "Retrieval", "ndcg_at_10", 1, curves, cheapest)


def curve(*points: Point, other: Value | None = None) -> Curve:
    return Curve(other, points, 0, 0)


def plotted(found: CurvePlot | None) -> CurvePlot:
    assert found is not None
    return found


def xs(found: CurvePlot) -> list[float]:
    return [mark.x for mark in found.lines[0].marks]


# Places.


def test_places_by_hand() -> None:
    """Across, 0 to 100 with a twentieth of it on either side; up, 0.2 to 0.6 with 0.12 of it on either side."""
    points = (point(0, 0.3, 0.1), point(25, 0.4, 0.1), point(100, 0.5, 0.1))
    found = plotted(curve_plot(measure(curve(*points)), axis(0, 25, 100)))
    width, height = 420 - 44 - 14, 300 - 44 - 54

    def x(share: float) -> float:
        return round(44 + (share + 0.05) / 1.1 * width, 1)

    def y(score: float) -> float:
        return round(300 - 54 - (score - 0.152) / 0.496 * height, 1)

    assert xs(found) == [x(0), x(0.25), x(1)]
    assert [mark.y for mark in found.lines[0].marks] == [y(0.3), y(0.4), y(0.5)]
    assert found.across == (Label(x(0), "0"), Label(x(0.25), "25"), Label(x(1), "100"))
    assert found.up == tuple(Label(y(score), value=score) for score in (0.2, 0.3, 0.4, 0.5, 0.6))
    assert found.lines[0].paths == (f"{x(0):g},{y(0.3):g} {x(0.25):g},{y(0.4):g} {x(1):g},{y(0.5):g}",)
    corners = [(0, 0.2), (0.25, 0.3), (1, 0.4), (1, 0.6), (0.25, 0.5), (0, 0.4)]
    assert found.lines[0].bands == (" ".join(f"{x(at):g},{y(score):g}" for at, score in corners),)


def test_doublings_are_evenly_apart() -> None:
    found = plotted(curve_plot(measure(curve(*(point(value, 0.5) for value in (8, 16, 32)))), axis(8, 16, 32)))
    one, two, three = xs(found)
    assert two - one == pytest.approx(three - two, abs=0.11)


def test_words_and_what_is_full_are_evenly_apart() -> None:
    values: tuple[Value, ...] = (64, 512, "full")
    found = plotted(curve_plot(measure(curve(*(point(value, 0.5) for value in values))), axis(*values)))
    one, two, three = xs(found)
    assert two - one == pytest.approx(three - two, abs=0.11)
    assert [label.text for label in found.across] == ["64", "512", "full"]
    assert len(found.lines[0].paths) == 1


def test_words_alone_are_not_connected_and_none_is_left_out() -> None:
    values = ("binary", "binary+rescore", "int8", "fp32", "another precision")
    found = plotted(curve_plot(measure(curve(*(point(value, 0.5, 0.1) for value in values))), axis(*values)))
    assert (found.lines[0].paths, found.lines[0].bands) == ((), ())
    assert all(mark.bar for mark in found.lines[0].marks)
    assert [label.text for label in found.across] == list(values)
    assert [label.row for label in found.across] == [0, 1, 0, 1, 0]


def test_a_gap_breaks_the_line_and_a_lone_point_has_a_bar() -> None:
    scores = [0.5, 0.5, None, 0.4, None, 0.6, 0.7]
    points = [point(at, score, 0.1) for at, score in enumerate(scores)]
    found = plotted(curve_plot(measure(curve(*points)), axis(*range(7))))
    (line,) = found.lines
    assert [path.count(",") for path in line.paths] == [2, 2]
    assert [band.count(",") for band in line.bands] == [4, 4]
    assert [mark.point.value for mark in line.marks if mark.bar] == [3]


def test_a_setting_that_no_run_has_is_no_gap() -> None:
    absent = replace(point(1, None), run=None)
    found = plotted(curve_plot(measure(curve(point(0, 0.5), absent, point(2, 0.6))), axis(0, 1, 2)))
    assert [path.count(",") for path in found.lines[0].paths] == [2]


@pytest.mark.parametrize("scores", [[], [None, None], [0.5, None]])
def test_fewer_than_two_scores_are_no_plot(scores: list[float | None]) -> None:
    points = [point(at, score) for at, score in enumerate(scores)]
    assert curve_plot(measure(curve(*points)), axis(*range(len(points)))) is None


def test_equal_scores_have_a_place() -> None:
    found = plotted(curve_plot(measure(curve(point(1, 0.5), point(2, 0.5))), axis(1, 2)))
    assert all(44 < mark.y < 300 - 54 for mark in found.lines[0].marks)
    assert found.up


def test_two_hundred_points_have_round_ticks_and_small_marks() -> None:
    points = [point(50 * at, at / 400) for at in range(200)]
    found = plotted(curve_plot(measure(curve(*points)), axis(*(each.value for each in points))))
    assert found.small
    assert [label.text for label in found.across] == ["0", "2000", "4000", "6000", "8000"]
    assert len(found.lines[0].marks) == 200


def test_ticks_do_not_overlap() -> None:
    values = [10.0**at for at in range(12)]
    found = plotted(curve_plot(measure(curve(*(point(value, 0.5) for value in values))), axis(*values)))
    ends = [(label.at - 3.5 * len(label.text), label.at + 3.5 * len(label.text)) for label in found.across]
    assert all(before[1] < after[0] for before, after in pairwise(ends))


def test_scores_against_bytes_by_hand() -> None:
    """Logarithms 6 and 8 of a frame from 5.76 to 8.24; a point without bytes is left out."""
    points = [point(1, 0.4, size=1e6), point(2, 0.5, size=1e8), point(3, 0.9)]
    chosen = Cheapest((0, 1), (0, 0))
    found = plotted(cost_plot(measure(curve(*points), cheapest=chosen)))
    assert xs(found) == [round(44 + (log - 5.76) / 2.48 * 362, 1) for log in (6, 8)]
    assert [label.text for label in found.across] == ["1 MB", "10 MB", "100 MB"]
    assert [(mark.best, mark.smallest) for mark in found.lines[0].marks] == [(False, True), (True, False)]


def test_one_point_with_bytes_is_no_plot() -> None:
    points = [point(1, 0.4, size=1e6), point(2, 0.5)]
    assert cost_plot(measure(curve(*points), cheapest=Cheapest((0, 0), None))) is None


# Pages.


def dims(output: Path) -> list[Path]:
    """Two precisions of three numbers of dimensions, one of which lacks a task."""
    made = []
    for kept, lost in ((64, 0.1), (128, 0.001), (None, 0.0)):
        for vectors, less in (("int8", 0.0), ("binary", 0.05)):
            means = {"A": 0.6 - lost - less, "B": 0.5 - lost - less}
            lacking = (kept, vectors) == (64, "int8")
            made.append(dims_run(output, kept, vectors, {"A": means["A"]} if lacking else means))
    return made


def measures(tree: Element) -> dict[str, Element]:
    return {each.attributes["data-measure"]: each for each in tree.all("div", data_measure=None)}


def test_a_page_has_the_numbers_of_the_series(tmp_path: Path) -> None:
    tree, runs = made(dims(tmp_path))
    (curves,) = drawn_of(runs, KNOWN).curves
    shown = measures(section(tree, "curves-1"))
    assert list(shown) == [each.label for each in curves.measures] == ["average", "A", "B"]
    for each in curves.measures:
        (table,) = (table for table in shown[each.label].all("table"))
        points = [(curve, at, point) for curve in each.curves for at, point in enumerate(curve.points)]
        rows = list(table.all("tr", data_point=None))
        assert len(rows) == len(points) == 6
        for row, (curve, at, point) in zip(rows, points, strict=True):
            score, interval, delta = (cell.words for cell in list(row.all("td"))[:3])
            assert score == ("–" if point.score is None else figure(point.score, PERCENT))
            ends = (point.low, point.high)
            assert interval == ("" if None in ends else f"[{figure(ends[0], PERCENT)}, {figure(ends[1], PERCENT)}]")
            test = point.against
            assert delta == (gain(test.difference, PERCENT) + ("‡" if test.worse else "") if test else "")
            assert ("best" in row.words) == (at == curve.best)
            assert ("smallest" in row.words) == (at == curve.smallest)
        labels = [dot.attributes["aria-label"] for dot in shown[each.label].all("g", role="img")]
        scored = [point for _, _, point in points if point.score is not None]
        assert len(labels) == 2 * len(scored)  # along dimensions, and against bytes
        for point in scored:
            assert sum(figure(point.score, PERCENT) in label for label in labels) >= 2
    assert "not run" in shown["B"].words
    assert "lacks B" in shown["average"].words
    assert "nan" not in page(groups(runs, KNOWN), "en").lower().replace("finance", "")


def test_points_are_reached_by_keys_and_read_aloud(tmp_path: Path) -> None:
    tree, _ = made(dims(tmp_path))
    for dot in section(tree, "curves-1").all("g", role="img"):
        assert (dot.attributes["tabindex"], dot.attributes["role"]) == ("0", "img")
        said = [text.text for text in dot.all("text")]
        assert len(said) == 2
        assert dot.attributes["aria-label"].startswith(said[0])


@pytest.mark.parametrize("count", [3, 41])
def test_marks_are_where_points_are_whatever_their_size(tmp_path: Path, count: int) -> None:
    for at in range(count):
        series_run(tmp_path, f"run/checkpoint-{at}", spec_of(revision=f"{at:016x}"), {"A": [at / 50] * 2}, kept=False)
    tree, _ = made([tmp_path])
    dots = list(section(tree, "curves-1").all("g", role="img"))
    assert len(dots) == count
    for dot in dots:
        hit = next(dot.all("circle")).attributes
        place = f"translate({hit['cx']} {hit['cy']})"
        small = count > 40 and not (dot.has("best") or dot.has("smallest"))
        assert dot.one("path").attributes["transform"] == place + (" scale(0.4)" if small else "")


def test_points_over_other_data_than_the_official_are_marked(tmp_path: Path) -> None:
    for dims, score in ((8, 0.5), (16, 0.75)):
        spec = spec_of(view={"dims": dims, "vectors": "fp32"})
        changed = {"A": {"data": {"status": "differs", "differences": [], "source": "folder"}}}
        series_run(tmp_path, f"org/m{dims}", spec, {"A": [score] * 2, "B": [score] * 2}, changed=changed, kept=False)
    tree, _ = made([tmp_path])
    of_task = {each.attributes["data-measure"]: each for each in tree.all("div", class_="measure")}
    for task, score in (("A", "50.00*"), ("B", "50.00")):
        (row, *_) = of_task[task].one("table", class_="points").all("tr", data_point="8")
        assert next(row.all("td")).words == score
        dot = next(of_task[task].all("g", role="img"))
        assert dot.attributes["aria-label"].startswith(f"dimensions 8: {score} · ")


def test_the_file_is_the_csv_of_what_is_shown(tmp_path: Path) -> None:
    tree, runs = made(dims(tmp_path))
    (link,) = (each for each in section(tree, "curves-1").all("a") if "download" in each.attributes)
    data = link.attributes["href"].removeprefix("data:text/csv;charset=utf-8;base64,")
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(data).decode())))
    assert {row["run"] for row in rows if row["run"]} == {run.label for run in runs}
    assert len(rows) == 3 * 6


def test_names_become_no_markup(tmp_path: Path) -> None:
    for at in (1, 2):
        spec = spec_of(**{_EVIL: at, "view": {"dims": 8 * at, "vectors": "fp32"}})
        for vectors in ("int8", _EVIL):
            spec["view"] = {"dims": "full", "vectors": vectors}
            name = f"org/m{at}-{vectors[:3].replace('/', '|')}"
            series_run(tmp_path, name, spec, {"A": draws(0.5, 10, 1)}, benchmark="evil")
    runs = find_all([tmp_path])
    text = page(groups(runs, {}), "en")
    tree = read_page(text)
    assert [len(list(tree.all(name))) for name in ("script", "style", "img")] == [1, 1, 0]
    assert _EVIL in section(tree, "curves-1").one("h4").text
    assert any(_EVIL in each.attributes["aria-label"] for each in tree.all("g", role="img"))
    assert all(not key.startswith("on") for each in tree.all() for key in each.attributes)


def test_a_page_in_chinese_names_the_axis(tmp_path: Path) -> None:
    tree, _ = made(dims(tmp_path), "zh")
    shown = section(tree, "curves-1")
    assert shown.one("h2").words == "随设置变化"
    assert next(shown.all("h4")).words == "2 个任务的平均分，按向量维数"


def test_a_board_draws_scores_and_tests_nothing(tmp_path: Path) -> None:
    runs = find_all(dims(tmp_path))
    tree = read_page(page(leaderboards(runs, KNOWN), "en", version="1"))
    shown = section(tree, "curves-1")
    assert "No point was tested" in shown.words
    assert [each.name for each in shown.all("polygon")] == []
    assert not list(shown.all("p", data_inconclusive=None))
    assert len(list(shown.all("g", role="img"))) > 0


def test_runs_that_differ_in_too_much_are_named_and_not_drawn(tmp_path: Path) -> None:
    folders = [
        series_run(tmp_path / str(at), f"org/m{at}", spec_of(x=at, y=at * at, z=-at), {"A": [0.5]}) for at in range(3)
    ]
    tree, _ = made(folders)
    shown = section(tree, "curves-1")
    assert not list(shown.all("svg"))
    assert "they differ in 3 settings (x, y, z)" in shown.one("p", data_undrawn=None).words


def test_runs_on_no_curve_are_named(tmp_path: Path) -> None:
    other = series_run(tmp_path / "other", "org/other", spec_of(pooling="mean"), {"A": draws(0.5, 200, 0)})
    tree, _ = made([*dims(tmp_path), other])
    (line,) = section(tree, "curves-1").all("p", data_left_out=None)
    assert line.words == "org/other is on no curve: other settings: pooling cls → mean."


def test_runs_of_unlike_models_have_no_section(tmp_path: Path) -> None:
    folders = [series_run(tmp_path, f"org/{at}", spec_of(revision=f"{at:016x}"), {"A": [0.5]}) for at in (1, 2)]
    tree, _ = made(folders)
    assert not list(tree.all("section", aria_labelledby="curves-1"))


def test_what_does_not_fit_is_counted(tmp_path: Path) -> None:
    runs = find_all(dims(tmp_path))
    view = view_of(1, drawn_of(runs, KNOWN), runs, room=12)
    assert view is not None
    (series,) = view.series
    assert ([each.measure.label for each in series.measures], series.left) == (["average", "A"], 1)
    rows = base64.b64decode(series.file).decode().splitlines()
    assert len(rows) == 1 + 12


def test_averages_of_benchmarks_have_their_weights(tmp_path: Path) -> None:
    values: dict[str, Any] = {task: draws(0.5, 10, 1) for task in ("A", "B", "C")}
    run = series_run(tmp_path, "org/m", spec_of(), values)
    assert benchmark_means(find_all([run]), KNOWN) == {"C-MTEB Avg": {"A": 1 / 3, "B": 1 / 3, "C": 1 / 3}}
