"""How much of an encoder's vectors is kept, and how precisely: the points of a series over one encoding.

A view comes behind the embedding cache, so all points of a model read the same vectors. Its meaning is that of
sentence-transformers' ``truncate_dim`` and ``quantize_embeddings``: the first numbers of each vector, then a byte or a
bit for each number (``models/quantised.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

Precision = Literal["fp32", "int8", "binary", "binary+rescore"]

PRECISIONS: tuple[Precision, ...] = get_args(Precision)

RESCORE_MULTIPLIER = 4
"""Passages that are rescored for each that is kept, as in the publication of binary vectors with rescoring by
sentence-transformers and mixedbread.ai (huggingface.co/blog/embedding-quantization)."""


@dataclass(frozen=True)
class View:
    """The part of each vector that is kept.

    Attributes:
        dims: First numbers; 0 for all.
        vectors: Precision: float32, a byte or a bit for each number; with ``binary+rescore`` the best passages by bits
            are rescored with the query's floats.
        rescore_multiplier: Passages that are rescored for each that is kept; 0 where none are.
    """

    dims: int = 0
    vectors: Precision = "fp32"
    rescore_multiplier: int = 0

    @property
    def plain(self) -> bool:
        """Whether it keeps vectors as they are."""
        return not self.dims and self.vectors == "fp32"

    @property
    def quantised(self) -> bool:
        """Whether numbers are less than float32."""
        return self.vectors != "fp32"

    @property
    def suffix(self) -> str:
        """What a point adds to the name of its model in results."""
        return (f"-dims{self.dims}" if self.dims else "") + (f"-{self.vectors}" if self.quantised else "")

    def as_dict(self) -> dict[str, Any]:
        """What results record."""
        rescored = {"rescore_multiplier": self.rescore_multiplier} if self.rescore_multiplier else {}
        return {"dims": self.dims or "full", "vectors": self.vectors, **rescored}

    def shown(self, *, unit: bool) -> str:
        """The view in a line for people.

        Args:
            unit: Whether the model normalises its vectors.
        """
        parts = [f"first {self.dims} numbers{', normalised again' if unit else ''}"] if self.dims else []
        rescored = f", {self.rescore_multiplier} passages rescored for each that is kept"
        parts += [self.vectors + (rescored if self.rescore_multiplier else "")] if self.quantised else []
        return "; ".join(parts)

    def bytes_of(self, numbers: int) -> int:
        """Bytes of a passage's vector of so many numbers, as an index keeps it."""
        sizes = {"fp32": 4 * numbers, "int8": numbers}
        return sizes.get(self.vectors, -(-numbers // 8))


def view_in(settings: Mapping[str, Any]) -> View:
    """What was kept of the vectors of a model, by its settings as results record them; all where they do not say."""
    said = settings.get("view")
    said = said if isinstance(said, Mapping) else {}
    dims, vectors, multiplier = (said.get(key) for key in ("dims", "vectors", "rescore_multiplier"))
    return View(
        dims if isinstance(dims, int) else 0,
        next((each for each in PRECISIONS if each == vectors), "fp32"),
        multiplier if isinstance(multiplier, int) else 0,
    )


def too_many(model: str, numbers: int) -> str:
    """What is said of more numbers than the vectors of a model have."""
    return f"the vectors of {model} have {numbers:,} numbers; give no more, or full"


def views_of(
    dims: Sequence[int], vectors: Sequence[Precision], rescore_multiplier: int | None = None
) -> tuple[View | None, ...]:
    """The points of a series: each number of dimensions with each precision.

    Args:
        dims: First numbers that are kept, 0 for all; empty where nothing was said of them.
        vectors: Precisions; empty where nothing was said of them.
        rescore_multiplier: Of ``binary+rescore``; None for the published one.

    Returns:
        The views in order; None alone where nothing was said.
    """
    if not dims and not vectors:
        return (None,)
    multiplier = rescore_multiplier or RESCORE_MULTIPLIER
    return tuple(
        View(kept, precision, multiplier if precision == "binary+rescore" else 0)
        for kept in dims or (0,)
        for precision in vectors or ("fp32",)
    )
