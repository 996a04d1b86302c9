"""What evaluate and validate do around the runs: tables, whose column is whose, the last lines and the exit code."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadData, BadInput
from flagbench.results.record import TaskRecord
from flagbench.results.store import RunStore
from flagbench.runners.commands import cli, run_plan
from flagbench.runners.registry import find_benchmark
from flagbench.runners.run import engine, plan
from flagbench.runners.run.finished import Finished
from flagbench.runners.run.plan import Plan
from tests.conftest import MINI

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
    runs: dict[str, Finished], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = plan.resolve

    def resolve(request: Any) -> Plan:  # as of two folders of one name
        made = whole(replace(request, model="flagbench/random"))
        model = replace(made.model, spec=replace(made.model.spec, revision=request.model))
        return replace(made, model=model, store=RunStore(request.output, made.name, request.model))

    monkeypatch.setattr(plan, "resolve", resolve)
    runs["flagbench/random"] = Finished((_record(0.25),), 0)
    assert _ended("r1", "r2") == 0
    names = [f"flagbench/random@{revision}" for revision in ("r1", "r2")]
    assert _rows(capsys.readouterr().out)[0][:4] == ["task", "type", *names]


@pytest.mark.parametrize("command", ["evaluate", "validate"])
def test_a_model_is_named_once_however_it_is_spelled(
    command: str, tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run, folder = _RUN.replace("STSB", "CovidRetrieval"), tiny_bert.relative_to(tmp_path)
    for models, said in (
        (
            ["flagbench/random", "flagbench/bm25", "flagbench/random"],
            "flagbench/random is named twice: name different models",
        ),
        (
            ["bm25", "flagbench/bm25"],
            "bm25 and flagbench/bm25 are both flagbench/bm25: name different models",
        ),
        ([str(tiny_bert), f"./{folder}/"], f"{tiny_bert} and ./{folder}/ are both local/"),
    ):
        options = cli._parser().parse_args([command, *models, *run.split()])
        with pytest.raises(BadInput) as caught:
            options.run(options)
        assert str(caught.value).startswith(said)


def test_validate_shows_each_plan_and_makes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = _RUN.replace("STSB", "CovidRetrieval")
    options = cli._parser().parse_args(["validate", "flagbench/random", "flagbench/bm25", *run.split()])
    assert options.run(options) == 0
    said = capsys.readouterr().out.splitlines()
    for name in ("random", "bm25"):
        assert said.count(f"model     flagbench/{name}") == 1
        assert said.count(f"output    flagbench-results/flagbench__{name}/v1") == 1
    assert list(tmp_path.iterdir()) == []


def test_one_score_is_a_table_and_data_that_is_not_miniature_has_the_title_alone(
    runs: dict[str, Finished], capsys: pytest.CaptureFixture[str]
) -> None:
    data = f"--benchmark cmteb --data {MINI} --no-store --tasks STSB"
    runs["flagbench/random"] = Finished((_record(None, "no disk"),), 1)
    options = cli._parser().parse_args(["evaluate", "flagbench/random", *data.split()])
    assert options.run(options) == 1
    assert capsys.readouterr().out == ""
    runs["flagbench/random"] = Finished((_record(0.5), replace(_record(None, "no disk"), name="LCQMC")), 1)
    assert options.run(options) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[0].strip() == "C-MTEB"
    assert [row[2] for row in _rows(out)[1:3]] == ["50.00", ""]
    assert err.splitlines()[-1] == "flagbench: no disk"


class _Bars:
    """Bars of which the drawing may hang."""

    def __init__(self, hangs: bool) -> None:
        self.hangs = hangs
        self.begun = self.closed = False
        self.go_on = threading.Event()

    def close(self) -> None:
        self.begun = True
        if self.hangs:
            self.go_on.wait(5)
        self.closed = True


@pytest.mark.parametrize("hangs", [False, True])
def test_last_words_come_on_a_line_of_their_own_after_the_bars_or_without_them(
    hangs: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_plan, "_SECONDS_TO_STOP", 0.05 if hangs else 60.0)
    bars = _Bars(hangs)
    run_plan._last_words(bars, None)  # type: ignore[arg-type]
    assert (bars.begun, bars.closed) == (True, not hangs)
    bars.go_on.set()
    line = "flagbench: interrupted; finished tasks and cached vectors are kept, the same command goes on from there"
    assert capsys.readouterr() == ("", f"\r{line}\n")


def test_validate_names_each_fault_of_a_plan_and_of_its_rows_and_has_the_worst_code(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["validate", "flagbench/random", *_RUN.split()]
    rows: list[str] = []
    asked: list[Any] = []

    def faults(self: Any, task: Any, snapshots: Any, request: Any) -> list[str]:
        asked.append((task.name, snapshots.root, request.model))
        return rows

    monkeypatch.setattr(type(find_benchmark("cmteb")), "faults", faults)
    options = cli._parser().parse_args(command)
    assert options.run(options) == 0
    assert asked == [("STSB", MINI, "flagbench/random")]
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.endswith("\nrows      no faults\n")
    rows += ["STSB: row 1 is\x1b empty", "STSB: row 2 too"]
    assert options.run(options) == 2
    shown = capsys.readouterr()
    assert "no faults" not in shown.out
    assert shown.err == "flagbench: STSB: row 1 is\ufffd empty\nflagbench: STSB: row 2 too\n"
    rows.clear()
    whole = plan.resolve

    def resolve(request: Any) -> Plan:
        assert request.lenient
        made = whole(request)
        odd = (replace(made.steps[0].task, name="A"), BadData("A: no\nrows"))
        return replace(made, faults=(odd,))

    monkeypatch.setattr(plan, "resolve", resolve)
    assert options.run(options) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == "flagbench: A cannot run: no rows"
    assert second.startswith("flagbench: 1 of 2 tasks have no usable data (A); choose others with --tasks")
