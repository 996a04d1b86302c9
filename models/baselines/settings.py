"""Settings that only a baseline has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from flagbench.models.own import OwnSettings


@dataclass(frozen=True)
class BM25Settings(OwnSettings):
    """Parameters of BM25; models.toml has the numbers.

    Attributes:
        method: The formula's name in bm25s.
        k1: How soon more occurrences of a word count no more.
        b: Length normalisation, from 0 to 1.
        analysis: Version of the way in which texts become words.
    """

    owner: ClassVar[str] = "BM25"
    title: ClassVar[str] = "BM25"
    ability: ClassVar[str] = "search"

    method: str
    k1: float
    b: float
    analysis: str

    def as_dict(self) -> dict[str, Any]:
        """Under one name."""
        return {"search": super().as_dict()}

    def shown(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(f"{name} {getattr(self, name)}" for name in self.names())
