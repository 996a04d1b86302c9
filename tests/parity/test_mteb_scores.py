"""Main scores against independent truth: mteb itself through sentence-transformers, and published numbers."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench.cmteb.benchmark import CMTEB
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from flagbench.runners.benchmark import Benchmark, EvaluatedModel
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.mteb.bridge import quiet
from flagbench.runners.progress import Silent
from flagbench.runners.request import RunRequest
from flagbench.suites.mteb.benchmark import MTEB
from flagbench.suites.mteb.options import MtebOptions
from tests.conftest import MINI

MINI_TASKS = list(CMTEB.averages(RunRequest("", "cmteb", mini=True))["Avg"])


@pytest.fixture(scope="module")
def adapter(minilm: Path) -> Any:
    model = resolve_model(str(minilm), None, Overrides(), trust_remote_code=False, allow_pickle=False)
    return model.load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=False)


@pytest.fixture(scope="module")
def sentence_transformer(minilm: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(minilm), device="cpu")


def our_scores(benchmark: Benchmark, name: str, adapter: Any, data: Path, *subsets: str) -> dict[str, dict[str, float]]:
    request = RunRequest("", benchmark.name, tasks=(name,), options=MtebOptions(subsets) if subsets else None)
    (row,) = benchmark.select(request)
    loaded = benchmark.load(row, Snapshots(data), request)
    return {
        split: dict(by)
        for split, by in benchmark.evaluate(loaded, EvaluatedModel(adapter), Silent(), None).scores.items()
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MINI_TASKS)
def test_mini_scores_are_those_of_mteb_with_sentence_transformers(
    name: str, adapter: Any, sentence_transformer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets
    import mteb

    ours = our_scores(CMTEB, name, adapter, MINI)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    with quiet():
        task = mteb.get_task(name, eval_splits=list(ours))
        path = task.metadata.dataset["path"]
        monkeypatch.setitem(task.metadata.dataset, "path", str(MINI / path))
        result = mteb.evaluate(sentence_transformer, task, cache=None, co2_tracker=False, show_progress_bar=False)
    bound = 1e-4 if task.metadata.type in {"Classification", "Clustering"} else 1e-6
    for split, entries in result.task_results[0].scores.items():
        for entry in entries:
            assert ours[split][entry["hf_subset"]] == pytest.approx(entry["main_score"], abs=bound)


def mini_texts() -> list[str]:
    """Real texts of every kind that ships with the package."""
    rows = {task.name: task for task in CMTEB.tasks()}
    snapshots = Snapshots(MINI)
    texts: list[str] = []
    for name, config, columns in [
        ("LCQMC", None, ["sentence1", "sentence2"]),
        ("STSB", None, ["sentence1", "sentence2"]),
        ("Waimai", None, ["text"]),
        ("TNews", None, ["text"]),
        ("CovidRetrieval", "corpus", ["text"]),
        ("EcomRetrieval", "corpus", ["text"]),
        ("T2Reranking", "corpus", ["text"]),
    ]:
        task = rows[name]
        for split in task.splits:
            dataset = snapshots.source(task.dataset, task.revision).read(config, split)
            for column in columns:
                texts += dataset[column]
    return texts


def test_vectors_are_those_of_sentence_transformers(adapter: Any, sentence_transformer: Any) -> None:
    texts = mini_texts()
    assert len(texts) > 600
    ours = TextEncoder(adapter, Silent()).encode(texts, role="symmetric")
    theirs = sentence_transformer.encode(texts, show_progress_bar=False)
    assert (ours * theirs).sum(axis=1).min() >= 1 - 1e-6


@pytest.mark.slow
def test_vectors_on_1000_real_texts(adapter: Any, sentence_transformer: Any, shared_data: Path) -> None:
    snapshots = Snapshots(shared_data)
    questions = snapshots.source("C-MTEB/LCQMC", "main").read(None, "test")["sentence1"][:700]
    abstracts = snapshots.source("mteb/scifact", "main").read("corpus", "test")["text"][:300]
    texts = questions + abstracts
    ours = TextEncoder(adapter, Silent()).encode(texts, role="symmetric")
    theirs = sentence_transformer.encode(texts, show_progress_bar=False)
    assert (ours * theirs).sum(axis=1).min() >= 1 - 1e-6
    order = np.random.default_rng(0).permutation(len(texts))
    shuffled = TextEncoder(adapter, Silent()).encode([texts[row] for row in order], role="symmetric")
    assert np.abs(shuffled - ours[order]).max() <= 1e-5


# Rows that are the published ones (data/MANIFEST.md beside the checkout), scores of all-MiniLM-L6-v2 at 256 tokens.
PUBLISHED = [
    pytest.param(CMTEB, "PAWSX", "test", "default", marks=pytest.mark.slow),
    (CMTEB, "STSB", "test", "default"),
    (MTEB, "STSBenchmark", "test", "default"),
    pytest.param(MTEB, "XQuADRetrieval", "validation", "zh", marks=pytest.mark.slow),
    pytest.param(CMTEB, "AFQMC", "validation", "default", marks=pytest.mark.slow),
    pytest.param(CMTEB, "LCQMC", "test", "default", marks=pytest.mark.slow),
    pytest.param(MTEB, "SciFact", "test", "default", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("benchmark", "name", "split", "subset"), PUBLISHED)
def test_published_scores_of_all_minilm_l6_v2(
    benchmark: Benchmark, name: str, split: str, subset: str, adapter: Any, shared_data: Path
) -> None:
    table = shared_data.parent / "published" / "all-MiniLM-L6-v2.csv"
    with table.open(encoding="utf-8") as file:
        rows = {(row["task"], row["split"], row["subset"]): row["main_score"] for row in csv.DictReader(file)}
    subsets = () if subset == "default" else (subset,)
    ours = our_scores(benchmark, name, adapter, shared_data, *subsets)
    assert ours[split][subset] == pytest.approx(float(rows[name, split, subset]), abs=1e-5)
