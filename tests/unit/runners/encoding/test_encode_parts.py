"""Several parts of many texts: each distinct text once, in chunks, multi-vectors only while they fit."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from flagbench import ModelFault
from flagbench.models.embedders.settings import M3Settings
from flagbench.models.loading.registry import published
from flagbench.runners.encoding import encode
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.encoding.wanted import Wanted
from flagbench.runners.progress import Silent
from tests.unit.fakes import ALL, Numbers, ThreeParts

SPEC = replace(published()["flagbench/random"], own=M3Settings("hybrid", (1.0, 0.3, 1.0), 5))
VOCABULARY, WIDTH = 50, 2
BYTES = WIDTH * 4  # of one token's vector


def dense_of(text):
    return [float(len(text)), float(sum(map(ord, text)) % 1_000)]


def weights_of(text):
    """Letters, and how often they stand there."""
    return {ord(letter) % VOCABULARY: float(count) for letter, count in Counter(text).items()}


def vectors_of(text):
    """One a letter."""
    return [[float(place), float(ord(letter))] for place, letter in enumerate(text)]


class Letters(ThreeParts):
    """Parts that can be worked out by hand; those of one text may be broken."""

    def __init__(self, spoilt=None):
        super().__init__(SPEC, Numbers(dense_of, weights_of, vectors_of, VOCABULARY, WIDTH))
        self._spoilt = spoilt

    def encode(self, texts, **asked):
        found = super().encode(texts, **asked)
        if self._spoilt in texts:
            found.multi_vector[texts.index(self._spoilt)][0, 0] = np.nan
        return found


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(encode, "_CHUNK_CPU", (3, 1_000))


@pytest.fixture
def adapter():
    return Letters()


TEXTS = ["bb", "a", "bb", "dddd", "ccc", "", "a", "ffffff", "eeeee", "bb"]
DISTINCT = ["ffffff", "eeeee", "dddd", "ccc", "bb", "a", ""]  # longest first


def assert_right(found, texts, parts, prefix=""):
    texts = [prefix + text for text in texts]
    assert (found.dense is not None, found.sparse is not None, found.multi_vector is not None) == (
        "dense" in parts,
        "sparse" in parts,
        "multi_vector" in parts,
    )
    if "dense" in parts:
        assert found.dense.tolist() == [dense_of(text) for text in texts]
    if "sparse" in parts:
        rows = found.sparse.toarray()
        assert [{int(c): float(row[c]) for c in np.flatnonzero(row)} for row in rows] == [
            weights_of(text) for text in texts
        ]
    if "multi_vector" in parts:
        assert [each.tolist() for each in found.multi_vector] == [vectors_of(text) for text in texts]


@pytest.mark.parametrize(
    "parts",
    [ALL, {"dense"}, {"sparse"}, {"multi_vector"}, {"dense", "multi_vector"}],
    ids=lambda parts: "+".join(sorted(parts)),
)
def test_every_part_is_in_the_order_of_the_texts(adapter, parts):
    found = TextEncoder(adapter, Silent()).encode_parts(TEXTS, role="query", parts=frozenset(parts))

    assert_right(found, TEXTS, parts)
    assert {asked for *_, asked in adapter.calls} == {frozenset(parts)}


def test_each_distinct_text_goes_through_the_model_once_longest_first(adapter):
    encoder = TextEncoder(adapter, Silent())

    encoder.encode_parts(TEXTS, role="passage", instruction="i: ", parts=ALL)

    assert [texts for texts, *_ in adapter.calls] == [DISTINCT[:3], DISTINCT[3:6], DISTINCT[6:]]
    assert {(role, instruction) for _, role, instruction, _ in adapter.calls} == {("passage", "i: ")}
    assert (encoder.counts.texts, encoder.counts.distinct) == (10, 7)
    assert encoder.dimension == 2


def test_the_instruction_stands_before_every_text(adapter):
    found = TextEncoder(adapter, Silent()).encode_parts(TEXTS, role="query", instruction="i: ", parts=ALL)

    assert_right(found, TEXTS, ALL, prefix="i: ")


# The first chunk has 15 vectors, the second 6, the third none.


@pytest.mark.parametrize("budget", [None, 21 * BYTES, 22 * BYTES])
def test_multi_vectors_within_the_budget_are_kept(adapter, budget):
    found = TextEncoder(adapter, Silent()).encode_parts(TEXTS, role="passage", parts=ALL, multi_vector_bytes=budget)

    assert_right(found, TEXTS, ALL)
    assert [asked for *_, asked in adapter.calls] == [ALL] * 3


@pytest.mark.parametrize(
    ("budget", "asked"),
    [(0, [True, False, False]), (15 * BYTES - 1, [True, False, False]), (15 * BYTES, [True, True, False])],
)
def test_beyond_the_budget_none_are_kept_nor_asked_for(adapter, budget, asked):
    found = TextEncoder(adapter, Silent()).encode_parts(TEXTS, role="passage", parts=ALL, multi_vector_bytes=budget)

    assert_right(found, TEXTS, {"dense", "sparse"})
    assert ["multi_vector" in parts for *_, parts in adapter.calls] == asked
    assert all({"dense", "sparse"} <= parts for *_, parts in adapter.calls)


def test_a_budget_that_the_last_chunk_exceeds():
    adapter = Letters()
    texts = ["aaa", "bbb", "ccc", "dd"]

    found = TextEncoder(adapter, Silent()).encode_parts(texts, role="passage", parts=ALL, multi_vector_bytes=10 * BYTES)

    assert_right(found, texts, {"dense", "sparse"})
    assert [asked for *_, asked in adapter.calls] == [ALL] * 2


def test_equal_texts_count_once_against_the_budget(adapter):
    texts = ["aaa", "bbb"] * 20

    found = TextEncoder(adapter, Silent()).encode_parts(texts, role="passage", parts=ALL, multi_vector_bytes=6 * BYTES)

    assert_right(found, texts, ALL)


def test_a_budget_does_not_matter_without_multi_vectors(adapter):
    parts = frozenset({"dense", "sparse"})

    found = TextEncoder(adapter, Silent()).encode_parts(TEXTS, role="passage", parts=parts, multi_vector_bytes=0)

    assert_right(found, TEXTS, parts)


def test_one_call_over_the_budget_does_not_change_the_next(adapter):
    encoder = TextEncoder(adapter, Silent())
    encoder.encode_parts(TEXTS, role="passage", parts=ALL, multi_vector_bytes=0)

    assert_right(encoder.encode_parts(TEXTS, role="query", parts=ALL), TEXTS, ALL)


def test_no_texts(adapter):
    encoder = TextEncoder(adapter, Silent())

    found = encoder.encode_parts([], role="query", parts=ALL)

    assert found.dense is found.sparse is found.multi_vector is None
    assert adapter.calls == []
    assert (encoder.counts.texts, encoder.counts.distinct) == (0, 0)


def test_a_broken_token_vector_is_a_model_fault():
    with pytest.raises(ModelFault, match=r"for 1 of 3 texts \(first: 'ccc'\)"):
        TextEncoder(Letters("ccc"), Silent()).encode_parts(TEXTS, role="query", parts=ALL)


def test_chunks_come_longest_first_with_the_rows_of_their_texts(adapter):
    texts = ["bb", "a", "dddd", "ccc", ""]
    encoder = TextEncoder(adapter, Silent())

    chunks = list(encoder.chunks(texts, role="passage", instruction="i: ", parts={"multi_vector"}))

    assert [rows.tolist() for rows, _ in chunks] == [[2, 3, 0], [1, 4]]
    for rows, chunk in chunks:
        assert_right(chunk, [texts[row] for row in rows], {"multi_vector"}, prefix="i: ")
    assert (encoder.counts.texts, encoder.counts.distinct, encoder.counts.encoded) == (0, 0, 5)
    assert encoder.counts.seconds > 0


def test_only_a_part_that_is_wanted_beside_others_can_be_dropped():
    wanted = Wanted({"dense", "sparse"})
    with pytest.raises(KeyError):
        wanted.drop("multi_vector")
    wanted.drop("sparse")
    with pytest.raises(KeyError):
        wanted.drop("dense")
    assert wanted.parts == {"dense"}


def test_chunks_are_encoded_as_they_are_taken(adapter):
    chunks = TextEncoder(adapter, Silent()).chunks(DISTINCT, role="passage", parts={"dense"})

    next(chunks)

    assert len(adapter.calls) == 1


def test_a_part_taken_out_between_chunks_is_no_longer_asked_for(adapter):
    wanted = Wanted({"dense", "multi_vector"})
    given = []
    for _, chunk in TextEncoder(adapter, Silent()).chunks(DISTINCT, role="passage", parts=wanted):
        given.append(chunk.multi_vector is not None)
        if "multi_vector" in wanted.parts:
            wanted.drop("multi_vector")

    assert given == [True, False, False]
