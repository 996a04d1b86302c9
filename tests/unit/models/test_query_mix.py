"""The file of generations that queries are mixed with, and what it makes of a model's settings."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.models.loading.overrides import Overrides, override
from flagbench.models.loading.registry import published
from flagbench.models.query_mix import QueryMix
from tests.saying import saying
from tests.unit.spec_values import SPEC


def written(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return path


def mix_of(path: Path) -> QueryMix:
    return QueryMix.of(path, (0.2, 0.8))


def test_generations_are_found_by_text_and_by_id(tmp_path: Path) -> None:
    path = written(
        tmp_path / "made.jsonl",
        {"query": "what is a cat", "generation": "A cat is an animal."},
        {"query_id": 7, "text": "Seven."},
        {"query_id": "q8", "generations": ["Eight.", "Acht."]},
        {"query": "what is a cat", "generation": "A cat is an animal."},  # twice and alike
    )
    found = mix_of(path).generations()
    assert found.of("T", ["1", "7", "q8"], ["what is a cat", "x", "y"]) == [
        ("A cat is an animal.",),
        ("Seven.",),
        ("Eight.", "Acht."),
    ]
    with pytest.raises(BadInput, match=r"made.jsonl has no generation for 2 of 3 queries of T \(ids: 1, 3\): add a"):
        found.of("T", ["1", "7", "3"], ["x", "y", "z"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no generation"),
        (b"{", "line 1 is not JSON"),
        (b"[1]", "line 1 is not an object"),
        (b'{"query": "a"}', "line 1 has None instead of a text in generation"),
        (b'{"query": "a", "generation": " "}', "line 1 has ' ' instead of a text in generation"),
        (b'{"query": "a", "generations": []}', "line 1 has None instead of a text in generations"),
        (b'{"query": "a", "generations": ["b", 1]}', "line 1 has 1 instead of a text in generations"),
        (b'{"query": "", "generation": "b"}', "line 1 has '' instead of a query, or a query_id"),
        (b'{"generation": "b"}', "line 1 has None instead of a query, or a query_id"),
        (b'{"query_id": true, "generation": "b"}', "line 1 has True instead of a query, or a query_id"),
        (
            b'{"query": "a", "text": "b"}\n\n{"query": "a", "text": "c"}',
            "line 3 has another generation of the query 'a' than a line before it",
        ),
        (b'{"query": "\xff", "generation": "b"}', "line 1 is not JSON"),
    ],
)
def test_each_fault_is_one_line(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "made.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        mix_of(path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)
    assert str(caught.value).endswith(": fix the file of --query-mix")


def test_a_pipe_and_an_absent_file_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "absent"):
        with pytest.raises(BadInput, match=name):
            mix_of(tmp_path / name)


def test_a_file_that_changes_during_a_run_is_refused(tmp_path: Path) -> None:
    mix = mix_of(written(tmp_path / "made.jsonl", {"query": "a", "text": "b"}))
    written(mix.path, {"query": "a", "text": "c"})
    with pytest.raises(BadInput, match="has changed since this run began"):
        mix.generations()


def test_weights_and_content_are_settings_and_the_place_is_none(tmp_path: Path) -> None:
    one = written(tmp_path / "one.jsonl", {"query": "a", "text": "b"})
    two = written(tmp_path / "two.jsonl", {"query": "a", "text": "b"})
    three = written(tmp_path / "three.jsonl", {"query": "a", "text": "c"})
    specs = [override(SPEC, saying(query_mix=path))[0] for path in (one, two, three)]
    weighted = override(SPEC, saying(query_mix=one, query_mix_weights=(0.5, 0.5)))[0]
    assert specs[0] == specs[1]
    assert len({spec.digest() for spec in (SPEC, specs[0], specs[2], weighted)}) == 4
    assert str(tmp_path) not in json.dumps(specs[0].as_dict())
    assert specs[0].as_dict()["query_mix"]["weights"] == [0.2, 0.8]
    assert "query_mix" not in SPEC.as_dict()
    # Vectors are cached as those of the plain model, and results lie beside its.
    assert specs[0].name == "org/model-query-mix"
    assert specs[0].vector_settings("query") == SPEC.vector_settings("query")
    named = override(SPEC, saying(query_mix=one, name="org/mine"))[0]
    assert named.name == "org/mine"


def test_the_evidence_says_what_is_done(tmp_path: Path) -> None:
    path = written(tmp_path / "made.jsonl", {"query": "a", "text": "b"})
    _, lines = override(SPEC, saying(query_mix=path))
    assert lines[-1].startswith("query mix: 0.2 of the vector of its generation (as a passage) and 0.8 of the query's")


@pytest.mark.parametrize(
    ("spec", "given", "said"),
    [
        (SPEC, {"query_mix_weights": (0.2, 0.8)}, "--query-mix-weights are those of --query-mix"),
        (SPEC, {"query_mix": True, "query_mix_weights": (0.0, 0.0)}, "give two numbers that are not negative"),
        (SPEC, {"query_mix": True, "query_mix_weights": (-1.0, 2.0)}, "give two numbers that are not negative"),
        (replace(SPEC, ability="score"), {"query_mix": True}, "--query-mix is for an embedding model"),
        (published()["flagbench/bm25"], {"query_mix": True}, "--query-mix does not apply to flagbench/bm25"),
        (published()["BAAI/bge-m3"], {"query_mix": True, "retrieval": "sparse"}, "--retrieval sparse has others"),
    ],
)
def test_what_cannot_be_mixed_is_refused(spec: Any, given: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = written(tmp_path / "made.jsonl", {"query": "a", "text": "b"})
    overrides: Overrides = saying(**{**given, **({"query_mix": path} if "query_mix" in given else {})})
    with pytest.raises(BadInput, match=said):
        override(spec, overrides)
