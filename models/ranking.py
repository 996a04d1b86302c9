"""Ranking of passages by an encoder, as one value: by its dense vectors, or by several parts of its embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from flagbench.models.contract import Part

Retrieval = Literal["dense", "sparse", "colbert", "hybrid"]

RETRIEVALS: tuple[Retrieval, ...] = get_args(Retrieval)


@dataclass(frozen=True)
class Ranking:
    """The parts of embeddings that rank passages.

    Attributes:
        retrieval: By dense vectors, lexical weights, multi-vectors over the dense candidates, or a weighted sum.
        weights: Of dense, sparse and multi-vector scores in that sum; empty without one.
        candidates: Passages of the dense ranking that multi-vectors re-rank; 0 where none do.
    """

    retrieval: Retrieval = "dense"
    weights: tuple[float, ...] = ()
    candidates: int = 0

    @property
    def parts(self) -> frozenset[Part]:
        """Parts that retrieval needs per text; a part with weight 0 is not computed, dense gives the candidates."""
        match self.retrieval:
            case "dense":
                return frozenset({"dense"})
            case "sparse":
                return frozenset({"sparse"})
            case "colbert":
                return frozenset({"dense", "multi_vector"})
            case "hybrid":
                _, sparse, colbert = self.weights
                parts: set[Part] = {"dense"}
                parts |= {"sparse"} if sparse else set()
                parts |= {"multi_vector"} if colbert else set()
                return frozenset(parts)
