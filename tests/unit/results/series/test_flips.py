"""Sign flips of many runs at once against those of each run alone, as runs side by side are tested."""

from __future__ import annotations

import numpy as np
import pytest

from flagbench.results.paired import Differences, Strata
from flagbench.results.series.flips import sign_flip_ps
from flagbench.results.statistics import sign_flip_test

RNG = np.random.default_rng(7)
ROWS = [RNG.normal(shift, 1, 90) for shift in (0.0, 0.05, 0.1, 0.2, 0.5)]
ROWS += [np.where(RNG.random(90) < 0.9, 0.0, row) for row in ROWS]  # few that are not 0, as many or not
ROWS += [np.zeros(90), np.round(ROWS[1]), np.sign(ROWS[2])]  # ties


@pytest.mark.parametrize("seed", [0, (3, 11)])
def test_the_p_values_of_one_task_are_those_of_each_run_alone(seed: int | tuple[int, int]) -> None:
    alone = [sign_flip_test(row, seed=seed).p for row in ROWS]
    assert sign_flip_ps([([Differences(np.zeros(90), row, seed=seed) for row in ROWS], 1.0)]) == alone
    assert len({*alone}) > 6


def test_those_of_an_average_are_those_of_runs_side_by_side() -> None:
    """Of tasks with weights, of which one has clusters: drawn task by task, with the seed of each."""
    clusters = [f"document {at // 3}" for at in range(90)]

    def tasks() -> list[tuple[list[Differences], float]]:
        one = [Differences(np.zeros(90), row, clusters=clusters, seed=(0, 1)) for row in ROWS]
        return [(one, 0.25), ([Differences(np.zeros(90), row[::-1], seed=(0, 2)) for row in ROWS], 0.75)]

    found = sign_flip_ps(tasks())
    for at, p in enumerate(found):
        strata = Strata()
        for differences, weight in tasks():
            strata.add(differences[at], weight)
        assert p == strata.result().p
    assert len({*found}) > 6
