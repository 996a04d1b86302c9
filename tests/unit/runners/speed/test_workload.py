"""The texts that are sent, their lengths and their requests."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from flagbench.models.loading.registry import published_as
from flagbench.models.spec import ModelSpec
from flagbench.runners.encoding.collecting import Collecting, Sample
from flagbench.runners.speed.workload import workload_of


def spec_of(name: str) -> ModelSpec:
    found = published_as(name)
    assert found is not None
    return found


class Letters:
    """A tokenizer with a token for each character, and two around them."""

    def encode(self, text: str, *, specials: bool = False) -> list[int]:
        return [1, *map(ord, text), 2] if specials else list(map(ord, text))


ENCODER, SCORER = spec_of("flagbench/random"), spec_of("flagbench/random-reranker")


def collected(role: str = "all") -> Collecting:
    found = Collecting(ENCODER, 100, role=role)
    for texts, its, instruction in ((["a", "bb"], "query", "q: "), (["x" * n for n in range(1, 8)], "passage", "")):
        for _ in found.stream(texts, role=its, instruction=instruction):
            pass
    return found


def test_a_sample_has_each_as_likely_as_any_other() -> None:
    counts = Counter[int]()
    for seed in range(3_000):
        sample: Sample[int] = Sample(3, seed)
        for number in range(12):
            sample.add(number)
        assert (sample.seen, len(set(sample.kept))) == (12, 3)
        counts.update(sample.kept)
    assert set(counts) == set(range(12))
    expected = 3_000 * 3 / 12
    assert sum((each - expected) ** 2 / expected for each in counts.values()) < 31.3  # chi square, 11 degrees, 0.1%


def test_lengths_are_those_of_the_texts_with_their_instructions() -> None:
    texts = workload_of(collected(), ENCODER, "all", None, None).texts
    lengths = [4, 5, *range(1, 8)]
    assert (texts.kind, texts.unit, texts.asked, texts.drawn) == ("texts", "characters", 9, 9)
    assert (texts.median, texts.p95) == tuple(np.quantile(lengths, [0.5, 0.95]))
    assert (texts.longest, texts.cut) == (7, 0)


def test_tokens_are_counted_as_far_as_they_are_read() -> None:
    spec = replace(ENCODER, query_max_length=6, passage_max_length=5)
    found = workload_of(collected(), spec, "all", Letters(), None)  # type: ignore[arg-type]
    units = sorted(each for part in found.parts for each in part.units)
    assert units == [3, 4, 5, 5, 5, 5, 5, 6, 6]
    assert (found.texts.unit, found.texts.cut) == ("tokens", 6)
    whole = workload_of(collected(), spec, "all", Letters(), 0)  # type: ignore[arg-type]
    assert whole.texts.longest == 9


def test_texts_of_one_role_alone() -> None:
    assert [each.text for each in collected("query").texts.kept] == ["a", "bb"]


@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_a_request_has_texts_of_one_role_and_as_many_as_asked_for(size: int) -> None:
    found = workload_of(collected(), ENCODER, "all", None, None)
    requests = found.requests(size, seed=0)
    for each in requests:
        assert len(each.texts) == len(each.units) == min(size, 2 if each.role == "query" else 7)
        assert [len(each.instruction + text) for text in each.texts] == list(each.units)
    assert {text for each in requests for text in each.texts} == {"a", "bb", *("x" * n for n in range(1, 8))}
    assert [each.texts for each in found.requests(size, seed=0)] == [each.texts for each in requests]


def test_pairs_go_by_query_to_a_server_and_joined_to_a_model_here() -> None:
    found = Collecting(SCORER, 100)
    for _ in found.stream([("q1", "a"), ("q2", "b"), ("q1", "c"), ("q1", "d"), ("q2", "e")], instruction=""):
        pass
    workload = workload_of(found, SCORER, "all", None, None)
    assert (workload.texts.kind, workload.texts.asked, workload.texts.drawn) == ("pairs", 5, 5)
    sent = sorted((each.query, each.texts) for each in workload.requests(2, seed=0))
    assert sent == [("q1", ("a", "c")), ("q1", ("d",)), ("q2", ("b", "e"))]
    joined = workload.joined(4, seed=0)
    assert [len(each) for each in joined] == [4, 4]
    pairs = {(one.query, one.texts[0]) for each in joined for one in each}
    assert pairs == {("q1", "a"), ("q1", "c"), ("q1", "d"), ("q2", "b"), ("q2", "e")}
