"""Adapters whose numbers are known, with nothing to load: what each gives is worked out when it runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from flagbench.models.contract import DENSE
from flagbench.models.embeddings import Embeddings, MultiVectors
from flagbench.models.inputs import TEXT
from flagbench.models.spec import ModelSpec

ALL = frozenset({"dense", "sparse", "multi_vector"})


class Encoding:
    """An encoder on the processor with nothing to prepare; what is made of it says what ``encode`` gives."""

    capabilities = frozenset({"encode"})
    parts = DENSE
    modalities = TEXT
    device = "cpu"
    backend = "numpy"
    encode: Callable[..., Embeddings]

    def prepare(self, texts: Sequence[str], **asked: Any) -> Callable[[], Embeddings]:
        return functools.partial(self.encode, texts, **asked)


class Scoring:
    """A reranker on the processor with nothing to prepare; what is made of it says what ``score`` gives."""

    capabilities = frozenset({"score"})
    modalities = TEXT
    device = "cpu"
    backend = "numpy"
    score: Callable[..., Any]

    def prepare(self, pairs: Sequence[tuple[str, str]], **asked: Any) -> Callable[[], Any]:
        return functools.partial(self.score, pairs, **asked)


@dataclass(frozen=True)
class Numbers:
    """The parts of a text, and how wide they are."""

    dense: Callable[[str], Sequence[float]]
    weights: Callable[[str], Mapping[int, float]]
    vectors: Callable[[str], Sequence[Sequence[float]]]
    vocabulary: int
    width: int


class ThreeParts(Encoding):
    """Each part of each text is the same whatever is asked for beside it; what was asked for is kept.

    Attributes:
        calls: Texts, role, instruction and parts of each.
    """

    parts = ALL

    def __init__(self, spec: ModelSpec, numbers: Numbers) -> None:
        self.spec = spec
        self.calls: list[tuple[list[str], str, str, frozenset[str]]] = []
        self._numbers = numbers

    def encode(self, texts: Sequence[str], *, role: Any, instruction: str = "", parts: Any = DENSE) -> Embeddings:
        self.calls.append((list(texts), role, instruction, frozenset(parts)))
        known, texts = self._numbers, [instruction + text for text in texts]
        sparse = np.zeros((len(texts), known.vocabulary), dtype=np.float32)
        for row, text in enumerate(texts):
            for column, weight in known.weights(text).items():
                sparse[row, column] = weight
        vectors = [np.array(known.vectors(text), dtype=np.float32).reshape(-1, known.width) for text in texts]
        return Embeddings(
            dense=np.array([known.dense(text) for text in texts], dtype=np.float32) if "dense" in parts else None,
            sparse=scipy.sparse.csr_array(sparse) if "sparse" in parts else None,
            multi_vector=MultiVectors.of(vectors, known.width) if "multi_vector" in parts else None,
        )

    def seen(self, role: str, part: str) -> list[str]:
        """The texts that a part was asked of."""
        return [text for texts, its, _, parts in self.calls if its == role and part in parts for text in texts]
