"""Composed retrieval as a user runs it: the miniature data, with scores recomputed from whole matrices."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench.models.adapters import ADAPTERS, Row
from flagbench.models.inputs import TEXT, content_key
from flagbench.runners.data.sources import Folder
from flagbench.suites.composed.benchmark import COMPOSED
from flagbench.suites.composed.collection import Collection
from flagbench.suites.composed.loading import read
from flagbench.suites.composed.options import ComposedOptions
from flagbench.suites.composed.registry import row_of
from tests.contract.scripted_images import BOTH, ColourEncoder
from tests.e2e.commands import here, one_line
from tests.e2e.test_own import records, score

MODEL = "flagbench/random"
TASKS = ("CIRR", "FashionIQDress", "CIRCO", "WebQA", "MBEIRFashionIQTask7")


class Hashed(ColourEncoder):
    """Vectors that the content alone decides, and that say nothing: every rank is there."""

    def encode(self, texts: Any, **asked: Any) -> Any:
        found = super().encode(texts, **asked)
        return replace(found, dense=np.array([_vector(each) for each in texts], dtype=np.float32).reshape(-1, 16))


def _vector(content: Any) -> NDArray[np.float64]:
    vector = np.random.default_rng(int.from_bytes(content_key(content))).standard_normal(16)
    unit: NDArray[np.float64] = vector / np.linalg.norm(vector)
    return unit


def load_hashed(spec: Any, directory: Path, loading: Any) -> Hashed:
    encoder = Hashed()
    encoder.spec = replace(spec, normalize=True)
    return encoder


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ADAPTERS, "random", Row(f"{__name__}:load_hashed", modalities=BOTH))  # type: ignore[arg-type]


@pytest.fixture
def seeing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ADAPTERS, "random", Row("tests.e2e.test_own_images:load", modalities=BOTH))  # type: ignore[arg-type]


def evaluate(output: Path, *more: str | Path) -> dict[str, dict[str, Any]]:
    result = here("evaluate", MODEL, "--benchmark", "composed", "--mini", "--output", output, *more)
    assert result.returncode == 0, result.stderr
    return records(output)


def collection(name: str) -> Collection:
    mini = COMPOSED.mini_data()
    assert mini is not None
    row = row_of(name)
    return read(row, Folder(mini / row.dataset), ComposedOptions(), pytest.fail)


def ranks(found: Collection) -> tuple[NDArray[np.int64], list[str]]:
    """Candidates of each query by inner product, as numbers, the best first."""
    queries, passages = (np.array([_vector(each) for each in its.texts]) for its in (found.queries, found.passages))
    return np.argsort(-(queries @ passages.T), axis=1), list(found.passages.ids)


@pytest.mark.usefixtures("hashed")
def test_every_metric_is_that_of_a_whole_matrix_of_ranks(tmp_path: Path) -> None:
    recorded = evaluate(tmp_path, "--no-store", "--tasks", ",".join(TASKS))
    (folder,) = {path.parent for path in tmp_path.rglob("CIRR.json") if path.parent.name == "v1"}
    for task in TASKS:
        found, metrics = collection(task), json.loads((folder / f"{task}.json").read_text())["metrics"]
        order, ids = ranks(found)
        assert found.qrels is not None
        values: dict[str, list[float]] = {}
        for query, places in zip(found.queries.ids, order, strict=True):
            ranked, gold = [ids[place] for place in places], found.qrels[query]
            if task == "CIRR":
                ranked.remove(found.excluded[query])
                inner = [each for each in ranked if each in found.subsets[query]]
                assert len(inner) == 5
                values.setdefault("recall_subset_at_2", []).append(float(bool(set(inner[:2]) & set(gold))))
                values.setdefault("recall_at_5", []).append(float(bool(set(ranked[:5]) & set(gold))))
            elif task == "CIRCO":
                hits = np.isin(ranked, list(gold))
                precisions = hits * np.cumsum(hits) / np.arange(1, len(ranked) + 1)
                values.setdefault("map_at_5", []).append(precisions[:5].sum() / min(len(gold), 5))
                values.setdefault("recall_at_25", []).append(float(found.targets[query] in ranked[:25]))
            elif task.startswith("MBEIR"):
                values.setdefault("hit_rate_at_10", []).append(float(bool(set(ranked[:10]) & set(gold))))
            else:
                share = len(set(ranked[:10]) & set(gold)) / len(gold)
                values.setdefault("recall_at_10", []).append(share)
                rank = 1 + min(ranked.index(each) for each in gold)
                values.setdefault("mrr_at_20", []).append(1 / rank if rank <= 20 else 0.0)
        for metric, its in values.items():
            assert 0 < np.mean(its) < 1
            assert metrics[metric] == pytest.approx(np.mean(its), abs=1e-9), (task, metric)
        assert score(recorded[task]) == pytest.approx(metrics[row_of(task).main_score], abs=1e-9)


@pytest.mark.usefixtures("seeing")
def test_a_model_that_sees_colours_finds_all(tmp_path: Path) -> None:
    found = evaluate(tmp_path)
    assert set(found) == {"CIRR", "FashionIQDress", "FashionIQShirt", "FashionIQToptee", "CIRCO"}
    assert {score(record) for record in found.values()} == {1.0}
    (folder,) = tmp_path.glob("*/*/flagbench")
    assert (folder / "per_query/CIRR.json").is_file()
    assert (folder / "worst_queries/CIRCO.json").is_file()
    printed = here("score", "composed", tmp_path).stdout
    assert "recall_subset_at_1" in printed
    assert "FashionIQ mean" in printed
    again = here("evaluate", MODEL, "--benchmark", "composed", "--mini", "--output", tmp_path)
    assert "CIRR: finished before" in again.stderr
    page = tmp_path / "page.html"
    assert here("report", tmp_path, "--html", page).returncode == 0
    assert "Composed retrieval" in page.read_text(encoding="utf-8")


@pytest.mark.usefixtures("hashed")
def test_test_parts_leave_files_for_their_servers(tmp_path: Path) -> None:
    found = evaluate(tmp_path / "out", "--groups", "cir-test")
    assert all(record["scores"] == {} for record in found.values())
    said = here("score", "composed", tmp_path / "out").stdout.splitlines()
    assert [line.split(",")[0] for line in said] == [
        "CIRRTest is scored by http://cirr.cecs.anu.edu.au/ alone",
        "CIRCOTest is scored by https://circo.micc.unifi.it/ alone",
    ]
    assert all("flagbench submit composed" in line for line in said)
    line = one_line(here("submit", "composed", tmp_path / "out", "--output", tmp_path / "files"))
    assert "cirr_recall.json has 30 of 4,148 queries" in line
    assert not (tmp_path / "files").exists()
    made = here("submit", "composed", tmp_path / "out", "--output", tmp_path / "files", "--allow-partial")
    assert made.returncode == 0, made.stderr
    recall, subset, circo = (
        json.loads((tmp_path / "files" / name).read_text())
        for name in ("cirr_recall.json", "cirr_recall_subset.json", "circo.json")
    )
    cirr = collection("CIRRTest")
    order, ids = ranks(cirr)
    for query, places in zip(cirr.queries.ids, order, strict=True):
        ranked = [ids[place] for place in places if ids[place] != cirr.excluded[query]]
        assert recall[query] == ranked[:50]
        assert subset[query] == [each for each in ranked if each in cirr.subsets[query]][:3]
    order, ids = ranks(collection("CIRCOTest"))
    assert circo == {str(query): [int(ids[place]) for place in places[:50]] for query, places in enumerate(order)}


@pytest.mark.usefixtures("hashed")
def test_options_are_settings_and_text_of_circo_is_another(tmp_path: Path) -> None:
    one = evaluate(tmp_path / "a", "--tasks", "CIRCO", "--no-store")["CIRCO"]
    two = evaluate(tmp_path / "b", "--tasks", "CIRCO", "--no-store", "--circo-text", "concept")["CIRCO"]
    assert one["data"]["content"]["queries"] != two["data"]["content"]["queries"]
    assert score(one) != score(two)
    line = one_line(here("evaluate", MODEL, "--benchmark", "composed", "--mini", "--tasks", "MBEIRNIGHTSTask4"))
    assert line.endswith(
        "--mini has no data of MBEIRNIGHTSTask4: flagbench tasks --benchmark composed --mini lists what it has"
    )
    line = one_line(here("evaluate", MODEL, "--benchmark", "composed", "--mini", "--circo-text", "x"))
    assert "invalid choice: 'x'" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((MODEL, "--tasks", "CIRR"), "reads --data DIR: put the data of CIRR into DIR/Cuberick-Orion/CIRR"),
        (("bm25", "--mini"), "bm25"),
        ((MODEL, "--mini", "--groups", "x"), "unknown group 'x'"),
        ((MODEL, "--mini", "--groups", "cir", "--tasks", "CIRR"), "--groups chooses tasks, and so does --tasks"),
    ],
)
@pytest.mark.usefixtures("hashed")
def test_what_cannot_run_is_one_line(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    line = one_line(here("evaluate", *arguments, "--benchmark", "composed", "--output", tmp_path))
    assert said in line


def test_a_model_of_texts_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ADAPTERS, "random", replace(ADAPTERS["random"], modalities=TEXT))  # type: ignore[arg-type]
    line = one_line(here("evaluate", MODEL, "--benchmark", "composed", "--mini", "--output", tmp_path))
    assert "takes text, and CIRR" in line


def test_tasks_are_listed_with_their_counts() -> None:
    printed = here("tasks", "--benchmark", "composed", "--groups", "cir,m-beir").stdout
    for said in ("CIRR", "4,181", "2,297", "123,403", "MBEIRInfoSeekTask8", "TIGER-Lab/M-BEIR"):
        assert said in printed
