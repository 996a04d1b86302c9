"""A run and a comparison as values: against the records, and what the commands print."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest

import flagbench
from flagbench import BadInput, UnknownName
from tests.e2e.commands import here
from tests.e2e.test_former import FORMER
from tests.unit.results.test_runs import made_task, write_run

RANDOM = FORMER / "results" / "flagbench__random" / "v1"
RERANKED = FORMER / "results" / "flagbench__random+random-reranker" / "v1+v1"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two tasks with scores, of which one failed later, and one without."""
    return write_run(
        tmp_path,
        "org/m",
        made_task("A", 0.25, values={"ndcg_at_10": {"q1": 0.0, "q2": 0.5}}),
        made_task("B", 0.75, later_error="no memory"),
        made_task("C", None, status="error", error="no disk"),
    )


def test_scores_and_failures_are_those_of_the_record(run: Path) -> None:
    found = flagbench.load(run)
    assert (found.model, found.revision, found.benchmark, found.path) == ("org/m", "v1", "cmteb", run)
    assert found.scores == {"A": 0.25, "B": 0.75}
    assert found.failed == {"B": "no memory", "C": "no disk"}
    assert found.task("A").scores == {"dev": {"default": 0.25}}
    assert found.task("a").name == "A"
    assert found.values("A") == {"ndcg_at_10": {"q1": 0.0, "q2": 0.5}}
    assert found.values("B") == {}
    with pytest.raises(UnknownName, match="unknown task 'D'"):
        found.task("D")


def test_a_run_is_found_wherever_it_lies(run: Path, tmp_path: Path) -> None:
    paths = [run, str(run), run / "flagbench" / "run.json", tmp_path, FORMER / "baseline.json"]
    assert [flagbench.load(path).model for path in paths[:4]] == ["org/m"] * 4
    assert flagbench.load(paths[4]).scores
    with pytest.raises(BadInput, match="does not exist"):
        flagbench.load(tmp_path / "nowhere")


def test_only_tasks_that_were_chosen_are_read(run: Path) -> None:
    assert flagbench.load(run, tasks=["B"]).scores == {"B": 0.75}
    with pytest.raises(UnknownName, match="unknown task 'D'"):
        flagbench.load(run, tasks=["D"])


def test_scores_and_averages_are_those_that_show_prints() -> None:
    found = flagbench.load(RANDOM)
    printed = json.loads(here("show", RANDOM, "--format", "json").stdout)["scores"]
    every = found.scores | found.averages
    assert {row["task"]: row["score"] for row in printed} == every
    assert any(score is None for score in found.averages.values())


def test_the_text_of_a_run_is_that_of_show(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as notebook:
        notebook.setenv("FORCE_COLOR", "1")  # as notebooks have it
        lines = repr(flagbench.load(RANDOM)).splitlines()
    table = [line.rstrip() for line in here("show", RANDOM).stdout.splitlines()]
    tables = [line for line in table if line[:1] in "┏┃┡│├└"]
    assert [line for line in lines if line[:1] in "┏┃┡│├└"] == tables
    below = [line for line in lines[lines.index(tables[-1]) + 1 : -1] if line]
    assert {line.split()[0] for line in below} == {"incomplete", "*"}
    assert set(below) <= set(table)
    assert lines[-1] == f"flagbench/random at v1, results in {RANDOM}"


def test_the_table_has_a_row_for_each_task(run: Path) -> None:
    table = flagbench.load(run).to_pandas()
    assert list(table["task"]) == ["A", "B", "C"]
    assert list(table["score"])[:2] == [0.25, 0.75]
    assert math.isnan(table["score"][2])
    assert list(table["status"]) == ["success", "success", "error"]
    assert list(table["metric"]) == ["ndcg_at_10"] * 3
    assert str(table["score"].dtype) == "float64"
    assert "no disk" in table["note"][2]


def test_a_comparison_is_what_compare_prints() -> None:
    one = flagbench.load(RANDOM)
    found = one.compare(RERANKED, allow_differences=True, seed=3)
    arguments = ("compare", RANDOM, RERANKED, "--allow-differences", "--seed", "3", "--format")
    rows = list(csv.DictReader(io.StringIO(here(*arguments, "csv").stdout)))
    expected = {row["task"]: float(row["delta"]) for row in rows if row["delta"]}
    assert found.deltas == expected
    assert expected
    assert found.significant == tuple(row["task"] for row in rows if row["significant"] == "true")
    assert found.to_markdown() == here(*arguments, "markdown").stdout
    table = found.to_pandas()
    assert list(table["task"]) == list(dict.fromkeys(row["task"] for row in rows))
    known = {row["task"]: float(row["p_holm"]) for row in rows if row["p_holm"]}
    assert {task: p for task, p in zip(table["task"], table["p"], strict=True) if not math.isnan(p)} == known
    assert repr(found) == str(found) == found.text
    for line in found.to_markdown().splitlines():
        if line.startswith("- Δ"):
            assert line.removeprefix("- ") in found.text


def test_runs_without_a_task_in_common_do_not_compare(run: Path) -> None:
    with pytest.raises(BadInput, match="no task in common"):
        flagbench.load(run).compare(flagbench.load(RANDOM))
