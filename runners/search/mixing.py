"""Vectors of queries, mixed with those of what was generated for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flagbench.models.contract import Role
from flagbench.models.query_mix import PREFIX, QueryMix
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.search.hits import comparable

_PASSAGE: Role = "passage"


def mixed(
    queries: NDArray[np.float32],
    encoder: TextEncoder,
    generated: Sequence[Sequence[str]],
    mix: QueryMix,
    instruction: str,
) -> NDArray[np.float32]:
    """The weighted sums of the vectors of queries and of their generations, not normalised.

    Args:
        queries: ``float32[q, d]``, comparable by inner product.
        encoder: The model.
        generated: The generations of each query, one or more, of which the mean counts.
        mix: The weights.
        instruction: That of passages.

    Returns:
        ``float32[q, d]``.
    """
    texts = [PREFIX + text for its in generated for text in its]
    vectors = comparable(encoder.encode(texts, role=_PASSAGE, instruction=instruction), encoder.adapter.spec.similarity)
    counts = np.array([len(its) for its in generated], dtype=np.int64)
    begins = np.cumsum(counts) - counts
    means = np.add.reduceat(vectors, begins, axis=0) / counts[:, None].astype(np.float32)
    generation, own = (np.float32(weight) for weight in mix.weights)
    summed: NDArray[np.float32] = generation * means + own * queries
    return summed
