"""Forward passes: which rows go together, padded to a budget of tokens that halves when memory runs out.

On a GPU nothing waits between two passes: the next batch is padded and copied, and the results of the one before are
read, while this one runs. Rows of one length go together there where there are enough of them, and run without a mask,
which the fastest kernels of attention cannot take.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from flagbench import ModelFault
from flagbench.models.backbone.rows import MASK, Rows, padding_of, without_padding
from flagbench.models.backbone.transfer import transfer_of
from flagbench.models.contract import Loading
from flagbench.models.device import free_memory, out_of_memory, release_memory
from flagbench.models.passes import passed

# Padded tokens of one forward pass. CPU: on two cores about the fastest of 512 to 32,768 for small models, whatever the
# length of texts; above, the states of a layer get fresh pages of memory from the system again and again. GPU:
# fills the device at 512 tokens for up to 0.5B parameters.
_TOKENS_CPU = 1_024
_TOKENS_GPU = 65_536
# On a GPU: tokens of rows of one length that are worth a pass of their own; the fewest tokens of a budget by memory;
# the part of free memory that states may take; states of one token that live at once, in widths of the hidden states
# and of the feed-forward.
_ENOUGH_GPU = 8_192
_FEWEST_GPU = 1_024
_SHARE = 0.5
_WIDTHS, _INNER_WIDTHS = 16, 4


class Batch(dict[str, torch.Tensor]):
    """Inputs of the model, ``[n, t]`` each, on its device; ``attention_mask`` is among them.

    Attributes:
        maskless: The model gives the same without a mask, since no row is padded, and faster.
    """

    maskless = False

    def inputs(self) -> dict[str, torch.Tensor]:
        """What the model is to be given."""
        return {key: value for key, value in self.items() if key != MASK} if self.maskless else self


Encoded = Mapping[str, Sequence[Sequence[int]]] | Rows


class Batcher:
    """Pads rows of similar length together and runs a model over them: what encoders and rerankers share.

    Attributes:
        tokenizer: Pads, on its own side.
        budget: Padded tokens of one forward pass at present.
        batch_size: Rows of one at present; None leaves it to the budget.
    """

    def __init__(self, tokenizer: Any, loading: Loading, *, model: Any = None, multiple_of: int | None = None) -> None:
        """Set up.

        Args:
            tokenizer: Of the model.
            loading: Device and batch size.
            model: On its device: what its states take of a GPU's memory, and whether it may go without a mask. None
                where neither is known.
            multiple_of: What the padded length is a multiple of; rows of one length are not padded on a GPU.
        """
        self.tokenizer = tokenizer
        self.batch_size = loading.batch_size
        self._device = loading.device
        self._on_gpu = loading.device.startswith("cuda")
        self.budget = _TOKENS_CPU if loading.device == "cpu" else _TOKENS_GPU
        if self._on_gpu and model is not None:
            self.budget = budget_of(model, free_memory(loading.device))
        # Code that a checkpoint brings may count on its mask.
        self._maskless = self._on_gpu and type(model).__module__.startswith("transformers.")
        self._multiple_of = multiple_of
        self._transfer = transfer_of(loading.device)

    def run(
        self, encoded: Encoded, forward: Callable[[NDArray[np.int64], Batch], Any]
    ) -> Iterator[tuple[NDArray[np.int64], Any]]:
        """Run every row, longest first, so that memory runs out at the start if at all.

        A row without a token (an empty text, where the tokenizer adds no special tokens) is not run. Out of memory
        halves the pass, for good; any other error surfaces.

        Args:
            encoded: ``input_ids`` and what else the model takes, a list of numbers for each row.
            forward: Row numbers ``int64[n]`` and the padded batch to a tensor, or a tuple or dict of them.

        Yields:
            Row numbers of each pass, and its result with arrays of numpy for tensors.

        Raises:
            ModelFault: One row alone does not fit into memory.
        """
        tokens = encoded if isinstance(encoded, Rows) else Rows(encoded)
        order = np.argsort(-tokens.lengths, kind="stable")[: int((tokens.lengths > 0).sum())]
        lengths = tokens.lengths[order]
        running: deque[tuple[NDArray[np.int64], Callable[[], Any]]] = deque()
        start = 0
        while start < len(order):
            rows = order[start : self._end(lengths, start)]
            try:
                running.append((rows, self._transfer.back(forward(rows, self._pad(tokens, rows)))))
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                self._halve(len(rows), int(lengths[start]), error)
            else:
                start += len(rows)
                while len(running) > self._transfer.late:
                    yield _read(running)
                continue
            release_memory()  # only here: the error holds the states of the pass
        while running:
            yield _read(running)

    def fill(
        self,
        out: NDArray[np.float32],
        encoded: Encoded,
        forward: Callable[[NDArray[np.int64], Batch], torch.Tensor],
    ) -> NDArray[np.float32]:
        """``run``, with each result put into its rows of ``out``, which is returned."""
        for rows, values in self.run(encoded, forward):
            out[rows] = values
        return out

    def _end(self, lengths: NDArray[np.int64], start: int) -> int:
        """The row after the last of a pass, of rows in the order of their falling lengths."""
        if self.batch_size:
            return start + self.batch_size
        if self._on_gpu:
            return without_padding(lengths, start, self.budget, _ENOUGH_GPU)
        return start + max(1, self.budget // int(lengths[start]))

    def _pad(self, tokens: Rows, rows: NDArray[np.int64]) -> Batch:
        lengths = tokens.lengths[rows]
        width = int(lengths[0])
        equal = int(lengths[-1]) == width
        if self._multiple_of and not (equal and self._maskless):
            width = -(-width // self._multiple_of) * self._multiple_of
        left = self.tokenizer.padding_side == "left"
        padded = tokens.padded(rows, width, left=left, padding=padding_of(self.tokenizer))
        batch = Batch({key: self._transfer.there(values) for key, values in padded.items()})
        batch.maskless = equal and self._maskless
        return batch

    def _halve(self, rows: int, longest: int, error: BaseException) -> None:
        if rows == 1:
            raise ModelFault(
                f"out of memory on {self._device} with a single text of {longest} tokens; "
                "use --max-length, --dtype bf16 or a device with more memory"
            ) from error
        if self.batch_size:
            self.batch_size = max(1, rows // 2)
        self.budget = max(1, rows // 2) * longest


def _read(
    running: deque[tuple[NDArray[np.int64], Callable[[], Any]]],
) -> tuple[NDArray[np.int64], Any]:
    """The results of the pass that was started first."""
    rows, results = running.popleft()
    found = results()
    passed(len(rows))
    return rows, found


def budget_of(model: Any, free: int) -> int:
    """Padded tokens of one forward pass on a GPU: as many as fill it, or fewer where memory is short.

    Always a power of two, so that a little more or less of free memory changes no batch, and with it no last bits.

    Args:
        model: Its dtype, the widths of its states, and whether it keeps the weights of attention.
        free: Bytes that states may be a part of.
    """
    config = model.config.get_text_config()
    width = int(config.hidden_size)
    inner = int(getattr(config, "intermediate_size", None) or 4 * width)
    numbers = _WIDTHS * width + _INNER_WIDTHS * inner
    if getattr(config, "_attn_implementation", "") == "eager":
        numbers += 3 * int(config.num_attention_heads) * min(int(getattr(config, "max_position_embeddings", 512)), 512)
    tokens = int(_SHARE * free / (numbers * model.dtype.itemsize))
    return min(_TOKENS_GPU, max(_FEWEST_GPU, 1 << max(0, tokens.bit_length() - 1)))
