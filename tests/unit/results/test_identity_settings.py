"""Settings of one family in the identity: every model had those of all families before, and now has its own alone."""

from __future__ import annotations

from typing import Any

import pytest

from flagbench.results.identity import former, today

# What every spec had, with the values of a model that had no use for it: as df75962 wrote them.
OF_ALL: dict[str, Any] = {
    "retrieval": "dense",
    "weights": [],
    "candidates": 0,
    "prompt": "",
    "cutoff_layer": 0,
    "head": 0,
    "head_index": "layer",
    "compress_layers": [],
    "compress_ratio": 1,
    "domain": "",
}
RANKING = {"retrieval", "weights", "candidates"}
LAYERS = {"prompt", "cutoff_layer", "head", "head_index", "compress_layers", "compress_ratio"}
OWN = [
    ("models.dense:load", "dense", set()),
    ("models.icl:load", "icl", set()),
    ("models.m3:load", "m3", RANKING),
    ("models.moe:load", "moe", {"domain"}),
    ("models.llm_reranker:load", "llm-reranker", {"prompt"}),
    ("models.layerwise:load", "layerwise", LAYERS),
    ("models.bm25:load", "bm25", set()),
    ("models.video_lm:load", "video-lm", set()),
]


@pytest.mark.parametrize(("place", "adapter", "own"), OWN, ids=[row[1] for row in OWN])
def test_a_spec_of_then_is_read_as_one_of_today_and_back(place: str, adapter: str, own: set[str]) -> None:
    then = {"name": "org/m", "adapter": place, "query_max_length": 8, "passage_max_length": 8, **OF_ALL}
    new = today(then)
    assert new == {"name": "org/m", "adapter": adapter, "query_max_length": 8, "passage_max_length": 8} | {
        name: OF_ALL[name] for name in own
    }
    assert today(new) == new
    assert former(new) == then


@pytest.mark.parametrize(("place", "adapter", "own"), OWN, ids=[row[1] for row in OWN])
def test_settings_of_vectors_had_no_ranking(place: str, adapter: str, own: set[str]) -> None:
    beside = {name: value for name, value in OF_ALL.items() if name not in RANKING}
    then = {"name": "org/m", "adapter": place, "max_length": 8, **beside}
    new = {"name": "org/m", "adapter": adapter, "max_length": 8} | {name: OF_ALL[name] for name in own - RANKING}
    assert former(new) == then
    assert today(then) == new


def test_a_value_that_nobody_could_have_stays() -> None:
    odd = {"adapter": "models.dense:load", "query_max_length": 8, "domain": "law"}
    assert today(odd) == odd | {"adapter": "dense"}


@pytest.mark.parametrize("adapter", ["somebody.elses:load", "younger"])
def test_settings_of_an_unknown_adapter_stay_as_they_are(adapter: str) -> None:
    unknown = {"adapter": adapter, "query_max_length": 8, "domain": "", "head": 0}
    assert today({"model": unknown}) == {"model": unknown}
    assert former({"model": unknown}) is None


def test_specs_are_found_at_any_depth() -> None:
    spec = {"adapter": "models.dense:load", "query_max_length": 8, **OF_ALL}
    reranker = {"adapter": "models.llm_reranker:load", "query_max_length": 8, **OF_ALL, "prompt": "Is it?", "top_k": 5}
    then = {"a": {"b": {"model": spec}}, "reranker": reranker, "prompt": "", "head": 0}
    new = {
        "a": {"b": {"model": {"adapter": "dense", "query_max_length": 8}}},
        "reranker": {"adapter": "llm-reranker", "query_max_length": 8, "prompt": "Is it?", "top_k": 5},
        "prompt": "",
        "head": 0,
    }
    assert today(then) == new
    assert former(new) == then
