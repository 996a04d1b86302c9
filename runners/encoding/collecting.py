"""Collects what tasks ask of a model: a stand-in for it that keeps a sample of the texts, or of the pairs."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from flagbench.models.contract import DENSE, Part, Role
from flagbench.models.embeddings import Embeddings
from flagbench.models.inputs import Input, Pair, text_of
from flagbench.models.served.requests import MOST_TEXTS
from flagbench.models.spec import ModelSpec
from flagbench.runners.encoding.counting import Counting

T = TypeVar("T")

MOST_PASSAGES = 128
"""Pairs of one query that are kept."""


@dataclass(frozen=True)
class AskedText:
    """A text that a model is asked to embed."""

    role: Role
    instruction: str
    text: str


@dataclass
class AskedQuery:
    """A query, and passages that a model is asked to score for it."""

    instruction: str
    query: str
    passages: list[str] = field(default_factory=list)


class Sample(Generic[T]):
    """Some of what comes, each as likely as any other (Vitter's algorithm R).

    Attributes:
        most: How many are kept.
        seen: How many came.
        kept: The sample.
    """

    def __init__(self, most: int, seed: int) -> None:
        self.most, self.seen = most, 0
        self.kept: list[T] = []
        self._chance = random.Random(seed)

    def add(self, item: T) -> None:
        """One more comes."""
        self.seen += 1
        if len(self.kept) < self.most:
            self.kept.append(item)
        elif (place := self._chance.randrange(self.seen)) < self.most:
            self.kept[place] = item


class Collecting(Counting):
    """An encoder or a scorer whose vectors and scores mean nothing, and which keeps a sample of what it is asked.

    Attributes:
        texts: The sample of an encoder's texts.
        queries: The sample of a scorer's queries, with the pairs of each.
        pairs: How many pairs there were.
    """

    def __init__(self, spec: ModelSpec, most: int, *, role: str = "all", seed: int = 0) -> None:
        """Collect.

        Args:
            spec: Of the model.
            most: Texts, or queries, that are kept.
            role: Of the texts that are kept; ``all`` for any.
            seed: Of the draw.
        """
        super().__init__(spec, None, MOST_TEXTS, None)
        self.texts: Sample[AskedText] = Sample(most, seed)
        self.queries: Sample[AskedQuery] = Sample(most, seed)
        self.pairs = 0
        self._role = role

    def _embed(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Iterator[tuple[NDArray[np.int64], Embeddings]]:
        if self._role in ("all", role):
            for text in texts:
                self.texts.add(AskedText(role, instruction, text_of(text)))
        yield from super()._embed(texts, role=role, instruction=instruction, parts=parts)

    def _pairs(
        self, pairs: Sequence[Pair], *, instruction: str = ""
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        self.pairs += len(pairs)
        queries: dict[str, AskedQuery] = {}
        for query, passage in pairs:
            text = text_of(query)
            found = queries.setdefault(text, AskedQuery(instruction, text))
            if len(found.passages) < MOST_PASSAGES:
                found.passages.append(text_of(passage))
        for found in queries.values():
            self.queries.add(found)
        yield from super()._pairs(pairs, instruction=instruction)
