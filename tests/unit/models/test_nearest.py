"""Search by torch: held against brute force in float64, here on the processor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from flagbench import ModelFault
from flagbench.models import nearest
from flagbench.models.nearest import largest_products, library

pytestmark = pytest.mark.usefixtures("one_thread")

Vectors = NDArray[np.float32]


def some(rows: int, seed: int, width: int = 24) -> Vectors:
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


def tiles_of(rows: int, queries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "_MOST", rows)
    monkeypatch.setattr(nearest, "_LEAST", rows)
    monkeypatch.setattr(nearest, "_QUERIES", queries)


@pytest.mark.parametrize("k", [1, 10, 200])
@pytest.mark.parametrize(("rows", "queries"), [(1, 3), (7, 1), (50, 4), (1_000, 100)])
def test_it_finds_what_brute_force_finds(rows: int, queries: int, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles_of(rows, queries, monkeypatch)
    wanted, vectors = some(9, 1), some(200, 2)
    scores, places = largest_products(wanted, vectors, k, "cpu")
    products = (wanted.astype(float) @ vectors.astype(float).T).astype(np.float32)
    order = np.argsort(-products, axis=1)[:, :k]
    np.testing.assert_array_equal(places, order)
    np.testing.assert_array_equal(scores, np.take_along_axis(products, order, axis=1))
    assert (scores.dtype, places.dtype) == (np.float32, np.int64)


@pytest.mark.parametrize("rows", [3, 16, 17, 1_000])
def test_equal_vectors_have_equal_scores_wherever_they_lie(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums in float32 differ with a vector's place in its tile."""
    tiles_of(rows, 5, monkeypatch)
    vectors = np.repeat(some(20, 3, 301), 9, axis=0)[np.random.default_rng(4).permutation(180)]
    scores, places = largest_products(some(7, 5, 301), vectors, 180, "cpu")
    assert all(len(np.unique(row)) == 20 for row in scores)
    assert all(sorted(row) == list(range(180)) for row in places.tolist())


def test_arrays_of_any_order_are_taken_and_none_is_changed() -> None:
    queries, vectors = np.asfortranarray(some(5, 1)), some(60, 2)[::-1]
    before = vectors.copy()
    vectors.flags.writeable = False
    expected = largest_products(queries.copy(order="C"), vectors.copy(), 10, "cpu")
    np.testing.assert_array_equal(largest_products(queries, vectors, 10, "cpu")[1], expected[1])
    shared = before.copy()
    shared.flags.writeable = False
    np.testing.assert_array_equal(largest_products(queries, shared, 10, "cpu")[1], expected[1])
    np.testing.assert_array_equal(vectors, before)


def short_of_memory(most: int, tried: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Only tiles of so many vectors fit."""
    search = nearest._search

    def limited(
        queries: Vectors, vectors: Vectors, k: int, device: str, rows: int
    ) -> tuple[Vectors, NDArray[np.int64]]:
        tried.append(rows)
        if rows > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return search(queries, vectors, k, device, rows)

    monkeypatch.setattr(nearest, "_search", limited)


def test_tiles_are_halved_when_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    expected = largest_products(some(4, 1), some(6_000, 2), 5, "cpu")
    short_of_memory(2_000, tried, monkeypatch)
    found = largest_products(some(4, 1), some(6_000, 2), 5, "cpu")
    assert tried == [6_000, 3_000, 1_500]
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_when_not_even_a_small_tile_fits_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    short_of_memory(10, tried, monkeypatch)
    with pytest.raises(ModelFault, match=r"^out of memory on cpu while 4 queries are searched for: .*--device cpu$"):
        largest_products(some(4, 1), some(6_000, 2), 5, "cpu")
    assert tried == [6_000, 3_000, 1_500, 1_024]


@pytest.mark.parametrize("free_gib", [0, 1, 8, 100])
def test_a_tile_fits_into_the_share_of_free_memory(free_gib: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free_gib << 30, 100 << 30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 3 << 30)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 2 << 30)
    tried: list[int] = []

    def watched(
        queries: Vectors, vectors: Vectors, k: int, device: str, rows: int
    ) -> tuple[Vectors, NDArray[np.int64]]:
        tried.append(rows)
        return np.empty((0, 0), np.float32), np.empty((0, 0), np.int64)

    monkeypatch.setattr(nearest, "_search", watched)
    queries, vectors = np.broadcast_to(np.float32(0), (1_000, 1_024)), np.broadcast_to(np.float32(0), (10**6, 1_024))
    largest_products(queries, vectors, 1_064, "cuda:0")
    (rows,) = tried
    tile = rows * (4 + 8) * 1_024 + rows * 1_000 * (8 + 4)
    assert rows == nearest._LEAST or tile <= (free_gib + 1) * 2**30 / 4
    assert rows == nearest._MOST or tile > (free_gib + 1) * 2**30 / 12, "and is not much smaller than it may be"
    assert nearest._LEAST <= rows <= nearest._MOST


@pytest.mark.parametrize(
    ("queries", "vectors", "rows"),
    [
        (1, 10**7, 1 << 18),
        (1, 5, 5),
        (4_096, 10**7, 1 << 12),
        (9_000, 10**7, 1 << 12),
        (128, 10**7, 1 << 17),
        (0, 0, 1),
    ],
)
def test_a_tile_of_the_processor_holds_so_many_scores(queries: int, vectors: int, rows: int) -> None:
    assert nearest._rows_at_once(np.zeros((queries, 1), dtype=np.float32), vectors, 1, "cpu") == rows


def test_it_says_what_it_is() -> None:
    assert library() == f"torch {torch.__version__}"
