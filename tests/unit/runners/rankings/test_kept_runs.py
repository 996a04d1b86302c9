"""Rankings that runs have kept, fused: which tasks, over which data, and what a run gives in the place of a model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadData, BadInput
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.runs import Run
from flagbench.runners.benchmark import EvaluatedModel
from flagbench.runners.progress import Silent
from flagbench.runners.rankings.kept_runs import FusedRuns
from flagbench.runners.rankings.model import TaskRankings, ranked_model
from flagbench.runners.rankings.options import FusionOptions
from flagbench.runners.search.retriever import Retriever
from flagbench.runners.task import Task
from tests.unit.results.test_runs import made_task

HITS = {"q1": {"d1": 2.0, "d2": 2.0, "d3": 9.0}, "q2": {"d2": 1.0}}


def run(folder: Path, *tasks: TaskRecord, **more: Any) -> Run:
    record = RunRecord("own", f"org/{folder.name}", "r", {}, (), {}, {each.name: each for each in tasks})
    for each in tasks:
        path = folder / f"{each.name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(HITS), encoding="utf-8")
    return Run(folder, record, folder.name, **more)


def record(name: str = "A", kind: str = "Retrieval", **fields: Any) -> TaskRecord:
    return made_task(name, None if fields.get("status") == "error" else 0.5, kind=kind, **fields)[0]


def task(name: str = "A") -> Task:
    return Task(name, "Retrieval", "o/rows", "main", ("dev",), "ndcg_at_10", "all")


def fused(*runs: Run, name: str = "", **options: Any) -> FusedRuns:
    return FusedRuns(runs, FusionOptions(**options), lambda its, wanted: [f"{wanted}.json"], name)


def test_all_tasks_that_rank_are_fused_and_all_runs_have_them(tmp_path: Path) -> None:
    sts, broken = record("S", "STS"), record("X", status="error", error="no disk")
    one, two = (run(tmp_path / name, record("B"), sts, record("A", "Reranking")) for name in ("one", "two"))
    assert fused(one, two).tasks(()) == ("B", "A")
    assert fused(one, two).tasks(("A",)) == ("A",)
    failed = replace(two, record=replace(two.record, tasks={**two.record.tasks, "X": broken}))
    assert fused(one, failed).tasks(()) == ("B", "A")
    for first, second, wanted, said in (
        (run(tmp_path / "sts", sts), one, (), r"sts has no task that ranks passages"),
        (one, run(tmp_path / "less", record("B")), (), r"less has no A: choose tasks that all runs have"),
        (one, two, ("A", "Z"), r"one has no Z: "),
        (run(tmp_path / "few", record("A")), one, (), r"one has B and .*few has not: choose tasks that all runs have"),
        (
            one,
            run(tmp_path / "part", record("B"), record("A", status="partial")),
            (),
            r"part has no result over all of A",
        ),
        (
            run(tmp_path / "drawn", record("A", sample={"items": 1, "of": 2})),
            one,
            ("A",),
            r"drawn has no result over all",
        ),
        (one, failed, ("X",), r"one has no X"),
    ):
        with pytest.raises(BadInput, match=said):
            fused(first, second).tasks(wanted)
    assert fused(run(tmp_path / "fewer", record("A")), one).tasks(("A",)) == ("A",)  # more is no matter for a name


def test_a_fusion_is_named_after_its_method_and_runs_and_is_over_the_same_data(tmp_path: Path) -> None:
    one, two = (run(tmp_path / name, record()) for name in ("one", "two"))
    model = fused(one, two, by="dbsf").resolve([task()])
    assert (model.spec.name, model.spec.adapter) == ("local/dbsf-one-two", "fusion")
    assert model.evidence == (f"rankings of one: {tmp_path / 'one'}", f"rankings of two: {tmp_path / 'two'}")
    assert fused(one, two, name="org/both").resolve([task()]).spec.name == "org/both"
    assert model.tasks["A"].like == one.record.tasks["A"]
    assert list(model.tasks["A"].parts) == [("dev", "default")]
    assert model.tasks["A"].fused == {name: {("dev", "default"): {"q1", "q2"}} for name in ("one", "two")}
    other = run(tmp_path / "three", record(of={"dataset": "other"}))
    with pytest.raises(BadInput, match=r"one and .*three differ in A: dataset org/A against other; fuse runs over"):
        fused(one, two, other).resolve([task()])
    (tmp_path / "two" / "A.json").unlink()
    for gone in (two, replace(one, kept={})):  # a saved baseline keeps no rankings
        with pytest.raises(BadInput, match=r"has kept no rankings of A: evaluate A again with --save-predictions"):
            fused(replace(two, folder=one.folder), gone).resolve([task()])


# Rankings in the place of a model.


def rankings(hits: dict[str, dict[str, float]], part: tuple[str, str] = ("dev", "zh"), **more: Any) -> TaskRankings:
    return TaskRankings("run.trec", {part: hits}, **more)


def test_the_digest_is_of_what_is_ranked_and_not_of_its_order() -> None:
    parts = {("dev", "zh"): HITS, ("test", "en"): {"q": {"d": 1.0}}}
    shuffled = {
        part: {query: dict(reversed(hits.items())) for query, hits in reversed(its.items())}
        for part, its in reversed(parts.items())
    }
    digest = TaskRankings("a", parts).digest
    assert (TaskRankings("b", shuffled).digest, len(digest)) == (digest, 32)
    others = [
        rankings(HITS),
        rankings(HITS, ("dev", "en")),
        rankings(HITS, ("test", "zh")),
        rankings({**HITS, "q2": {"d2": 1.5}}),
        rankings({**HITS, "q2": {"d3": 1.0}}),
        rankings({"q1": HITS["q1"], "q3": HITS["q2"]}),
        rankings({"q1": HITS["q1"]}),
    ]
    assert len({digest, *(each.digest for each in others)}) == 1 + len(others)


def replayed(
    top_k: int = 9, queries: Sequence[str] = ("q1", "q2", "q3"), labels: Any = None, **more: Any
) -> tuple[Any, list[str]]:
    hits = {**HITS, "q9": {"d1": 1.0}}
    fused = {"org/whole": {("dev", "zh"): {"q1", "q2", "q3"}}, "org/few": {("dev", "zh"): {"q1", "q9"}}}
    adapter = ranked_model("local/run", "run-file", {"A": rankings(hits, fused=fused)}, ()).load()
    retriever = Retriever.of(EvaluatedModel(adapter), Silent())  # type: ignore[arg-type]
    assert retriever.replays
    made = retriever.replay(("A", "dev", "zh"), queries, ["d1", "d2", "d3"], top_k=top_k, **more)
    retriever.note_empty(("dev", "zh"), made, queries, labels)
    return {query: list(found.items()) for query, found in made.items()}, retriever.notes


def test_what_was_ranked_before_is_cut_and_what_lacks_or_is_too_much_is_said() -> None:
    found, notes = replayed(unjudged=["q9"])
    assert found == {"q1": [("d3", 9.0), ("d2", 2.0), ("d1", 2.0)], "q2": [("d2", 1.0)], "q3": []}
    assert notes == [
        "dev/zh: org/few has no results for 2 of 3 queries",
        "dev/zh: 1 ranking of queries without labels left out",
        "dev/zh: 1 of 3 queries have no results and count 0",
    ]
    # A query that no passage is relevant to has nothing to find.
    for labels, said in (({"q3": {"d1": 1}}, 1), ({"q3": {"d1": 0}}, 0), ({}, 0)):
        assert len(replayed(unjudged=["q9"], labels=labels)[1]) == 2 + said
    found, notes = replayed(2, ("q1", "q2"), unjudged=["q9"])
    assert (found, notes[2:]) == ({"q1": [("d3", 9.0), ("d2", 2.0)], "q2": [("d2", 1.0)]}, [])
    with pytest.raises(BadData, match=r"run\.trec has query ids that are not in A \(dev\): 1 of 3, such as 'q9'"):
        replayed()


def test_rankings_of_candidates_have_no_other_passage() -> None:
    candidates = {"q1": ["d1", "d2", "d3", "d4"], "q2": ["d2"], "q9": ["d1"]}
    found, _ = replayed(unjudged=["q9"], candidates=candidates)
    assert list(found) == ["q1", "q2", "q3"]
    for less, passage, query in (
        ({**candidates, "q1": ["d1"]}, "d2", "q1"),
        ({"q1": candidates["q1"], "q9": ["d1"]}, "d2", "q2"),
    ):
        with pytest.raises(
            BadData, match=f"the rankings of A have passage '{passage}' of query '{query}', which is none"
        ):
            replayed(unjudged=["q9"], candidates=less)
