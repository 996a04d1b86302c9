"""Files of weights as such: the tensors of a pickle, and the shapes of any, without the numbers being read."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import BadInput, in_one_line
from flagbench.files import check_file
from flagbench.models.loading.folder import FIX

if TYPE_CHECKING:
    import torch


def unpickled(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a pickle that the user gave leave to read, by name; no code of it runs.

    Raises:
        BadInput: It is damaged, or holds something else than a flat dict of tensors.
    """
    import torch

    check_file(path, FIX)
    try:
        # What is in a zip, as torch writes it since version 1.6, is not read before it is used.
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # torch.load has no root for what it raises on damaged or foreign files
        raise BadInput(
            f"{path} is damaged, or holds more than tensors ({in_one_line(error).split('. ')[0]:.200}): {FIX}"
        ) from error
    if not isinstance(tensors, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in tensors.items()
    ):
        raise BadInput(f"{path} is no flat dict of tensors by name: save the model's state_dict() alone")
    return tensors


def shapes_in(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of one file of weights, by name.

    Args:
        path: Safetensors, or a pickle as ``unpickled`` takes it.

    Raises:
        BadInput: It is damaged, or holds something else than tensors by name.
    """
    if path.suffix != ".safetensors":
        return {name: tuple(tensor.shape) for name, tensor in unpickled(path).items()}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{path} is damaged or truncated ({error}); copy it again") from error
