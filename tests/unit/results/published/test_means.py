"""Means that are published without their tasks' scores: a run's own beside them, in verify, rank and gates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from flagbench.results.averages import Weights
from flagbench.results.data_state import DataState
from flagbench.results.gate.judge import judge
from flagbench.results.gate.published import as_baseline
from flagbench.results.gate.rules import read_rules
from flagbench.results.published.means import KIND, PublishedMean, with_means
from flagbench.results.published.scores import Published, PublishedTable
from flagbench.results.published.standing import rank
from flagbench.results.published.verify import verify
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.runs import Run
from tests.unit.results.test_runs import made_task

_LABELS = ("Pair", "Long")
TABLE = PublishedTable(
    benchmark="b",
    title="B",
    source="a card",
    kinds=dict.fromkeys(_LABELS, KIND),
    splits=dict.fromkeys(_LABELS, ("rules",)),
    models={
        "o/one": Published("o/one", "", "", {"Pair": {"rules": 0.6}, "Long": {"rules": 0.35}}),
        "o/two": Published("o/two", "", "", {"Pair": {"rules": 0.2}, "Long": {"rules": 0.1}}),
    },
    groups={KIND: _LABELS},
    means={
        "Pair": PublishedMean(Weights({"A": 0.5, "B": 0.5}), "rules"),
        "Long": PublishedMean(Weights({"A": 0.25, "B": 0.75}), "rules", "8K"),
    },
)


def task(name: str, short: float, long: float, **fields: Any) -> TaskRecord:
    record, _ = made_task(name, {"rules": {"4K": short, "8K": long}}, kind="ruler", of={"main_score": "m"}, **fields)
    return record


def run(*tasks: TaskRecord, model: str = "o/mine") -> RunRecord:
    return RunRecord("b", model, "r", {}, (), {}, {each.name: each for each in tasks})


A, B = task("A", 0.9, 0.5), task("B", 0.7, 0.3)


def test_means_of_a_run_are_those_of_its_tasks() -> None:
    found = with_means(run(A, B), TABLE).tasks
    assert list(found) == ["A", "B", "Pair", "Long"]
    assert found["Pair"].score == pytest.approx(fmean([fmean([0.9, 0.5]), fmean([0.7, 0.3])]))
    assert found["Long"].score == pytest.approx(0.25 * 0.5 + 0.75 * 0.3)
    assert [found[label].scores.keys() for label in _LABELS] == [{"rules"}] * 2
    assert {DataState.of(found[label].data) for label in _LABELS} == {DataState.OFFICIAL}


def test_a_mean_needs_all_of_its_tasks() -> None:
    only = run(A)
    assert with_means(only, TABLE) is only


def test_a_mean_without_the_subset_or_the_rules_has_no_score() -> None:
    short, _ = made_task("B", {"rules": {"4K": 0.5}}, kind="ruler")
    found = with_means(run(A, short), TABLE).tasks
    assert (found["Pair"].score, found["Long"].score) == (pytest.approx(0.6), None)
    other, _ = made_task("B", {"others": {"8K": 0.5}}, kind="ruler")
    assert with_means(run(A, other), TABLE).tasks["Pair"].score is None


@pytest.mark.parametrize(
    ("changed", "verdict", "note"),
    [
        (B, "OK", ""),
        (task("B", 0.7, 0.296), "near", ""),
        (task("B", 0.1, 0.1), "FAIL", ""),
        (replace(B, status="partial"), "FAIL", "scored on a part of the data"),
        (replace(B, status="error", scores={}, error="no disk"), "FAIL", "failed: no score of B"),
        (replace(B, later_error="no disk"), "FAIL", "failed when it was last evaluated: no disk"),
        (replace(B, data={"status": "differs", "differences": ["rows: 1"]}), "not compared", "not the official data"),
        (made_task("B", {"others": {"8K": 0.5}})[0], "missing", "the run lacks the split rules"),
    ],
)
def test_what_keeps_a_task_from_being_compared_keeps_its_means(changed: TaskRecord, verdict: str, note: str) -> None:
    record = with_means(run(A, changed), TABLE)
    (found,) = verify(record, TABLE.models["o/one"], TABLE, only=["Pair"]).tasks
    assert found.verdict == verdict
    assert note in found.note


def test_tasks_with_other_settings_have_no_mean() -> None:
    def of_length(record: TaskRecord, length: int) -> TaskRecord:
        model = {"adapter": "text-lm", "passage_max_length": length, "ability": "generate"}
        return replace(record, settings=record.settings | {"model": model})

    found = with_means(run(of_length(A, 8), of_length(B, 16)), TABLE).tasks["Pair"]
    assert found.status == "error"
    assert found.error.startswith("between its tasks: settings differ")


def test_a_run_is_ranked_by_its_means() -> None:
    ranking = rank(with_means(run(A, B), TABLE), TABLE)
    assert [entry.model for entry in ranking.entries] == ["o/mine", "o/one", "o/two"]
    assert ranking.ours.mean == pytest.approx(fmean([0.6, 0.35]))
    assert ranking.ours.place == 1


def test_a_gate_judges_means(tmp_path: Path) -> None:
    rules = tmp_path / "gate.toml"
    rules.write_text('[[rule]]\ntasks = ["Pair"]\nmax-drop = 1\n', encoding="utf-8")

    def outcome(second: TaskRecord) -> str:
        record = with_means(run(A, second), TABLE)
        candidate = Run(Path("out"), record, "o/mine", {})
        baseline, part = as_baseline(TABLE.models["o/one"], TABLE, candidate)
        return judge(read_rules(rules), baseline, candidate, published_part=part).verdicts[0].outcome

    assert outcome(B) == "pass"
    assert outcome(task("B", 0.7, 0.2)) == "FAIL"
    assert outcome(replace(B, data={"status": "differs", "differences": ["rows: 1"]})) == "inconclusive"
