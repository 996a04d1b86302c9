"""What evaluate and validate do around the runs: tables, whose column is whose, the last lines and the exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flagbench.results.record import TaskRecord
from flagbench.runners.commands import cli
from flagbench.runners.run import engine
from flagbench.runners.run.finished import Finished
from flagbench.runners.run.plan import Plan

_RUN = "--benchmark cmteb --mini --no-store --tasks STSB"


def _record(score: float | None, error: str = "") -> TaskRecord:
    scores = {} if score is None else {"test": {"default": score}}
    return TaskRecord("STSB", "STS", "error" if error else "success", {}, "", scores, {"status": "exact"}, error=error)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Finished]:
    """What each model's run ends with, by the model's name; the runs themselves are not made."""
    ends: dict[str, Finished] = {}

    def run(its: Plan, *_: Any) -> Finished:
        return ends[its.name]

    monkeypatch.setattr(engine, "run", run)
    monkeypatch.chdir(tmp_path)
    return ends


def _ended(*arguments: str) -> int:
    options = cli._parser().parse_args(["evaluate", *arguments, *_RUN.split()])
    code: int = options.run(options)
    return code


def _rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith(("│", "┃"))]
    # Without the mark of scores that compare with no published ones.
    return [[cell.strip(" *") for cell in line.strip("│┃").replace("┃", "│").split("│")] for line in lines]


def test_each_model_has_a_column_and_the_code_is_that_of_the_worst(
    runs: dict[str, Finished], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs["flagbench/random"] = Finished((_record(0.25),), 0)
    assert _ended("flagbench/random") == 0
    alone = capsys.readouterr()
    assert alone.out.splitlines()[0].strip() == "C-MTEB mini"
    assert [row[:3] for row in _rows(alone.out)[:2]] == [["task", "type", "flagbench/random"], ["STSB", "STS", "25.00"]]
    assert _rows(alone.out)[0][3:] == ["note"]
    assert "results in flagbench-results/flagbench__random/v1" in alone.err
    monkeypatch.setattr("flagbench.runners.run.models._check_ability", lambda *_: None)
    runs["flagbench/bm25"] = Finished((_record(0.5),), 2)
    shown = {"flagbench/random": "25.00", "flagbench/bm25": "50.00"}
    for models in (list(shown), list(shown)[::-1]):
        assert _ended(*models) == 2
        rows = _rows(capsys.readouterr().out)
        assert rows[:2] == [["task", "type", *models], ["STSB", "STS", *(shown[model] for model in models)]]


def test_without_a_score_there_is_no_table(runs: dict[str, Finished], capsys: pytest.CaptureFixture[str]) -> None:
    runs["flagbench/random"] = Finished((_record(None, "no disk"),), 1)
    assert _ended("flagbench/random") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == "flagbench: no disk"
    assert "results in" not in err


def test_models_of_one_name_are_named_with_their_revision(
    runs: dict[str, Finished], capsys: pytest.CaptureFixture[str]
) -> None:
    runs["flagbench/random"] = Finished((_record(0.25),), 0)
    assert _ended("flagbench/random", "flagbench/random") == 0
    assert _rows(capsys.readouterr().out)[0] == ["task", "type", "flagbench/random@v1", "note"]


def test_validate_shows_each_plan_and_makes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = cli._parser().parse_args(["validate", "flagbench/random", "flagbench/random", *_RUN.split()])
    assert options.run(options) == 0
    said = capsys.readouterr().out.splitlines()
    assert said.count("model     flagbench/random") == 2
    assert said.count("output    flagbench-results/flagbench__random/v1") == 2
    assert list(tmp_path.iterdir()) == []
