"""How long a context may be until a model is no longer good enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flagbench.results.grids import Grid

THRESHOLD = 0.856
"""RULER's score of Llama-2-7B-chat at 4K tokens, which the others' are compared with (README of NVIDIA/RULER)."""


@dataclass(frozen=True)
class EffectiveLength:
    """The longest context that a model is good enough at.

    Attributes:
        length: The longest one tried that reaches the threshold, as all shorter ones do; None where none does.
        longer: Whether it is the longest of all, so that a longer one may do.
    """

    length: int | None
    longer: bool

    def said(self, shortest: int) -> str:
        """For people.

        Args:
            shortest: The shortest length that was tried.
        """
        if self.length is None:
            return f"below {shortest:,} tokens"
        return f"{'at least ' if self.longer else ''}{self.length:,} tokens"


def effective_length_of(grid: Grid) -> EffectiveLength | None:
    """That of a grid; None where its columns are no lengths."""
    return effective_length(by_length(grid)) if grid.columns.name == "length" else None


def by_length(grid: Grid) -> dict[int, float]:
    """The score of each length: the mean over all samples of it."""
    means = {length: grid.column(at).value for at, length in enumerate(grid.columns.values)}
    return {length: mean for length, mean in means.items() if mean is not None}


def effective_length(scores: Mapping[int, float], threshold: float = THRESHOLD) -> EffectiveLength:
    """The effective length of a model by RULER's rule: the longest whose score reaches a threshold.

    A length counts only where all shorter ones reach it too. Of the models that RULER lists none falls below the
    threshold and reaches it again, so its table is the same with either reading.

    Args:
        scores: By length, 0 to 1.
        threshold: See ``THRESHOLD``. Scores are rounded to three decimals before, as RULER prints them.
    """
    reached: int | None = None
    for length in sorted(scores):
        if round(scores[length], 3) < threshold:
            return EffectiveLength(reached, longer=False)
        reached = length
    return EffectiveLength(reached, longer=reached is not None)
