"""Counts what a task would send to a server: a stand-in for the model, asked as it would be, that sends nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from flagbench.models.contract import DENSE, Capability, Part, Role, Tokens
from flagbench.models.embeddings import Embeddings
from flagbench.models.inputs import TEXT, Input, Pair, content_key, cost, pair_key, text_of
from flagbench.models.served.requests import Requests
from flagbench.models.spec import ModelSpec
from flagbench.runners.encoding.cache import CachedEmbeddings, EmbeddingCache
from flagbench.runners.encoding.wanted import Wanted

_DIMENSIONS = 16

Known = Mapping[str, set[bytes]]
"""Keys of what the embedding cache has, by the role and instruction that it is kept under."""


@dataclass
class Sent:
    """What would be sent.

    Attributes:
        texts: Texts, or pairs.
        kept: Texts, or pairs, that the embedding cache has.
        requests: Requests, none of them refused.
        characters: Of all texts, with their instructions; of each pair both.
        tokens: Of the same; 0 where they are not counted.
    """

    texts: int = 0
    kept: int = 0
    requests: int = 0
    characters: int = 0
    tokens: int = 0

    def add(self, other: Sent) -> None:
        """Add another."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


class CountingCache(EmbeddingCache):
    """An embedding cache that gives nothing and takes nothing, and says what the real one has.

    Attributes:
        known: Keys of what is kept, and of what a run would have kept by now.
    """

    def __init__(self, cache: EmbeddingCache) -> None:
        super().__init__(cache.store, half=cache.half)
        self.known: defaultdict[str, set[bytes]] = defaultdict(set)

    def of(self, spec: ModelSpec, role: Role | Literal["pair"], instruction: str) -> CachedEmbeddings:
        """See ``EmbeddingCache``."""
        settings = spec.as_dict() if role == "pair" else spec.vector_settings(role)
        return _Counted(self.store, settings, role, instruction, self.known[_place(role, instruction)])


class _Counted(CachedEmbeddings):
    def __init__(self, store: Any, settings: Mapping[str, Any], role: str, instruction: str, known: set[bytes]) -> None:
        super().__init__(store, settings, role, instruction, half=False)
        self._known = known

    def read(self, keys: NDArray[np.void], wanted: Wanted) -> Iterator[tuple[NDArray[np.int64], Embeddings | None]]:
        there = np.all([self._space(part).find(keys) >= 0 for part in sorted(wanted.parts)], axis=0)
        self._known.update(key.tobytes() for key in keys[there])
        yield np.arange(len(keys)), None

    def put(self, keys: NDArray[np.void], embeddings: Embeddings) -> Embeddings:
        return embeddings


class Counting:
    """An encoder or a scorer whose vectors and scores mean nothing.

    Attributes:
        sent: What was counted since it was last set to nothing.
    """

    modalities = TEXT
    device = "cpu"
    backend = ""
    lanes = 1
    notes: Sequence[str] = ()

    def __init__(self, spec: ModelSpec, cache: CountingCache | None, texts: int, tokens: Tokens | None) -> None:
        """Count.

        Args:
            spec: Of the model.
            cache: Says what needs not be sent; None for a run without a cache.
            texts: Texts of a request.
            tokens: Counts tokens; None to count none.
        """
        self.spec = spec
        self.capabilities: frozenset[Capability] = frozenset({spec.ability})
        self.parts = spec.parts
        self.sent = Sent()
        self._cache, self._texts, self._tokens = cache, texts, tokens

    @property
    def stream(self) -> Callable[..., Iterator[tuple[NDArray[np.int64], Any]]]:
        """See ``Streaming``."""
        return self._pairs if self.spec.ability == "score" else self._embed

    def prepare(self, inputs: Sequence[Any], **arguments: Any) -> Callable[[], Any]:
        """See the contract."""
        found = list(self.stream(inputs, **arguments))
        return lambda: found[0][1]

    def _embed(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Iterator[tuple[NDArray[np.int64], Embeddings]]:
        keys = [content_key(text) for text in texts]
        new = self._new(keys, _place(role, instruction))
        sent = [text_of(texts[row]) for row in new]
        self._count(len(keys), [len(instruction) + cost(text) for text in sent], [instruction + text for text in sent])
        numbers = _numbers(keys, self._dimensions)
        sparse = scipy.sparse.csr_array(np.abs(numbers)) if "sparse" in parts else None
        yield np.arange(len(keys)), Embeddings(dense=numbers if "dense" in parts else None, sparse=sparse)

    def _pairs(
        self, pairs: Sequence[Pair], *, instruction: str = ""
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        keys = [pair_key(pair) for pair in pairs]
        new = self._new(keys, _place("pair", instruction))
        chosen = sorted(((text_of(pairs[row][0]), text_of(pairs[row][1])) for row in new), key=lambda pair: pair[0])
        costs = [len(instruction) + sum(map(len, pair)) for pair in chosen]
        self._count(len(keys), costs, [f"{instruction}{one} {two}" for one, two in chosen], [one for one, _ in chosen])
        yield np.arange(len(keys)), _numbers(keys, 1)[:, 0]

    @property
    def _dimensions(self) -> int:
        return max(_DIMENSIONS, self.spec.view.dims if self.spec.view else 0)

    def _new(self, keys: Sequence[bytes], place: str) -> list[int]:
        """The rows that are not kept, which a run would keep from now on."""
        if self._cache is None:
            return list(range(len(keys)))
        known = self._cache.known[place]
        new = [row for row, key in enumerate(keys) if key not in known]
        known.update(keys)
        return new

    def _count(self, asked: int, costs: Sequence[int], texts: Sequence[str], groups: Sequence[object] = ()) -> None:
        requests = sum(1 for _ in Requests[Any](self._texts).batches(costs, groups))
        tokens = sum(len(self._tokens.encode(text, specials=True)) for text in texts) if self._tokens else 0
        self.sent.add(Sent(len(costs), asked - len(costs), requests, sum(costs), tokens))


def _place(role: str, instruction: str) -> str:
    return f"{role} {instruction}"


def _numbers(keys: Sequence[bytes], dimensions: int) -> NDArray[np.float32]:
    """Numbers that are the same for the same key."""
    rows = [np.random.default_rng(np.frombuffer(key, dtype=np.uint32)).normal(size=dimensions) for key in keys]
    return np.array(rows, dtype=np.float32).reshape(len(keys), dimensions)
