"""The same with real weights: all-MiniLM-L6-v2, whose pooling is mean and whose tokenizer lower-cases by itself."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch

from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from flagbench.runners.matching.match import TOLERANCE
from tests.unit.runners.matching.planted import Faults, Planted
from tests.unit.runners.matching.test_match import compared

INSTRUCTION = "Represent this sentence for searching relevant passages: "

PLANTED: dict[str, dict[str, Any]] = {
    "doubled-instruction": {"before": INSTRUCTION},
    "missing-instruction": {},
    "pooling": {"pooling": "cls"},
    "not-normalised": {"raw": True},
    "cut": {"cut": 100},
    "half-precision": {"dtype": torch.bfloat16},
    "dimensions": {"width": 256},
}

PAIRS = [pair for pair in combinations(PLANTED, 2) if pair != ("doubled-instruction", "missing-instruction")]


@pytest.fixture(scope="module")
def server(minilm: Path) -> Planted:
    return Planted(minilm, pooling="mean", limit=256)


@pytest.mark.slow
@pytest.mark.parametrize("planted", [*((name,) for name in PLANTED), *PAIRS], ids="+".join)
def test_planted_causes_are_named(minilm: Path, server: Planted, planted: tuple[str, ...]) -> None:
    overrides = Overrides(dtype="fp32", query_instruction=INSTRUCTION)
    model = resolve_model(str(minilm), None, overrides, trust_remote_code=False, allow_pickle=False)
    faults = Faults(**{key: value for name in planted for key, value in PLANTED[name].items()})
    side: Any = "server" if "missing-instruction" in planted else "client"
    report = compared(model, lambda texts: server.embed(texts, faults), side=side)
    assert {cause.kind for cause in report.causes} == set(planted)
    assert report.left is not None
    assert report.left > 1 - 2 * TOLERANCE
    if "cut" in planted:
        assert any("at 100 tokens" in cause.said for cause in report.causes)
    assert report.same == (planted == ("half-precision",))
