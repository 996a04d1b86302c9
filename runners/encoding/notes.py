"""What a task's result says of its inputs and of their vectors. Imported by the interface of benchmarks: no numpy."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flagbench.models.contract import DENSE
from flagbench.models.view import View

if TYPE_CHECKING:
    from flagbench.models.quantised import Ranges
    from flagbench.models.spec import ModelSpec
    from flagbench.results.record import Vectors

_MILLION = 1_000_000


@dataclass
class EncodeCounts:
    """Counts of inputs encoded so far.

    Attributes:
        texts: Texts asked for.
        distinct: Distinct ones among those of each call.
        encoded: Texts that went through the model; the others were cached.
        seconds: Wall time of reading the cache and of encoding.
    """

    texts: int = 0
    distinct: int = 0
    encoded: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, int]:
        """The numbers of texts, as recorded in the result."""
        return {"asked": self.texts, "distinct": self.distinct, "encoded": self.encoded}


@dataclass
class VectorNotes:
    """Gathered while a task is evaluated.

    Attributes:
        dimension: Numbers of a vector, as far as it is kept; None before the first.
        ranges: Of the bytes of int8 vectors, one for each part of the data that has its own, in the order of their use.
    """

    dimension: int | None = None
    ranges: list[Ranges] = field(default_factory=list)

    def as_dict(self, spec: ModelSpec) -> Vectors | None:
        """What a record keeps; None where no vectors were made, or where they are not dense alone.

        Args:
            spec: Of the model.
        """
        if self.dimension is None or spec.parts != DENSE:
            return None
        view = spec.view or View()
        found: Vectors = {
            "dimensions": self.dimension,
            "precision": view.vectors,
            "bytes_per_million": _MILLION * view.bytes_of(self.dimension),
        }
        if not self.ranges:
            return found
        digest = hashlib.blake2b(b"".join(each.to_bytes() for each in self.ranges), digest_size=16).hexdigest()
        lowest = min(float(each.lowest.min()) for each in self.ranges)
        highest = max(float(each.highest.max()) for each in self.ranges)
        return found | {"ranges": {"parts": len(self.ranges), "digest": digest, "lowest": lowest, "highest": highest}}
