"""The identity of settings: what is made under it by earlier versions is found for ever."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.models.adapters import ADAPTERS
from flagbench.models.contract import Role
from flagbench.models.loading.overrides import Overrides, override
from flagbench.models.loading.registry import family_spec, published
from flagbench.models.rerankers.settings import CompressionSettings
from flagbench.models.servers.chat_model import api_model
from flagbench.models.spec import ModelSpec
from flagbench.models.video import VideoSettings
from flagbench.results.identity import former, settings_digest, today
from flagbench.runners.run.settings import model_settings
from flagbench.runners.store.folder import name_of
from flagbench.runners.task import Task
from tests.conftest import ROOT

FORMER = ROOT / "tests" / "former"
# By model: its spec, the digest of a task's settings and the names of the store's spaces, as df75962 wrote them.
WRITTEN: dict[str, Any] = json.loads((FORMER / "identities.json").read_text(encoding="utf-8"))
TASK = Task("T2Retrieval", "Retrieval", "org/data", "main", ("dev",), "ndcg_at_10", "core")
ROLES: tuple[Role, ...] = ("query", "passage", "symmetric")


def _family(name: str) -> ModelSpec:
    return family_spec(name, name="org/model", revision="r")


def _spec(label: str) -> ModelSpec:
    """The model of a row as today's code makes it."""
    if label in published():
        return published()[label]
    if label.startswith("family "):
        return _family(label.removeprefix("family "))
    m3 = published()["BAAI/bge-m3"]
    match label.split():
        case ["bge-m3", "mldr"]:
            return override(m3, Overrides(own={"retrieval": "hybrid", "weights": (0.15, 0.5, 0.35), "candidates": 50}))[
                0
            ]
        case ["bge-m3", ("sparse" | "colbert" | "hybrid") as retrieval]:
            return override(m3, Overrides(own={"retrieval": retrieval}))[0]
        case ["pseudo-moe", domain]:
            return override(_family("pseudo-moe"), Overrides(own={"domain": domain}))[0]
        case ["lightweight", "layer"]:
            layers: dict[str, Any] = {"cutoff_layer": 25, "head": 3, "compress_layers": (8, 16), "compress_ratio": 2}
            spec = _family("lightweight-reranker")
            return replace(spec, own=replace(spec.own_as(CompressionSettings), **layers, prompt="Really?"))
        case ["merged"]:
            merged: dict[str, Any] = {"base": "org/base@1", "adapters": ("a@1", "b@2"), "dense_layers": ("2_Dense",)}
            return replace(_family("bge-zh"), **merged, attention="eager")
        case ["video"]:
            return ModelSpec(
                name="org/video",
                revision="r",
                family="detected",
                adapter="video-lm",
                ability="generate",
                query_max_length=0,
                passage_max_length=0,
                dtype="bf16",
                own=VideoSettings(frames=8, sampler="fps", fps=1.0),
            )
        case ["letters"]:
            return replace(published()["flagbench/first-letter"], own=VideoSettings(frames=0, sampler="mlvu"))
        case ["server"]:
            return api_model(
                "some-model", "http://localhost:8000/v1", VideoSettings(frames=4, prompt="no-prefill", sampler="mlvu")
            )
    raise AssertionError(label)


def _spaces(spec: ModelSpec) -> dict[str, dict[str, Any]]:
    """The identities of a model's spaces, by role and part."""
    common: dict[str, Any] = {"dtype": "float32", "part": "dense"}
    if spec.ability == "score":
        return {"pair": {"model": spec.as_dict(), "role": "pair", "instruction": "", **common}}
    if spec.ability != "encode":
        return {}
    return {
        f"{role}/{part}": {
            "model": spec.vector_settings(role), "role": role, "instruction": "i: ", **common, "part": part
        }
        for role in ROLES
        for part in spec.parts
    }  # fmt: skip


@pytest.mark.parametrize("label", WRITTEN)
def test_what_was_written_before_adapters_had_ids_is_found(label: str) -> None:
    written, spec = WRITTEN[label], _spec(label)
    settings = {
        **model_settings(spec, TASK),
        "data": {"source": "hub", "commit": "c"},
        "task": {"name": "T2Retrieval"},
    }
    earlier = former(settings)
    assert earlier is not None
    assert settings_digest(earlier) == written["task"]
    assert today(earlier) == settings
    assert former(spec.as_dict()) == written["spec"]
    found = {place: name_of(former(identity) or {}) for place, identity in _spaces(spec).items()}
    assert found == written["spaces"]


def test_two_models_never_share_a_place() -> None:
    """Every row has settings of its own, so neither a digest nor the name of a space may come twice."""
    digests = [settings_digest(_spec(label).as_dict()) for label in WRITTEN]
    assert len(set(digests)) == len(digests)
    # A published checkpoint and itself with other rankings share their dense vectors, and nobody else does.
    alone = [label for label in WRITTEN if not label.startswith("bge-m3")]
    names = [name_of(each) for label in alone for each in _spaces(_spec(label)).values()]
    assert len(set(names)) == len(names)


def test_every_adapter_has_an_id_of_its_own_and_no_place_in_its_identity() -> None:
    assert len(set(ADAPTERS.values())) == len(ADAPTERS)
    for label in WRITTEN:
        assert _spec(label).adapter in ADAPTERS
        assert ":" not in _spec(label).adapter


def test_settings_of_an_adapter_that_is_younger_have_no_earlier_form() -> None:
    assert former({"model": {"adapter": "dense"}, "reranker": {"adapter": "younger"}}) is None
    assert former({"model": {"adapter": "dense"}}) == {"model": {"adapter": "models.dense:load"}}
    assert today({"adapter": "somebody.elses:load"}) == {"adapter": "somebody.elses:load"}
    assert today({"adapter": ["no text"]}) == {"adapter": ["no text"]}


_THEN = {
    "dense": "models.dense:load",
    "m3": "models.m3:load",
    "icl": "models.icl:load",
    "llara": "models.llara:load",
    "moe": "models.moe:load",
    "cross-encoder": "models.crossencoder:load",
    "llm-reranker": "models.llm_reranker:load",
    "layerwise": "models.layerwise:load",
    "random": "models.fake:load_encoder",
    "random-reranker": "models.fake:load_scorer",
    "bm25": "models.bm25:load",
    "letter-first": "models.letters:load_first",
    "letter-random": "models.letters:load_random",
    "letter-majority": "models.letters:load_majority",
    "video-lm": "models.video_lm:load",
    "api": "models.api:load",
}


@pytest.mark.parametrize(("adapter", "then"), _THEN.items())
def test_each_adapter_of_then_keeps_its_id_and_its_place(adapter: str, then: str) -> None:
    """At any depth, and beside values that name none; these texts lie on users' disks."""
    settings = {"reranker": {"adapter": adapter, "revision": "r"}, "model": {"inner": {"adapter": adapter}}, "n": 1}
    assert former(settings) == {
        "reranker": {"adapter": then, "revision": "r"},
        "model": {"inner": {"adapter": then}},
        "n": 1,
    }
    assert today(former(settings) or {}) == settings


def test_settings_that_are_no_utf_8_are_refused_by_the_text_around() -> None:
    """A name of a file, as Python reads one from a disk whose names are of another encoding."""
    with pytest.raises(BadInput) as refused:
        settings_digest({"model": {"name": "local/caf\udce9"}, "long": "x" * 100})
    said = str(refused.value)
    assert "local/caf\N{REPLACEMENT CHARACTER}" in said
    assert said.isprintable()
    assert len(said) < 250
