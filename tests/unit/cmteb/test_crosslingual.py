"""T2Reranking across languages: its rows in the first form, and its score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from huggingface_hub import constants

from flagbench import BadData
from flagbench.cmteb.benchmark import CMTEB
from flagbench.models.baselines.random import FakeEncoder, FakeScorer
from flagbench.models.loading.registry import published
from flagbench.runners.benchmark import EvaluatedModel, Loaded
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.mteb.evaluation import evaluate
from flagbench.runners.progress import Silent
from flagbench.runners.request import RunRequest
from flagbench.runners.task import Task
from tests.unit.cmteb_tasks import load

_ROW: Task = next(task for task in CMTEB.tasks() if task.name == "T2RerankingZh2En")
_ROWS: list[dict[str, Any]] = [
    {
        "query": "猫吃什么",
        "positive": ["Cats eat fish.", "Cats eat meat."],
        "negative": ["Rain falls.", "Tax law.", "Ice"],
    },
    {"query": "没有负例", "positive": ["Never alone."], "negative": []},
    {"query": "下雨吗", "positive": ["It rains today."], "negative": [f"Other text {row}" for row in range(12)]},
    {"query": "没有正例", "positive": [], "negative": ["Nothing right."]},
    {"query": "税是什么", "positive": ["Tax law.", "A tax", "Taxes"], "negative": ["Cats eat fish."]},
]
_KEPT = [0, 2, 4]


def _write(root: Path, rows: list[dict[str, Any]]) -> Snapshots:
    path = root / _ROW.dataset / "data" / "dev-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    pd.DataFrame(rows).to_parquet(path)
    return Snapshots(root)


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    return load(_ROW, _write(tmp_path, _ROWS))


def _parts(loaded: Loaded) -> dict[str, Any]:
    return loaded.content.dataset["default"]["dev"]


def test_queries_without_positives_or_negatives_are_left_out(loaded: Loaded) -> None:
    assert list(_parts(loaded)["queries"]["text"]) == [_ROWS[row]["query"] for row in _KEPT]


def test_the_candidates_of_a_query_are_its_own_passages(loaded: Loaded) -> None:
    parts = _parts(loaded)
    texts = dict(zip(parts["corpus"]["id"], parts["corpus"]["text"], strict=True))
    found = [[texts[name] for name in parts["top_ranked"][query]] for query in parts["queries"]["id"]]
    assert [sorted(each) for each in found] == [
        sorted([*_ROWS[row]["positive"], *_ROWS[row]["negative"]]) for row in _KEPT
    ]


def test_the_judgements_are_those_of_the_rows(loaded: Loaded) -> None:
    parts = _parts(loaded)
    texts = dict(zip(parts["corpus"]["id"], parts["corpus"]["text"], strict=True))
    assert set(parts["relevant_docs"]) == set(parts["queries"]["id"]) == set(parts["top_ranked"])
    for query, row in zip(parts["queries"]["id"], _KEPT, strict=True):
        judged = [(texts[name], relevance) for name, relevance in parts["relevant_docs"][query].items()]
        expected = [(text, 1) for text in _ROWS[row]["positive"]] + [(text, 0) for text in _ROWS[row]["negative"]]
        assert sorted(judged) == sorted(expected)


def test_ids_of_passages_are_unique(loaded: Loaded) -> None:
    names = list(_parts(loaded)["corpus"]["id"])
    assert len(names) == len(set(names)) == sum(len(_ROWS[r]["positive"]) + len(_ROWS[r]["negative"]) for r in _KEPT)


def test_nothing_is_published_to_hold_the_rows_against(loaded: Loaded) -> None:
    assert loaded.data.status == "unknown"


def test_an_empty_passage_is_refused(tmp_path: Path) -> None:
    rows = [*_ROWS, {"query": "空", "positive": ["ok"], "negative": [""]}]
    with pytest.raises(BadData, match=r"T2RerankingZh2En: .*empty text in split dev, column corpus"):
        load(_ROW, _write(tmp_path, rows))


def test_rows_of_another_form_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"T2RerankingZh2En: .*positive"):
        load(_ROW, _write(tmp_path, [{"query": "a", "pos": ["b"], "neg": ["c"]}]))


def _average_precision(scores: list[float], relevant: int) -> float:
    """Of passages whose first ``relevant`` ones are right."""
    order = sorted(range(len(scores)), key=lambda place: -scores[place])
    hits, total = 0, 0.0
    for rank, place in enumerate(order, start=1):
        if place < relevant:
            hits += 1
            total += hits / rank
    return total / relevant


def _naive_map(score: Any) -> float:
    values = []
    for row in (_ROWS[number] for number in _KEPT):
        passages = [*row["positive"], *row["negative"]]
        values.append(_average_precision([score(row["query"], text) for text in passages], len(row["positive"])))
    return float(np.mean(values))


def test_the_score_of_an_encoder_is_the_mean_average_precision(loaded: Loaded) -> None:
    encoder = FakeEncoder(published()["flagbench/random"])

    def cosine(query: str, passage: str) -> float:
        one, two = encoder.encode([query, passage], role="query").dense.astype(float)
        return float(one @ two)

    outcome = evaluate(loaded, EvaluatedModel(encoder), Silent(), None)
    assert outcome.scores["dev"]["default"] == pytest.approx(_naive_map(cosine), abs=1e-5)
    assert 0 < outcome.scores["dev"]["default"] < 1
    assert outcome.texts["asked"] == 3 + len(_parts(loaded)["corpus"])


def test_the_score_of_a_reranker_is_the_mean_average_precision(loaded: Loaded) -> None:
    scorer = FakeScorer(published()["flagbench/random-reranker"])
    outcome = evaluate(loaded, EvaluatedModel(scorer), Silent(), None)
    expected = _naive_map(lambda query, passage: float(scorer.score([(query, passage)])[0]))
    assert outcome.scores["dev"]["default"] == pytest.approx(expected, abs=1e-5)


def test_vectors_that_are_all_alike_do_not_score_well(loaded: Loaded) -> None:
    """trec_eval breaks ties by the id, last first: the ids put the wrong passages ahead."""

    class _Constant(FakeEncoder):
        def encode(self, texts: Any, **_: Any) -> Any:
            return super().encode(["the same"] * len(texts), role="query")

    outcome = evaluate(loaded, EvaluatedModel(_Constant(published()["flagbench/random"])), Silent(), None)
    worst = _naive_map(
        lambda query, passage: -float(any(passage in row["positive"] for row in _ROWS if row["query"] == query))
    )
    assert outcome.scores["dev"]["default"] == pytest.approx(worst, abs=1e-5)


def test_the_layout_is_checked_without_reading_rows(tmp_path: Path) -> None:
    request = RunRequest("flagbench/random", "cmteb")
    CMTEB.check(_ROW, _write(tmp_path, _ROWS), request)
    other = next(task for task in CMTEB.tasks() if task.name == "T2RerankingEn2Zh")
    with pytest.raises(BadData, match="C-MTEB/T2Reranking_en2zh"):
        CMTEB.check(other, Snapshots(tmp_path), request)


def test_the_commit_behind_an_unpinned_revision_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "datasets--C-MTEB--T2Reranking_zh2en"
    (repo / "snapshots" / commit / "data").mkdir(parents=True)
    pd.DataFrame(_ROWS).to_parquet(repo / "snapshots" / commit / "data" / "dev-00000-of-00001.parquet")
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit, encoding="utf-8")
    assert commit in load(_ROW, Snapshots(None)).data.source
