"""The flags of a fusion of rankings."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from typing import Literal, get_args

from flagbench import BadInput
from flagbench.flags import flag, positive, real

Method = Literal["rrf", "dbsf", "weights"]

METHODS: tuple[Method, ...] = get_args(Method)

RRF_K = 60
"""Cormack, Clarke and Büttcher, Reciprocal Rank Fusion outperforms Condorcet (SIGIR 2009), section 2."""


def weights(text: str) -> tuple[float, ...]:
    """Numbers with commas between them, of which none is negative and whose sum is above 0 and finite."""
    try:
        values = tuple(real(value) for value in text.split(","))
    except ValueError:
        values = ()
    if not all(value >= 0 for value in values) or not 0 < sum(values) < math.inf:
        raise argparse.ArgumentTypeError(
            "expected a weight of 0 or more for each run, with a sum that is above 0 and finite, such as 0.7,0.3, not "
            f"'{text}'"
        )
    return values


@dataclass(frozen=True)
class FusionOptions:
    """How rankings are fused.

    Attributes:
        by: Method.
        rrf_k: Constant that is added to each rank.
        weights: One for each run; empty where the method has none.
    """

    by: Method = flag(
        "rrf",
        "method: rrf by ranks, dbsf by scores scaled to three standard deviations around their mean, weights by a "
        "weighted sum of scores scaled to 0 to 1",
        choices=METHODS,
    )
    rrf_k: int | None = flag(None, "number added to each rank by rrf", shown=str(RRF_K), metavar="N", parse=positive)
    weights: tuple[float, ...] = flag((), "weight of each run by weights", shown="none", metavar="A,B", parse=weights)

    def check(self, runs: int) -> None:
        """See that they go together.

        Args:
            runs: How many are fused.

        Raises:
            BadInput: A flag of another method, or not one weight for each run.
        """
        if self.rrf_k is not None and self.by != "rrf":
            raise BadInput(f"--rrf-k is of --by rrf, and the method is {self.by}: drop one of them")
        if self.by != "weights" and self.weights:
            raise BadInput(f"--weights are of --by weights, and the method is {self.by}: drop one of them")
        if self.by == "weights" and len(self.weights) != runs:
            raise BadInput(f"--by weights needs a weight for each of the {runs} runs: give them as --weights A,B")
