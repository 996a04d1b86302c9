"""Fusion: each method against its formula written out naively, and by hand."""

from __future__ import annotations

import argparse
import math
import random
import statistics
from collections.abc import Mapping, Sequence

import pytest

from flagbench import BadInput
from flagbench.runners.rankings.fusion import FusionSettings, fuse
from flagbench.runners.rankings.options import FusionOptions, Method, weights

Run = dict[str, dict[str, float]]


def settings(by: Method, runs: int, **options: object) -> FusionSettings:
    return FusionSettings.of(FusionOptions(by, **options), [f"m{number}@r" for number in range(runs)])  # type: ignore[arg-type]


def naive(runs: Sequence[Run], by: Method, each: Sequence[float], k: int = 60) -> Run:
    """Passage by passage, in Python's own numbers."""
    fused: Run = {}
    for run, weight in zip(runs, each, strict=True):
        for query, hits in run.items():
            into = fused.setdefault(query, {})
            for passage, score in hits.items():
                into[passage] = into.get(passage, 0.0) + weight * _naive(hits, passage, score, by, k)
    return fused


def _naive(hits: Mapping[str, float], passage: str, score: float, by: Method, k: int) -> float:
    if by == "rrf":
        above = [other for other in hits if (hits[other], other) > (score, passage)]
        return 1 / (k + len(above) + 1)
    values = list(hits.values())
    if len(set(values)) == 1:
        return 0.5
    low, high = min(values), max(values)
    if by == "dbsf":
        mean, spread = statistics.mean(values), 3 * statistics.stdev(values)
        low, high = mean - spread, mean + spread
    return (score - low) / (high - low)


def drawn(seed: int) -> list[Run]:
    """Three runs that share some passages and queries, with ties, lone passages and empty rankings."""
    draw = random.Random(seed)
    runs: list[Run] = []
    for _ in range(3):
        run: Run = {}
        for query in draw.sample([f"q{number}" for number in range(8)], 6):
            found = draw.sample([f"d{number}" for number in range(30)], draw.choice([0, 1, 2, 20]))
            run[query] = {passage: draw.choice([draw.uniform(-5, 50), 1.0]) for passage in found}
        runs.append(run)
    return runs


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("by", ["rrf", "dbsf", "weights"])
def test_each_method_is_its_formula(by: Method, seed: int) -> None:
    runs = drawn(seed)
    each = (0.7, 0.25, 2.0) if by == "weights" else ()
    found = fuse(runs, settings(by, 3, weights=each))
    wanted = naive(runs, by, each or (1, 1, 1))
    assert found.keys() == {query for run in runs for query in run}
    for query, hits in found.items():
        assert hits == pytest.approx(wanted.get(query, {}), rel=1e-12, abs=1e-12)
        assert list(hits.values()) == sorted(hits.values(), reverse=True)


def test_by_hand() -> None:
    one: Run = {"q": {"a": 9.0, "b": 5.0, "c": 1.0}}
    other: Run = {"q": {"c": 0.2, "a": 0.1}}
    assert fuse([one, other], settings("rrf", 2))["q"] == pytest.approx(
        {"a": 1 / 61 + 1 / 62, "c": 1 / 63 + 1 / 61, "b": 1 / 62}
    )
    assert fuse([one, other], settings("rrf", 2, rrf_k=1))["q"]["b"] == pytest.approx(1 / 3)
    assert fuse([one, other], settings("weights", 2, weights=(0.5, 0.25)))["q"] == pytest.approx(
        {"a": 0.5, "b": 0.25, "c": 0.25}
    )
    # 9, 5, 1: mean 5, sample standard deviation 4, so from -7 to 17.
    assert fuse([one], settings("dbsf", 1))["q"] == pytest.approx({"a": 16 / 24, "b": 12 / 24, "c": 8 / 24})
    assert fuse([{"q": {"a": 3.0}}], settings("dbsf", 1)) == {"q": {"a": 0.5}}, "a lone one, as in Qdrant"


@pytest.mark.parametrize("by", ["dbsf", "weights"])
def test_scores_of_any_size_are_fused_as_those_of_ordinary_size_to_the_bit(by: Method) -> None:
    plain: Run = {"q": {"a": 9.0, "b": 5.5, "c": -11.25}}
    wanted = fuse([plain], settings(by, 1, weights=(1.0,)))
    for exponent in (-1070, -600, 600, 1020):  # of 2; powers round nothing, but for subnormal numbers
        scaled: Run = {"q": {passage: math.ldexp(score, exponent) for passage, score in plain["q"].items()}}
        assert fuse([scaled], settings(by, 1, weights=(1.0,))) == wanted
    largest: Run = {"q": {"a": 1e308, "b": 0.0, "c": -1e308}}
    found = fuse(
        [largest, {"q": {"b": 5e-324, "d": 0.0}}], settings(by, 2, weights=(1.0, 0.0) if by == "weights" else ())
    )
    assert all(map(math.isfinite, found["q"].values()))
    assert found["q"]["a"] > found["q"]["c"]
    near: Run = {"q": {f"d{number}": 0.9 for number in range(400)} | {"a": math.nextafter(0.9, 1)}}
    assert all(map(math.isfinite, fuse([near], settings(by, 1, weights=(1.0,)))["q"].values()))


def test_what_is_recorded_is_what_the_method_has() -> None:
    assert settings("rrf", 2).as_dict() == {
        "fusion": {"by": "rrf", "k": 60, "weights": (1.0, 1.0), "parts": ("m0@r", "m1@r")}
    }
    assert "k" not in settings("dbsf", 2).as_dict()["fusion"]
    assert settings("weights", 2, weights=(0.7, 0.3)).shown() == ("rankings fused by weights, weights 0.7, 0.3",)


def test_flags_of_another_method_are_refused() -> None:
    for options, line in (
        (FusionOptions("dbsf", rrf_k=3), "--rrf-k is of --by rrf, and the method is dbsf"),
        (FusionOptions("rrf", weights=(1, 1)), "--weights are of --by weights, and the method is rrf"),
        (FusionOptions("weights", weights=(1,)), "needs a weight for each of the 2 runs"),
        (FusionOptions("weights"), "needs a weight for each of the 2 runs"),
    ):
        with pytest.raises(BadInput, match=line):
            options.check(2)
    assert weights("0.7,0.3") == (0.7, 0.3)
    for text in ("", "a", "1,-1", "nan,1", "0,0", "inf", "1e308,1e308", "1_0,1"):
        with pytest.raises(argparse.ArgumentTypeError, match="expected a weight of 0 or more"):
            weights(text)
