"""Labels, and candidates, of a retrieval data set: what is refused, what is remarked, and what is sound."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from flagbench import BadData
from flagbench.runners.data.checks import Place
from flagbench.runners.data.retrieval import check_candidates, check_labels, check_pairs, oddities

PLACE = Place("Covid: folder data", "split dev, labels")


def said(check: Any, *arguments: Any) -> str:
    with pytest.raises(BadData) as caught:
        check(PLACE, *arguments)
    return str(caught.value)


def rows(*values: tuple[Any, Any, Any]) -> pa.Table:
    columns = list(zip(*values, strict=True))
    return pa.table({name: list(column) for name, column in zip(("q", "p", "score"), columns, strict=True)})


def at(fault: str, column: str, row: int) -> str:
    where = f"in split dev, labels, column {column}, row {row} (counted from 0)"
    return f"Covid: folder data has {fault} {where}; fix the data"


def test_pairs() -> None:
    names = ("q", "p", "score")
    check_pairs(PLACE, rows(("a", "x", 1), ("a", "y", 0), ("b", "x", 2)), *names)
    assert said(check_pairs, rows(("a", "x", 1), ("b", None, 1)), *names) == at("no id", "p", 1)
    assert said(check_pairs, rows((None, "x", 1), ("b", "x", 1)), *names) == at("no id", "q", 0)
    assert said(check_pairs, rows(("a", "x", 1.0), ("b", "x", 0.5)), *names) == at(
        "a number that is not whole", "score", 1
    )
    twice = rows(("b", "x", 1), ("a", "x", 1), ("b", "y", 1), ("a", "x", 0), ("a", "x", 1))
    assert said(check_pairs, twice, *names) == at(
        "a second label of query 'a' and passage 'x', which are listed twice,", "p", 3
    )
    assert said(check_pairs, rows(("a", "x", 1)), "query-id", "p", "score").endswith(
        "lacks the column query-id in split dev, labels (it has q, p, score)"
    )


def test_labels_of_nothing_that_is_there() -> None:
    qrels = {"q1": {"p1": 1}, "q2": {"p2": 0, "p3": 1}}
    check_labels(PLACE, qrels, ["q2", "q9"], {"p2"})
    assert said(check_labels, qrels, ["a", "b", "c"], ["p1"]) == (
        "Covid: folder data has labels in split dev, labels none of whose 2 queries is there "
        "(labels: 'q1', 'q2'; queries: 'a', 'b' and 1 more); fix the data"
    )
    assert said(check_labels, qrels, ["q1"], ["x"]) == (
        "Covid: folder data has labels in split dev, labels none of whose 3 passages is there "
        "(labels: 'p1', 'p2' and 1 more; passages: 'x'); fix the data"
    )
    zeros = said(check_labels, {"7": {"p1": 1}}, ["007"], ["p1"])
    assert zeros.endswith(
        "(labels: '7'; queries: '007'): ids were read as numbers and have lost their leading zeros, "
        "so write them as texts; fix the data"
    )


def test_what_is_odd_of_labels_that_can_be_scored() -> None:
    qrels = {"q1": {"p1": 1, "p9": 2, "gone": 0}, "q2": {"p8": 1}, "q3": {"p1": 1}}
    assert list(oddities("dev", qrels, ["q1", "q2", "q3", "more"], ["p1", "p8", "p9"], "they count 0")) == []
    assert list(oddities("dev", qrels, ["q1"], ["p1"], "they count 0")) == [
        "dev: 2 of 3 relevant passages are not in the corpus and cannot be found",
        "dev: 2 of 3 judged queries are not among the queries: not searched, they count 0",
    ]
    assert list(oddities("dev", {"q": {"8": 1, "p": 1}}, ["q"], ["08", "p"], "")) == [
        "dev: 1 of 2 relevant passages are not in the corpus and cannot be found: ids were read as numbers and have "
        "lost their leading zeros, so write them as texts"
    ]


def test_candidates() -> None:
    check_candidates(PLACE, {"q1": ["p1"], "q2": ["p1", "p2"], "other": []}, ["q1", "q2"], {"p1", "p2"})
    for candidates in ({"q1": ["p1"]}, {"q1": ["p1"], "q2": []}, {"q1": ["p1"], "q2": None}):
        assert said(check_candidates, candidates, ["q1", "q2"], {"p1"}) == (
            "Covid: folder data has no candidates of query 'q2' in split dev, labels; fix the data"
        )
    assert said(check_candidates, {"q1": ["p1", "p7"]}, ["q1"], {"p1"}) == (
        "Covid: folder data has the candidate 'p7' of query 'q1' in split dev, labels, and no such passage in the "
        "corpus; fix the data"
    )


def test_one_id_that_has_lost_its_zeros_is_enough_for_the_hint() -> None:
    hint = ": ids were read as numbers and have lost their leading zeros, so write them as texts; fix the data"
    assert said(check_labels, {"x": {"p": 1}, "7": {"p": 1}}, ["007", "y"], ["p"]).endswith(hint)
    assert said(check_labels, {"q": {"x7": 1, "z": 1}}, ["q"], ["0x7"]).endswith("passages: '0x7'); fix the data")
    assert said(check_pairs, rows(("a", "x", 1)), "q", "p", "grade").endswith(
        "lacks the column grade in split dev, labels (it has q, p, score)"
    )


@pytest.mark.parametrize("grades", [{"x": -1}, {"x": -2, "y": -3}, {"x": 1, "y": 100_001}])
def test_labels_that_trec_eval_cannot_count_are_refused(grades: dict[str, int]) -> None:
    assert "has labels of query 'a' up to" in said(check_labels, {"a": grades}, ["a"], ["x", "y"])
    check_labels(PLACE, {"a": {"x": 1, "y": -2}, "b": {}, "c": {"x": 0}}, ["a"], ["x", "y"])


def test_the_largest_grade_is_taken_and_one_more_is_not() -> None:
    names = ("q", "p", "score")
    check_pairs(PLACE, rows(("a", "x", 100_000), ("a", "y", -5)), *names)
    check_labels(PLACE, {"a": {"x": 100_000}}, ["a"], ["x"])
    assert said(check_pairs, rows(("a", "x", 1), ("a", "y", 100_001)), *names) == at(
        "a number that is more than 100000", "score", 1
    )
    assert said(check_labels, {"b": {"x": 1}, "a": {"x": 100_001}}, ["a"], ["x"]) == (
        "Covid: folder data has labels of query 'a' up to 100001, and the highest is to be one of 0 to 100,000; "
        "fix the data"
    )


def test_candidates_are_looked_at_for_the_queries_that_are_searched_alone() -> None:
    check_candidates(PLACE, {"q1": ["p1"], "q2": ["gone"]}, ["q1"], {"p1"})
    assert list(oddities("dev", {"q": {"p": -1, "x": 0}}, ["q"], ["p"], "")) == [], "neither is relevant"
