"""Dots and ticks of a plot: where they are by hand, and that ticks are round and neither few nor many."""

from __future__ import annotations

import pytest

from flagbench.results.page.labels import Label
from flagbench.results.page.plot import HEIGHT, Dot, Plot, Tick, plot


def ticks(low: float, high: float, scores: tuple[float, float] = (0.5, 0.5)) -> Plot:
    found = plot("texts", [(1, low, scores[0]), (2, high, scores[1])], ["a", "b"])
    assert found is not None
    return found


def test_places_by_hand() -> None:
    """Across, the logarithms 1 and 3 of a frame from 0.65 to 3.35; up, 0.2 and 0.7 of one from 0.14 to 0.76."""
    points = [(1, 10.0, 0.2), (2, None, 0.5), (3, 1000.0, 0.7), (4, 5.0, None), (5, 0.0, 0.5)]
    left, width, bottom, height = 44, 420 - 44 - 14, 260 - 40, 260 - 40 - 14

    def x(log: float) -> float:
        return round(left + (log - 0.65) / 2.7 * width, 1)

    def y(score: float) -> float:
        return round(bottom - (score - 0.14) / 0.62 * height, 1)

    names = ["org/one", "org/two", "org/three", "org/four", "org/five"]
    assert plot("parameters", points, names, {3}) == Plot(
        "parameters",
        (
            Dot(1, x(1), y(0.2), Label("one", x(1) + 9, y(0.2) + 11 / 3, "start")),
            Dot(3, x(3), y(0.7), Label("three*", x(3) + 9, y(0.7) + 11 / 3, "start")),
        ),
        tuple(Tick(x(log), 10.0**log) for log in (1, 2, 3)),
        tuple(Tick(y(score), score) for score in (0.2, 0.4, 0.6)),
        (2, 4, 5),
    )


@pytest.mark.parametrize("points", [[], [(1, 10.0, 0.5)], [(1, 10.0, 0.5), (2, None, 0.5), (3, 10.0, None)]])
def test_one_dot_is_no_plot(points: list[tuple[int, float | None, float | None]]) -> None:
    assert plot("texts", points, ["a", "b", "c"]) is None


@pytest.mark.parametrize(
    ("low", "high", "values"),
    [
        (1e3, 1e9, [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]),  # powers alone
        (10, 100, [10, 30, 100]),  # and their threes
        (1e3, 1e3, [500, 1000, 2000]),  # twos and fives
        (3e3, 3e3, [2e3, 3e3, 4e3, 5e3, 6e3]),  # all digits, as of twos and fives there are but two
        (1e2, 1e14, [1e1, 1e3, 1e5, 1e7, 1e9, 1e11, 1e13, 1e15]),  # every second one of fifteen
    ],
)
def test_ticks_across(low: float, high: float, values: list[float]) -> None:
    assert [tick.value for tick in ticks(low, high).across] == pytest.approx(values)


@pytest.mark.parametrize(
    ("low", "high", "values"),
    [
        (0.503, 0.503, [0.49, 0.5, 0.51, 0.52]),  # at least two points above and below
        (0.31, 0.33, [0.3, 0.32, 0.34]),
        (0.1, 0.4, [0.1, 0.2, 0.3, 0.4]),
        (0.0, 0.9, [0.0, 0.5, 1.0]),
        (0.59, 0.67, [0.58, 0.6, 0.62, 0.64, 0.66, 0.68]),  # in steps of five there would be two
        (-0.1, 0.1, [-0.1, -0.05, 0.0, 0.05, 0.1]),
        (0.0, 0.0, [0.0, 0.005, 0.01, 0.015, 0.02]),  # no score is below zero, and no tick
    ],
)
def test_ticks_up(low: float, high: float, values: list[float]) -> None:
    assert [tick.value for tick in ticks(10, 10, (low, high)).up] == values


def test_more_dots_have_more_room() -> None:
    points = [(at, 10.0**at, 0.5) for at in range(1, 13)]
    found = plot("texts", points, [f"m{at}" for at in range(12)])
    assert found is not None
    assert found.height == HEIGHT + 4 * 12
