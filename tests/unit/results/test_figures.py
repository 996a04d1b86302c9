from __future__ import annotations

import pytest

from flagbench.results.figures import percent


@pytest.mark.parametrize(
    ("score", "places", "text"),
    [(0.83472, 2, "83.47"), (0.83472, 3, "83.472"), (-0.05, 2, "-5.00"), (0.0, 2, "0.00"), (1, 2, "100.00")],
)
def test_a_score_in_percent(score: float, places: int, text: str) -> None:
    assert percent(score, places) == text
    assert percent(None, places) == ""
    assert percent(0.5) == "50.00"


def test_a_score_that_rounds_to_nothing_has_no_minus() -> None:
    assert [percent(score) for score in (-0.0, -4e-5, -6e-5, 4e-5, 6e-5)] == ["0.00", "0.00", "-0.01", "0.00", "0.01"]
    assert [percent(score, 3) for score in (-4e-6, -6e-6)] == ["0.000", "-0.001"]
    assert percent(0.00125) == f"{0.125:.2f}"  # as Python rounds, halves to even
