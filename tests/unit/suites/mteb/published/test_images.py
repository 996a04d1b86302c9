"""The published scores of tasks with images: what comes with FlagBench, against its source, mteb and the benchmarks."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import mteb
import pytest

from flagbench import BadInput
from flagbench.results.gate.published import as_baseline
from flagbench.results.published.standing import rank
from flagbench.results.published.verify import verify
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.runs import Run
from flagbench.runners.commands.published import published_table
from flagbench.runners.mteb.bridge import quiet
from flagbench.runners.registry import find_benchmark
from flagbench.runners.task import Task
from flagbench.suites.mteb.published.images import table
from tests.conftest import ROOT

# Of older versions of mteb, about tasks that are not scored here.
pytestmark = pytest.mark.filterwarnings("ignore:The task .* is currently in beta:UserWarning")

FOLDER = ROOT / "suites" / "mteb" / "published"
MODELS = {
    "BAAI/bge-visualized-base",
    "BAAI/bge-visualized-m3",
    "QuanSun/EVA02-CLIP-B-16",
    "QuanSun/EVA02-CLIP-L-14",
    "openai/clip-vit-base-patch16",
    "openai/clip-vit-base-patch32",
    "openai/clip-vit-large-patch14",
}


@pytest.fixture(scope="module")
def lines(shared_data: Path) -> list[dict[str, str]]:
    source = shared_data.parent / "published" / "image_results.csv"
    if not source.is_file():
        pytest.skip("no published results beside the checkout")
    with source.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def record(tasks: dict[str, dict[str, dict[str, float]]], model: str, benchmark: str) -> RunRecord:
    return RunRecord(
        benchmark, model, "r", {}, (), {},
        {
            name: TaskRecord(name, "x", "success", {}, "", data={"status": "official"}, scores=scores)
            for name, scores in tasks.items()
        },
    )  # fmt: skip


def test_the_file_is_small_and_made_of_its_source(lines: list[dict[str, str]], tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_images", FOLDER / "make_images.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    source = tmp_path / "results.csv"
    with source.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, lines[0].keys())
        writer.writeheader()
        writer.writerows(lines)
    text = (FOLDER / "images.csv").read_text(encoding="utf-8")
    assert module.text(source) == text
    assert "at f4cc6c8b" in text
    assert len(text) < 40_000


def test_every_score_is_the_mean_over_the_subsets(lines: list[dict[str, str]]) -> None:
    found = table("mteb", "images")
    assert found is not None
    assert set(found.models) == MODELS
    parts: dict[tuple[str, str, str], list[float]] = {}
    for line in lines:
        parts.setdefault((line["model"], line["task"], line["split"]), []).append(float(line["main_score"]))
    for (model, task, split), scores in parts.items():
        assert found.models[model].scores[task][split] == pytest.approx(fmean(scores), abs=1e-6)
    assert len(parts) == sum(len(splits) for its in found.models.values() for splits in its.scores.values())
    assert len(found.kinds) == 133
    assert "f4cc6c8b" in found.source
    assert found.models["BAAI/bge-visualized-m3"].made_by == "mteb 1.14.15+1.16.5"


def test_types_and_main_scores_are_those_of_mteb_today(lines: list[dict[str, str]]) -> None:
    """The names of the main scores of old results, which are of the same quantity: see reference.py."""
    with quiet():
        for name, kind, metric in {(line["task"], line["type"], line["main_score_name"]) for line in lines}:
            metadata = mteb.get_task(name).metadata
            assert (metadata.type, metadata.main_score) == (kind, metric)


@pytest.mark.parametrize(
    ("name", "tasks", "published"),
    [("MIEB(lite)", 51, 51), ("MIEB(eng)", 125, 125), ("ViDoRe(v1)", 10, 10), ("ViDoRe(v1&v2)", 14, 10)],
)
def test_a_benchmark_has_the_scores_of_its_tasks(name: str, tasks: int, published: int) -> None:
    benchmark = find_benchmark(name)
    found = benchmark.published()
    assert found is not None
    assert set(found.kinds) == {row.name for row in benchmark.tasks()}
    assert len(found.kinds) == tasks
    assert [sum(task in its.scores for task in found.kinds) for its in found.models.values()] == [published] * 7
    assert (found.title, found.benchmark) == (name, name)


def test_a_benchmark_of_texts_has_none() -> None:
    assert find_benchmark("MTEB(eng, v2)").published() is None
    assert table("x", "x", [Task("SciFact", "Retrieval", "a/b", "main", ("test",), "ndcg_at_10", "mteb")]) is None


def test_a_split_of_which_a_subset_lacks_has_no_score() -> None:
    def of(*subsets: str) -> Task:
        return Task(
            "WITT2IRetrieval", "Any2AnyMultilingualRetrieval", "a/b", "main", ("test",), "ndcg_at_10", "mteb", subsets
        )

    some, more = table("x", "x", [of("en", "da")]), table("x", "x", [of("en", "xx")])
    assert some is not None
    assert more is not None
    assert all(its.score("WITT2IRetrieval") is not None for its in some.models.values())
    assert all(its.score("WITT2IRetrieval") is None for its in more.models.values())


@pytest.mark.parametrize("name", ["MIEB(lite)", "MIEB(Multilingual)"])
def test_a_model_is_ranked_among_the_others_by_the_mean_of_its_benchmark(
    lines: list[dict[str, str]], name: str
) -> None:
    """The mean over types of mteb's leaderboard, in which aggregates count as one task, of a part of its languages."""
    benchmark = find_benchmark(name)
    parts: dict[str, dict[tuple[str, str, str], float]] = {}
    for line in lines:
        parts.setdefault(line["model"], {})[line["task"], line["split"], line["subset"]] = float(line["main_score"])
    model = "BAAI/bge-visualized-base"
    its = parts[model]
    scores = {
        row.name: {split: {subset: its[row.name, split, subset] for subset in row.subsets} for split in row.splits}
        for row in benchmark.tasks()
    }
    run = record(scores, model, benchmark.name)
    table_ = published_table(run)
    ranking = rank(run, table_)
    assert len(ranking.entries) == len(MODELS)
    with quiet():
        tasks = mteb.get_benchmark(name).tasks
    kinds: dict[str, list[Any]] = {}
    for task in tasks:
        kinds.setdefault(task.metadata.type, []).append(task)

    def score(of: dict[tuple[str, str, str], float], task: Any, splits: Sequence[str] = ()) -> float:
        if task.is_aggregate:
            return fmean(score(of, part, task.eval_splits) for part in task.metadata.tasks)
        return fmean(
            fmean(of[task.metadata.name, split, subset] for subset in task.hf_subsets)
            for split in splits or task.eval_splits
        )

    for entry in ranking.entries:
        of = parts[entry.model]
        by_kind = {kind: fmean(score(of, task) for task in its) for kind, its in kinds.items()}
        assert entry.mean == pytest.approx(fmean(by_kind.values()), abs=2e-6)
        assert entry.means == pytest.approx(by_kind, abs=2e-6)
    assert sum(entry.points for entry in ranking.entries) == len(tasks) * 7 * 6 / 2


def test_a_reproduction_is_verified_and_a_baseline_of_a_gate(tmp_path: Path) -> None:
    """Of tasks by name: published scores are held against the same splits and subsets."""
    names = ("CIRRIT2IRetrieval", "VidoreTatdqaRetrieval", "STSBenchmarkMultilingualVisualSTS")
    images = find_benchmark("mteb").published_with(names)
    assert images is not None
    its = images.of_model("BAAI/bge-visualized-m3")
    scores = {
        name: {split: dict.fromkeys(images.subsets[name], score) for split, score in its.scores[name].items()}
        for name in names
    }
    run = record(scores, its.model, "mteb")
    found = verify(run, its, images, tolerance=0.0005, near=0.005, only=names, accept_counts=False)
    assert found.passed
    off = record({**scores, names[0]: {"test": {"default": 0.9}}}, its.model, "mteb")
    assert not verify(off, its, images, tolerance=0.0005, near=0.005, only=names, accept_counts=False).passed
    baseline, part = as_baseline(its, images, Run(tmp_path, run, "run"), accept_counts=False)
    assert {name: task.score for name, task in baseline.record.tasks.items() if name in names} == pytest.approx(
        {name: its.score(name) for name in names}
    )
    assert set(part.record.tasks) == set(names)


def test_an_image_task_over_a_part_of_its_subsets_is_neither_compared_nor_ranked(tmp_path: Path) -> None:
    """A run of the easiest subset alone is no reproduction of the mean over all of them."""
    name, model = "STS17MultilingualVisualSTS", "openai/clip-vit-base-patch16"
    images = find_benchmark("mteb").published_with([name])
    assert images is not None
    its = images.of_model(model)
    run = record({name: {"test": {images.subsets[name][0]: its.scores[name]["test"]}}}, model, "mteb")
    assert verify(run, its, images, only=[name]).tasks[0].verdict == "not compared"
    with pytest.raises(BadInput, match="scored over other subsets than the"):
        rank(run, images)
    _, part = as_baseline(its, images, Run(tmp_path, run, "run"))
    assert part.record.tasks[name].data["differences"]


def of_task(run: RunRecord, **settings: str) -> RunRecord:
    return replace(run, tasks={name: replace(its, settings={"task": settings}) for name, its in run.tasks.items()})


def test_another_revision_of_the_data_is_said_and_another_metric_is_not_compared(
    lines: list[dict[str, str]], tmp_path: Path
) -> None:
    name, model = "CIRRIT2IRetrieval", "openai/clip-vit-base-patch16"
    images = find_benchmark("mteb").published_with([name])
    assert images is not None
    its = images.of_model(model)
    theirs = {line["dataset_revision"] for line in lines if line["task"] == name}
    assert set(images.revisions[name]) == theirs
    with quiet():
        today = mteb.get_task(name).metadata
    assert images.metrics[name] == today.main_score
    assert today.dataset["revision"] not in theirs
    plain = record({name: {"test": dict.fromkeys(images.subsets[name], its.scores[name]["test"])}}, model, "mteb")
    said = "published over another revision of the data"
    for revision, note in ((today.dataset["revision"], said), (*theirs, "")):
        run = of_task(plain, revision=revision, main_score=today.main_score)
        checked = verify(run, its, images, only=[name]).tasks[0]
        assert (checked.verdict, checked.note) == ("OK", note)
        assert (f"{said}: {name}" in rank(run, images).notes) is bool(note)
    other = of_task(plain, main_score="pearson")
    line = f"its score is pearson, and {today.main_score} is published"
    checked = verify(other, its, images, only=[name]).tasks[0]
    assert (checked.verdict, checked.note, checked.published) == ("not compared", line, None)
    with pytest.raises(BadInput, match=line):
        rank(other, images)
    _, part = as_baseline(its, images, Run(tmp_path, other, "run"))
    assert part.record.tasks[name].data["differences"] == [line]


def test_tasks_that_no_model_has_published_are_left_out_of_a_ranking(lines: list[dict[str, str]]) -> None:
    benchmark = find_benchmark("VisualDocumentRetrieval")
    scores = {row.name: {s: dict.fromkeys(row.subsets, 0.5) for s in row.splits} for row in benchmark.tasks()}
    run = record(scores, "me/mine", benchmark.name)
    ranking = rank(run, published_table(run))
    assert (len(ranking.tasks), len(ranking.entries), ranking.average) == (10, 8, None)
    assert set(ranking.left_out.values()) == {"no model has published it"}


def test_tasks_by_name_are_compared_with_the_table_that_has_them() -> None:
    benchmark = find_benchmark("mteb")
    images = benchmark.published_with(["CIRRIT2IRetrieval", "LCQMC", "Country211"])
    assert images is not None
    assert images.title == "mteb's tasks with images"
    for tasks in (["LCQMC", "BQ", "Country211"], ["SciFact"], []):
        assert benchmark.published_with(tasks) is find_benchmark("cmteb").published()
