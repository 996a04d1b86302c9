"""Tasks of one run that ran with different settings: no average anywhere, and one line that says which settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.mlvu.registry import averaged
from flagbench.mlvu.report import RunScores
from flagbench.results.compare.compare import side_by_side
from flagbench.results.compare.screen import render
from flagbench.results.compare.settings import settings_mixed
from flagbench.results.compare.text import to_json, to_markdown
from flagbench.results.figures import PERCENT
from flagbench.results.gate.judge import judge
from flagbench.results.gate.outputs import notes
from flagbench.results.gate.rules import Rule, Rules
from flagbench.results.page import LANGUAGES
from flagbench.results.page.benchmark import Benchmark
from flagbench.results.page.facts import own_mean
from flagbench.results.page.officials import officials
from flagbench.results.page.render import page
from flagbench.results.page.view import groups
from flagbench.results.published.scores import Published, PublishedTable
from flagbench.results.published.standing import rank
from flagbench.results.published.verify import remarks, verify
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.runs import Run
from flagbench.results.table import rows
from tests.unit.page_tree import read_page

LINE = "settings differ: max length 512 → 8"
MODEL: Mapping[str, Any] = {
    "name": "org/m",
    "adapter": "dense",
    "query_max_length": 512,
    "passage_max_length": 512,
    "pooling": "cls",
    "retrieval": "dense",
}
SHORT = {"query_max_length": 8, "passage_max_length": 8}
KNOWN = {"cmteb": Benchmark("C-MTEB", {"STS mean": ["A", "B"], "Avg": ["A", "B", "C"]})}


def task(
    name: str, score: float = 0.5, *, kind: str = "STS", model: Mapping[str, Any] = {}, **settings: Any
) -> TaskRecord:
    own = {"model": {**MODEL, **model}, "task": {"main_score": "ndcg_at_10"}, **settings}
    status = settings.pop("status", "success")
    return TaskRecord(
        name, kind, status, own, "", {"dev": {"default": score}} if status == "success" else {}, {"status": "official"}
    )


def run(*tasks: TaskRecord, label: str = "org/m", spec: Mapping[str, Any] = {}, benchmark: str = "cmteb") -> Run:
    record = RunRecord(benchmark, "org/m", "r", spec, (), {}, {each.name: each for each in tasks})
    return Run(Path(label), record, label, {})


MIXED = (task("A", 0.1), task("B", 0.3), task("C", 0.8, kind="Retrieval", model=SHORT))
ALIKE = (task("A", 0.1), task("B", 0.3), task("C", 0.8, kind="Retrieval"))


@pytest.mark.parametrize(
    ("tasks", "changes"),
    [
        (MIXED, "max length 512 → 8"),
        (ALIKE, ""),
        ((task("A"), task("B", model={"pooling": "mean"}), task("C", model=SHORT)),
         "pooling cls → mean, max length 512 → 8"),
        ((task("A"), task("B", store="fp16")), "cached vectors full precision → fp16"),
        ((task("A"), task("B", profile="quick")), "profile full → quick"),
        ((task("A", options={"seed": 1}), task("B", options={"seed": 2, "own": 3})), "seed 1 → 2"),
        ((task("A", options={"seed": 1}), task("B")), ""),  # the option of another benchmark
        ((task("A"), task("B", kind="Retrieval", model={"retrieval": "hybrid"})), ""),  # nothing of STS is ranked
        ((task("A", kind="Retrieval"), task("B", kind="Reranking", model={"retrieval": "hybrid"})),
         "retrieval dense → hybrid"),
        ((task("A"), task("B", status="error", model=SHORT)), ""),  # no score of these settings
        ((task("A", instruction={"query": "x"}), task("B", instruction={"query": ""})), ""),  # each its own
    ],
)  # fmt: skip
def test_each_setting_that_differs_between_tasks(tasks: tuple[TaskRecord, ...], changes: str) -> None:
    assert settings_mixed(tasks) == (f"settings differ: {changes}" if changes else "")


@pytest.mark.parametrize(
    ("prompts", "first", "changes"),
    [
        ([["STS", "sim: "], ["Retrieval-query", "q: "]], "sim: ", ""),
        ([["STS", "sim: "], ["Retrieval-query", "q: "]], "old: ", "query instruction old: → sim:"),
        ([["Retrieval-query", "q: "]], "sim: ", "query instruction sim: → none"),
        ([["STS", 3]], "old: ", ""),  # a spec that says nothing of instructions
        (None, "old: ", ""),
    ],
)
def test_an_instruction_is_judged_by_what_the_run_has_for_the_task(prompts: Any, first: str, changes: str) -> None:
    tasks = [
        task("A", instruction={"query": first}),
        task("C", kind="Retrieval", instruction={"query": "q: ", "passage": ""}),
    ]
    assert settings_mixed(tasks, {"prompts": prompts}) == (f"settings differ: {changes}" if changes else "")


def test_a_table_has_the_means_whose_tasks_agree_alone() -> None:
    means = {row.label: (row.score, row.note) for row in rows(MIXED, KNOWN["cmteb"].averages)[1]}
    assert means == {"STS mean": (pytest.approx(0.2), ""), "Avg": (None, LINE)}
    (_, average) = rows(MIXED[1:], KNOWN["cmteb"].averages)[1]
    assert (average.score, average.note) == (None, f"2 of 3 tasks; {LINE}")
    assert rows(ALIKE, KNOWN["cmteb"].averages)[1][1].score == pytest.approx(0.4)


def test_a_comparison_has_no_average_of_such_a_run() -> None:
    comparison = side_by_side([run(*ALIKE, label="a"), run(*MIXED, label="b")])
    averages = {each.label: (each.tasks, each.scores, each.deltas) for each in comparison.averages}
    assert averages["average"] == (3, (pytest.approx(0.4), None), (None, None))
    assert averages["STS mean"] == (2, (pytest.approx(0.2), pytest.approx(0.2)), (None, pytest.approx(0)))
    said = f"b: {LINE} (between its own tasks, so they have no average)"
    assert [str(each) for each in render(comparison)].count(said) == 1
    assert to_markdown(comparison).count(said) == 1
    assert json.loads(to_json(comparison))["settings_between_tasks"] == [{"label": "b", "line": LINE}]


def test_a_gate_passes_no_average_of_such_a_run(tmp_path: Path) -> None:
    rules = Rules(tmp_path, (Rule("mean", {"averages": ("average", "STS mean")}, {"max-drop": 0.5}),))
    for baseline, candidate, whose in ((ALIKE, MIXED, "candidate"), (MIXED, ALIKE, "baseline")):
        report = judge(rules, run(*baseline, label="a"), run(*candidate, label="b"))
        found = {verdict.subject: (verdict.outcome, verdict.said) for verdict in report.verdicts}
        assert found["average"] == ("inconclusive", f"the tasks of the {whose} have no average: {LINE}")
        assert LINE not in found["STS mean"][1]
        assert f"note: between tasks of the {whose}: {LINE}" in notes(report)


def published() -> PublishedTable:
    scores = {name: {"dev": 0.5} for name in ("A", "B", "C")}
    model = Published("org/p", "v", "mteb 2", scores)
    return PublishedTable(
        benchmark="cmteb",
        title="C-MTEB",
        source="a paper",
        kinds={"A": "STS", "B": "STS", "C": "Retrieval"},
        splits=dict.fromkeys(scores, ("dev",)),
        groups={"STS": ("A", "B")},
        models={"org/p": model},
    )


def test_such_a_run_has_no_rank_and_verify_says_why_its_tasks_may_be_off() -> None:
    table = published()
    with pytest.raises(BadInput, match=f"no average to be ranked by: {LINE}; evaluate all of them"):
        rank(run(*MIXED).record, table)
    assert rank(run(*ALIKE).record, table).ours.mean == pytest.approx(0.4)
    hints = [remarks(verify(run(*tasks).record, table.models["org/p"], table)) for tasks in (MIXED, ALIKE)]
    assert [any(LINE in line for line in each) for each in hints] == [True, False]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_has_no_average_of_such_a_run(language: str) -> None:
    mixed = run(*MIXED)
    (official,) = officials(mixed, KNOWN)
    assert (official.score, official.mixed, own_mean(mixed)) == (None, LINE, (None, 3, PERCENT))
    said = "max length 512 → 8"
    for runs in ([mixed], [run(*ALIKE, label="a"), replace(mixed, label="b")]):
        tree = read_page(page(groups(runs, KNOWN), language))  # type: ignore[arg-type]
        assert said in tree.one("p", data_mixed=None).words
        averages = [each.words for each in tree.all("td", data_average=None)]
        assert averages == ([] if len(runs) == 1 else ["40.00", "–"])
        assert "40.00" not in [each.words for each in tree.all("dd")]


def test_mlvu_has_no_average_of_such_a_set() -> None:
    names = [row.task_name for row in averaged("dev")]
    videos = [task(name, kind="multiple-choice", model={"frames": 8 if at else 16}) for at, name in enumerate(names)]
    scores = RunScores.of(Path(), [], {}, run(*videos, benchmark="mlvu").record)
    assert scores.mixed == {"dev": "settings differ: frames 16 → 8", "test": ""}
    assert scores.averages("dev") == {"official": None, "robust": None}
