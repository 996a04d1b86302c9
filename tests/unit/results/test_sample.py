"""How far the score of a sample may be from that of all: the formula, and how often its interval holds the truth."""

from __future__ import annotations

from statistics import stdev

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from flagbench.results.influence import spearman_values
from flagbench.results.sample import Sample
from flagbench.results.values import Values

Floats = NDArray[np.float64]


def _values(**parts: Floats) -> Values:
    return Values(
        "A", {"test": {name: {"m": {str(row): float(v) for row, v in enumerate(p)}} for name, p in parts.items()}}
    )


def _sample(**parts: tuple[int, int]) -> Sample:
    return Sample("quick", "rows", {"test": parts}, {})


def test_by_hand() -> None:
    values = [0.0, 1.0, 1.0, 0.0, 1.0]
    error = _sample(default=(5, 20)).error(_values(default=np.array(values)), "m")
    assert error == pytest.approx(2.7764451 * stdev(values) / 5**0.5 * (15 / 20) ** 0.5)  # t of 4 degrees of freedom


def test_of_many_items_it_is_1_96_standard_errors() -> None:
    values = np.random.default_rng(0).random(5_000)
    error = _sample(default=(5_000, 10**9)).error(_values(default=values), "m")
    assert error == pytest.approx(1.96 * values.std() / 5_000**0.5, rel=1e-3)


def test_a_part_that_is_whole_adds_nothing() -> None:
    rng = np.random.default_rng(1)
    zh, en = rng.random(40), rng.random(30)
    alone = _sample(zh=(40, 400)).error(_values(zh=zh), "m")
    both = _sample(zh=(40, 400), en=(30, 30)).error(_values(zh=zh, en=en), "m")
    assert alone
    assert both == pytest.approx(alone / 2)  # the score is the mean of the two
    # So does one of a single item that was all there was.
    single = _sample(zh=(40, 400), en=(1, 1)).error(_values(zh=zh, en=en[:1]), "m")
    assert single == pytest.approx(alone / 2)


@pytest.mark.parametrize(
    ("parts", "values"),
    [
        ({"default": (3, 9)}, {}),
        ({"default": (3, 9)}, {"default": np.ones(2)}),  # values of something else than the items
        ({"default": (1, 9)}, {"default": np.ones(1)}),
        ({"default": (3, 3)}, {"default": np.ones(3)}),  # nothing was drawn but, maybe, passages
    ],
)
def test_where_it_is_not_known(parts: dict[str, tuple[int, int]], values: dict[str, Floats]) -> None:
    assert _sample(**parts).error(_values(**values), "m") is None


def test_its_interval_holds_the_score_of_all_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    populations = {"zh": rng.beta(0.4, 0.6, size=2_000), "en": rng.beta(2, 1, size=500)}
    truth = np.mean([each.mean() for each in populations.values()])
    held, errors = 0, []
    for _ in range(500):
        drawn = {
            name: rng.choice(each, size, replace=False)
            for size, (name, each) in zip((200, 100), populations.items(), strict=True)
        }
        error = _sample(zh=(200, 2_000), en=(100, 500)).error(_values(**drawn), "m")
        assert error is not None
        mean = np.mean([each.mean() for each in drawn.values()])
        held += abs(mean - truth) <= error
        errors.append(error)
    assert 0.92 <= held / 500 <= 0.98
    # What such samples' means scatter by is known; t has about 240 degrees of freedom.
    scatter = sum(
        each.var(ddof=1) / size * (1 - size / len(each))
        for size, each in zip((200, 100), populations.values(), strict=True)
    )
    assert np.mean(errors) == pytest.approx(1.97 * scatter**0.5 / 2, rel=0.005)


def test_so_does_that_of_a_rank_correlation() -> None:
    rng = np.random.default_rng(3)
    gold = (rng.random(3_000) < 0.4).astype(np.float64)
    scores = np.round(gold + rng.normal(0, 1, size=3_000), 2)
    truth = spearmanr(gold, scores)[0]
    held = 0
    for _ in range(300):
        rows = rng.choice(3_000, 600, replace=False)
        values = spearman_values(gold[rows], scores[rows])
        error = _sample(default=(600, 3_000)).error(_values(default=values), "m")
        assert error is not None
        held += abs(values.mean() - truth) <= error
    assert 0.91 <= held / 300 <= 0.985


def test_a_record_has_it() -> None:
    sample = Sample("quick", "rows", {"test": {"zh": (3, 9), "en": (4, 4)}}, {})
    values = _values(zh=np.array([0.0, 1.0, 0.0]), en=np.ones(4))
    assert sample.record(values, "m") == {"profile": "quick", "items": 7, "of": 13, "error": sample.error(values, "m")}
    assert sample.record(None, "m")["error"] is None
