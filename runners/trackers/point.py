"""What a tracker gets of a run: scores with standard errors, settings, and the record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Point:
    """One run, as a point of a curve over the steps of a training.

    Attributes:
        series: Name of the curve: of the training run for ``<training>/checkpoint-N``, else the model's.
        step: Of the training; 0 where the name has none.
        model: ``org/model``.
        revision: Commit or hash of files.
        benchmark: Name.
        scores: By task and label of an average, as they are recorded.
        errors: Standard errors of some of these.
        settings: Of the model, as texts.
        record: The text of run.json.
    """

    series: str
    step: int
    model: str
    revision: str
    benchmark: str
    scores: Mapping[str, float]
    errors: Mapping[str, float]
    settings: Mapping[str, str]
    record: str

    @property
    def digest(self) -> str:
        """Of all that it holds: the same point is not logged twice."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]
