"""Sign flips of many runs at once against those of each run alone."""

from __future__ import annotations

import numpy as np

from flagbench.results.series.flips import sign_flip_ps
from flagbench.results.statistics import sign_flip_test


def test_the_p_values_are_those_of_each_run_alone() -> None:
    rng = np.random.default_rng(7)
    rows = [rng.normal(shift, 1, 90) for shift in (0.0, 0.05, 0.1, 0.2, 0.5)]
    rows += [np.where(rng.random(90) < 0.9, 0.0, row) for row in rows]  # few that are not 0, as many or not
    rows += [np.zeros(90), np.round(rows[1]), np.sign(rows[2])]  # ties
    for seed in (0, (3, 11)):
        alone = [sign_flip_test(row, seed=seed).p for row in rows]
        assert sign_flip_ps(rows, seed=seed) == alone
    assert len({*alone}) > 6
