"""Encoding with a store: nothing goes through the model twice, and a run that was stopped goes on as it would have."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench import ModelFault
from flagbench.models.contract import DENSE
from flagbench.models.embeddings import Embeddings, widened
from flagbench.models.loading.overrides import override
from flagbench.models.loading.registry import published
from flagbench.models.rerankers.settings import LayerSettings, PromptSettings
from flagbench.runners.encoding import encode
from flagbench.runners.encoding.cache import EmbeddingCache
from flagbench.runners.encoding.encode import TextEncoder, score_pairs
from flagbench.runners.progress import Silent
from flagbench.runners.store.store import Store
from tests.saying import saying
from tests.unit.fakes import ALL, Encoding, Numbers, Scoring, ThreeParts
from tests.unit.store_files import read_only, shards_of

Opened = Callable[..., Store]
SPEC = published()["flagbench/random"]
HYBRID, _ = override(published()["BAAI/bge-m3"], saying(retrieval="hybrid"))
WORDS = ["fox", "river", "stone", "cloud", "a", "time", "中国", "的"]
TEXTS = [" ".join(WORDS[(row * step) % 8] for step in range(1, 2 + row * 7 % 11)) for row in range(40)] + ["", "fox"]
PAIRS = [(TEXTS[row % 5], TEXTS[row]) for row in range(40)]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "_CHUNK_CPU", (4, 80))


class Stopped(Exception):
    """The run was ended from outside."""


def numbers_of(text: str, count: int) -> NDArray[np.float32]:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal(count).astype(np.float32)


def together(texts: Sequence[str], count: int) -> NDArray[np.float32]:
    """As rounding does to a real model, each text's numbers depend a little on those that it is run with."""
    return np.float32(1e-3) * numbers_of("\0".join(texts), count)


class Neighbourly(Encoding):
    """An encoder that notices its chunks, and stops after so many.

    Attributes:
        calls: Texts of each.
    """

    spec = SPEC

    def __init__(self, chunks: int | None = None) -> None:
        self.calls: list[list[str]] = []
        self._chunks = chunks

    def encode(self, texts: Sequence[str], *, role: Any, instruction: str = "", parts: Any = DENSE) -> Embeddings:
        if len(self.calls) == self._chunks:
            raise Stopped
        self.calls.append(list(texts))
        dense = [numbers_of(f"{role} {instruction}{text}", 6) for text in texts] + together(texts, 6)
        return Embeddings(dense=np.array(dense, dtype=np.float32))


class NeighbourlyScorer(Scoring):
    """A reranker of the same kind."""

    spec = published()["flagbench/random-reranker"]

    def __init__(self, chunks: int | None = None) -> None:
        self.calls: list[list[tuple[str, str]]] = []
        self._chunks = chunks

    def score(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> NDArray[np.float32]:
        if len(self.calls) == self._chunks:
            raise Stopped
        self.calls.append(list(pairs))
        each = [numbers_of(f"{instruction}{query}\0{passage}", 1)[0] for query, passage in pairs]
        return np.array(each, dtype=np.float32) + together([repr(pair) for pair in pairs], 1)


def embed(
    adapter: Neighbourly, store: Store | None, texts: Sequence[str] = TEXTS, *, half: bool = False, **asked: Any
) -> NDArray[np.float32]:
    cache = EmbeddingCache(store, half=half) if store else None
    return TextEncoder(adapter, Silent(), cache).encode(texts, **{"role": "passage", **asked})


def score(
    scorer: Any, store: Store | None, pairs: Sequence[tuple[str, str]] = PAIRS, instruction: str = ""
) -> NDArray[np.float32]:
    cache = EmbeddingCache(store) if store else None
    return score_pairs(scorer, pairs, instruction=instruction, progress=Silent(), cache=cache)


def same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.dtype == other.dtype == np.float32 and np.array_equal(one, other)


# Once


@pytest.mark.parametrize("half", [False, True])
def test_nothing_goes_through_the_model_twice(half: bool, opened: Opened) -> None:
    adapter, store = Neighbourly(), opened()
    cache = EmbeddingCache(store, half=half)
    encoder = TextEncoder(adapter, Silent(), cache)
    first = encoder.encode(TEXTS[:25], role="passage")
    assert sorted(text for call in adapter.calls for text in call) == sorted(set(TEXTS[:25]))
    del adapter.calls[:]

    again = [
        encoder.encode(TEXTS[:25], role="passage"),
        TextEncoder(adapter, Silent(), cache).encode(TEXTS[:25], role="passage"),
        embed(adapter, opened(), TEXTS[:25], half=half),
        embed(adapter, opened(), TEXTS[:25][::-1], half=half)[::-1],
    ]
    assert adapter.calls == []
    assert all(same(each, first) for each in again)

    more = embed(adapter, opened(), TEXTS, half=half)
    assert sorted(text for call in adapter.calls for text in call) == sorted(set(TEXTS) - set(TEXTS[:25]))
    assert same(more[:25], first)


def test_what_was_encoded_is_counted(opened: Opened) -> None:
    encoder = TextEncoder(Neighbourly(), Silent(), EmbeddingCache(opened()))
    for texts in (["a", "fox", "a"], ["fox", "stone"], ["stone"]):
        encoder.encode(texts, role="query")
    counts = encoder.counts
    assert (counts.texts, counts.distinct, counts.encoded) == (6, 5, 3)
    fresh = TextEncoder(Neighbourly(), Silent(), EmbeddingCache(opened()))
    fresh.encode(["a"], role="query")
    assert (fresh.counts.texts, fresh.counts.distinct, fresh.counts.encoded) == (1, 1, 0)
    assert fresh.dimension == 6


class Advancing(Silent):
    def __init__(self) -> None:
        self.total = self.done = 0

    def stage(self, name: str, total: int, work: float | None = None) -> None:
        self.total += total

    def advance(self, items: int, work: float | None = None) -> None:
        self.done += items


def test_what_comes_from_the_store_is_progress_too(opened: Opened) -> None:
    embed(Neighbourly(), opened(), TEXTS[:9])
    score(NeighbourlyScorer(), opened(), PAIRS[:9])
    progress, cache = Advancing(), EmbeddingCache(opened())
    TextEncoder(Neighbourly(), progress, cache).encode(TEXTS, role="passage")
    assert progress.done == len(set(TEXTS))
    score_pairs(NeighbourlyScorer(), PAIRS, instruction="", progress=progress, cache=cache)
    assert progress.done == len(set(TEXTS)) + len(set(PAIRS))


def test_roles_and_instructions_are_kept_apart(opened: Opened) -> None:
    ways: list[dict[str, Any]] = [{"role": "query"}, {"role": "passage"}, {"role": "query", "instruction": "ask: "}]
    first = [embed(Neighbourly(), opened(), TEXTS, **way) for way in ways]
    assert not same(first[0], first[1])
    assert not same(first[0], first[2])
    silent = Neighbourly(chunks=0)
    assert all(same(embed(silent, opened(), TEXTS, **way), one) for way, one in zip(ways, first, strict=True))


def test_what_is_not_to_be_kept_is_not(opened: Opened) -> None:
    adapter = Neighbourly()
    encoder = TextEncoder(adapter, Silent(), EmbeddingCache(opened(), half=True))
    chunks = list(encoder.chunks(TEXTS[:5], role="passage", parts=DENSE, keep=False))
    assert not opened().root.exists()
    for _, chunk in chunks:
        assert np.array_equal(chunk.dense, chunk.dense.astype(np.float16))
    assert same(
        np.concatenate([chunk.dense for _, chunk in chunks]),
        np.concatenate([chunk.dense for _, chunk in encoder.chunks(TEXTS[:5], role="passage", parts=DENSE)]),
    )


# Stopped and started again


@pytest.mark.parametrize(("device", "most", "characters"), [("cpu", 4, 80), ("cuda:0", 9, 200)])
def test_the_longest_text_of_a_chunk_says_how_many_there_are(
    device: str, most: int, characters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "_CHUNK_GPU", (9, 200))
    monkeypatch.setattr(encode, "make_current", lambda device: None)
    left = sorted(set(TEXTS), key=lambda text: (-len(text), TEXTS.index(text)))
    expected = []
    while left:
        size = min(most, max(1, characters // max(1, len(left[0]))))
        expected.append(left[:size])
        left = left[size:]
    adapter, scorer = Neighbourly(), NeighbourlyScorer()
    adapter.device = scorer.device = device
    embed(adapter, None)
    score(scorer, None, [("", text) for text in TEXTS])
    assert adapter.calls == expected
    assert [[text for _, text in call] for call in scorer.calls] == expected


def test_a_stopped_run_goes_on_with_the_chunks_and_numbers_it_would_have_had(opened: Opened, tmp_path: Path) -> None:
    whole = Neighbourly()
    vectors = embed(whole, opened(tmp_path / "whole"))
    assert len(whole.calls) > 8
    assert len({len(call) for call in whole.calls}) > 2  # by their characters
    for chunks in range(len(whole.calls) + 1):
        root = tmp_path / str(chunks)
        first, second = Neighbourly(chunks), Neighbourly()
        if chunks < len(whole.calls):
            with pytest.raises(Stopped):
                embed(first, opened(root))
        else:
            embed(first, opened(root))
        found = embed(second, opened(root))
        assert first.calls == whole.calls[:chunks]
        assert second.calls == whole.calls[chunks:]
        assert same(found, vectors)


def test_a_run_that_is_stopped_after_every_chunk(opened: Opened, tmp_path: Path) -> None:
    whole = Neighbourly()
    vectors = embed(whole, opened(tmp_path / "whole"), half=True)
    for call in whole.calls[:-1]:
        adapter = Neighbourly(chunks=1)
        with pytest.raises(Stopped):
            embed(adapter, opened(), half=True)
        assert adapter.calls == [call]
    assert same(embed(Neighbourly(chunks=1), opened(), half=True), vectors)


def test_stopped_scoring_goes_on_with_the_chunks_and_numbers_it_would_have_had(opened: Opened, tmp_path: Path) -> None:
    whole = NeighbourlyScorer()
    scores = score(whole, opened(tmp_path / "whole"))
    assert len(whole.calls) > 8
    for chunks in range(len(whole.calls)):
        root = tmp_path / str(chunks)
        first, second = NeighbourlyScorer(chunks), NeighbourlyScorer()
        with pytest.raises(Stopped):
            score(first, opened(root))
        assert same(score(second, opened(root)), scores)
        assert (first.calls, second.calls) == (whole.calls[:chunks], whole.calls[chunks:])


LETTERS = Numbers(
    dense=lambda text: [float(len(text)), 1.0],
    weights=lambda text: {ord(letter) % 30: 1.0 for letter in text},
    vectors=lambda text: [[float(ord(letter)), float(place)] for place, letter in enumerate(text)],
    vocabulary=30,
    width=2,
)


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_a_stopped_run_whose_multi_vectors_are_too_many(
    device: str, opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are left out at some point; the rest goes on in the same chunks, and is not encoded anew the next time."""
    monkeypatch.setattr(encode, "_CHUNK_GPU", (7, 1_000))
    monkeypatch.setattr(encode, "make_current", lambda device: None)

    def run(adapter: ThreeParts, root: Path) -> Embeddings:
        adapter.device = device
        encoder = TextEncoder(adapter, Silent(), EmbeddingCache(opened(root)))
        return encoder.encode_parts(TEXTS, role="passage", parts=ALL, multi_vector_bytes=2_500)

    whole = ThreeParts(HYBRID, LETTERS)
    embeddings = run(whole, tmp_path / "whole")
    assert embeddings.multi_vector is None
    asked = ["multi_vector" in parts for *_, parts in whole.calls]
    assert 2 < sum(asked) < len(asked) - 2
    for chunks in range(len(whole.calls) + 1):
        root = tmp_path / str(chunks)
        first, second = ThreeParts(HYBRID, LETTERS), ThreeParts(HYBRID, LETTERS)
        stop_after(first, chunks)
        if chunks < len(whole.calls):
            with pytest.raises(Stopped):
                run(first, root)
        else:
            run(first, root)
        found = run(second, root)
        assert second.calls == whole.calls[chunks:]
        assert same(found.dense, embeddings.dense)
        assert (widened(found.sparse, 30) != widened(embeddings.sparse, 30)).nnz == 0
        assert found.multi_vector is None


def stop_after(adapter: ThreeParts, chunks: int) -> None:
    encode_ = adapter.encode

    def encode_some(texts: Sequence[str], **asked: Any) -> Embeddings:
        if len(adapter.calls) == chunks:
            raise Stopped
        return encode_(texts, **asked)

    adapter.encode = encode_some


# Pairs


def test_each_pair_is_scored_once(opened: Opened) -> None:
    scorer = NeighbourlyScorer()
    pairs = [*PAIRS[:6], *PAIRS[:3], PAIRS[0]]
    first = score(scorer, opened(), pairs)
    assert sorted(pair for call in scorer.calls for pair in call) == sorted(set(pairs))
    assert same(first[6:], first[[0, 1, 2, 0]])
    silent = NeighbourlyScorer(chunks=0)
    assert same(score(silent, opened(), pairs[::-1])[::-1], first)
    with pytest.raises(Stopped):
        score(silent, opened(), pairs, instruction="other")


def test_pairs_are_told_apart_wherever_the_query_ends(opened: Opened) -> None:
    pairs = [("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", ""), ("c", "ab"), ("1 a", "b"), ("1", " ab")]
    first = score(NeighbourlyScorer(), opened(), pairs)
    assert len(set(first.tolist())) == 7
    assert same(score(NeighbourlyScorer(chunks=0), opened(), pairs), first)


class Counting(Scoring):
    """A reranker that gives every pair a number of its own."""

    spec = published()["flagbench/random-reranker"]

    def __init__(self) -> None:
        self.given = 0

    def score(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> NDArray[np.float32]:
        self.given += len(pairs)
        return np.arange(self.given - len(pairs), self.given, dtype=np.float32)


@pytest.mark.parametrize(
    "text", ["11abcdefghijk", "1 a2 b", "a\0\0b", "a\n\nb", "1:2:a", "  ab", "3abc", "a, b, c", "中中文"]
)
def test_two_ways_to_cut_a_text_are_two_pairs(text: str, opened: Opened) -> None:
    """Whatever is put between a query and its passage, or before them, may be in a text as well."""
    pairs = [(text[start:cut], text[cut:]) for start in range(4) for cut in range(start, len(text) + 1)]
    pairs += [(passage, query) for query, passage in pairs]
    scorer = Counting()
    first = score(scorer, opened(), pairs)
    assert scorer.given == len(set(pairs))
    assert same(score(scorer, opened(), pairs), first)
    assert scorer.given == len(set(pairs))


@pytest.mark.parametrize(
    "changes",
    [{"query_max_length": 7}, {"name": "org/other"}, {"own": PromptSettings("Is it?")}, {"own": LayerSettings(head=1)}],
)
def test_scores_of_other_settings_are_others(changes: dict[str, Any], opened: Opened) -> None:
    scorer = Counting()
    score(scorer, opened(), PAIRS[:3])
    scorer.spec = replace(scorer.spec, **changes)
    score(scorer, opened(), PAIRS[:3])
    assert scorer.given == 6


def test_no_pairs(opened: Opened) -> None:
    for store in (None, opened()):
        found = score(NeighbourlyScorer(chunks=0), store, [])
        assert (found.dtype, found.shape) == (np.float32, (0,))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_wrong_number_of_scores_is_a_model_fault(count: int) -> None:
    class Odd(NeighbourlyScorer):
        def score(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> NDArray[np.float32]:
            return np.zeros(count, dtype=np.float32)

    with pytest.raises(ModelFault, match=f"random-reranker gave {count} scores for 3 pairs"):
        score(Odd(), None, [("a", "b"), ("a", "c"), ("b", "c")])


# Stores that are of no use


def test_without_a_store_the_numbers_are_the_same(opened: Opened) -> None:
    assert same(embed(Neighbourly(), None), embed(Neighbourly(), opened()))
    assert same(score(NeighbourlyScorer(), None), score(NeighbourlyScorer(), opened()))


@pytest.mark.parametrize("filled", [False, True], ids=["missing", "with something in it"])
def test_a_store_that_cannot_be_written_is_read(
    filled: bool, opened: Opened, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, scores = embed(Neighbourly(), None), score(NeighbourlyScorer(), None)
    before = 3 if filled else 0
    for adapter, run in ((Neighbourly(3), embed), (NeighbourlyScorer(3), score)):
        if filled:
            with pytest.raises(Stopped):
                run(adapter, opened())
    read_only(monkeypatch, errno.EROFS)
    store = opened()
    shards = shards_of(store)
    assert bool(shards) is filled
    for again in (0, 1):
        adapter, scorer = Neighbourly(), NeighbourlyScorer()
        assert same(embed(adapter, store), vectors)
        assert same(score(scorer, store), scores)
        whole, all_pairs = Neighbourly(), NeighbourlyScorer()
        embed(whole, None)
        score(all_pairs, None)
        assert (adapter.calls, scorer.calls) == (whole.calls[before:], all_pairs.calls[before:]), again
    assert len(lines) == 1
    assert "cannot be written" in lines[0]
    assert shards_of(store) == shards


def test_what_cannot_be_used_is_not_kept(opened: Opened) -> None:
    class Broken(Neighbourly):
        def encode(self, texts: Sequence[str], **asked: Any) -> Embeddings:
            found = super().encode(texts, **asked)
            if len(self.calls) == 3:
                found.dense[0, 2] = np.nan
            return found

    whole, broken, repaired = Neighbourly(), Broken(), Neighbourly()
    vectors = embed(whole, None)
    with pytest.raises(ModelFault, match="NaN"):
        embed(broken, opened())
    assert same(embed(repaired, opened()), vectors)
    assert repaired.calls == whole.calls[2:]
