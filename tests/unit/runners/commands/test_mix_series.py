"""Series of mixtures of two models."""

from __future__ import annotations

import argparse

import pytest

from flagbench import BadInput
from flagbench.models.loading.mixture_terms import terms_of
from flagbench.runners.commands.mix_series import mix_points, mixed_models


def test_points_are_exact_in_decimal_digits() -> None:
    assert mix_points("0:1:0.1") == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    assert mix_points("0.5:0.5:1") == (0.5,)
    assert len(mix_points("0:1:0.001")) == 1001
    assert mix_points("1:1:1e-9999999") == (1.0,)
    assert mix_points("0:0.8:0.4") == (0.0, 0.4, 0.8)


def test_an_end_that_no_step_reaches_is_not_left_out_silently() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"'0:1:0\.3' steps over its end 1: choose a STEP"):
        mix_points("0:1:0.3")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0:1",
        "0:1:0",
        "0:1:-1",
        "1:0:0.1",
        "nan:1:0.1",
        "0:inf:1",
        "0:1:1e-9",
        "0:1:1e-999999",
        "0:1:1e-9999999",
        "0:1:0.000999",
        "a:b:c",
    ],
)
def test_what_is_no_series_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        mix_points(text)


def test_the_ends_are_the_models_themselves_and_the_first_has_the_weight() -> None:
    models = mixed_models(["./a+b", "c"], (0.0, 0.3, 1.0), any_weights=False)
    assert [models[0], models[2]] == ["c", "./a+b"]
    terms = terms_of(models[1], any_weights=False)
    assert [(term.weight, term.model) for term in terms] == [(0.3, "./a+b"), (0.7, "c")]
    assert mixed_models(["a"], None, any_weights=False) == ["a"]


@pytest.mark.parametrize(
    ("models", "points", "said"),
    [
        (["a"], (0.5,), "name two"),
        (["a", "b", "c"], (0.5,), "name two"),
        (["a", "cocktail:0.5*b+0.5*c"], (0.5,), "neither of them a mixture"),
        (["a", "b"], (1.5,), "outside of 0 and 1"),
    ],
)
def test_series_of_other_models_are_refused(models: list[str], points: tuple[float, ...], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        mixed_models(models, points, any_weights=False)
