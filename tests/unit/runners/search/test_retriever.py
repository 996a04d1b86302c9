"""From texts to a run: what is told meanwhile, which time is whose, and what the reranker is given."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench.models.contract import DENSE
from flagbench.models.embeddings import Embeddings
from flagbench.models.loading.registry import published
from flagbench.runners.benchmark import EvaluatedModel
from flagbench.runners.encoding.cache import EmbeddingCache
from flagbench.runners.encoding.encode import EncodeCounts
from flagbench.runners.progress import Silent
from flagbench.runners.search.index import IndexInfo
from flagbench.runners.search.ranking import Texts
from flagbench.runners.search.retriever import Retriever
from flagbench.runners.store.store import Store
from tests.unit.fakes import Encoding, Scoring

TASK = ("SciFact", "Retrieval")
SPEC = replace(published()["flagbench/random"], prompts=(("query", "ask: "), ("passage", "read: ")))
QUERIES = Texts(["q1", "q2"], ["ab", "abcd"])
PASSAGES = Texts(["p1", "p2", "p3"], ["a", "abc", "abcde"])


class Clock:
    """A clock that stands still until it is put forward."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    return clock


class Stages(Silent):
    """Notes what each stage is of, and how far it came."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int]] = []
        self.done: list[int] = []
        self.steps: list[int] = []

    def stage(self, name: str, total: int, work: float | None = None) -> None:
        self.stages.append((name, total))
        self.done.append(0)

    def advance(self, items: int, work: float | None = None) -> None:
        self.done[-1] += items
        self.steps.append(items)


class Lengths(Encoding):
    """A text's vector says how long it is; encoding takes a hundred seconds."""

    spec = SPEC

    def __init__(self, clock: Clock | None = None) -> None:
        self.calls: list[tuple[str, str]] = []
        self._clock = clock

    def encode(self, texts: Sequence[str], *, role: Any, instruction: str = "", parts: Any = DENSE) -> Embeddings:
        self.calls.append((role, instruction))
        if self._clock:
            self._clock.now += 100
        return Embeddings(dense=np.array([[1, len(text)] for text in texts], dtype=np.float32))


class Index:
    """What a searcher makes of its passages: the longer one is the better; searching takes two seconds."""

    library, method = "none", "by length"

    def __init__(self, lengths: Sequence[int], clock: Clock | None) -> None:
        self._lengths = np.array(lengths, dtype=np.float32)
        self._clock = clock

    def score(self, query: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self._lengths[rows]
        return scores

    def search(self, query: str, top_k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if self._clock:
            self._clock.now += 2
        rows = np.argsort(-self._lengths, kind="stable")[:top_k]
        return rows, self._lengths[rows]


class Searching:
    """A searcher; making its index takes ten seconds."""

    spec = published()["flagbench/bm25"]
    capabilities = frozenset({"search"})
    device, backend = "cpu", "none"

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self.languages: list[str] = []

    def index(self, passages: Iterator[str], *, language: str) -> Index:
        self.languages.append(language)
        if self._clock:
            self._clock.now += 10
        return Index([len(passage) for passage in passages], self._clock)


class Letters(Scoring):
    """A reranker that notes its calls: the shorter the passage, the better."""

    spec = replace(
        published()["flagbench/random-reranker"],
        prompts=(("query", "wrong: "), ("Retrieval-query", "judge: "), ("passage", "never: ")),
    )

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[tuple[str, str]]]] = []

    def score(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> NDArray[np.float32]:
        self.calls.append((instruction, list(pairs)))
        return np.array([-len(passage) for _, passage in pairs], dtype=np.float32)


# Progress


@pytest.mark.parametrize("count", [1, 999, 1_000, 1_001, 2_000, 2_500])
def test_the_stages_of_a_searcher_come_to_their_end(count: int) -> None:
    progress = Stages()
    passages = Texts([f"p{row}" for row in range(count)], ["a"] * count)
    Retriever.of(EvaluatedModel(Searching()), progress).retrieve(TASK, QUERIES, passages, top_k=1)  # type: ignore[arg-type]
    assert progress.stages == [("indexing", count), ("searching", 2)]
    assert progress.done == [count, 2]
    assert max(progress.steps) <= 1_000


def test_the_stages_of_an_encoder_come_to_their_end() -> None:
    progress = Stages()
    Retriever.of(EvaluatedModel(Lengths()), progress).retrieve(TASK, QUERIES, PASSAGES, top_k=1)
    assert progress.stages == [("encoding query texts", 2), ("encoding passage texts", 3)]
    assert progress.done == [2, 3]


def test_the_stages_of_a_reranker_come_to_their_end(opened: Callable[..., Store]) -> None:
    """Scored, and then read from the store."""
    for stages, done in (
        ([("reading pairs that are kept", 3), ("scoring pairs", 3)], [0, 3]),
        ([("reading pairs that are kept", 3)], [3]),
    ):
        progress = Stages()
        evaluated = EvaluatedModel(Lengths(), Letters(), 2, EmbeddingCache(opened()))
        Retriever.of(evaluated, progress).rerank(TASK, RUN, QUERIES, PASSAGES, below="kept")
        assert (progress.stages, progress.done) == (stages, done)


# Time


class Slow(list[str]):
    """Ids whose reading takes five seconds: they are read after the search."""

    def __init__(self, ids: Sequence[str], clock: Clock) -> None:
        super().__init__(ids)
        self._clock = clock

    def __iter__(self) -> Iterator[str]:
        self._clock.now += 5
        return super().__iter__()


def test_seconds_of_search_are_those_that_encoding_does_not_take(clock: Clock) -> None:
    retriever = Retriever.of(EvaluatedModel(Lengths(clock)), Silent())
    queries = replace(QUERIES, ids=Slow(QUERIES.ids, clock))
    for times in (1, 2, 3):
        began = clock.now
        retriever.retrieve(TASK, queries, PASSAGES, top_k=2)
        assert clock.now - began == 205
        assert (retriever.search_seconds, retriever.counts.seconds) == (5 * times, 200 * times)


def test_seconds_of_a_searcher_are_those_of_indexing_and_searching(clock: Clock) -> None:
    retriever = Retriever.of(EvaluatedModel(Searching(clock)), Silent())  # type: ignore[arg-type]
    for times in (1, 2):
        retriever.retrieve(TASK, QUERIES, PASSAGES, top_k=2)
        assert retriever.search_seconds == 14 * times
    assert retriever.counts == EncodeCounts()


# What is given to the models


def test_the_instructions_are_those_of_the_task_and_the_roles() -> None:
    adapter = Lengths()
    Retriever.of(EvaluatedModel(adapter), Silent()).retrieve(TASK, QUERIES, PASSAGES, top_k=2)
    assert adapter.calls == [("query", "ask: "), ("passage", "read: ")]


RUN = {"q1": {"p1": 1.0, "p2": 3.0, "p3": 2.0}, "q2": {"p1": 2.0}}


def rerank(scorer: Letters, store: Store | None = None, *, below: Any = "kept", top_k: int = 2) -> Any:
    evaluated = EvaluatedModel(Lengths(), scorer, top_k, EmbeddingCache(store) if store else None)
    return Retriever.of(evaluated, Silent()).rerank(TASK, RUN, QUERIES, PASSAGES, below=below)


@pytest.mark.parametrize(("below", "order"), [("kept", ["p2", "p3", "p1"]), ("dropped", ["p2", "p3"])])
def test_the_reranker_sees_the_first_passages_under_its_own_instruction(below: str, order: list[str]) -> None:
    scorer = Letters()
    again = rerank(scorer, below=below)
    ((instruction, pairs),) = scorer.calls
    assert instruction == "judge: "
    assert sorted(pairs) == [("ab", "abc"), ("ab", "abcde"), ("abcd", "a")]
    assert sorted(again["q1"], key=again["q1"].__getitem__, reverse=True) == order
    assert (again["q1"]["p2"], again["q1"]["p3"]) == (-3, -5)
    assert again["q2"] == {"p1": -1}


@pytest.mark.parametrize(("top_k", "pairs"), [(1, 2), (2, 3), (3, 4), (9, 4)])
def test_the_reranker_sees_so_many_passages_of_each_query(top_k: int, pairs: int) -> None:
    scorer = Letters()
    again = rerank(scorer, top_k=top_k)
    assert sum(len(each) for _, each in scorer.calls) == pairs
    assert {query: set(found) for query, found in again.items()} == {query: set(found) for query, found in RUN.items()}


def test_without_a_reranker_the_run_stays() -> None:
    assert (
        Retriever.of(EvaluatedModel(Lengths()), Silent()).rerank(TASK, RUN, QUERIES, PASSAGES, below="dropped") is RUN
    )


def test_no_pair_is_scored_twice_where_there_is_a_store(opened: Callable[..., Store]) -> None:
    first = rerank(Letters(), opened())
    again = Letters()
    assert rerank(again, opened()) == first
    assert again.calls == []


def test_no_text_is_encoded_twice_where_there_is_a_store(opened: Callable[..., Store]) -> None:
    runs = []
    for calls in (2, 0):
        adapter = Lengths()
        retriever = Retriever.of(EvaluatedModel(adapter, cache=EmbeddingCache(opened())), Silent())
        runs.append(retriever.retrieve(TASK, QUERIES, PASSAGES, top_k=2))
        assert len(adapter.calls) == calls
    assert runs[0] == runs[1]


@pytest.mark.parametrize("top_k", [1, 2, 9])
def test_a_searcher_ranks_the_candidates_of_each_query_and_no_others(top_k: int) -> None:
    searcher = Searching()
    retriever = Retriever.of(EvaluatedModel(searcher), Silent())  # type: ignore[arg-type]
    queries = Texts(["q1", "q2", "q3"], ["a", "b", "c"])
    passages = Texts(["p1", "p2", "p3", "p4"], ["a", "abc", "abcde", "xyz"])
    run = retriever.retrieve(TASK, queries, passages, {"q1": ["p1", "p4", "p3", "p2"], "q3": []}, top_k=top_k)
    # Of the two that are equally long the larger id is kept where not all are.
    first = [("p3", 5.0), ("p4", 3.0), ("p2", 3.0), ("p1", 1.0)]
    assert {query: list(found.items()) for query, found in run.items()} == {"q1": first[:top_k], "q2": [], "q3": []}
    assert retriever.index_info == IndexInfo("none", "by length", "cpu", exact=True)


@pytest.mark.parametrize("language", ["zh", ""])
def test_a_searcher_is_told_the_language(language: str) -> None:
    searcher = Searching()
    Retriever.of(EvaluatedModel(searcher), Silent()).retrieve(  # type: ignore[arg-type]
        TASK, QUERIES, PASSAGES, top_k=1, language=language
    )
    assert searcher.languages == [language]
