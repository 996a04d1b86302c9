"""What scoring a task through mteb leaves: every part of the outcome, whichever kind of model it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flagbench.cmteb.benchmark import CMTEB
from flagbench.models.baselines.bm25 import BM25
from flagbench.models.baselines.random import DIMENSION, FakeEncoder, FakeScorer
from flagbench.models.loading.registry import published
from flagbench.results.values import Values
from flagbench.results.worst_queries import Examples
from flagbench.runners.benchmark import EvaluatedModel, Loaded, Outcome
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.progress import Silent
from tests.conftest import MINI
from tests.unit.cmteb_tasks import load

ENCODER = FakeEncoder(published()["flagbench/random"])
RERANKER = FakeScorer(published()["flagbench/random-reranker"])
WORDS = BM25(published()["flagbench/bm25"])


def _loaded(name: str) -> Loaded:
    return load(next(task for task in CMTEB.tasks() if task.name == name), Snapshots(MINI))


def _outcome(loaded: Loaded, *models: Any) -> Outcome:
    return CMTEB.evaluate(loaded, EvaluatedModel(*models), Silent(), None)


def _texts(loaded: Loaded) -> list[str]:
    """Of a retrieval task, those that are encoded; ids that are drawn twice are there twice."""
    (data,) = (loaded.content.dataset["default"][split] for split in loaded.task.splits)
    titles = data["corpus"]["title"] if "title" in data["corpus"].column_names else [""] * len(data["corpus"])
    passages = [f"{title} {text}".strip() for title, text in zip(titles, data["corpus"]["text"], strict=True)]
    return [*data["queries"]["text"], *passages]


@pytest.mark.parametrize(
    ("name", "models", "searched"),
    [
        ("LCQMC", (ENCODER,), False),
        ("CovidRetrieval", (ENCODER,), True),
        ("CovidRetrieval", (WORDS,), True),
        ("T2Reranking", (RERANKER,), False),
    ],
    ids=["pairs", "search", "words", "a reranker alone"],
)
def test_an_outcome_has_all_its_parts(name: str, models: tuple[Any, ...], searched: bool) -> None:
    loaded = _loaded(name)
    outcome = _outcome(loaded, *models)
    (split,) = loaded.task.splits
    result = json.loads(outcome.files[f"{name}.json"])
    (scores,) = result["scores"][split]
    assert (result["task_name"], result["dataset_revision"]) == (name, loaded.task.revision)
    assert outcome.scores == {split: {"default": pytest.approx(scores["main_score"], abs=5.1e-7)}}
    kept = {f"{name}.json", Values.file(name), *([Examples.file(name)] if name != "LCQMC" else [])}
    assert outcome.files.keys() == kept

    assert outcome.shared.keys() == {"model_meta.json"}
    meta = json.loads(outcome.shared["model_meta.json"])
    spec = models[0].spec
    assert (meta["name"], meta["revision"]) == (spec.name, spec.revision)
    assert meta["embed_dim"] == (DIMENSION if models[0] is ENCODER else None)

    assert (outcome.search is not None) == searched
    assert outcome.seconds.keys() == {"encode", "search", "score"}
    assert {stage: seconds > 0 for stage, seconds in outcome.seconds.items()} == {
        "encode": models[0] is ENCODER,
        "search": searched,
        "score": True,
    }
    assert result["evaluation_time"] == pytest.approx(sum(outcome.seconds.values()))
    if models[0] is not ENCODER:
        assert outcome.texts == {}
    elif searched:
        texts = _texts(loaded)
        assert outcome.texts["asked"] == len(texts)
        assert outcome.texts["encoded"] == outcome.texts["distinct"] <= len(texts)
    assert (outcome.note, outcome.partial, outcome.sample) == ("", False, None)
