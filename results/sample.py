"""Samples of a task's data, and the sampling error of their score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import variance
from typing import Any

from flagbench.results.values import Values


@dataclass(frozen=True)
class Sample:
    """A sample of a task's items.

    Attributes:
        profile: The profile, ``smoke`` or ``quick``.
        unit: Name of the items, in the plural: rows, queries, sets.
        parts: Items drawn and items there are, by split and subset.
        places: Which rows or sets these are, counted from 0, by split and subset; empty for queries, which have ids.
        unlike: The reason why the score is not that of all the data whichever items are drawn, so that no interval
            covers it; empty for nothing.
    """

    profile: str
    unit: str
    parts: Mapping[str, Mapping[str, tuple[int, int]]]
    places: Mapping[str, Mapping[str, Sequence[int]]]
    unlike: str = ""

    @property
    def items(self) -> int:
        """Items drawn."""
        return sum(drawn for by_subset in self.parts.values() for drawn, _ in by_subset.values())

    @property
    def of(self) -> int:
        """Items there are."""
        return sum(there for by_subset in self.parts.values() for _, there in by_subset.values())

    def error(self, values: Values, metric: str) -> float | None:
        """Half the width of the 95% interval that the drawing of items adds to the score.

        ``t sqrt(sum_p e_p) / k`` with ``e_p = s_p^2 / n_p (1 - n_p / N_p)`` over ``k`` splits and subsets, of which
        ``n_p`` of ``N_p`` items were drawn and have values with the variance ``s_p^2``: simple random sampling without
        replacement from each of them (Cochran, Sampling Techniques, 1977, sections 2.6 and 5.3). ``t`` is Student's,
        1.96 for many items, with the degrees of freedom ``(sum_p e_p)^2 / sum_p (e_p^2 / (n_p - 1))`` (his 5.4).

        Args:
            values: Of the drawn items.
            metric: That which has the score for its mean.

        Returns:
            None where a part has no values, or a single one of several, or where all items were drawn.
        """
        from scipy.stats import t

        if self.items == self.of:
            return None
        squares, weights = 0.0, 0.0
        for split, by_subset in self.parts.items():
            for subset, (drawn, there) in by_subset.items():
                found = list(values.parts.get(split, {}).get(subset, {}).get(metric, {}).values())
                if len(found) != drawn or (drawn < 2 and drawn < there):
                    return None
                if drawn < there:
                    square = variance(found) / drawn * (1 - drawn / there)
                    squares += square
                    weights += square * square / (drawn - 1)
        parts = sum(map(len, self.parts.values()))
        return float(t.ppf(0.975, squares * squares / weights)) * math.sqrt(squares) / parts if squares else 0.0

    def record(self, values: Values | None, metric: str) -> dict[str, Any]:
        """As it stands in run.json.

        Args:
            values: Of the drawn items; None where there are none.
            metric: See ``error``.
        """
        error = self.error(values, metric) if values else None
        return {"profile": self.profile, "items": self.items, "of": self.of, "error": error}
