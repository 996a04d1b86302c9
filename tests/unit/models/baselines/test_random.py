"""The random baselines: numbers that are made again from their definition, without the code that is tested."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from flagbench.models.baselines.random import FakeEncoder, FakeScorer
from flagbench.models.contract import Role
from flagbench.models.loading.registry import published

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
