"""Sums of tensors, block by block: read from the files of several models, added in fp32, and written as safetensors."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import torch
from safetensors import safe_open

from flagbench import BadInput, in_one_line, printable
from flagbench.models.loading.folder import FIX
from flagbench.models.loading.mixture_weights import Stored, Sum
from flagbench.models.loading.weight_shapes import unpickled

BLOCK = 2 << 20
"""Bytes of fp32 of the largest block: what is read of a file is let go of with the block. Once a larger one was freed,
glibc keeps all of up to its size that is freed later, such as the layers that are laid out anew."""

_FILES, _SMALLEST_FILE = 64, 16 << 20

_LARGEST = torch.finfo(torch.float32).max
"""With a larger weight no sum is taken in fp32."""

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def bytes_of(sums: Sequence[Sum]) -> int:
    """Size of the file that ``write_sums`` writes, without its header."""
    return sum(_size(each) for each in sums)


def write_sums(sums: Sequence[Sum], weights: Sequence[float], folder: Path, *, in_parts: bool = False) -> None:
    """Write a mixture's tensors as safetensors.

    Args:
        sums: The tensors.
        weights: Of the models, in step with the parts of each.
        folder: Where ``model.safetensors`` is written anew.
        in_parts: Write several files and their index where the model is large. A model is mapped from its files, and
            stays in memory as long as one of its tensors does: of several files those are let go of whose layers are
            laid out anew.

    Raises:
        BadInput: A tensor that must be the same in all models is not; a sum is too large for the number format; a file
            cannot be read or written.
    """
    ordered = sorted(sums, key=lambda each: (-_DTYPES[each.first.dtype].itemsize, each.key))
    parts: Sequence[Sequence[Sum]] = _parts(ordered) if in_parts else [ordered]
    if len(parts) == 1:
        _write(parts[0], weights, folder / "model.safetensors")
        return
    index: dict[str, str] = {}
    for number, part in enumerate(parts, 1):
        name = f"model-{number:05}-of-{len(parts):05}.safetensors"
        _write(part, weights, folder / name)
        index |= dict.fromkeys((each.key for each in part), name)
    content = {"metadata": {"total_size": bytes_of(sums)}, "weight_map": index}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content), encoding="utf-8")


def _parts(sums: Sequence[Sum]) -> list[list[Sum]]:
    """The tensors of each file: vectors, which stay as they are when layers are laid out anew, and then the others."""
    most = max(_SMALLEST_FILE, bytes_of(sums) // _FILES)
    if bytes_of(sums) <= most:
        return [list(sums)]
    parts: list[list[Sum]] = [[each for each in sums if len(each.first.shape) < 2]]
    size = most
    for each in (each for each in sums if len(each.first.shape) >= 2):
        if size + _size(each) > most:
            parts.append([])
            size = 0
        parts[-1].append(each)
        size += _size(each)
    return list(filter(None, parts))


def _write(ordered: Sequence[Sum], weights: Sequence[float], path: Path) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}  # transformers asks for it
    begins, end = {}, 0
    for each in ordered:
        begins[each.key] = end
        end += _size(each)
        place = [begins[each.key], end]
        header[each.key] = {"dtype": each.first.dtype, "shape": list(each.first.shape), "data_offsets": place}
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    shared = {each.key: each.first.shares for each in ordered if each.first.shares in begins}
    try:
        with path.open("w+b") as file:
            file.write(struct.pack("<Q", len(encoded)) + encoded)
            start = file.tell()
            file.truncate(start + end)
            for each in ordered:
                if each.key not in shared:
                    file.seek(start + begins[each.key])
                    for block in blocks(each, weights):
                        file.write(block.contiguous().view(-1).view(torch.uint8).numpy().data)
            for each in ordered:
                if each.key in shared:  # summed once
                    _copy(file, start + begins[shared[each.key]], start + begins[each.key], _size(each))
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror}): make room there") from error


def summed(each: Sum, weights: Sequence[float]) -> torch.Tensor:
    """A whole tensor of a mixture.

    Raises:
        BadInput: As ``write_sums``.
    """
    return torch.cat([block.reshape(-1) for block in blocks(each, weights)]).reshape(each.first.shape)


def blocks(each: Sum, weights: Sequence[float]) -> Iterator[torch.Tensor]:
    """A tensor of a mixture, block by block, in the first model's number format.

    Args:
        each: The tensor.
        weights: Of the models.

    Yields:
        Some of its rows, in order; all of a tensor without rows.

    Raises:
        BadInput: As ``write_sums``.
    """
    rows = each.first.shape[0] if each.first.shape else 0
    if not rows or not _size(each):
        yield _block(each, weights, None)
        return
    numbers = _size(each) // _DTYPES[each.first.dtype].itemsize // rows
    step = max(1, BLOCK // max(1, 4 * numbers))
    for begin in range(0, rows, step):
        yield _block(each, weights, slice(begin, min(begin + step, rows)))


def _block(each: Sum, weights: Sequence[float], rows: slice | None) -> torch.Tensor:
    if each.how != "sum":
        first = _read(each.first, rows)
        others = [part for part in each.parts[1:] if part is not None and each.how == "same"]
        if odd := next((part for part in others if not torch.equal(first, _read(part, rows).to(first.dtype))), None):
            raise BadInput(
                f"{printable(each.key):.120} holds whole numbers that are others in {odd.path} than in "
                f"{each.first.path}, and cannot be summed: leave that model out"
            )
        return first
    wanted = _DTYPES[each.first.dtype]
    wide = wanted == torch.float64 or any(abs(weight) > _LARGEST for weight in weights)
    exact = torch.float64 if wide else torch.float32
    total: torch.Tensor | None = None
    for weight, part in zip(weights, each.parts, strict=True):
        if not weight or part is None:
            continue
        numbers = _read(part, rows).to(exact)
        total = numbers * weight if total is None else total.add_(numbers, alpha=weight)
    assert total is not None
    made = total.to(wanted)
    if not bool(made.isfinite().all()):
        _check_parts(each, weights, rows, made)
    return made


def _check_parts(each: Sum, weights: Sequence[float], rows: slice | None, made: torch.Tensor) -> None:
    """See that what is not finite in a sum is so in a part of it.

    Raises:
        BadInput: The number format cannot hold the sum.
    """
    lost = ~made.isfinite()
    for weight, part in zip(weights, each.parts, strict=True):
        if weight and part is not None:
            lost &= _read(part, rows).isfinite()
    if bool(lost.any()):
        raise BadInput(
            f"{printable(each.key):.120} of the mixture is too large for {each.first.dtype}, the number format of the "
            "first model: take smaller weights, or name a model in a wider format first"
        )


def _read(stored: Stored, rows: slice | None) -> torch.Tensor:
    """Some rows of a tensor, or all; the file is mapped for this alone, so that its pages do not pile up."""
    try:
        if stored.path.suffix != ".safetensors":
            tensor = unpickled(stored.path)[stored.key]
            return (tensor if rows is None else tensor[rows]).clone()
        with safe_open(stored.path, framework="pt") as file:
            found: torch.Tensor = file.get_tensor(stored.key) if rows is None else file.get_slice(stored.key)[rows]
            return found.clone()
    except BadInput:
        raise
    except Exception as error:  # safetensors has no root for what it raises on files that change
        raise BadInput(f"{stored.path} cannot be read ({in_one_line(error)}): {FIX}") from error


def _size(each: Sum) -> int:
    size = _DTYPES[each.first.dtype].itemsize
    for number in each.first.shape:
        size *= number
    return size


def _copy(file: BinaryIO, source: int, target: int, size: int) -> None:
    for begin in range(0, size, BLOCK):
        file.seek(source + begin)
        block = file.read(min(BLOCK, size - begin))
        file.seek(target + begin)
        file.write(block)
