"""Rows of each forward pass, by length and a budget of tokens: what encoders and cross-encoders share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

# Padded tokens of one forward pass. CPU: about the fastest of 1,024 to 32,768 for a 22M-parameter model on two cores,
# on questions of 10 tokens as on abstracts of 256. GPU: fills the device at 512 tokens for up to 0.5B parameters.
_TOKENS_CPU = 2_048
_TOKENS_GPU = 65_536


def batches(lengths: NDArray[np.int64], *, device: str, batch_size: int | None) -> Iterator[NDArray[np.int64]]:
    """Row numbers of each batch, longest first: out of memory, if at all, comes at the start.

    A row without a token (an empty text, where the tokenizer adds no special tokens) is in no batch.

    Args:
        lengths: ``int64[n]`` tokens of each row.
        device: Chooses the budget of padded tokens.
        batch_size: Rows of a batch; None leaves it to the budget.
    """
    budget = _TOKENS_CPU if device == "cpu" else _TOKENS_GPU
    order = np.argsort(-lengths, kind="stable")[: int((lengths > 0).sum())]
    start = 0
    while start < len(order):
        size = batch_size or max(1, budget // int(lengths[order[start]]))
        yield order[start : start + size]
        start += size
