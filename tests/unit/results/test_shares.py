"""Intervals of shares against scipy."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from flagbench.results.shares import wilson


@pytest.mark.parametrize(("right", "total"), [(0, 1), (1, 1), (0, 36), (36, 36), (1, 3), (52, 200), (1999, 2175)])
def test_intervals_are_those_of_scipy(right: int, total: int) -> None:
    expected = binomtest(right, total).proportion_ci(method="wilson")
    assert wilson(right, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("right", "total"), [(0, 0), (-1, 3), (4, 3)])
def test_no_interval_of_what_is_no_proportion(right: int, total: int) -> None:
    with pytest.raises(ValueError, match="is not a proportion"):
        wilson(right, total)
