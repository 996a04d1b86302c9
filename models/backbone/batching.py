"""Forward passes: which rows go together, padded to a budget of tokens that halves when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from flagbench import ModelFault
from flagbench.models.contract import Loading

# Padded tokens of one forward pass. CPU: on two cores about the fastest of 512 to 32,768 for small models, whatever the
# length of texts; above, the states of a layer get fresh pages of memory from the system again and again. GPU:
# fills the device at 512 tokens for up to 0.5B parameters.
_TOKENS_CPU = 1_024
_TOKENS_GPU = 65_536

Batch = dict[str, torch.Tensor]
"""Inputs of the model, ``[n, t]`` each, on its device."""

T = TypeVar("T")


class Batcher:
    """Pads rows of similar length together and runs a model over them: what encoders and rerankers share.

    Attributes:
        tokenizer: Pads, on its own side.
        budget: Padded tokens of one forward pass at present.
        batch_size: Rows of one at present; None leaves it to the budget.
    """

    def __init__(self, tokenizer: Any, loading: Loading, *, multiple_of: int | None = None) -> None:
        """Set up.

        Args:
            tokenizer: Of the model.
            loading: Device and batch size.
            multiple_of: What the padded length is a multiple of.
        """
        self.tokenizer = tokenizer
        self.budget = _TOKENS_CPU if loading.device == "cpu" else _TOKENS_GPU
        self.batch_size = loading.batch_size
        self._device = loading.device
        self._multiple_of = multiple_of

    def run(
        self,
        encoded: Mapping[str, Sequence[Sequence[int]]],
        forward: Callable[[NDArray[np.int64], Batch], T],
    ) -> Iterator[tuple[NDArray[np.int64], T]]:
        """Run every row, longest first, so that memory runs out at the start if at all.

        A row without a token (an empty text, where the tokenizer adds no special tokens) is not run. Out of memory
        halves the pass, for good; any other error surfaces.

        Args:
            encoded: ``input_ids`` and what else the model takes, a list of numbers for each row.
            forward: Row numbers ``int64[n]`` and the padded batch to a result.

        Yields:
            Row numbers of each pass, and its result.

        Raises:
            ModelFault: One row alone does not fit into memory.
        """
        lengths = np.array([len(ids) for ids in encoded["input_ids"]], dtype=np.int64)
        order = np.argsort(-lengths, kind="stable")[: int((lengths > 0).sum())]
        start = 0
        while start < len(order):
            longest = int(lengths[order[start]])
            rows = order[start : start + (self.batch_size or max(1, self.budget // longest))]
            try:
                result = forward(rows, self._pad(encoded, rows))
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                self._halve(len(rows), longest, error)
                continue
            yield rows, result
            start += len(rows)

    def fill(
        self,
        out: NDArray[np.float32],
        encoded: Mapping[str, Sequence[Sequence[int]]],
        forward: Callable[[NDArray[np.int64], Batch], NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        """``run``, with each result put into its rows of ``out``, which is returned."""
        for rows, values in self.run(encoded, forward):
            out[rows] = values
        return out

    def _pad(self, encoded: Mapping[str, Sequence[Sequence[int]]], rows: NDArray[np.int64]) -> Batch:
        batch = self.tokenizer.pad(
            {key: [values[row] for row in rows] for key, values in encoded.items()},
            pad_to_multiple_of=self._multiple_of,
            return_tensors="pt",
        )
        return {key: value.to(self._device) for key, value in batch.items()}

    def _halve(self, rows: int, longest: int, error: BaseException) -> None:
        if rows == 1:
            raise ModelFault(
                f"out of memory on {self._device} with a single text of {longest} tokens; "
                "use --max-length, --dtype bf16 or a device with more memory"
            ) from error
        if self.batch_size:
            self.batch_size = max(1, rows // 2)
        self.budget = max(1, rows // 2) * longest
        if self._device.startswith("cuda"):
            torch.cuda.empty_cache()


def out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out; on the processor torch raises a plain RuntimeError that says so."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
