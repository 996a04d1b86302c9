"""The values of a task's items have its score for their mean, whatever the task, and mteb's file is as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict

from flagbench.cmteb.benchmark import CMTEB
from flagbench.models.baselines.random import FakeEncoder, FakeScorer
from flagbench.models.loading.registry import published
from flagbench.results.values import Values
from flagbench.results.worst_queries import COUNT, PASSAGES, Examples
from flagbench.runners.benchmark import Benchmark, DataVerdict, EvaluatedModel, Loaded, Outcome
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.mteb.bridge import EncoderBridge, quiet
from flagbench.runners.mteb.items import Items
from flagbench.runners.progress import Silent
from flagbench.runners.request import RunRequest
from flagbench.suites.mteb.benchmark import MTEB
from flagbench.suites.mteb.options import MtebOptions
from tests.conftest import MINI
from tests.unit.cmteb_tasks import load, mteb_task

MINI_TASKS = list(CMTEB.averages(RunRequest("", "cmteb", mini=True))["Avg"])
RANKED = ("Retrieval", "Reranking")

_ENCODER = FakeEncoder(published()["flagbench/random"])


@cache
def _mini(name: str) -> Loaded:
    return load(next(task for task in CMTEB.tasks() if task.name == name), Snapshots(MINI))


def _values(outcome: Outcome, task: str) -> Values:
    return Values.from_json(outcome.files[Values.file(task)], outcome.scores)


def _holds(outcome: Outcome, loaded: Loaded) -> None:
    """The mean of the values is the score, as near as mteb's own rounding of retrieval metrics lets it be."""
    means = _values(outcome, loaded.task.name).means(loaded.task.main_score)
    bound = 5.1e-6 if loaded.task.kind in RANKED else 1e-12
    for split, by_subset in outcome.scores.items():
        assert means[split] == pytest.approx(by_subset, abs=bound, rel=0)
    assert means.keys() == outcome.scores.keys()


@pytest.mark.parametrize("name", MINI_TASKS)
def test_the_mean_is_the_score_of_every_kind_of_task(name: str) -> None:
    loaded = _mini(name)
    outcome = CMTEB.evaluate(loaded, EvaluatedModel(_ENCODER), Silent(), None)
    _holds(outcome, loaded)
    assert (Examples.file(name) in outcome.files) == (loaded.task.kind in RANKED)


def test_of_a_reranker_alone_and_of_one_behind_an_encoder() -> None:
    reranker = FakeScorer(published()["flagbench/random-reranker"])
    _holds(CMTEB.evaluate(_mini("T2Reranking"), EvaluatedModel(reranker), Silent(), None), _mini("T2Reranking"))
    behind = EvaluatedModel(_ENCODER, reranker, 10)
    _holds(CMTEB.evaluate(_mini("CovidRetrieval"), behind, Silent(), None), _mini("CovidRetrieval"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("benchmark", "name"),
    [
        *((CMTEB, name) for name in ("LCQMC", "AFQMC", "PAWSX", "STSB", "Ocnli", "TNews", "CLSClusteringS2S")),
        *((MTEB, name) for name in ("SciFact", "XQuADRetrieval", "STSBenchmark", "Banking77Classification")),
    ],
)
def test_the_mean_is_the_score_on_real_data(benchmark: Benchmark, name: str, shared_data: Path) -> None:
    options = MtebOptions(("zh", "en")) if name == "XQuADRetrieval" else None
    request = RunRequest("", benchmark.name, tasks=(name,), options=options)
    (row,) = benchmark.select(request)
    loaded = benchmark.load(row, Snapshots(shared_data), request)
    _holds(benchmark.evaluate(loaded, EvaluatedModel(_ENCODER), Silent(), None), loaded)


@contextmanager
def _unseen(_: Items, predictions: Path | None) -> Iterator[Path | None]:
    yield predictions


@pytest.mark.parametrize("name", ["LCQMC", "Ocnli", "TNews", "CLSClusteringS2S", "CovidRetrieval", "T2Reranking"])
def test_mteb_s_scores_and_predictions_are_as_without(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for folder in (tmp_path / "seen", tmp_path / "unseen"):
        if found:
            monkeypatch.setattr(Items, "gathering", _unseen)
        folder.mkdir()
        outcome = CMTEB.evaluate(_mini(name), EvaluatedModel(_ENCODER), Silent(), folder)
        scores = json.loads(outcome.files[f"{name}.json"])["scores"]
        found.append((scores, (folder / f"{name}_predictions.json").read_text(encoding="utf-8")))
    assert found[0] == found[1]


def test_predictions_that_nobody_wants_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    CMTEB.evaluate(_mini("LCQMC"), EvaluatedModel(_ENCODER), Silent(), None)
    assert not list(tmp_path.iterdir())


def _looked_at(loaded: Loaded, metric: str) -> tuple[dict[str, str], Mapping[str, Any]]:
    """The files of a task as if another metric were its main score, and mteb's scores."""
    row = replace(loaded.task, main_score=metric)
    items, encoder = Items(row, loaded.content), TextEncoder(_ENCODER, Silent())
    bridge = EncoderBridge(encoder, EvaluatedModel(_ENCODER), Silent())
    (split,) = row.splits
    with quiet(), items.gathering(None) as folder:
        scores = loaded.content.evaluate(bridge, split, encode_kwargs={}, prediction_folder=folder)
    items.scored(split, scores)
    return items.files(), scores["default"]


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        *(
            ("CovidRetrieval", f"{family}_at_10")
            for family in ("ndcg", "map", "recall", "precision", "hit_rate", "mrr")
        ),
        ("T2Reranking", "accuracy"),
        *(("LCQMC", f"{similarity}spearman") for similarity in ("", "cosine_", "manhattan_", "euclidean_")),
        *(("Ocnli", f"{each}_ap") for each in ("max", "similarity", "cosine", "manhattan", "euclidean", "dot")),
        *(("Ocnli", f"{each}_accuracy") for each in ("max", "manhattan", "dot")),
    ],
)
def test_other_main_scores(name: str, metric: str) -> None:
    files, scores = _looked_at(_mini(name), metric)
    means = Values.from_json(files[Values.file(name)], {}).means(metric)
    assert list(means.values()) == [{"default": pytest.approx(scores[metric], abs=5.1e-6)}]


@pytest.mark.parametrize("metric", ["ndcg_at_10", "map_at_10", "recall_at_1"])
def test_of_a_task_that_skips_the_first_result_the_values_are_of_the_others(
    metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = _mini("CovidRetrieval")
    whole = _looked_at(loaded, metric)[1]
    monkeypatch.setattr(loaded.content, "skip_first_result", True)
    files, scores = _looked_at(loaded, metric)
    assert scores[metric] != whole[metric]
    means = Values.from_json(files[Values.file("CovidRetrieval")], {}).means(metric)
    assert list(means.values()) == [{"default": pytest.approx(scores[metric], abs=5.1e-6)}]


def test_mrr_of_a_task_that_skips_the_first_result_leaves_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """mteb hands the rankings out whole, so that no value of a query would be the one that was averaged."""
    loaded = _mini("CovidRetrieval")
    monkeypatch.setattr(loaded.content, "skip_first_result", True)
    assert not _looked_at(loaded, "mrr_at_10")[0]


@pytest.mark.parametrize("metric", ["max_ap", "max_accuracy"])
def test_pairs_in_one_row_have_the_values_of_pairs_in_rows(metric: str) -> None:
    """mteb's first form holds all pairs in one row of lists."""
    row = next(task for task in CMTEB.tasks() if task.name == "Ocnli")
    loaded = load(row, Snapshots(MINI))
    expected = _looked_at(loaded, metric)
    (split,) = row.splits
    columns = loaded.content.dataset.get("default", loaded.content.dataset)
    in_one = {name: [its] for name, its in columns[split].to_dict().items()}
    loaded.content.dataset = DatasetDict({split: Dataset.from_dict(in_one)})
    files, scores = _looked_at(loaded, metric)
    assert (files, scores[metric]) == (expected[0], expected[1][metric])
    assert len(Values.from_json(files[Values.file("Ocnli")], {}).of(metric)) == len(columns[split]) > 1


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        *(("TNews", "f1"), ("LCQMC", "pearson"), ("LCQMC", "angular_spearman")),
        *(("Ocnli", "max_f1"), ("Ocnli", "angular_ap"), ("CovidRetrieval", "nauc_ndcg_at_10_max")),
    ],
)
def test_main_scores_of_another_making_leave_no_file(name: str, metric: str) -> None:
    assert not _looked_at(_mini(name), metric)[0]


def test_clustering_by_levels() -> None:
    row = next(task for task in CMTEB.tasks() if task.name == "CLSClusteringS2S.v2")
    mini = _mini("CLSClusteringS2S").content.dataset["test"][0]
    texts, labels = mini["sentences"], mini["labels"]
    task = mteb_task(row)
    task.dataset = DatasetDict({"test": Dataset.from_dict({"sentences": texts * 4, "labels": labels * 4})})
    task.data_loaded = True
    task.n_clusters, task.max_documents_per_cluster = 3, 100
    loaded = Loaded(row, DataVerdict("unknown", (), ""), task)
    outcome = CMTEB.evaluate(loaded, EvaluatedModel(_ENCODER), Silent(), None)
    _holds(outcome, loaded)
    assert "Level 0 2" in _values(outcome, row.name).of("v_measure")


def test_the_worst_queries_are_shown_with_what_was_found() -> None:
    loaded = _mini("CovidRetrieval")
    outcome = CMTEB.evaluate(loaded, EvaluatedModel(_ENCODER), Silent(), None)
    examples = Examples.from_json(outcome.files[Examples.file("CovidRetrieval")])
    values = _values(outcome, "CovidRetrieval").of("ndcg_at_10")
    assert [each.value for each in examples.queries] == sorted(values.values())[:COUNT]
    data = loaded.content.dataset["default"]["dev"]
    queries = dict(zip(data["queries"]["id"], data["queries"]["text"], strict=True))
    passages = {row["id"]: f"{row['title']} {row['text']}".strip() for row in data["corpus"]}
    for each in examples.queries:
        assert (each.text, each.value) == (queries[each.id], values[each.id])
        assert [passage.rank for passage in each.found] == list(range(1, PASSAGES + 1))
        assert {passage.id for passage in each.relevant} == set(data["relevant_docs"][each.id])
        for passage in (*each.found, *each.relevant):
            assert passage.text == passages[passage.id]
            assert passage.relevance == data["relevant_docs"][each.id].get(passage.id, 0)


def test_a_task_whose_values_are_not_all_there_leaves_none() -> None:
    loaded = _mini("LCQMC")
    items = Items(replace(loaded.task, splits=("test", "validation")), loaded.content)
    bridge = EncoderBridge(TextEncoder(_ENCODER, Silent()), EvaluatedModel(_ENCODER), Silent())
    with quiet(), items.gathering(None) as folder:
        loaded.content.evaluate(bridge, "test", encode_kwargs={}, prediction_folder=folder)
    assert items.files() == {}
