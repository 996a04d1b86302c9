"""Fusion of the rankings that several runs have of the same queries.

A passage's score is the weighted sum of what each ranking gives it, and a ranking that lacks it gives 0:

* rrf: ``1 / (k + rank)``, ranks from 1 in trec_eval's order (Cormack, Clarke and Büttcher, SIGIR 2009).
* dbsf: ``(score - (mean - 3 s)) / (6 s)`` with mean and sample standard deviation ``s`` of the ranking's scores, as
  Qdrant's distribution-based score fusion has it (``segment/src/common/score_fusion.rs``); nothing is clipped.
* weights: ``(score - min) / (max - min)``, times the run's weight.

Scores that are all equal, and a lone one, are 0.5 after either scaling, as in Qdrant. Neither scaling changes when all
scores are multiplied, so they are brought to at most 1 first, by a power of two, which rounds nothing: sums and squares
of the largest scores that a float holds are finite then, and those of the smallest are not 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from flagbench.models.own import OwnSettings
from flagbench.runners.rankings.options import RRF_K, FusionOptions, Method
from flagbench.runners.rankings.run_files import Rankings
from flagbench.runners.search.hits import in_order
from flagbench.runners.search.lexical import weighted_union

_EQUAL = 0.5
_DEVIATIONS = 3.0


@dataclass(frozen=True)
class FusionSettings(OwnSettings):
    """Settings of fused rankings.

    Attributes:
        by: Method.
        k: Number that rrf adds to each rank; 0 for other methods.
        weights: One for each part.
        parts: What was fused, ``name@revision``.
    """

    ability: ClassVar[str] = "replay"

    by: Method
    k: int
    weights: tuple[float, ...]
    parts: tuple[str, ...]

    @classmethod
    def of(cls, options: FusionOptions, parts: Sequence[str]) -> FusionSettings:
        """The settings of a fusion.

        Args:
            options: As asked for.
            parts: Names and revisions.
        """
        k = (options.rrf_k or RRF_K) if options.by == "rrf" else 0
        return cls(options.by, k, options.weights or (1.0,) * len(parts), tuple(parts))

    def as_dict(self) -> dict[str, Any]:
        """Under one name, without what the method has not."""
        values = super().as_dict()
        if not self.k:
            del values["k"]
        return {"fusion": values}

    def shown(self) -> tuple[str, ...]:
        """Method and parts."""
        how = {"rrf": f", k {self.k}", "weights": f", weights {', '.join(map(str, self.weights))}"}.get(self.by, "")
        return (f"rankings fused by {self.by}{how}",)


def fuse(runs: Sequence[Rankings], settings: FusionSettings) -> Rankings:
    """Fuse rankings.

    Args:
        runs: One of each part.
        settings: The method, and the weight of each part.

    Returns:
        All passages that any part has, per query that any part has.
    """
    queries = dict.fromkeys(query for run in runs for query in run)
    return {query: _fused([run.get(query, {}) for run in runs], settings) for query in queries}


def _fused(lists: Sequence[Mapping[str, float]], settings: FusionSettings) -> dict[str, float]:
    ids = sorted(set().union(*lists))
    row_of = {passage: row for row, passage in enumerate(ids)}
    ranked = []
    for hits in lists:
        order = in_order(hits)
        rows = np.array([row_of[passage] for passage in order], dtype=np.int64)
        scores = np.array([hits[passage] for passage in order], dtype=np.float64)
        ranked.append((rows, _scaled(scores, settings)))
    rows, scores = weighted_union(ranked, settings.weights)
    return {ids[row]: score for row, score in zip(rows.tolist(), scores.tolist(), strict=True)}


def _scaled(scores: NDArray[np.float64], settings: FusionSettings) -> NDArray[np.float64]:
    """Scores of one ranking, best first, as they are summed."""
    if settings.by == "rrf":
        return 1.0 / (settings.k + np.arange(1, len(scores) + 1))
    if len(scores) < 2:
        return np.full(len(scores), _EQUAL)
    scores = np.ldexp(scores, -np.frexp(np.abs(scores).max())[1])
    low, high = scores.min(), scores.max()
    if settings.by == "dbsf":
        mean, spread = scores.mean(), _DEVIATIONS * scores.std(ddof=1)
        low, high = mean - spread, mean + spread
    if low == high:  # or apart by less than a float tells
        return np.full(len(scores), _EQUAL)
    scaled: NDArray[np.float64] = (scores - low) / (high - low)
    return scaled
