"""Rows of each forward pass, by length and a budget of tokens: what encoders and rerankers share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

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


def padded_batches(
    encoded: Mapping[str, Sequence[Sequence[int]]],
    tokenizer: Any,
    *,
    device: str,
    batch_size: int | None,
    multiple_of: int | None = None,
) -> Iterator[tuple[NDArray[np.int64], dict[str, Any]]]:
    """Row numbers and padded tensors of each forward pass, on the device.

    Args:
        encoded: ``input_ids`` and what else the model takes, a list of numbers for each text.
        tokenizer: Pads, on its own side.
        device: Where the tensors go.
        batch_size: Rows of a batch; None leaves it to a budget of tokens.
        multiple_of: What the padded length is a multiple of.
    """
    lengths = np.array([len(ids) for ids in encoded["input_ids"]], dtype=np.int64)
    for rows in batches(lengths, device=device, batch_size=batch_size):
        batch = tokenizer.pad(
            {key: [values[row] for row in rows] for key, values in encoded.items()},
            pad_to_multiple_of=multiple_of,
            return_tensors="pt",
        )
        yield rows, {key: value.to(device) for key, value in batch.items()}
