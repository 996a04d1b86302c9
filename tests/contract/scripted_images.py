"""A model of images that needs no weights: it reads drawn colours from images, and the words for colours from texts.

A picture of red and the word "red" are close, so text finds images; what else a text says tells it from others.
Importable, so that another process can load it.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flagbench.models.contract import DENSE, Capability, Part, Role
from flagbench.models.embeddings import Embeddings
from flagbench.models.inputs import Input, Item, Modality, Pair, text_of
from flagbench.models.loading.registry import published

COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (255, 0, 0),
    "lime": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
}
DIMENSION = 32
BOTH: frozenset[Modality] = frozenset({"text", "image"})
_BESIDE = 0.1  # weight of what is no colour

ENCODER = replace(published()["flagbench/random"], name="scripted/colours", adapter="scripted-colours", normalize=True)
SCORER = replace(
    published()["flagbench/random-reranker"], name="scripted/colours-reranker", adapter="scripted-colours-reranker"
)


def _vector(content: Input, instruction: str = "") -> NDArray[np.float64]:
    """How much there is of each colour, and a hash of the text."""
    text = instruction + text_of(content)
    vector = np.zeros(DIMENSION)
    words = re.findall("[a-z]+", text.lower())
    vector[: len(COLOURS)] = [words.count(name) for name in COLOURS]
    for image in content.images if isinstance(content, Item) else ():
        pixels = np.asarray(image.decoded().convert("RGB")).reshape(-1, 3)
        vector[: len(COLOURS)] += [(pixels == colour).all(axis=1).mean() for colour in COLOURS.values()]
    vector[: len(COLOURS)] /= max(1.0, float(np.linalg.norm(vector)))
    beside = _random(text).standard_normal(DIMENSION - len(COLOURS))
    vector[len(COLOURS) :] = _BESIDE * beside / np.linalg.norm(beside)
    unit: NDArray[np.float64] = vector / np.linalg.norm(vector)
    return unit


def _random(text: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()))


class ColourEncoder:
    """Embeds texts, images and both. It counts what it is given.

    Attributes:
        encoded: All inputs so far.
    """

    capabilities: frozenset[Capability] = frozenset({"encode"})
    modalities = BOTH
    parts = DENSE
    device = "cpu"
    backend = "numpy"
    spec = ENCODER

    def __init__(self) -> None:
        self.encoded: list[Input] = []

    def prepare(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Callable[[], Embeddings]:
        """See the contract."""
        return functools.partial(self.encode, texts, role=role, instruction=instruction, parts=parts)

    def encode(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Embeddings:
        """See the contract."""
        self.encoded += texts
        vectors = [_vector(each, instruction) for each in texts]
        return Embeddings(dense=np.array(vectors, dtype=np.float32).reshape(-1, DIMENSION))


class ColourScorer:
    """Scores pairs by the colours that they share; the rest of both tells a pair from others.

    Attributes:
        scored: All pairs so far.
    """

    capabilities: frozenset[Capability] = frozenset({"score"})
    modalities = BOTH
    device = "cpu"
    backend = "numpy"
    spec = SCORER

    def __init__(self) -> None:
        self.scored: list[Pair] = []

    def prepare(self, pairs: Sequence[Pair], *, instruction: str = "") -> Callable[[], NDArray[np.float32]]:
        """See the contract."""
        return functools.partial(self.score, pairs, instruction=instruction)

    def score(self, pairs: Sequence[Pair], *, instruction: str = "") -> NDArray[np.float32]:
        """See the contract."""
        self.scored += pairs
        scores = []
        for query, passage in pairs:
            one, two = _vector(query, instruction), _vector(passage)
            beside = _random(f"{instruction}{text_of(query)}\0{text_of(passage)}").random()
            scores.append(one[: len(COLOURS)] @ two[: len(COLOURS)] + _BESIDE * beside)
        return np.array(scores, dtype=np.float32)


def load_encoder(*, device: str = "cpu") -> ColourEncoder:
    """For workers."""
    return ColourEncoder()


def load_scorer(*, device: str = "cpu") -> ColourScorer:
    """For workers."""
    return ColourScorer()
