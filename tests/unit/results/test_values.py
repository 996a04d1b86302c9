"""The values that a score is made of, and the queries that are shown."""

from __future__ import annotations

from statistics import fmean

import pytest

from flagbench.results.contradictions import contradicted
from flagbench.results.record import TaskRecord
from flagbench.results.runs import shared_metric
from flagbench.results.values import Values, shared_clusters
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


def test_clusters_of_one_item_each_say_nothing_and_are_left_out() -> None:
    alone, both = {"1": "a", "2": "b"}, {"3": "a", "4": "a", "5": "b"}
    assert shared_clusters({"dev": {"zh": alone, "en": both}, "test": {"zh": alone}}) == {"dev": {"en": both}}
    assert shared_clusters({"dev": {"zh": {}}}) == {}


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


def _of(scores: dict[str, dict[str, float]], main: str = "official") -> TaskRecord:
    return TaskRecord("A", "Retrieval", "success", {"task": {"main_score": main}}, "", scores)


def test_values_contradict_a_score_where_no_metric_makes_it() -> None:
    """One that has another name will do; a part without values, or without a score, is believed."""
    parts = {"dev": {"zh": {"m": {"1": 0.5}, "n": {"1": 0.25}}}, "test": {"zh": {"m": {"1": 0.5}, "n": {"1": 0.75}}}}
    values = Values("A", parts)
    said = "the score of {} is {}, and the mean of its values per query is {}"
    for scores, line in (
        ({"dev": {"zh": 0.5}, "test": {"zh": 0.5}}, ""),
        ({"dev": {"zh": 0.25}, "test": {"zh": 0.75}}, ""),  # by the second metric
        ({"dev": {"zh": 0.5}, "test": {"zh": 0.75}}, said.format("test", 0.75, 0.5)),
        ({"dev": {"zh": 0.125}}, said.format("dev", 0.125, 0.5)),
        ({"dev": {"zh": 0.5, "en": 0.9}, "more": {"zh": 0.9}}, ""),
    ):
        assert contradicted(_of(scores), values) == line
    assert contradicted(_of({"dev": {"zh": 0.25}}, "m"), values) == said.format("dev", 0.25, 0.5)
    assert contradicted(_of({"dev": {"zh": 0.25}}), None) == ""


@pytest.mark.parametrize(("off", "made"), [(0.9e-5, True), (-0.9e-5, True), (1.1e-5, False), (-1.1e-5, False)])
def test_values_make_the_scores_of_all_parts_or_none(off: float, made: bool) -> None:
    values = Values("A", {"dev": {"zh": {"m": {"1": 0.5}}}, "test": {"zh": {"m": {"1": 0.25}}}})
    whole = {"dev": {"zh": 0.5}, "test": {"zh": 0.25 + off}}
    for scores, found in (
        (whole, made),
        ({"dev": {"zh": 0.5}}, False),
        ({**whole, "more": {"zh": 0.5}}, False),
        ({**whole, "test": {"zh": 0.25, "en": 0.25}}, False),
    ):
        record = _of(scores)
        assert shared_metric((record, record), (values, values)) == ("m" if found else None)
        off_by_more = not made and scores.get("test") == whole["test"]
        assert bool(contradicted(record, values)) is off_by_more
