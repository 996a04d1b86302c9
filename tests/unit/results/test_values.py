"""The values that a score is made of, and the queries that are shown."""

from __future__ import annotations

from statistics import fmean

import pytest

from flagbench.results.values import Values
from flagbench.results.worst_queries import CHARACTERS, Example, Examples, Passage, beginning


def test_the_mean_of_all_is_the_mean_of_the_means() -> None:
    values = Values("A", {"dev": {"zh": {"m": {"1": 1.0, "2": 0.0}}}, "test": {"zh": {"m": {"1": 0.25}}}})
    assert values.means("m") == {"dev": {"zh": 0.5}, "test": {"zh": 0.25}}
    assert values.of("m").keys() == {"dev/zh/1", "dev/zh/2", "test/zh/1"}
    assert fmean(values.of("m").values()) == pytest.approx(0.375)


def test_one_part_keeps_its_values_and_ids() -> None:
    values = Values("A", {"dev": {"default": {"m": {"1": 1.0, "2": 0.0}, "n": {"1": 0.5}}}})
    assert values.metrics == ["m", "n"]
    assert values.of("m") == {"1": 1.0, "2": 0.0}
    assert Values.from_json(values.to_json(), {}) == values


def test_metrics_that_a_part_lacks_are_none() -> None:
    values = Values("A", {"dev": {"zh": {"m": {"1": 1.0}}, "en": {"n": {"1": 1.0}}}})
    assert values.metrics == []
    assert values.means("n") == {"dev": {"en": 1.0}}


def test_examples_come_back_as_they_were() -> None:
    found = Passage("p1", "a passage", 1, 0.5, 0)
    missed = Passage("p2", "the right one", None, None, 2)
    examples = Examples("A", "ndcg_at_10", [Example("q", "dev", "default", "a query", 0.0, [found], [missed])])
    assert Examples.from_json(examples.to_json()) == examples


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Expecting"),
        ("[]", "no JSON object"),
        ("{}", "no schema_version"),
        ('{"schema_version": 99}', "update FlagBench"),
        ('{"schema_version": 2}', "worst queries"),
        ('{"schema_version": 2, "task": "A", "metric": "m", "queries": [{"id": "q"}]}', "worst queries"),
    ],
)
def test_a_damaged_or_unknown_file_of_examples(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Examples.from_json(text)


def test_long_texts_are_cut_with_a_sign() -> None:
    assert beginning("x" * CHARACTERS) == "x" * CHARACTERS
    cut = beginning("x" * (CHARACTERS + 1))
    assert len(cut) == CHARACTERS
    assert cut.endswith("x…")
