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
