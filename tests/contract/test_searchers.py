"""What every model that searches by itself must do, whatever is behind it (models/contract.py)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench.models.adapters import ADAPTERS
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.registry import published, registry
from flagbench.models.loading.resolve import resolve_model
from flagbench.runners.benchmark import EvaluatedModel
from flagbench.runners.progress import Silent
from flagbench.runners.search.hits import in_order
from flagbench.runners.search.ranking import Texts
from flagbench.runners.search.retriever import Retriever

LEAVES = {"trust_remote_code": False, "allow_pickle": False}
PASSAGES = [
    "alpha beta gamma",
    "",
    "alpha",
    "delta epsilon",
    "   \t\n ",
    "alpha",  # the very text of another
    "beta beta beta alpha zeta",
    "中文 的 句子",
    "gamma",
    "alpha",
]
QUERIES = ["alpha", "beta", "alpha gamma", "beta zeta alpha", "zeta", "中文", "delta omega"]
NOTHING = ["", "   \n", "omega", "…!?"]
ALL = len(PASSAGES)


class Overlap:
    """Counts the words that a passage shares with the query: what the laws below say of more than one way to search."""

    capabilities = frozenset({"search"})
    device = "cpu"
    backend = "none"
    spec = replace(published()["flagbench/bm25"], name="scripted/overlap", adapter="scripted-overlap")

    def index(self, passages: Iterable[str], *, language: str) -> OverlapIndex:
        return OverlapIndex([_words(passage) for passage in passages])


class OverlapIndex:
    library = "scripted 1"
    method = "overlap"

    def __init__(self, passages: list[set[str]]) -> None:
        self._passages = passages

    def search(self, query: str, top_k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        scores = self.score(query, np.arange(len(self._passages)))
        rows = np.argsort(-scores, kind="stable")[: np.count_nonzero(scores)]
        last = scores[rows[top_k - 1]] if len(rows) > top_k else 0
        kept = rows[scores[rows] >= last]
        return kept, scores[kept]

    def score(self, query: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        words = _words(query)
        return np.array([len(words & self._passages[row]) for row in rows], dtype=np.float32)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _bm25() -> Any:
    return resolve_model("bm25", None, Overrides(), on_cpu=lambda: True, **LEAVES).load(
        device="cpu", batch_size=None, **LEAVES
    )


SEARCHERS: Mapping[str, Callable[[], Any]] = {"bm25": _bm25, "overlap": Overlap}


@pytest.fixture(params=list(SEARCHERS))
def make(request: pytest.FixtureRequest) -> Callable[[], Any]:
    return SEARCHERS[request.param]


@pytest.fixture
def searcher(make: Callable[[], Any]) -> Any:
    return make()


@pytest.fixture
def index(searcher: Any) -> Any:
    return searcher.index(iter(PASSAGES), language="en")


def _found(index: Any, query: str, top_k: int = ALL) -> list[tuple[int, float]]:
    rows, scores = index.search(query, top_k)
    return list(zip(rows.tolist(), scores.tolist(), strict=True))


def test_every_searcher_of_the_registry_is_here() -> None:
    wanted = {row["adapter"] for row in registry().families.values() if row["ability"] == "search"}
    assert {make().spec.adapter for make in SEARCHERS.values()} & ADAPTERS.keys() == wanted


def test_it_says_what_it_is(searcher: Any, index: Any) -> None:
    assert searcher.capabilities == {"search"}
    assert searcher.spec.ability == "search"
    assert searcher.device == "cpu"
    assert searcher.backend
    assert re.search(r"\d", index.library)
    assert index.method


@pytest.mark.parametrize("query", QUERIES)
def test_what_is_found_is_numbers_best_first(index: Any, query: str) -> None:
    rows, scores = index.search(query, ALL)
    assert (rows.dtype, scores.dtype) == (np.int64, np.float32)
    assert rows.shape == scores.shape
    assert len(set(rows.tolist())) == len(rows) > 0
    assert np.isfinite(scores).all()
    assert (scores > 0).all()
    assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize("query", QUERIES)
def test_passages_that_share_a_word_are_found_and_no_others(index: Any, query: str) -> None:
    wanted = {row for row, passage in enumerate(PASSAGES) if _words(passage) & _words(query)}
    assert {row for row, _ in _found(index, query)} == wanted


def test_equal_scores_are_in_the_order_of_the_rows(index: Any) -> None:
    """Rows 2, 5 and 9 have one text."""
    found = dict(_found(index, "alpha"))
    assert found[2] == found[5] == found[9]
    for query in QUERIES:
        order = _found(index, query)
        assert order == sorted(order, key=lambda hit: (-hit[1], hit[0]))


@pytest.mark.parametrize("top_k", range(1, ALL + 2))
@pytest.mark.parametrize("query", QUERIES)
def test_a_list_ends_after_those_that_tie_with_its_last(index: Any, query: str, top_k: int) -> None:
    everything = _found(index, query)
    floor = everything[:top_k][-1][1]
    assert _found(index, query, top_k) == [hit for hit in everything if hit[1] >= floor]


@pytest.mark.parametrize("query", NOTHING)
def test_without_a_word_of_any_passage_nothing_is_found(index: Any, query: str) -> None:
    rows, scores = index.search(query, ALL)
    assert (rows.shape, scores.shape) == ((0,), (0,))
    assert (rows.dtype, scores.dtype) == (np.int64, np.float32)
    assert index.score(query, np.arange(ALL)).tolist() == [0.0] * ALL


@pytest.mark.parametrize("query", QUERIES)
def test_candidates_have_the_scores_of_the_search(index: Any, query: str) -> None:
    found = dict(_found(index, query))
    scores = index.score(query, np.arange(ALL))
    assert scores.dtype == np.float32
    assert scores.tolist() == [found.get(row, 0.0) for row in range(ALL)]


def test_candidates_are_scored_in_their_order_and_as_often_as_they_come(index: Any) -> None:
    rows = np.array([8, 0, 3, 0, 1])
    alone = [index.score("alpha gamma", np.array([row]))[0] for row in rows]
    assert index.score("alpha gamma", rows).tolist() == alone
    assert alone[1] == alone[3] > alone[0] > alone[2] == 0
    assert index.score("alpha", np.empty(0, dtype=np.int64)).shape == (0,)


def test_more_words_of_the_query_score_higher(index: Any) -> None:
    scores = index.score("alpha beta gamma", np.array([0, 8, 3]))
    assert scores[0] > scores[1] > scores[2] == 0


def test_one_query_leaves_nothing_for_the_next(index: Any) -> None:
    alone = {query: _found(index, query) for query in QUERIES}
    for query in [*reversed(QUERIES), *NOTHING, *QUERIES]:
        assert _found(index, query) == alone.get(query, [])


def test_another_index_finds_the_same(make: Callable[[], Any], searcher: Any, index: Any) -> None:
    other = make().index(tuple(PASSAGES), language="en")
    searcher.index(["alpha omega"], language="en")  # another corpus of the same searcher changes none before it
    for query in QUERIES:
        assert _found(other, query) == _found(index, query)
    assert (other.library, other.method) == (index.library, index.method)


def test_passages_are_gone_through_once(searcher: Any) -> None:
    given: list[str] = []

    def passages() -> Iterable[str]:
        for passage in PASSAGES:
            given.append(passage)
            yield passage

    assert _found(searcher.index(passages(), language="en"), "delta")[0][0] == 3
    assert given == PASSAGES


@pytest.mark.parametrize("passages", [[], [""], ["  ", "…", ""]], ids=["none", "empty", "without words"])
def test_a_corpus_may_have_no_words(searcher: Any, passages: list[str]) -> None:
    index = searcher.index(passages, language="en")
    for query in [*QUERIES, *NOTHING]:
        assert _found(index, query) == []
        assert index.score(query, np.arange(len(passages))).tolist() == [0.0] * len(passages)


@pytest.mark.parametrize("language", ["", "en", "zh", "de", "ar", "xx"])
def test_any_language_will_do(searcher: Any, language: str) -> None:
    index = searcher.index(PASSAGES, language=language)
    assert [row for row, _ in _found(index, "delta")] == [3]
    assert [row for row, _ in _found(index, "中文")] == [7]


def test_scores_do_not_depend_on_the_order_of_the_passages(searcher: Any, index: Any) -> None:
    order = np.random.default_rng(0).permutation(ALL)
    shuffled = searcher.index([PASSAGES[row] for row in order], language="en")
    for query in QUERIES:
        found = {int(order[row]): score for row, score in _found(shuffled, query)}
        assert found == pytest.approx(dict(_found(index, query)), rel=1e-6)


# Through the shared search.


def _run(searcher: Any, candidates: Mapping[str, list[str]] | None, top_k: int) -> dict[str, dict[str, float]]:
    queries = Texts([f"q{row}" for row in range(len(QUERIES))], QUERIES)
    passages = Texts([f"p{row}" for row in range(ALL)], PASSAGES)
    retriever = Retriever.of(EvaluatedModel(searcher), Silent())
    return retriever.retrieve(("T", "Retrieval"), queries, passages, candidates, top_k=top_k, language="en")


@pytest.mark.parametrize("top_k", [1, 2, 3, ALL])
def test_a_run_has_the_best_and_of_those_that_tie_the_larger_ids(searcher: Any, index: Any, top_k: int) -> None:
    run = _run(searcher, None, top_k)
    for row, query in enumerate(QUERIES):
        everything = {f"p{place}": score for place, score in _found(index, query)}
        assert run[f"q{row}"] == {each: everything[each] for each in in_order(everything)[:top_k]}


def test_candidates_of_a_run_are_all_ranked(searcher: Any, index: Any) -> None:
    run = _run(searcher, {"q0": ["p3", "p2", "p0"], "q1": []}, ALL)
    assert set(run["q0"]) == {"p3", "p2", "p0"}
    assert run["q0"]["p3"] == 0.0
    assert run["q0"] == {f"p{row}": index.score("alpha", np.array([row]))[0] for row in (0, 2, 3)}
    assert run["q1"] == {}
