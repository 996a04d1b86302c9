"""Texts that mean the same: neighbours by the cosine of a model's vectors, searched exactly."""

from __future__ import annotations

import tempfile

import numpy as np
from numpy.typing import NDArray

from flagbench.models.contract import DENSE
from flagbench.runners.data.texts import Picked
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.leaks.collected import Collected
from flagbench.runners.leaks.matches import Matches, joined, no_matches
from flagbench.runners.leaks.training import Batch
from flagbench.runners.search.index import search_block

CHARACTERS = 16_000_000
"""Of the training texts that are encoded and searched at once."""

TEXTS = 65_536
"""The same in texts: vectors of 1,024 numbers are 256 MiB."""

NEIGHBOURS = 8
"""Training texts of such a batch that are looked at for each text of the tasks."""

_BLOCK_BYTES = 128 << 20


class SemanticDuplicates:
    """Finds training texts near to the texts of tasks. All are encoded without instruction, as texts alike."""

    def __init__(self, collected: Collected, encoder: TextEncoder, bound: float) -> None:
        """Encode the texts of tasks into a temporary file.

        Args:
            collected: Those.
            encoder: The model, with the embedding cache.
            bound: Cosine, at least.

        Raises:
            ModelFault: The model gave something unusable.
        """
        self._encoder = encoder
        self._bound = bound
        self._vectors: NDArray[np.float32] = np.empty((0, 0), dtype=np.float32)
        texts = Picked(collected.texts, collected.first)
        with tempfile.TemporaryFile(prefix="flagbench-") as file:  # the array outlives it
            for rows, chunk in encoder.chunks(texts, role="symmetric", parts=DENSE):
                dense = chunk.dense
                assert dense is not None
                if not self._vectors.size:
                    shape = (len(texts), dense.shape[1])
                    self._vectors = np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
                self._vectors[rows] = _unit(dense)

    def find(self, batch: Batch) -> Matches:
        """The texts of tasks that have a neighbour in a batch of training texts."""
        places = np.array([place for place, text in enumerate(batch.texts) if text.strip()], dtype=np.int64)
        if not len(places) or not self._vectors.size:
            return no_matches()
        own = _unit(self._encoder.encode([batch.texts[int(place)] for place in places], role="symmetric"))
        step = max(1, _BLOCK_BYTES // (4 * own.shape[1]))
        found = []
        for begin in range(0, len(self._vectors), step):
            block = np.ascontiguousarray(self._vectors[begin : begin + step])
            hits = search_block(block, own, min(NEIGHBOURS, len(own)), self._encoder.adapter.device)
            numbers, ranks = np.nonzero(hits.scores >= self._bound)
            cosines = np.minimum(hits.scores[numbers, ranks], np.float32(1))
            found.append(Matches(places[hits.places[numbers, ranks]], numbers + begin, cosines))
        return joined(found)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors of length 1; one of length 0 stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit
