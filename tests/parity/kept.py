"""Golden files, the checkpoints they were made with, and the adapters that are held to them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import Model, resolve_model
from tests import filled
from tests.filling import weights_digest

GOLDENS = Path(__file__).parent / "goldens"


def golden(name: str) -> dict[str, Any]:
    return json.loads((GOLDENS / f"{name}.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def rebuilt(kept: dict[str, Any], folder: Path) -> Path:
    """The checkpoint that the reference ran on, weight for weight."""
    built: Path = getattr(filled, kept["checkpoint"]["builder"])(folder, seed=kept["checkpoint"]["seed"])
    assert weights_digest(folder) == kept["checkpoint"]["weights_sha256"]
    return built


def resolved(folder: Path, overrides: Overrides) -> Model:
    return resolve_model(str(folder), None, overrides, trust_remote_code=False, allow_pickle=True, on_cpu=lambda: True)


def loaded(model: Model, batch_size: int | None = None) -> Any:
    return model.load(device="cpu", batch_size=batch_size, trust_remote_code=False, allow_pickle=True)


BOUND = 1e-5
# The goldens were made on one processor; kernels of another add in another order, which moved a score by 1.3e-6.
SAME_BATCHES_BOUND = 3e-6
REFERENCE_BATCH = 256
_FIGURES: dict[str, float] = {}


def hold(families: str, found: ArrayLike, wanted: ArrayLike, batch_size: int | None = None) -> None:
    """Hold what an adapter gave to what its reference gave.

    With FLAGBENCH_FIGURES in the environment the largest differences are written to that file, by family, for
    docs/families.md (``make families``).

    Args:
        families: That this comparison speaks for, with blanks between them.
        found: By the adapter.
        wanted: By the reference.
        batch_size: The reference's own, where the batches were the same: the bound is then lower.
    """
    difference = distance(found, wanted)
    assert difference <= (SAME_BATCHES_BOUND if batch_size == REFERENCE_BATCH else BOUND)
    for family in families.split():
        _FIGURES[family] = max(difference, _FIGURES.get(family, 0.0))
    if path := os.environ.get("FLAGBENCH_FIGURES"):
        rounded = {family: float(f"{_FIGURES[family]:.1e}") for family in sorted(_FIGURES)}
        Path(path).write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")


def distance(found: ArrayLike, wanted: ArrayLike) -> float:
    """Largest difference, relative to the largest value where that is above 1."""
    found, wanted = np.asarray(found, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max() / max(1.0, np.abs(wanted).max()))
