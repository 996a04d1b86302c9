"""Deterministic adapters without weights and without torch: the random baselines, and the models of fast tests."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flagbench.models.contract import DENSE, Capability, Loading, Part, Role
from flagbench.models.embeddings import Embeddings
from flagbench.models.inputs import MODALITIES, Input, Pair, content_key, pair_key
from flagbench.models.spec import ModelSpec

DIMENSION = 384


class FakeEncoder:
    """Each input gets a Gaussian vector seeded by its own hash: equal inputs agree, all others are near-orthogonal.

    That of an item with images is the hash of its text and of its images as they are stored; none is decoded.
    """

    capabilities: frozenset[Capability] = frozenset({"encode"})
    modalities = frozenset(MODALITIES)
    parts = DENSE
    device = "cpu"
    backend = "numpy"

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def prepare(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Callable[[], Embeddings]:
        """See the contract."""
        return functools.partial(self.encode, texts, role=role, instruction=instruction, parts=parts)

    def encode(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Embeddings:
        """See the contract. The role is ignored; the instruction is part of the text, as in a real model."""
        vectors = np.empty((len(texts), DIMENSION), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = _generator(_seed(text, instruction)).standard_normal(DIMENSION)
        if self.spec.normalize:
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Embeddings(dense=vectors)


class FakeScorer:
    """Each pair gets a uniform score seeded by its own hash, with images as an encoder's inputs."""

    capabilities: frozenset[Capability] = frozenset({"score"})
    modalities = frozenset(MODALITIES)
    device = "cpu"
    backend = "numpy"

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def prepare(self, pairs: Sequence[Pair], *, instruction: str = "") -> Callable[[], NDArray[np.float32]]:
        """See the contract."""
        return functools.partial(self.score, pairs, instruction=instruction)

    def score(self, pairs: Sequence[Pair], *, instruction: str = "") -> NDArray[np.float32]:
        """See the contract."""
        scores = [_generator(_seed_of_pair(pair, instruction)).random() for pair in pairs]
        return np.array(scores, dtype=np.float32)


def load_encoder(spec: ModelSpec, directory: Path, loading: Loading) -> FakeEncoder:
    """Nothing is read: the spec is all there is."""
    return FakeEncoder(spec)


def load_scorer(spec: ModelSpec, directory: Path, loading: Loading) -> FakeScorer:
    """Nothing is read: the spec is all there is."""
    return FakeScorer(spec)


def _seed(content: Input, instruction: str) -> bytes:
    if isinstance(content, str):
        return (instruction + content).encode()
    return content_key(replace(content, text=instruction + content.text))


def _seed_of_pair(pair: Pair, instruction: str) -> bytes:
    query, passage = pair
    if isinstance(query, str) and isinstance(passage, str):
        return f"{instruction}{query}\0{passage}".encode()
    said = instruction + query if isinstance(query, str) else replace(query, text=instruction + query.text)
    return pair_key((said, passage))


def _generator(seed: bytes) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(seed).digest(), "big")))
