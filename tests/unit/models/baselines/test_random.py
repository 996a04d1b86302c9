"""The random baselines: numbers that are made again from their definition, without the code that is tested."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from flagbench.models.baselines.random import FakeEncoder, FakeScorer
from flagbench.models.contract import Role
from flagbench.models.inputs import Item
from flagbench.models.loading.registry import published
from tests.pictures import image

ENCODER = published()["flagbench/random"]
SCORER = published()["flagbench/random-reranker"]


def generator(text: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(int(hashlib.sha256(text.encode("utf-8")).hexdigest(), 16)))


@pytest.mark.parametrize("role", get_args(Role))
def test_a_vector_is_drawn_by_the_text_behind_its_instruction_whatever_the_role(role: Any) -> None:
    drawn = np.array([generator(text).standard_normal(384) for text in ("ask: 什么", "ask: ")], dtype=np.float32)
    raw = FakeEncoder(replace(ENCODER, normalize=False)).encode(["什么", ""], role=role, instruction="ask: ").dense
    assert raw is not None
    assert (raw.dtype, raw.tolist()) == (np.float32, drawn.tolist())
    unit = FakeEncoder(ENCODER).prepare(["什么", ""], role=role, instruction="ask: ")().dense
    assert unit is not None
    assert unit == pytest.approx(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), abs=1e-7)
    assert unit.tolist() != raw.tolist()
    nothing = FakeEncoder(ENCODER).encode([], role=role).dense
    assert nothing is not None
    assert nothing.shape == (0, 384)


def test_a_score_is_drawn_by_both_texts_and_by_where_one_ends() -> None:
    pairs = [("ab", "c"), ("a", "bc"), ("c", "ab"), ("", "")]
    scorer = FakeScorer(SCORER)
    for instruction in ("", "judge: "):
        expected = [generator(f"{instruction}{query}\0{passage}").random() for query, passage in pairs]
        found = scorer.prepare(pairs, instruction=instruction)()
        assert found.dtype == np.float32
        assert found.tolist() == np.array(expected, dtype=np.float32).tolist()
        assert len(set(found.tolist())) == 4
    assert scorer.score([]).shape == (0,)


def test_an_image_has_a_vector_of_its_content() -> None:
    """That of its bytes, whatever its name; its text and the instruction tell it from others."""
    encoder = FakeEncoder(published()["flagbench/random"])
    red, blue = image("red"), image("blue")
    items = [Item("", (red,)), Item("", (blue,)), Item("a", (red,)), Item("a", (red, blue))]
    vectors = encoder.encode(items, role="query").dense
    assert vectors is not None
    assert np.abs(vectors @ vectors.T - np.eye(4)).max() < 0.3
    again = encoder.encode([Item("", (image("red"),))], role="passage", instruction="").dense
    assert np.array_equal(again, vectors[:1])
    said = encoder.encode([Item("", (red,))], role="query", instruction="a").dense
    assert np.array_equal(said, vectors[2:3])


def test_a_pair_with_images_has_a_score_of_its_content() -> None:
    scorer = FakeScorer(published()["flagbench/random-reranker"])
    red, blue = Item("", (image("red"),)), Item("", (image("blue"),))
    pairs = [("a", red), (red, "a"), ("a", blue), (red, blue), (Item("a", red.images), blue)]
    scores = scorer.score(pairs)
    assert len(set(scores.tolist())) == len(pairs)
    assert np.array_equal(scorer.score(pairs[::-1])[::-1], scores)
    assert np.array_equal(scorer.score([("b", red)], instruction="a"), scorer.score([("ab", red)]))
    assert np.array_equal(scorer.score([(red, blue)], instruction="a"), scores[4:])
