"""Scores against latency and throughput: whose, where the dots are, and what the page says."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.results.page import LANGUAGES
from flagbench.results.page.cost import cost_plots
from flagbench.results.page.plot import Plot
from flagbench.results.page.render import page
from flagbench.results.page.view import groups, look
from flagbench.results.runs import find_all, find_run
from flagbench.results.speed import Speed
from tests.unit.page_runs import page_run, page_task
from tests.unit.results.speeds import MACHINE, level, put, speed, texts

FAST, SLOW = speed(level(p99=0.01, tokens=4_000.0)), speed(level(p99=0.08, tokens=500.0))


def drawn(runs: list[tuple[int, Speed | None, float | None]]) -> list[Plot]:
    return cost_plots(runs, [f"org/{number}" for number, *_ in runs], ())


def numbers(plots: list[Plot]) -> dict[str, tuple[list[int], tuple[int, ...]]]:
    return {each.measure: ([dot.number for dot in each.dots], each.unknown) for each in plots}


def test_runs_that_were_measured_alike_are_drawn() -> None:
    shown = drawn([(1, FAST, 0.5), (2, None, 0.6), (3, SLOW, 0.7)])
    assert numbers(shown) == {"latency": ([1, 3], (2,)), "tokens": ([1, 3], (2,))}
    latency, tokens = shown
    # Both axes are logarithmic: twice the ratio is twice the way.
    assert (latency.dots[1].x - latency.dots[0].x) / math.log(8) == pytest.approx(
        (tokens.dots[0].x - tokens.dots[1].x) / math.log(8), rel=0.02
    )
    assert latency.dots[0].x < latency.dots[1].x
    assert latency.dots[0].y > latency.dots[1].y


@pytest.mark.parametrize(
    "other",
    [
        speed(environment=MACHINE | {"processor": "another"}),
        speed(tasks=("B",)),
        speed(texts=texts(unit="characters")),
        speed(served=True),
        speed(level(failed=1, failure="no")),
    ],
)
def test_a_run_that_was_measured_otherwise_is_left_out(other: Speed) -> None:
    assert numbers(drawn([(1, FAST, 0.5), (2, other, 0.6), (3, SLOW, 0.7)]))["tokens"] == ([1, 3], (2,))
    assert drawn([(1, FAST, 0.5), (2, other, 0.6)]) == []


def test_without_a_measurement_there_is_no_plot() -> None:
    assert drawn([(1, None, 0.5), (2, None, 0.6)]) == []
    assert numbers(drawn([(1, speed(level(8)), 0.5), (2, speed(level(8)), 0.6)])).keys() == {"tokens"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_has_them(language: str, tmp_path: Path) -> None:
    for name, found in (("one", FAST), ("two", SLOW)):
        folder = page_run(tmp_path, f"org/{name}", page_task("A", 0.5))
        put(folder, Speed.from_json(found.to_json().replace('"org/one"', f'"org/{name}"').replace('"r"', '"v1"')))
    runs = find_all([tmp_path])
    for run in runs:
        look(run, by_query=True)
    shown = page(groups(runs, {}), language)  # type: ignore[arg-type]
    assert {"en": "tokens per second at saturation", "zh": "饱和时每秒 token 数"}[language] in shown
    assert "flagbench speed" in shown
    (runs[0].folder / "flagbench" / "speed.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BadInput, match=r"speed\.json cannot be read"):
        look(runs[0], by_query=True)


URL = "http://h:1/v1"


@pytest.mark.parametrize(
    ("measured", "evidence", "drawn_too"),
    [
        ({"served": True, "url": URL}, f"server: {URL} (openai), model m there", True),
        ({"served": True, "url": "http://h:2/v1"}, f"server: {URL} (openai), model m there", False),
        ({"served": True, "url": URL, "spec": {"served": {"model": "n"}}}, f"server: {URL} (openai), model m", False),
        ({"served": True}, f"server: {URL} (openai), model m there", False),
        ({"served": False}, f"server: {URL} (openai), model m there", False),
    ],
)
def test_what_was_measured_of_another_server_or_model_is_not_drawn(
    tmp_path: Path, measured: dict[str, Any], evidence: str, drawn_too: bool
) -> None:
    runs = []
    for name, its in (("one", {"served": True, "url": URL}), ("two", measured)):
        folder = page_run(tmp_path, f"org/{name}", page_task("A", 0.5))
        run = find_run(folder)
        said = evidence if name == "two" else f"server: {URL} (openai), model m there"
        record = replace(run.record, spec={"served": {"model": "m"}}, evidence=(said,))
        put(folder, speed(model=f"org/{name}", revision=record.revision, **its))
        runs.append(replace(run, record=record))
    (group,) = groups(runs, {})
    tokens = [plot for plot in group.plots if plot.measure == "tokens"]
    assert [[dot.number for dot in plot.dots] for plot in tokens] == ([[1, 2]] if drawn_too else [])
