"""Sign-flip tests of many runs over the same items, which share the patterns that are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flagbench.results.statistics import PERMUTATIONS, ROUNDING, Seed, sign_flip_test, sign_patterns

_FEW = 64
"""Up to so many differences one test takes no time."""


def sign_flip_ps(differences: Sequence[NDArray[np.float64]], *, seed: Seed) -> list[float]:
    """The p-values that ``sign_flip_test`` gives of each: drawing the patterns is what takes its time, and rows with as
    many differences that are not 0 have the same ones.

    Args:
        differences: ``float64[n]`` of each run, finite.
        seed: Of the draws.
    """
    moving = [row[row != 0] for row in differences]
    alike: dict[int, list[int]] = {}
    for at, row in enumerate(moving):
        alike.setdefault(len(row), []).append(at)
    ps = [0.0] * len(moving)
    for count, members in alike.items():
        if count <= _FEW or len(members) == 1:
            found = [sign_flip_test(differences[at], seed=seed).p for at in members]
        else:
            found = _together(np.stack([moving[at] for at in members], axis=1), seed)
        for at, p in zip(members, found, strict=True):
            ps[at] = p
    return ps


def _together(moving: NDArray[np.float64], seed: Seed) -> list[float]:
    """P-values of the columns of ``float64[n, runs]``."""
    whole = moving.sum(axis=0)
    far = np.abs(whole) - ROUNDING * np.abs(moving).sum(axis=0)
    as_far = np.zeros(moving.shape[1], dtype=np.int64)
    for _, plus in sign_patterns(len(moving), seed=seed):
        as_far += (np.abs(2 * (plus @ moving) - whole) >= far).sum(axis=0)
    return [float(p) for p in (1 + as_far) / (1 + PERMUTATIONS)]
