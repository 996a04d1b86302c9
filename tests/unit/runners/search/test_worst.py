"""Which queries are shown as the worst, and what of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from flagbench.models.inputs import Image, Item
from flagbench.results.worst_queries import CHARACTERS, COUNT, PASSAGES, Example, Passage
from flagbench.runners.search.ranking import Texts
from flagbench.runners.search.worst import Searched, some_texts, worst_of, worst_queries

_QUERIES = Texts([f"q{number}" for number in range(30)], [f"question {number}" for number in range(30)])
_PASSAGES = Texts([f"p{number}" for number in range(9)], [f"passage {number}" for number in range(9)])


def _searched(run: dict[str, dict[str, float]], qrels: dict[str, dict[str, int]], subset: str = "default") -> Searched:
    return Searched("dev", subset, run, qrels, partial(some_texts, _QUERIES), partial(some_texts, _PASSAGES))


def _examples(searched: Searched, values: Mapping[str, float]) -> list[Example]:
    return [each.example for each in worst_queries(searched, values)]


def test_found_and_relevant_passages_of_a_query() -> None:
    run = {"q3": {"p0": 0.5, "p1": 0.9, "p2": 0.5}}
    qrels = {"q3": {"p0": 1, "p7": 2, "p1": 0, "gone": 1}}
    (example,) = _examples(_searched(run, qrels), {"q3": 0.25})
    assert (example.id, example.text, example.value) == ("q3", "question 3", 0.25)
    assert example.found == [  # equal scores as trec_eval orders them
        Passage("p1", "passage 1", 1, 0.9, 0),
        Passage("p2", "passage 2", 2, 0.5, 0),
        Passage("p0", "passage 0", 3, 0.5, 1),
    ]
    assert example.relevant == [  # the best grade first; a passage that the corpus lacks has no text
        Passage("p7", "passage 7", None, None, 2),
        Passage("p0", "passage 0", 3, 0.5, 1),
        Passage("gone", "", None, None, 1),
    ]


def test_no_more_is_kept_than_said() -> None:
    run = {query: {passage: 1.0 / (1 + row) for row, passage in enumerate(_PASSAGES.ids)} for query in _QUERIES.ids}
    qrels = {query: dict.fromkeys(_PASSAGES.ids, 1) for query in _QUERIES.ids}
    values = {query: 1 - row / 100 for row, query in enumerate(_QUERIES.ids)}
    examples = _examples(_searched(run, qrels), values)
    assert [each.id for each in examples] == _QUERIES.ids[: -COUNT - 1 : -1]
    assert {len(each.found) for each in examples} == {len(each.relevant) for each in examples} == {PASSAGES}


def test_a_query_without_results_is_shown() -> None:
    (example,) = _examples(_searched({}, {"q0": {"p0": 1}}), {"q0": 0.0})
    assert (list(example.found), [each.rank for each in example.relevant]) == ([], [None])


def test_a_relevant_passage_that_is_too_far_down_to_be_shown_has_its_rank() -> None:
    run = {"q0": {passage: 1.0 - row / 10 for row, passage in enumerate(_PASSAGES.ids)}}
    (example,) = _examples(_searched(run, {"q0": {"p8": 1}}), {"q0": 0.0})
    assert example.relevant == [Passage("p8", "passage 8", 9, run["q0"]["p8"], 1)]


def test_the_worst_of_all_parts() -> None:
    parts = [
        worst_queries(_searched({}, {}, subset), {query: value + row for row, query in enumerate(_QUERIES.ids)})
        for subset, value in (("zh", 0.5), ("en", 0.0))
    ]
    worst = worst_of("A", "ndcg_at_10", (each for part in parts for each in part))
    assert len(worst.queries) == COUNT
    assert [(each.subset, each.value) for each in worst.queries[:3]] == [("en", 0.0), ("zh", 0.5), ("en", 1.0)]


def test_an_item_is_shown_as_its_text_and_the_names_of_its_images(tmp_path: Path) -> None:
    item = Item("a square", (Image(tmp_path / "red.png"),))  # not there: nothing of it is read to name it
    searched = Searched("dev", "default", {"q": {"p": 1.0}}, {}, lambda ids: {"q": item}, lambda ids: {"p": item})
    (example,) = _examples(searched, {"q": 0.0})
    assert example.text == example.found[0].text == "a square [image red.png]"


def test_long_texts_are_cut_to_their_beginning() -> None:
    long = "word " * 500
    texts = Texts(["q", "p", "r"], [f"question {long}", f"found {long}", f"relevant {long}"])
    searched = Searched(
        "dev", "zh", {"q": {"p": 1.0}}, {"q": {"r": 1}}, partial(some_texts, texts), partial(some_texts, texts)
    )
    (example,) = _examples(searched, {"q": 0.0})
    assert (example.split, example.subset) == ("dev", "zh")
    shown = [example.text, example.found[0].text, example.relevant[0].text]
    assert shown == [f"{first} {long}"[: CHARACTERS - 1] + "…" for first in ("question", "found", "relevant")]


def test_of_equal_values_and_grades_the_first_are_shown() -> None:
    queries = [f"q{number}" for number in range(30)]
    run = {query: {"p0": 1.0} for query in queries}
    qrels = {query: dict.fromkeys(["p8", "p3", "p5", "p1", "p7", "p2"], 1) for query in queries}
    examples = _examples(_searched(run, qrels), dict.fromkeys(queries, 0.5))
    assert [example.id for example in examples] == queries[:COUNT]
    assert [passage.id for passage in examples[0].relevant] == ["p8", "p3", "p5", "p1", "p7"]
