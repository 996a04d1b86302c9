"""The line on settings that differ: each kind of value, each part of the settings, and what is none of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from flagbench.results.compare.settings import settings_differ
from flagbench.results.record import RunRecord, TaskRecord

_MODEL: Mapping[str, Any] = {"adapter": "dense", "query_max_length": 256, "passage_max_length": 512, "pooling": "cls"}


def line_of(*pairs: tuple[Mapping[str, Any], Mapping[str, Any]]) -> str:
    """Of two runs whose tasks have these settings."""
    records = []
    for at in (0, 1):
        tasks = {
            name: TaskRecord(name, "STS", "success", pair[at], "") for name, pair in zip("ABC", pairs, strict=False)
        }
        records.append(RunRecord("cmteb", f"org/m{at}", "r", {}, (), {}, tasks))
    return settings_differ(records[0], records[1]).removeprefix("settings differ: ")


def model(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    return line_of(({"model": {**_MODEL, **before}}, {"model": {**_MODEL, **after}}))


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ({"dtype": "fp32"}, {"dtype": "fp16"}, "dtype fp32 → fp16"),
        ({"weights": [1, 0.5]}, {"weights": [1, True, None, ["a"]]}, "weights [1, 0.5] → [1, on, none, [a]]"),
        ({"weights": []}, {"weights": ""}, ""),
        ({"weights": []}, {}, ""),
        ({"head": 0}, {"head": False}, "head 0 → off"),
        ({"head": 0}, {}, "head 0 → none"),
        ({"base": "x" * 40}, {"base": "x" * 41}, f"base {'x' * 40} → {'x' * 40}…"),
        ({"base": " a "}, {"base": "a"}, ""),
        ({"base": "a"}, {"base": "a\x1b"}, "base a → a�"),
        ({"video": {"fps": 1, "size": {"w": 2}}}, {"video": {"fps": 1, "size": {"w": 3}}}, "video size w 2 → 3"),
        ({}, {"video": {"fps": 1}}, "video fps none → 1"),
        ({"odd_key": 1}, {"odd_key": 2}, "odd key 1 → 2"),
        ({"query_max_length": 8, "passage_max_length": 8}, {"query_max_length": 9, "passage_max_length": 9},
         "max length 8 → 9"),
        (
            {},
            {"query_max_length": 8, "passage_max_length": 8},
            "query max length 256 → 8, passage max length 512 → 8",
        ),
        ({}, {"passage_max_length": 8}, "passage max length 512 → 8"),
        ({"family": "a", "name": "b", "revision": "c", "licence": "d"}, {"family": "e"}, ""),
        ({"own": 1}, {"adapter": "m3", "weights": [1], "pooling": "mean"}, "loaded as dense → m3, pooling cls → mean"),
        # Of models of two kinds what both have is said; a search without vectors has nothing that others have.
        ({"ability": "replay", "adapter": "run-file"}, {"ability": "search", "adapter": "bm25", "pooling": ""},
         "kind of model given rankings → search without vectors"),
        ({"ability": "encode"}, {"ability": "score", "adapter": "cross", "passage_max_length": 8},
         "kind of model embedding model → reranker, loaded as dense → cross, passage max length 512 → 8"),
        ({"ability": "replay", "adapter": "run-file"}, {"ability": "replay", "adapter": "fusion"},
         "loaded as a run file → fused rankings"),
        ({"ability": "odd"}, {"ability": "replay"}, "kind of model odd → given rankings"),
    ],
)  # fmt: skip
def test_settings_of_a_model(before: dict[str, Any], after: dict[str, Any], line: str) -> None:
    assert model(before, after) == line
    back = model(after, before)
    assert (back == "") == (line == "")


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ({"instruction": {"query": "a", "symmetric": ""}}, {"instruction": {"query": "b", "symmetric": "c"}},
         "query instruction a → b, text instruction none → c"),
        ({"instruction": None}, {"instruction": {"passage": "p"}}, "passage instruction none → p"),
        ({"reranker": {"name": "o/r", "dtype": "fp32"}}, {}, "reranker o/r → none"),
        ({"reranker": {"name": "o/r", "dtype": "fp32"}}, {"reranker": {"name": "o/r", "dtype": "fp16"}},
         "reranker dtype fp32 → fp16"),
        ({"reranker": {"name": "o/r", "revision": "1"}}, {"reranker": {"name": "o/r", "revision": "2"}}, ""),
        ({"store": "fp16"}, {}, "cached vectors fp16 → full precision"),
        ({"profile": "quick"}, {}, "profile quick → full"),
        ({"profile": "quick"}, {"profile": "smoke"}, "profile quick → smoke"),
        ({"options": {"split": "a", "same": 1}}, {"options": {"split": "b", "same": 1}}, "split a → b"),
        ({}, {"options": {"deep": True}}, "deep none → on"),
        ({"options": {"deep": True}}, {"options": None}, "deep on → none"),
        ({"instruction": {"query": "a"}}, {}, "query instruction a → none"),
        ({"data": {"files": "1"}, "task": {"splits": ["a"]}}, {"data": {"files": "2"}, "task": {"splits": ["b"]}}, ""),
    ],
)  # fmt: skip
def test_settings_beside_the_model(before: dict[str, Any], after: dict[str, Any], line: str) -> None:
    assert line_of(({"model": _MODEL, **before}, {"model": _MODEL, **after})) == line


def test_what_several_tasks_have_is_said_once_and_what_one_lacks_is_not_known() -> None:
    one, other = {"model": {**_MODEL, "dtype": "fp32"}}, {"model": {**_MODEL, "dtype": "fp16"}}
    more = {"model": {**_MODEL, "dtype": "bf16"}}
    assert line_of((one, other), (one, other), (one, more)) == "dtype fp32 → fp16, dtype fp32 → bf16"
    assert line_of(({}, other), (one, {}), (one, one)) == ""
    assert line_of(({"model": None}, other)) == ""
    assert line_of() == ""
