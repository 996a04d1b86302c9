"""What a task asks of a model, and what that costs."""

from __future__ import annotations

import pytest

from flagbench.runners.generation.demand import Demand, Price


def test_demands_add_up() -> None:
    assert Demand(1, 2, 3, 4, 5, 60) + Demand(10, 20, 30, 40, 50, 6) == Demand(11, 22, 33, 44, 55, 60)
    assert sum((Demand(1, 1, 1, 1, 1) for _ in range(3)), Demand()) == Demand(3, 3, 3, 3, 3)


def test_price_is_of_a_million_tokens() -> None:
    demand = Demand(samples=3, requests=3, prompt_tokens=2_500_000, answer_tokens=200_000)
    assert Price(0.4, 1.5).of(demand) == pytest.approx(1.0 + 0.3)
    assert Price(0, 0).of(demand) == 0
