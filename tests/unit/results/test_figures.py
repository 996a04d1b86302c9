from __future__ import annotations

import pytest

from flagbench.results.figures import NATS, PERCENT, joint_scale, of_one_scale, percent, scale_of


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


def test_a_log_likelihood_is_shown_in_nats() -> None:
    scale = scale_of("log_likelihood")
    assert [scale.figure(each) for each in (None, -2.34567, -0.0, -0.00004)] == [
        *("", "-2.3457 nats", "0.0000 nats", "0.0000 nats"),
    ]
    assert scale.figure(-2.34567, 3) == "-2.34567 nats"
    assert [scale.gain(each) for each in (None, 0.01234, -0.0, -1.0)] == ["", "+0.0123", "+0.0000", "-1.0000"]
    assert [PERCENT.gain(each) for each in (None, 0.01234, -0.0, -1.0)] == ["", "+1.23", "+0.00", "-100.00"]


def test_scores_of_several_units_have_no_mean() -> None:
    assert joint_scale([]) is PERCENT
    assert joint_scale(["accuracy", "ndcg_at_10", ""]) is PERCENT
    assert joint_scale(["log_likelihood", "log_likelihood"]) is NATS
    assert joint_scale(["log_likelihood", "accuracy"]) is None
    assert of_one_scale(["accuracy", "log_likelihood", "f1"], str) == ["accuracy", "f1"]
    assert of_one_scale(["log_likelihood", "log_likelihood"], str) == ["log_likelihood", "log_likelihood"]


def test_an_interval_reaches_as_far_as_it_does_on_each_side_and_the_unit_is_said_once() -> None:
    """115 of 120 right, by Wilson's formula 0.906159 to 0.982073; and one that is as wide on both sides."""
    right = 115 / 120
    assert PERCENT.within(right, (0.906159, 0.982073)) == "95.83 -5.22/+2.37"
    assert PERCENT.within(right, (right - 0.05004, right + 0.04996), "*") == "95.83* ± 5.00"
    assert PERCENT.within(1.0, (0.9, 1.0)) == "100.00 -10.00/+0.00"
    assert PERCENT.within(-0.0187, (-0.2195, 0.1821)) == "-1.87 ± 20.08"
    assert NATS.within(-8.36, (-8.94, -7.78)) == "-8.3600 ± 0.5800 nats"
    assert NATS.within(-8.36, (-8.96, -7.78), "*") == "-8.3600* -0.6000/+0.5800 nats"
    assert NATS.within(-8.36, None, "*") == "-8.3600 nats*"
    assert (PERCENT.within(None, (0, 1)), PERCENT.within(0.5, None)) == ("", "50.00")
