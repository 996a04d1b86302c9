"""The index of bits, against Hamming distances counted one by one: many passages tie, and none of them is left out."""

from __future__ import annotations

import numpy as np
import pytest

from flagbench.runners.search import bit_index
from flagbench.runners.search.bit_index import BitIndex

RANDOM = np.random.default_rng(5)


@pytest.mark.parametrize("spare", [0, 3, 1_000])
@pytest.mark.parametrize(("width", "k"), [(1, 1), (1, 17), (2, 60), (2, 1_000)])
def test_all_that_tie_with_the_last_are_found(width: int, k: int, spare: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bit_index, "_TIES", spare)
    monkeypatch.setattr(bit_index, "_QUERIES", 4)
    corpus = RANDOM.integers(0, 256, (300, width), dtype=np.uint8)
    queries = RANDOM.integers(0, 256, (11, width), dtype=np.uint8)
    index = BitIndex(width)
    for piece in np.array_split(corpus, 3):
        index.add(piece)
    assert len(index) == 300
    found = list(index.nearest(queries, k))
    assert len(found) == 11
    for query, (places, far) in zip(queries, found, strict=True):
        distances = np.unpackbits(corpus ^ query, axis=1).sum(axis=1)
        last = np.sort(distances)[min(k, 300) - 1]
        assert set(places.tolist()) == set(np.flatnonzero(distances <= last).tolist())
        assert far.tolist() == sorted(distances[places].tolist()) == distances[places].tolist()
    assert np.array_equal(index.take(np.array([7, 250, 7])), corpus[[7, 250, 7]])
