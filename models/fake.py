"""A deterministic adapter without weights and without torch: the random baseline, and the model of fast tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.contract import Capability, Embeddings, Role
from models.spec import ModelSpec

DIMENSION = 384


class FakeAdapter:
    """Each text gets a Gaussian vector seeded by its own hash: equal texts agree, all others are near-orthogonal."""

    capabilities: frozenset[Capability] = frozenset({"encode"})
    device = "cpu"

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def encode(self, texts: Sequence[str], *, role: Role, instruction: str = "") -> Embeddings:
        """See the contract. The role is ignored; the instruction is part of the text, as in a real model."""
        vectors = np.empty((len(texts), DIMENSION), dtype=np.float32)
        for row, text in enumerate(texts):
            seed = hashlib.sha256((instruction + text).encode()).digest()
            vectors[row] = np.random.Generator(np.random.PCG64(int.from_bytes(seed, "big"))).standard_normal(DIMENSION)
        if self.spec.normalize:
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Embeddings(dense=vectors)


def load(spec: ModelSpec, directory: Path | None = None, **_: object) -> FakeAdapter:
    """Nothing is read: the spec is all there is."""
    return FakeAdapter(spec)
