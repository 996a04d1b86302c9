"""Whole runs of an encoder with three parts, held against a ranking in plain Python; pieces are in test_rank.py."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy

from flagbench import BadData
from flagbench.models.embedders.settings import M3Settings
from flagbench.models.loading.registry import published
from flagbench.models.spec import ModelSpec
from flagbench.runners.encoding import encode
from flagbench.runners.encoding.cache import EmbeddingCache
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.progress import Silent
from flagbench.runners.search import ranking as rank
from flagbench.runners.search.ranking import Texts
from flagbench.runners.store.store import Store
from tests.unit import fakes

PLAIN = published()["flagbench/random"]
WORDS = ["a", "fox", "is", "what", "in", "time", "the", "long", "word", "river", "stone", "cloud"]
WIDTH = 8


def spec_of(retrieval: str, weights: tuple[float, ...] = (), candidates: int = 0) -> ModelSpec:
    return replace(PLAIN, own=M3Settings(retrieval, weights, candidates))


DENSE, SPARSE, COLBERT = spec_of("dense"), spec_of("sparse"), spec_of("colbert", candidates=6)
TWO = spec_of("hybrid", (1.0, 0.3, 0.0))
THREE = spec_of("hybrid", (1.0, 0.3, 0.7), 6)
LATE_ONLY = spec_of("hybrid", (0.0, 0.0, 1.0), 6)
SPECS = {"dense": DENSE, "sparse": SPARSE, "colbert": COLBERT, "two": TWO, "three": THREE, "late only": LATE_ONLY}


def numbers(text: str, count: int) -> list[float]:
    """Numbers that depend on the text alone."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal(count).astype(np.float32).tolist()


def dense_of(text: str) -> list[float]:
    return numbers(f"dense {text}", WIDTH)


def weights_of(text: str) -> dict[int, float]:
    """The weight of each known word, which differs from text to text."""
    return {WORDS.index(word): abs(numbers(f"{word} in {text}", 1)[0]) for word in text.split() if word in WORDS}


def vectors_of(text: str) -> list[list[float]]:
    """One a word, and one for the end; of length 1."""
    found = [numbers(f"{place} {word} in {text}", WIDTH) for place, word in enumerate([*text.split(), "</s>"])]
    return [(np.array(each) / np.linalg.norm(each)).tolist() for each in found]


class ThreeParts(fakes.ThreeParts):
    """With the parts above."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec, fakes.Numbers(dense_of, weights_of, vectors_of, len(WORDS), WIDTH))


# The truth, in double precision


def dense_score(query: str, passage: str) -> float:
    one, other = np.array(dense_of(query)), np.array(dense_of(passage))
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def sparse_score(query: str, passage: str) -> float:
    other = weights_of(passage)
    return sum(weight * other.get(token, 0) for token, weight in weights_of(query).items())


def late_score(query: str, passage: str) -> float:
    mine, others = vectors_of(query), vectors_of(passage)
    return sum(max(float(np.dot(one, other)) for other in others) for one in mine) / len(mine)


def sum_of(query: str, passage: str, weights: Sequence[float]) -> float:
    parts = (dense_score, sparse_score, late_score)
    return sum(weight * part(query, passage) for weight, part in zip(weights, parts, strict=True) if weight)


WEIGHTS = {"dense": (1, 0, 0), "sparse": (0, 1, 0), "colbert": (0, 0, 1)}


def first(scores: Mapping[str, float], top_k: int | None = None) -> list[str]:
    return sorted(scores, key=lambda name: -scores[name])[:top_k]


def truth(spec: ModelSpec, query: str, passages: Mapping[str, str], top_k: int) -> tuple[list[str], dict[str, float]]:
    """Passage ids in their order, and the scores of those whose score is one of the model's."""
    dense = {name: dense_score(query, text) for name, text in passages.items()}
    sparse = {name: sparse_score(query, text) for name, text in passages.items()}
    sparse = {name: score for name, score in sparse.items() if score > 0}
    if spec.own.retrieval in {"dense", "sparse"}:
        scores = dense if spec.own.retrieval == "dense" else sparse
        order = first(scores, top_k)
        return order, {name: scores[name] for name in order}
    if "multi_vector" not in spec.parts:
        one, other = first(dense, top_k), first(sparse, top_k)
        scores = {
            name: spec.own.weights[0] * (dense[name] if name in one else 0)
            + spec.own.weights[1] * (sparse[name] if name in other else 0)
            for name in {*one, *other}
        }
        order = first(scores, top_k)
        return order, {name: scores[name] for name in order}
    ranked = first(dense, top_k)
    head = ranked[: spec.own.candidates]
    weights = WEIGHTS.get(spec.own.retrieval, spec.own.weights)
    scores = {name: sum_of(query, passages[name], weights) for name in head}
    return first(scores) + ranked[spec.own.candidates :], scores


# Texts


def some_texts(count: int, seed: int) -> list[str]:
    """Distinct ones."""
    generator = np.random.default_rng(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found[" ".join(generator.choice(WORDS, size=generator.integers(1, 9)))] = None
    return list(found)


QUERIES = Texts([f"q{row}" for row in range(6)], [*some_texts(4, 1), "nothing shared", ""], "ask: ")
PASSAGES = Texts([f"p{row}" for row in range(25)], [*some_texts(23, 2), "unknown words", ""], "read: ")
TEXT_OF = dict(zip(PASSAGES.ids, PASSAGES.texts, strict=True))
BY_ID = {name: f"read: {text}" for name, text in TEXT_OF.items()}


def run_of(
    adapter: ThreeParts,
    *,
    queries: Texts = QUERIES,
    passages: Texts = PASSAGES,
    candidates: Any = None,
    top_k: int = 1_000,
    cache: EmbeddingCache | None = None,
) -> Any:
    return rank.rank(TextEncoder(adapter, Silent(), cache), queries, passages, candidates, top_k=top_k)


def falling(found: Mapping[str, float]) -> bool:
    return all(one > other for one, other in pairwise(found.values()))


@pytest.mark.parametrize("top_k", [4, 10, 1_000])
@pytest.mark.parametrize("name", list(SPECS))
def test_a_run_is_that_of_plain_sums(name: str, top_k: int) -> None:
    spec = SPECS[name]
    run, _ = run_of(ThreeParts(spec), top_k=top_k)
    assert list(run) == list(QUERIES.ids)
    for query_id, text in zip(QUERIES.ids, QUERIES.texts, strict=True):
        order, scores = truth(spec, f"ask: {text}", BY_ID, top_k)
        found = run[query_id]
        assert list(found) == order
        assert {name: found[name] for name in scores} == pytest.approx(scores, abs=1e-5)
        assert falling(found)
        assert {type(score) for score in found.values()} <= {float}


@pytest.mark.parametrize("name", ["colbert", "three", "late only"])
def test_below_the_candidates_the_dense_order_goes_on(name: str) -> None:
    run, _ = run_of(ThreeParts(SPECS[name]))
    dense, _ = run_of(ThreeParts(DENSE))
    changed = 0
    for query_id, found in run.items():
        before, after = list(dense[query_id]), list(found)
        assert sorted(before[:6]) == sorted(after[:6])
        assert before[6:] == after[6:]
        changed += before[:6] != after[:6]
    assert changed >= 4


def test_the_runs_of_the_parts_differ() -> None:
    """Else a run by the wrong part would pass."""
    orders = [
        [list(found) for found in run_of(ThreeParts(spec))[0].values()] for spec in (DENSE, SPARSE, COLBERT, TWO, THREE)
    ]
    assert all(one != other for row, one in enumerate(orders) for other in orders[:row])


def test_only_the_parts_of_the_retrieval_are_asked_for() -> None:
    for spec in SPECS.values():
        adapter = ThreeParts(spec)
        run_of(adapter)
        assert {parts for *_, parts in adapter.calls} == {spec.parts}


def test_dot_products_where_the_spec_says_so() -> None:
    spec = replace(COLBERT, similarity="dot", own=replace(COLBERT.own, candidates=0))
    run, _ = run_of(ThreeParts(spec))
    for query_id, text in zip(QUERIES.ids, QUERIES.texts, strict=True):
        query = np.array(dense_of(f"ask: {text}"))
        scores = {name: float(query @ np.array(dense_of(passage))) for name, passage in BY_ID.items()}
        assert list(run[query_id]) == first(scores)


# Given candidates


@pytest.mark.parametrize("narrow", ["query", "passage", "neither"])
@pytest.mark.parametrize("name", ["sparse", "two", "three"])
def test_words_that_one_side_alone_has_are_worth_nothing(name: str, narrow: str) -> None:
    """As of a model whose weights are as wide as the largest token that it has seen on each side."""

    class Narrow(ThreeParts):
        def encode(self, texts: Sequence[str], *, role: Any, **options: Any) -> Any:
            found = super().encode(texts, role=role, **options)
            if found.sparse is None or role != narrow:
                return found
            return replace(found, sparse=found.sparse[:, : len(WORDS) // 2])

    wide, odd = (run_of(adapter(SPECS[name]), candidates=CANDIDATES)[0] for adapter in (ThreeParts, Narrow))
    assert list(odd) == list(wide)
    if narrow == "neither":
        assert odd == wide
        return
    kept = WORDS[: len(WORDS) // 2]
    weight = 1.0 if name == "sparse" else SPECS[name].own.weights[1]
    for query_id, text in zip(QUERIES.ids, QUERIES.texts, strict=True):
        for passage, score in odd[query_id].items():
            query, other = weights_of(f"ask: {text}"), weights_of(BY_ID[passage])
            lost = sum(query[token] * other.get(token, 0) for token in query if WORDS[token] not in kept)
            assert score == pytest.approx(wide[query_id][passage] - weight * lost, abs=1e-5)


CANDIDATES = {"q0": ["p7", "p3", "p20"], "q1": list(PASSAGES.ids), "q3": ["p24"], "q4": [], "q5": ["p1", "p24", "p2"]}


@pytest.mark.parametrize("top_k", [2, 1_000])
@pytest.mark.parametrize("name", list(SPECS))
def test_given_candidates_alone_are_ranked_and_all_of_them(name: str, top_k: int) -> None:
    """Also those that share no token with the query, and more than would be re-ranked of a dense ranking."""
    spec = SPECS[name]
    run, _ = run_of(ThreeParts(spec), candidates=CANDIDATES, top_k=top_k)
    assert list(run) == list(QUERIES.ids)
    assert run["q2"] == run["q4"] == {}  # one is not in the mapping, the other has none
    for query_id, text in zip(QUERIES.ids, QUERIES.texts, strict=True):
        weights = WEIGHTS.get(spec.own.retrieval, spec.own.weights)
        scores = {each: sum_of(f"ask: {text}", BY_ID[each], weights) for each in CANDIDATES.get(query_id, [])}
        found = run[query_id]
        assert list(found.values()) == sorted(found.values(), reverse=True)
        assert found == pytest.approx({each: scores[each] for each in found}, abs=1e-5)
        assert sorted(found.values(), reverse=True) == pytest.approx(sorted(scores.values())[::-1][:top_k], abs=1e-5)


@pytest.mark.parametrize("name", list(SPECS))
def test_what_is_nobodys_candidate_is_not_encoded(name: str) -> None:
    spec, few = SPECS[name], {"q0": ["p7", "p3"], "q5": ["p3", "p24", "p12"]}
    adapter = ThreeParts(spec)
    run, _ = run_of(adapter, candidates=few)
    part = "dense" if "dense" in spec.parts else "sparse"
    assert sorted(adapter.seen("passage", part)) == sorted(TEXT_OF[each] for each in ("p3", "p7", "p12", "p24"))
    whole, _ = run_of(ThreeParts(spec), candidates=CANDIDATES | few)
    assert run["q5"] == pytest.approx(whole["q5"], abs=1e-6)
    assert {each: sorted(run[each]) for each in few} == {each: sorted(few[each]) for each in few}


@pytest.mark.parametrize("none", [{}, {"q0": []}], ids=str)
@pytest.mark.parametrize("name", list(SPECS))
def test_no_candidates_at_all(name: str, none: Any) -> None:
    run, _ = run_of(ThreeParts(SPECS[name]), candidates=none)
    assert run == {query_id: {} for query_id in QUERIES.ids}


# Multi-vectors that are too many to be kept


@pytest.mark.parametrize("kept", [0, 1_000])
@pytest.mark.parametrize("candidates", [None, CANDIDATES], ids=["all passages", "candidates"])
@pytest.mark.parametrize("name", ["colbert", "three"])
def test_a_second_pass_gives_the_same_run(
    name: str, candidates: Any, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "_CHUNK_CPU", (4, 10_000))
    spec = replace(SPECS[name], own=replace(SPECS[name].own, candidates=2))
    once, twice = ThreeParts(spec), ThreeParts(spec)
    wanted, info = run_of(once, candidates=candidates)
    assert sorted(once.seen("passage", "multi_vector")) == sorted(set(PASSAGES.texts))
    monkeypatch.setattr(rank, "_KEPT_BYTES", kept)
    found, its_info = run_of(twice, candidates=candidates)
    assert [list(each) for each in found.values()] == [list(each) for each in wanted.values()]
    assert all(found[each] == pytest.approx(wanted[each], abs=1e-6) for each in wanted)
    assert its_info == info
    again = [texts for texts, role, _, parts in twice.calls if role == "passage" and parts == {"multi_vector"}]
    assert [text for texts in again for text in texts]
    assert len([text for texts in again for text in texts]) == len({text for texts in again for text in texts})
    if candidates is None:  # no more than the candidates are encoded again
        heads = {each for ranked in run_of(ThreeParts(DENSE))[0].values() for each in list(ranked)[:2]}
        assert {text for texts in again for text in texts} == {TEXT_OF[each] for each in heads}


def test_the_multi_vectors_of_queries_are_always_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank, "_KEPT_BYTES", 0)
    adapter = ThreeParts(COLBERT)
    run_of(adapter)
    assert sorted(adapter.seen("query", "multi_vector")) == sorted(QUERIES.texts)


# With a store


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("candidates", [None, CANDIDATES], ids=["all passages", "candidates"])
@pytest.mark.parametrize("name", list(SPECS))
def test_a_second_run_is_the_first_one_and_encodes_nothing(
    name: str, candidates: Any, half: bool, opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "_CHUNK_CPU", (4, 10_000))
    first, again = ThreeParts(SPECS[name]), ThreeParts(SPECS[name])
    wanted = run_of(first, candidates=candidates, cache=EmbeddingCache(opened(), half=half))
    assert first.calls
    assert run_of(again, candidates=candidates, cache=EmbeddingCache(opened(), half=half)) == wanted
    assert again.calls == []


@pytest.mark.parametrize("candidates", [None, CANDIDATES], ids=["all passages", "candidates"])
@pytest.mark.parametrize("name", ["colbert", "three"])
def test_multi_vectors_of_a_second_pass_do_not_fill_the_store(
    name: str, candidates: Any, opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "_CHUNK_CPU", (4, 10_000))
    monkeypatch.setattr(rank, "_KEPT_BYTES", 0)

    def second_pass() -> list[list[str]]:
        adapter = ThreeParts(SPECS[name])
        run_of(adapter, candidates=candidates, cache=EmbeddingCache(opened()))
        return [
            list(texts) for texts, role, _, parts in adapter.calls if role == "passage" and parts == {"multi_vector"}
        ]

    first = second_pass()
    assert first
    assert second_pass() == first


# Equal texts


@pytest.mark.parametrize("kept", [None, 0])
@pytest.mark.parametrize("name", list(SPECS))
def test_equal_passages_are_encoded_once_and_score_alike(
    name: str, kept: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kept is not None:
        monkeypatch.setattr(rank, "_KEPT_BYTES", kept)
    spec = replace(SPECS[name], own=replace(SPECS[name].own, candidates=100 if SPECS[name].own.candidates else 0))
    adapter = ThreeParts(spec)
    texts = [PASSAGES.texts[0], PASSAGES.texts[1], PASSAGES.texts[0], PASSAGES.texts[2], PASSAGES.texts[0]]
    run, _ = run_of(adapter, passages=Texts(["a", "b", "c", "d", "e"], texts, ""))
    part = "dense" if "dense" in spec.parts else "sparse"
    assert sorted(adapter.seen("passage", part)) == sorted(set(texts))
    again = [texts for texts, role, _, parts in adapter.calls if role == "passage" and parts == {"multi_vector"}]
    assert [sorted(texts) for texts in again] == ([sorted(set(texts))] if kept == 0 and spec.own.candidates else [])
    for found in run.values():
        scores = [found[each] for each in "ace" if each in found]
        assert len(scores) in {0, 3}  # without a shared word sparse search finds none of them
        assert scores == pytest.approx(scores[:1] * len(scores), abs=1e-6)
    assert sum("a" in found for found in run.values()) > 2


# What searched


def test_what_searched_is_said() -> None:
    numeric = f"scipy {scipy.__version__}, numpy {np.__version__}"
    _, dense = run_of(ThreeParts(DENSE))
    assert dense.index == "flat, in blocks"
    _, sparse = run_of(ThreeParts(SPARSE))
    assert (sparse.library, sparse.index, sparse.devices, sparse.exact) == (numeric, "matrix products", "cpu", True)
    for spec in (COLBERT, TWO, THREE):
        _, info = run_of(ThreeParts(spec))
        assert info.library == f"{dense.library}, {numeric}"
        assert info.index == "flat, in blocks, matrix products"
        assert info.exact
        _, info = run_of(ThreeParts(spec), candidates=CANDIDATES)
        assert info == sparse


@pytest.mark.parametrize("name", ["sparse", "colbert", "two", "three"])
def test_nothing_to_rank_is_said(name: str) -> None:
    with pytest.raises(BadData, match="no queries or no passages"):
        run_of(ThreeParts(SPECS[name]), passages=Texts([], [], ""))
    with pytest.raises(BadData, match="no queries or no passages"):
        run_of(ThreeParts(SPECS[name]), queries=Texts([], [], ""))
