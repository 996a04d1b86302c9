"""The pieces of a run, each against a table that is worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench.runners.search.hits import Below, Corpus, Run, comparable, cut, in_order, rerank, rescore


def test_cosine_is_the_product_of_vectors_of_length_one_however_short_they_were() -> None:
    vectors = np.array([[3e-6, 4e-6], [30, -40], [0, 0]], dtype=np.float32)
    unit = comparable(vectors, "cosine")
    assert unit.dtype == np.float32
    assert unit == pytest.approx(np.array([[0.6, 0.8], [0.6, -0.8], [0, 0]]), abs=1e-6)
    assert comparable(vectors, "dot") is vectors


@pytest.mark.parametrize(
    ("top_k", "kept"),
    [
        (1, {"z": 3.0}),
        (2, {"z": 3.0, "m": 2.0}),
        (3, {"z": 3.0, "m": 2.0, "k": 2.0}),
        (4, {"z": 3.0, "b": 2.0, "m": 2.0, "k": 2.0}),
        (5, {"z": 3.0, "b": 2.0, "m": 2.0, "k": 2.0, "y": 1.0}),
        (9, {"z": 3.0, "b": 2.0, "m": 2.0, "k": 2.0, "y": 1.0}),
    ],
)
def test_of_those_that_tie_at_the_cut_the_larger_ids_are_kept(top_k: int, kept: dict[str, float]) -> None:
    ids = np.array(["z", "b", "m", "k", "y"], dtype=object)
    assert cut(ids, np.array([3, 2, 2, 2, 1], dtype=np.float32), top_k) == kept


def test_passages_of_a_text_come_in_their_order_with_the_place_of_their_text() -> None:
    corpus = Corpus(["a", "b", "c", "d", "e"], np.array([1, 0, 1, 2, 1]))
    rows, places = corpus.passages(np.array([2, 1]))
    assert (rows.tolist(), places.tolist()) == ([3, 0, 2, 4], [0, 1, 1, 1])
    rows, places = corpus.passages(np.array([], dtype=np.int64))
    assert (rows.tolist(), places.tolist()) == ([], [])


def test_candidates_are_scored_exactly_and_the_best_are_kept() -> None:
    passages = np.array([[1, 0], [0, 1], [2, 2], [1, 0]], dtype=np.float32)
    queries = np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32)
    given = {"q1": ["d", "b", "c", "a"], "q2": [], "unknown": ["a"]}
    run, info = rescore(["q1", "q2", "q3"], queries, ["a", "b", "c", "d"], passages, given, top_k=3)
    assert {query: list(found.items()) for query, found in run.items()} == {
        "q1": [("c", 2.0), ("d", 1.0), ("a", 1.0)],
        "q2": [],
        "q3": [],
    }
    assert (info.index, info.devices, info.exact, info.actor_blocks) == ("IndexFlatIP", "cpu", True, 0)


@pytest.mark.parametrize(
    ("below", "first"),
    [
        ("kept", [("b", 9.0), ("d", 1.5), ("c", 0.5), ("a", -0.5)]),
        ("dropped", [("b", 9.0), ("d", 1.5)]),
    ],
)
def test_what_a_reranker_does_not_see_stays_below_in_its_order_or_is_dropped(
    below: Below, first: list[tuple[str, float]]
) -> None:
    seen: list[tuple[str, str]] = []

    def score(pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        seen.extend(pairs)
        return np.array([{"text of b": 9.0, "text of d": 1.5, "text of e": -3.0}[text] for _, text in pairs])

    run: Run = {"q1": {"a": 0.1, "b": 0.4, "c": 0.2, "d": 0.4}, "q2": {}, "q3": {"e": 7.0}}
    texts = {"q1": "one", "q2": "two", "q3": "three"}
    found = rerank(run, texts, lambda passage: f"text of {passage}", score, top_k=2, below=below)  # type: ignore[arg-type]
    assert seen == [("one", "text of d"), ("one", "text of b"), ("three", "text of e")], "the larger id first of ties"
    assert sorted(found["q1"].items(), key=lambda each: -each[1]) == first
    assert (found["q2"], found["q3"]) == ({}, {"e": -3.0})
    assert run["q1"]["b"] == 0.4


def test_the_order_is_by_score_and_then_by_the_larger_id() -> None:
    assert in_order({"a": 1.0, "c": 2.0, "b": 2.0, "10": 1.0, "9": 1.0}) == ["c", "b", "a", "9", "10"]
    assert in_order({}) == []
