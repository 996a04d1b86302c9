"""Deterministic adapters without weights and without torch: the random baselines, and the models of fast tests."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flagbench.models.contract import DENSE, Capability, Loading, Part, Role
from flagbench.models.embeddings import Embeddings
from flagbench.models.inputs import TEXT
from flagbench.models.spec import ModelSpec

DIMENSION = 384


class FakeEncoder:
    """Each text gets a Gaussian vector seeded by its own hash: equal texts agree, all others are near-orthogonal."""

    capabilities: frozenset[Capability] = frozenset({"encode"})
    modalities = TEXT
    parts = DENSE
    device = "cpu"
    backend = "numpy"

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def prepare(
        self, texts: Sequence[str], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Callable[[], Embeddings]:
        """See the contract."""
        return functools.partial(self.encode, texts, role=role, instruction=instruction, parts=parts)

    def encode(
        self, texts: Sequence[str], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Embeddings:
        """See the contract. The role is ignored; the instruction is part of the text, as in a real model."""
        vectors = np.empty((len(texts), DIMENSION), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = _generator(instruction + text).standard_normal(DIMENSION)
        if self.spec.normalize:
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Embeddings(dense=vectors)


class FakeScorer:
    """Each pair gets a uniform score seeded by its own hash."""

    capabilities: frozenset[Capability] = frozenset({"score"})
    modalities = TEXT
    device = "cpu"
    backend = "numpy"

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def prepare(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> Callable[[], NDArray[np.float32]]:
        """See the contract."""
        return functools.partial(self.score, pairs, instruction=instruction)

    def score(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> NDArray[np.float32]:
        """See the contract."""
        scores = [_generator(f"{instruction}{query}\0{passage}").random() for query, passage in pairs]
        return np.array(scores, dtype=np.float32)


def load_encoder(spec: ModelSpec, directory: Path, loading: Loading) -> FakeEncoder:
    """Nothing is read: the spec is all there is."""
    return FakeEncoder(spec)


def load_scorer(spec: ModelSpec, directory: Path, loading: Loading) -> FakeScorer:
    """Nothing is read: the spec is all there is."""
    return FakeScorer(spec)


def _generator(text: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")))
