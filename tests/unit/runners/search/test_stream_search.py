"""Search over vectors that come piece by piece, held against brute force and against trec_eval's own order."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import faiss
import numpy as np
import pytest
import pytrec_eval
from numpy.typing import NDArray

from flagbench import ModelFault
from flagbench.runners.search import index
from flagbench.runners.search.hits import Run, retrieve
from flagbench.runners.search.index import BlockHits, StreamSearch, gpu_count, search_block

Vectors = NDArray[np.float32]
WIDTH = 24
BLOCKS = [1, 7, 50, 10_000]  # vectors that are searched at once


def block_of(vectors: int, monkeypatch: pytest.MonkeyPatch, width: int = WIDTH) -> None:
    for name in ("_BLOCK_BYTES", "_BLOCK_BYTES_GPU"):
        monkeypatch.setattr(index, name, vectors * width * 4)


def some(rows: int, seed: int) -> Vectors:
    return np.random.default_rng(seed).standard_normal((rows, WIDTH)).astype(np.float32)


def pieces(rows: NDArray[np.int64], vectors: Vectors, size: int | Sequence[int]) -> Iterator[tuple[Any, Vectors]]:
    """Cut into pieces of one size, or of these sizes in turn; each is a copy."""
    start = number = 0
    while start < len(rows):
        length = size if isinstance(size, int) else size[number % len(size)]
        yield rows[start : start + length].copy(), vectors[start : start + length].copy()
        start, number = start + length, number + 1


def searched(
    queries: Vectors, rows: NDArray[np.int64], vectors: Vectors, k: int, size: int | Sequence[int] = 10_000
) -> tuple[Vectors, NDArray[np.int64]]:
    search = StreamSearch(queries, k)
    for numbers, piece in pieces(rows, vectors, size):
        search.add(numbers, piece)
    return search.finish()[:2]


def brute(queries: Vectors, rows: NDArray[np.int64], vectors: Vectors, k: int) -> tuple[Any, NDArray[np.int64]]:
    """In double precision."""
    scores = queries.astype(float) @ vectors.astype(float).T
    order = np.argsort(-scores, axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), rows[order]


@pytest.mark.parametrize("count", [7, 45], ids=["few queries", "many queries"])
@pytest.mark.parametrize("k", [1, 10, 200, 1_000])
@pytest.mark.parametrize("size", [1, 13, [3, 0, 40, 1], 10_000], ids=str)
@pytest.mark.parametrize("block", BLOCKS)
def test_it_finds_what_brute_force_finds(
    block: int, size: int | Sequence[int], k: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    block_of(block, monkeypatch)
    monkeypatch.setattr(index, "_MERGED_QUERIES", 3)
    queries, vectors, rows = some(count, 1), some(200, 2), np.random.default_rng(3).permutation(1_000)[:200]
    before = vectors.copy()
    scores, found = searched(queries, rows, vectors, k, size)
    wanted_scores, wanted = brute(queries, rows, vectors, k)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_allclose(scores, wanted_scores, atol=1e-5)
    assert (scores.dtype, found.dtype) == (np.float32, np.int64)
    assert (np.diff(scores, axis=1) <= 0).all()
    np.testing.assert_array_equal(vectors, before)


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """So many of FAISS, whatever the environment says."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(request.param)
    yield request.param
    faiss.omp_set_num_threads(before)


@pytest.mark.parametrize("count", [7, 45], ids=["few queries", "many queries"])
@pytest.mark.parametrize(("block", "threads"), [(7, 1), (50, 2), (10_000, 2)], indirect=["threads"])
def test_how_the_vectors_are_cut_changes_no_bit(
    block: int, threads: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    block_of(block, monkeypatch)
    queries, vectors, rows = some(count, 4), some(301, 5), np.arange(301)
    whole = searched(queries, rows, vectors, 20)
    for size in (1, 2, 6, 7, 8, 50, 300, [1, 99, 3, 50]):
        cut = searched(queries, rows, vectors, 20, size)
        np.testing.assert_array_equal(cut[0], whole[0])
        np.testing.assert_array_equal(cut[1], whole[1])


@pytest.mark.parametrize("block", [1, 7, 50, 301, 10_000])
@pytest.mark.parametrize("size", [1, 6, 50, 300, [1, 99, 3, 50], 10_000], ids=str)
def test_the_same_blocks_are_searched_however_the_vectors_are_cut(
    size: int | Sequence[int], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On some machines the last bit of a score depends on its block."""
    block_of(block, monkeypatch)
    monkeypatch.setattr(index, "gpu_count", lambda: 0)
    seen: list[Vectors] = []
    knn = faiss.knn

    def watched(queries: Vectors, vectors: Vectors, *rest: Any, **more: Any) -> Any:
        seen.append(vectors.copy())
        return knn(queries, vectors, *rest, **more)

    monkeypatch.setattr(faiss, "knn", watched)
    vectors = some(301, 5)
    searched(some(2, 4), np.arange(301), vectors, 20, size)
    assert [len(each) for each in seen] == [len(range(301)[start : start + block]) for start in range(0, 301, block)]
    np.testing.assert_array_equal(np.concatenate(seen), vectors)


@pytest.mark.parametrize("k", [1, 300])
@pytest.mark.parametrize("pieces_of_nothing", [0, 2])
def test_no_vectors(pieces_of_nothing: int, k: int) -> None:
    search = StreamSearch(some(3, 1), k)
    for _ in range(pieces_of_nothing):
        search.add(np.empty(0, dtype=np.int64), np.empty((0, WIDTH), dtype=np.float32))
    assert [each.shape for each in search.finish()] == [(3, 0)] * 3


@pytest.mark.parametrize("queries", [np.empty((0, WIDTH), np.float32), np.empty((0, 0), np.float32)], ids=["24", "0"])
def test_no_queries(queries: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    block_of(7, monkeypatch)
    scores, rows = searched(queries, np.arange(20), some(20, 2), 5)
    assert len(scores) == len(rows) == 0


def test_a_vector_wider_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_BLOCK_BYTES", "_BLOCK_BYTES_GPU"):
        monkeypatch.setattr(index, name, 10)
    queries, vectors = some(3, 1), some(12, 2)
    np.testing.assert_array_equal(
        searched(queries, np.arange(12), vectors, 4)[1], brute(queries, np.arange(12), vectors, 4)[1]
    )


def test_other_orders_in_memory_are_taken() -> None:
    queries, vectors, rows = some(5, 1), some(60, 2), np.arange(60)
    search = StreamSearch(np.asfortranarray(queries), 10)
    search.add(rows[::-1], np.asfortranarray(vectors)[::-1])
    np.testing.assert_array_equal(search.finish().rows, brute(queries, rows, vectors, 10)[1])


def test_it_says_what_searched() -> None:
    info = StreamSearch(some(1, 1), 1).info
    assert info.library.startswith("faiss ")
    assert (info.index, info.exact) == ("flat, in blocks", True)
    assert info.devices == (f"cuda x {gpu_count()}" if gpu_count() else "cpu")


# Blocks that workers search


class Elsewhere:
    """Searches as a worker does, each pair of blocks in the wrong order; notes how many it has at once."""

    def __init__(self, lanes: int, *, fails_at: int = -1, devices: str = "") -> None:
        self.lanes = lanes
        self.blocks = self.most = 0
        self.queries: set[int] = set()
        self._here = 0
        self._fails_at = fails_at
        self._devices = devices
        self._changed = threading.Condition()

    def search(self, queries: Vectors, vectors: Vectors, k: int) -> BlockHits:
        with self._changed:
            number = self.blocks
            self.blocks += 1
            self._here += 1
            self.most = max(self.most, self._here)
            self.queries.add(id(queries))
            self._changed.notify_all()
            if self.lanes > 1 and number % 2 == 0:  # waits for the next one, if there is one
                self._changed.wait_for(lambda: self.blocks > number + 1, timeout=0.2)
            self._here -= 1
        if number == self._fails_at:
            raise ModelFault("no worker is left")
        found = search_block(queries, vectors, k)
        return found._replace(info=replace(found.info, devices=self._devices or found.info.devices))


@pytest.mark.parametrize("lanes", [1, 2, 3])
@pytest.mark.parametrize("block", [7, 50, 10_000])
def test_workers_give_the_same_bits(block: int, lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    block_of(block, monkeypatch)
    queries, vectors, rows = some(9, 4), some(120, 5), np.arange(120)
    vectors[60:] = vectors[:60]  # every score is there twice, and which one is kept is up to the order of the blocks
    worker = Elsewhere(lanes)
    search = StreamSearch(queries, 20, search_worker=lambda: worker)
    for numbers, piece in pieces(rows, vectors, 13):
        search.add(numbers, piece)
    found = search.finish()
    expected = searched(queries, rows, vectors, 20)
    np.testing.assert_array_equal(found.scores, expected[0])
    np.testing.assert_array_equal(found.rows, expected[1])
    assert worker.blocks == search.info.actor_blocks == -(-120 // block)
    assert worker.most <= lanes
    assert len(worker.queries) == 1  # one array, so that it is sent once


def test_no_more_blocks_are_away_than_memory_is_meant_for(monkeypatch: pytest.MonkeyPatch) -> None:
    block_of(10, monkeypatch)
    monkeypatch.setattr(index, "_AWAY_BYTES", 25 * WIDTH * 4)
    worker = Elsewhere(9)
    search = StreamSearch(some(3, 1), 5, search_worker=lambda: worker)
    for numbers, piece in pieces(np.arange(200), some(200, 2), 10):
        search.add(numbers, piece)
        assert len(search._away) <= 2
    np.testing.assert_array_equal(search.finish().rows, searched(some(3, 1), np.arange(200), some(200, 2), 5)[1])
    assert worker.most <= 2


def test_second_scores_are_asked_for_in_the_order_of_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    block_of(7, monkeypatch)
    worker, begin = Elsewhere(2), 0

    def beside(count: int, places: NDArray[np.int64]) -> Vectors:
        nonlocal begin
        begin += count
        return (begin - count + places).astype(np.float32)

    search = StreamSearch(some(4, 1), 9, second=beside, search_worker=lambda: worker)
    for numbers, piece in pieces(np.arange(100), some(100, 2), 13):
        search.add(numbers, piece)
    found = search.finish()
    np.testing.assert_array_equal(found.second, found.rows.astype(np.float32))


@pytest.mark.parametrize("block", [7, 10_000])
def test_a_block_that_cannot_be_searched_ends_the_search(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    block_of(block, monkeypatch)
    worker = Elsewhere(2, fails_at=0)
    with pytest.raises(ModelFault, match="no worker is left"):
        retrieve(
            list("abc"),
            some(3, 1),
            [str(row) for row in range(60)],
            np.arange(60),
            pieces(np.arange(60), some(60, 2), 9),
            top_k=5,
            search_worker=lambda: worker,
        )


def test_workers_are_not_asked_for_without_vectors_or_queries() -> None:
    def none_here() -> Elsewhere:
        raise AssertionError

    assert StreamSearch(some(3, 1), 5, search_worker=none_here).finish().rows.shape == (3, 0)
    search = StreamSearch(np.empty((0, WIDTH), np.float32), 5, search_worker=none_here)
    search.add(np.arange(4), some(4, 2))
    assert search.finish().rows.shape == (0, 0)


def test_it_says_where_workers_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    block_of(10, monkeypatch)
    mixed = iter([Elsewhere(1, devices="cuda x 1"), Elsewhere(1, devices="cpu"), Elsewhere(1, devices="cuda x 1")])
    search = StreamSearch(some(3, 1), 5, search_worker=lambda: next(mixed))
    search.add(np.arange(30), some(30, 2))
    search.finish()
    said = search.info.as_dict()
    assert (said["devices"], said["actor_blocks"], said["index"]) == ("cpu + cuda x 1", 3, "flat, in blocks")
    assert said["library"].count("faiss") == 1
    assert StreamSearch(some(1, 1), 1).info.as_dict()["actor_blocks"] == 0


# Whole runs. The numbers are whole and small, so every sum is exact, and many scores are equal.


def whole_numbers(rows: int, generator: np.random.Generator, width: int = 4) -> Vectors:
    return generator.integers(-2, 3, size=(rows, width)).astype(np.float32)


def trec_order(queries: Mapping[str, Any], passages: Mapping[str, Any], top_k: int) -> Run:
    """The first of all passages by score and then by id, both falling."""
    run: Run = {}
    for query_id, query in queries.items():
        scored = ((float(sum(query * passage)), passage_id) for passage_id, passage in passages.items())
        run[query_id] = {passage_id: score for score, passage_id in heapq.nlargest(top_k, scored)}
    return run


def retrieved(
    queries: Mapping[str, Any], passages: Mapping[str, Any], top_k: int, size: int | Sequence[int] = 5, seed: int = 0
) -> Run:
    """As ``rank`` calls it: texts in any order, each once."""
    number_of: dict[bytes, int] = {}
    text_of = [number_of.setdefault(vector.tobytes(), len(number_of)) for vector in passages.values()]
    vectors = np.array([np.frombuffer(key, dtype=np.float32) for key in number_of])
    order = np.random.default_rng(seed).permutation(len(vectors))
    run, _ = retrieve(
        list(queries),
        np.array(list(queries.values())),
        list(passages),
        np.array(text_of, dtype=np.int64),
        pieces(order, vectors[order], size),
        top_k=top_k,
    )
    return run


def names(count: int, generator: np.random.Generator) -> list[str]:
    """Ids in no order, not all of one length or alphabet."""
    letters = list("aZ09-_é中文")
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(generator.choice(letters, size=generator.integers(1, 5)))] = None
    return list(found)


@pytest.mark.parametrize("seed", range(20))
def test_small_runs_are_those_of_a_sort(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(seed)
    block_of(int(generator.integers(1, 30)), monkeypatch, width=4)
    monkeypatch.setattr(index, "_MERGED_QUERIES", int(generator.integers(1, 8)))
    count = int(generator.integers(1, 60))
    queries = dict(zip(names(6, generator), whole_numbers(6, generator), strict=True))
    passages = dict(zip(names(count, generator), whole_numbers(count, generator), strict=True))
    top_k = int(generator.integers(1, 80))
    found = retrieved(queries, passages, top_k, int(generator.integers(1, 20)), seed)
    assert found == trec_order(queries, passages, top_k)
    assert [list(ranked.values()) for ranked in found.values()] == [
        sorted(ranked.values(), reverse=True) for ranked in found.values()
    ]


def equal_passages() -> tuple[dict[str, Any], dict[str, Any]]:
    """Twelve texts, each of five passages."""
    generator = np.random.default_rng(8)
    texts = np.unique(whole_numbers(40, generator), axis=0)[:12]
    passages = {f"p{row:02}": texts[row % 12] for row in generator.permutation(60)}
    return dict(zip("xyz", whole_numbers(3, generator) * 2 + 1, strict=True)), passages


def test_passages_with_the_same_text_are_all_ranked() -> None:
    queries, passages = equal_passages()
    run = retrieved(queries, passages, 1_000)
    assert run == trec_order(queries, passages, 1_000)
    for query_id, ranked in run.items():
        assert sorted(ranked) == sorted(passages)
        for passage_id, score in ranked.items():
            assert score == float(queries[query_id] @ passages[passage_id])


@pytest.mark.parametrize("top_k", [1, 4, 5, 7, 33])
def test_of_passages_with_the_same_text_the_larger_ids_are_kept(top_k: int) -> None:
    queries, passages = equal_passages()
    run = retrieved(queries, passages, top_k)
    assert run == trec_order(queries, passages, top_k)
    assert {len(ranked) for ranked in run.values()} == {top_k}


@pytest.mark.parametrize("top_k", [1, 5, 12])
def test_of_other_texts_with_the_same_score_the_larger_ids_are_kept(top_k: int) -> None:
    """Some beyond the top-k are looked at for that."""
    query = np.array([1, 0, 0, 0], dtype=np.float32)
    passages = {f"{row:03}": np.array([row < 3, row, 0, 0], dtype=np.float32) for row in range(60)}
    expected = ["002", "001", "000", *(f"{row:03}" for row in range(59, 2, -1))][:top_k]
    run = retrieved({"q": query}, passages, top_k)
    assert sorted(run["q"], key=lambda name: (run["q"][name], name), reverse=True) == expected


@pytest.mark.parametrize("top_k", [5, 10])
def test_what_is_cut_off_is_nothing_that_trec_eval_would_look_at(top_k: int) -> None:
    """Measures up to the cut are those of all passages, also where the cut goes through equal scores."""
    generator = np.random.default_rng(9)
    queries = dict(zip(names(30, generator), whole_numbers(30, generator), strict=True))
    passages = dict(zip(names(50, generator), whole_numbers(50, generator), strict=True))
    qrels = {query: {passage: int(generator.random() < 0.3) for passage in passages} for query in queries}
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {f"P.{top_k}", f"recall.{top_k}", f"ndcg_cut.{top_k}"})
    whole = {
        query: {passage: float(queries[query] @ vector) for passage, vector in passages.items()} for query in queries
    }
    cut = retrieved(queries, passages, top_k)
    assert {len(ranked) for ranked in cut.values()} == {top_k}
    assert evaluator.evaluate(cut) == evaluator.evaluate(whole)
    lowest = {query: min(ranked.values()) for query, ranked in cut.items()}
    ties = [query for query, scores in whole.items() if list(scores.values()).count(lowest[query]) > 1]
    assert len(ties) > 10


def test_a_query_at_a_time_or_none() -> None:
    queries, passages = equal_passages()
    together = retrieved(queries, passages, 7)
    for query_id, query in queries.items():
        assert retrieved({query_id: query}, passages, 7) == {query_id: together[query_id]}
    run, _ = retrieve([], np.empty((0, 0), np.float32), ["a"], np.array([0]), [(np.array([0]), some(1, 1))], top_k=3)
    assert run == {}


def test_no_passages() -> None:
    run, info = retrieve(["q"], some(1, 1), [], np.empty(0, dtype=np.int64), [], top_k=3)
    assert run == {"q": {}}
    assert info.exact


def test_blocks_that_are_searched_here_are_no_blocks_of_actors(monkeypatch: pytest.MonkeyPatch) -> None:
    block_of(7, monkeypatch)
    search = StreamSearch(some(2, 1), 3)
    search.add(np.arange(20), some(20, 2))
    search.finish()
    assert search.info.actor_blocks == 0
