"""Copies between the processor and the device of a model: at once, or beside the model's work on one of CUDA's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray


class Transfer(Protocol):
    """The way to a device and back."""

    @property
    def late(self) -> int:
        """Batches that run while the results of an earlier one are not yet read."""
        ...

    def there(self, values: NDArray[np.int64]) -> torch.Tensor:
        """The same numbers on the device; work that is started after this call sees them."""
        ...

    def back(self, results: Any) -> Callable[[], Any]:
        """Begin to fetch a tensor, or all that a tuple or a dict holds.

        Args:
            results: On the device.

        Returns:
            Waits until they are here, and gives them as arrays of numpy.
        """
        ...


def transfer_of(device: str) -> Transfer:
    """The fastest way to a device."""
    return Beside(device) if device.startswith("cuda") else AtOnce(device)


class AtOnce:
    """Copies that are done when the call returns: the processor needs none, and others wait."""

    late = 0

    def __init__(self, device: str) -> None:
        self._device = device

    def there(self, values: NDArray[np.int64]) -> torch.Tensor:
        """See Transfer."""
        return torch.from_numpy(values).to(self._device)

    def back(self, results: Any) -> Callable[[], Any]:
        """See Transfer."""
        here = _each(results, lambda tensor: tensor.cpu().numpy())
        return lambda: here


class Beside:
    """Copies between pinned memory and a CUDA device, which the stream of the model does in its turn.

    The processor waits for a batch's results one batch late, when the device has the next one to work on.
    """

    late = 1

    def __init__(self, device: str) -> None:
        self._device = device

    def there(self, values: NDArray[np.int64]) -> torch.Tensor:
        """See Transfer."""
        return torch.from_numpy(values).pin_memory().to(self._device, non_blocking=True)

    def back(self, results: Any) -> Callable[[], Any]:
        """See Transfer."""
        here = _each(results, _begun)
        # Of the model's device: a worker's is not always the current one.
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record(torch.cuda.current_stream(self._device))

        def wait() -> Any:
            done.synchronize()
            return _each(here, lambda tensor: tensor.numpy())

        return wait


def _begun(tensor: torch.Tensor) -> torch.Tensor:
    """A copy in pinned memory that will be filled."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)


def _each(values: Any, change: Callable[[torch.Tensor], Any]) -> Any:
    """The same values with every tensor changed, also those in tuples and dicts."""
    if isinstance(values, torch.Tensor):
        return change(values)
    if isinstance(values, tuple):
        return tuple(_each(value, change) for value in values)
    if isinstance(values, dict):
        return {key: _each(value, change) for key, value in values.items()}
    return values
