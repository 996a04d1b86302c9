"""How much of the time of all a text takes, and what the progress hears of it."""

from __future__ import annotations

import numpy as np

from flagbench.runners.encoding.work import work_of


def test_characters_count_until_a_text_is_cut() -> None:
    assert work_of(np.array([0, 7, 32, 33, 9_000]), 8).tolist() == [1, 8, 33, 33, 33]
