"""How much of the time of all a text takes, and what the progress hears of it."""

from __future__ import annotations

import numpy as np

from flagbench.models.baselines.random import FakeEncoder
from flagbench.models.loading.registry import published
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.encoding.work import work_of
from flagbench.runners.progress import Silent


def test_characters_count_until_a_text_is_cut() -> None:
    assert work_of(np.array([0, 7, 32, 33, 9_000]), 8).tolist() == [1, 8, 33, 33, 33]


class _Heard(Silent):
    def __init__(self) -> None:
        self.announced, self.done = 0.0, [0.0]

    def stage(self, name: str, total: int, work: float | None = None) -> None:
        self.announced = work or 0.0

    def advance(self, items: int, work: float | None = None) -> None:
        self.done.append(work or 0.0)


def test_the_work_that_is_announced_is_done_by_and_by_the_most_of_a_text_first() -> None:
    heard = _Heard()
    texts = [f"{number} " + "x" * (number * 7919 % 997) for number in range(3_000)]
    TextEncoder(FakeEncoder(published()["flagbench/random"]), heard).encode(texts, role="query")
    assert heard.announced == sum(1 + len(text) for text in texts) == sum(heard.done)
    assert len(heard.done) > 3
