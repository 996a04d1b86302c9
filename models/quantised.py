"""Vectors as a view keeps them: the first numbers, a byte for each number, or its sign.

The first numbers are those that sentence-transformers' ``truncate_dim`` keeps; where the model normalises its vectors
they are normalised again, as its ``normalize_embeddings=True`` does behind ``truncate_dim`` (alone, it leaves them
shorter, which moves no cosine). Bytes and bits are those of its ``quantize_embeddings``: ``int8`` with given ranges,
``ubinary``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.models.view import too_many

if TYPE_CHECKING:
    from flagbench.models.spec import ModelSpec

_STEPS = 255
_MIDDLE = 128
_TINY = np.float32(1e-12)  # as torch's normalize


def truncated(vectors: NDArray[np.float32], spec: ModelSpec) -> NDArray[np.float32]:
    """The first numbers of vectors, where the view of a model keeps no others; else the vectors themselves.

    Args:
        vectors: ``float32[n, d]``.
        spec: Of the model; it says whether its vectors are normalised, and they are again.

    Returns:
        ``float32[n, dims]``.

    Raises:
        BadInput: They have fewer numbers.
    """
    dims = spec.view.dims if spec.view else 0
    if not dims:
        return vectors
    if dims > vectors.shape[1]:
        raise BadInput(f"--dims {dims}: {too_many(spec.as_encoded.name, vectors.shape[1])}")
    kept = np.ascontiguousarray(vectors[:, :dims])
    if spec.gives_unit_vectors:
        kept /= np.maximum(np.linalg.norm(kept, axis=1, keepdims=True), _TINY)
    return kept


@dataclass(frozen=True)
class Ranges:
    """Smallest and largest value of each dimension, which the 256 values of a byte are laid between.

    Attributes:
        lowest: ``float32[d]``.
        highest: ``float32[d]``.
    """

    lowest: NDArray[np.float32]
    highest: NDArray[np.float32]

    @classmethod
    def of(cls, pieces: Iterable[NDArray[np.float32]]) -> Ranges | None:
        """The ranges of vectors that come piece by piece, ``float32[n, d]``; None where there are none."""
        found: Ranges | None = None
        for piece in pieces:
            if len(piece):
                its = cls(piece.min(axis=0), piece.max(axis=0))
                found = found.joined(its) if found else its
        return found

    def joined(self, other: Ranges) -> Ranges:
        """The ranges of these vectors and of others."""
        return Ranges(np.minimum(self.lowest, other.lowest), np.maximum(self.highest, other.highest))

    def to_bytes(self) -> bytes:
        """The numbers of both, little-endian, for a digest."""
        return b"".join(each.astype("<f4").tobytes() for each in (self.lowest, self.highest))

    def quantise(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """The bytes of vectors, from -128 to 127: ``floor((x - lowest) / step) - 128``, cut where x is out of range.

        A dimension of one value has a step of 1.

        Args:
            vectors: ``float32[n, d]``.

        Returns:
            ``float32[n, d]`` of whole numbers: what an evaluator or an index of floats takes.
        """
        steps = (self.highest - self.lowest) / np.float32(_STEPS)
        steps = np.where(steps == 0, np.float32(1), steps)
        codes = np.floor((vectors - self.lowest) / steps)
        return np.asarray(np.clip(codes, 0, _STEPS) - _MIDDLE, dtype=np.float32)


def signs(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The bits of vectors as floats, ``float32[n, d]``: 1 for a number above 0, -1 for any other.

    The cosine of two is ``1 - 2 h / d`` for a Hamming distance of ``h``.
    """
    return np.where(vectors > 0, np.float32(1), np.float32(-1))


def packed(vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The bits of vectors, eight in a byte, ``uint8[n, ceil(d / 8)]``; the last byte is filled up with zeros."""
    return np.packbits(vectors > 0, axis=-1)


def unpacked(bits: NDArray[np.uint8], dimension: int) -> NDArray[np.float32]:
    """The way back from ``packed`` to ``signs``: ``float32[n, dimension]``."""
    found = np.unpackbits(bits, axis=-1, count=dimension).astype(np.float32)
    return 2 * found - 1
