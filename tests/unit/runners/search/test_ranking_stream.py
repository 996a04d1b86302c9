"""Search with several parts of a corpus that goes by, held against the whole corpus at once: whole numbers, many ties.

Every score is a sum of few small numbers, exact in float32, so runs must be equal and not only close.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from flagbench.models.embedders.settings import M3Settings
from flagbench.models.loading.registry import published
from flagbench.models.spec import ModelSpec
from flagbench.runners.encoding import encode
from flagbench.runners.encoding.cache import EmbeddingCache
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.progress import Silent
from flagbench.runners.search import index, lexical
from flagbench.runners.search import ranking as rank
from flagbench.runners.search.ranking import Texts
from flagbench.runners.store.store import Store
from tests.unit.fakes import Numbers, ThreeParts

VOCABULARY, WIDTH = 9, 3
PLAIN = replace(published()["flagbench/random"], similarity="dot")
SPECS = {
    "sparse": replace(PLAIN, own=M3Settings(retrieval="sparse")),
    "two": replace(PLAIN, own=M3Settings(retrieval="hybrid", weights=(0.5, 0.25, 0.0))),
    "dense alone": replace(PLAIN, own=M3Settings(retrieval="hybrid", weights=(0.5, 0.0, 0.0))),
    "lists of no weight": replace(PLAIN, own=M3Settings(retrieval="hybrid", weights=(0.0, 0.25, 0.0))),
    "three": replace(PLAIN, own=M3Settings(retrieval="hybrid", weights=(0.5, 0.25, 2.0), candidates=7)),
    "dense and late": replace(PLAIN, own=M3Settings(retrieval="hybrid", weights=(0.5, 0.0, 1.0), candidates=7)),
    "late alone": replace(PLAIN, own=M3Settings(retrieval="hybrid", weights=(0.0, 0.0, 1.0), candidates=7)),
    "colbert": replace(PLAIN, own=M3Settings(retrieval="colbert", candidates=7)),
}


# A text is a row of digits: three of its dense vector, then its tokens, a point, and digits of its vectors.


def dense_of(text: str) -> list[float]:
    return [int(digit) - 1.0 for digit in text[:3]]


def weights_of(text: str) -> dict[int, float]:
    tokens = text[3:].partition(".")[0]
    return {int(token): float(tokens.count(token)) for token in set(tokens)}


def vectors_of(text: str) -> list[list[float]]:
    digits = text.partition(".")[2]
    return [[int(digit) - 2.0, int(digit) % 2, 1.0] for digit in digits]


class Digits(ThreeParts):
    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec, Numbers(dense_of, weights_of, vectors_of, VOCABULARY, WIDTH))


def some_text(generator: np.random.Generator, vectors: int, tokens: int) -> str:
    digits = lambda most, count: "".join(map(str, generator.integers(most, size=count)))  # noqa: E731
    return f"{digits(3, 3)}{digits(VOCABULARY, tokens)}.{digits(4, vectors)}"


def naive(spec: ModelSpec, query: str, passages: Mapping[str, str], top_k: int) -> dict[str, float]:
    """One query's run over all passages, each list ordered as trec_eval orders it."""

    def ordered(scores: Mapping[str, float]) -> list[str]:
        return sorted(scores, key=lambda name: (scores[name], name), reverse=True)

    def late(text: str) -> float:
        mine, others = vectors_of(query), vectors_of(text)
        return sum(max(sum(a * b for a, b in zip(x, y, strict=True)) for y in others) for x in mine) / len(mine)

    asked, weights = weights_of(query), spec.own.weights or (0.0, 0.0, 1.0)
    dense = {
        name: sum(a * b for a, b in zip(dense_of(query), dense_of(text), strict=True))
        for name, text in passages.items()
    }
    sparse = {
        name: sum(weight * weights_of(text)[token] for token, weight in asked.items() if token in weights_of(text))
        for name, text in passages.items()
        if asked.keys() & weights_of(text).keys()
    }
    if spec.own.retrieval == "sparse":
        return {name: sparse[name] for name in ordered(sparse)[:top_k]}
    first = ordered(dense)[:top_k]
    if "multi_vector" in spec.parts:
        head = first[: spec.own.candidates]
        found = {
            name: weights[0] * dense[name] + weights[1] * sparse.get(name, 0.0) + weights[2] * late(passages[name])
            for name in head
        }
        below = first[spec.own.candidates :]
        return found | {name: min(found.values()) - place for place, name in enumerate(below, 1)}
    second = ordered(sparse)[:top_k] if weights[1] else []
    found = {
        name: weights[0] * (dense[name] if name in first else 0) + weights[1] * (sparse[name] if name in second else 0)
        for name in {*first, *second}
    }
    return {name: found[name] for name in ordered(found)[:top_k]}


def names(count: int, generator: np.random.Generator) -> list[str]:
    """Ids in no order, of several lengths."""
    return [f"{'abc'[row % 3]}{row}" for row in generator.permutation(count)]


def small(monkeypatch: pytest.MonkeyPatch, generator: np.random.Generator) -> None:
    """Chunks, blocks and groups of a few texts."""
    monkeypatch.setattr(encode, "_CHUNK_CPU", (int(generator.integers(1, 9)), 10_000))
    for block in ("_BLOCK_BYTES", "_BLOCK_BYTES_GPU"):
        monkeypatch.setattr(index, block, int(generator.integers(1, 20)) * WIDTH * 4)
    monkeypatch.setattr(index, "_MERGED_QUERIES", int(generator.integers(1, 6)))
    monkeypatch.setattr(lexical, "_BLOCK_TEXTS", int(generator.integers(1, 20)))
    monkeypatch.setattr(lexical, "_BLOCK_SCORES", int(generator.integers(1, 40)))
    monkeypatch.setattr(rank, "_KEPT_BYTES", int(generator.choice([0, 300, 10**6])))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", list(SPECS))
def test_it_is_the_run_over_the_whole_corpus(
    name: str, seed: int, monkeypatch: pytest.MonkeyPatch, opened: Any
) -> None:
    generator = np.random.default_rng(seed)
    small(monkeypatch, generator)
    count, top_k = int(generator.integers(1, 60)), int(generator.choice([1, 4, 10, 30, 1_000]))
    different = [
        some_text(generator, int(generator.integers(1, 5)), int(generator.integers(0, 5))) for _ in range(count)
    ]
    ids = names(2 * count, generator)
    passages = {each: different[int(generator.integers(count))] for each in ids}  # many are equal
    queries = {f"q{row}": some_text(generator, 2 ** int(generator.integers(3)), row % 4) for row in range(6)}
    spec = SPECS[name]
    wanted = {query: naive(spec, text, passages, top_k) for query, text in queries.items()}
    asked, corpus = Texts(list(queries), list(queries.values())), Texts(ids, list(passages.values()))

    def run(adapter: Digits, cache: EmbeddingCache | None = None) -> Any:
        return rank.rank(TextEncoder(adapter, Silent(), cache), asked, corpus, None, top_k=top_k)[0]

    assert run(Digits(spec)) == wanted
    store: Store = opened()
    assert run(Digits(spec), EmbeddingCache(store)) == wanted
    assert run(Digits(spec), EmbeddingCache(store)) == wanted


@pytest.mark.parametrize("kept", [0, 200, 500, 10**6])
@pytest.mark.parametrize("name", ["three", "colbert"])
def test_no_text_goes_through_the_model_twice_for_what_is_kept(
    name: str, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Multi-vectors that fit stay; only candidates without are encoded again, and only for them."""
    monkeypatch.setattr(encode, "_CHUNK_CPU", (4, 10_000))
    monkeypatch.setattr(rank, "_KEPT_BYTES", kept)
    generator = np.random.default_rng(1)
    texts = sorted({some_text(generator, 3, 3) for _ in range(40)})
    adapter = Digits(SPECS[name])
    ids = [f"p{row}" for row in range(len(texts))]
    rank.rank(
        TextEncoder(adapter, Silent()), Texts(["q"], [some_text(generator, 2, 3)]), Texts(ids, texts), None, top_k=10
    )
    calls = [(asked, parts) for asked, role, _, parts in adapter.calls if role == "passage"]
    first = [text for asked, parts in calls for text in asked if "dense" in parts]
    again = [text for asked, parts in calls for text in asked if "dense" not in parts]
    assert sorted(first) == texts
    assert all(parts == {"multi_vector"} for _, parts in calls if "dense" not in parts)
    fits = kept // (4 * 3 * WIDTH * 4) * 4  # texts of whole chunks
    assert set(again) <= set(first[fits:])
    assert len(set(again)) == len(again) <= 7
    assert bool(again) == (kept < 10**6)
