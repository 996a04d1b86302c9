"""Search on GPUs, with a processor in their place: the rankings of the processor's FAISS, and what the record says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench.models import nearest
from flagbench.runners.search import index
from flagbench.runners.search.hits import Run, in_order, retrieve
from flagbench.runners.search.index import IndexInfo, StreamSearch, search_block

pytestmark = pytest.mark.usefixtures("one_thread")

Vectors = NDArray[np.float32]
WIDTH = 24


@pytest.fixture(autouse=True)
def fresh_count() -> Iterator[None]:
    """What FAISS sees is looked up once a process."""
    index.gpu_count.cache_clear()
    index._resources.cache_clear()
    yield
    index.gpu_count.cache_clear()
    index._resources.cache_clear()


@pytest.fixture
def by_torch(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A model on a GPU, and a FAISS that sees none; gives the devices that torch was to search on."""
    devices: list[str] = []

    def on_processor(queries: Vectors, vectors: Vectors, k: int, device: str) -> Any:
        devices.append(device)
        return nearest.largest_products(queries, vectors, k, "cpu")

    monkeypatch.setattr(index, "largest_products", on_processor)
    return devices


class FakeGpus:
    """The names that a GPU build of FAISS has beside the others, over the processor.

    Attributes:
        calls: Device, vectors and k of each search.
    """

    def __init__(self, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[int, int, int]] = []
        monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
        monkeypatch.setattr(faiss, "get_num_gpus", lambda: count)
        monkeypatch.setattr(faiss, "knn_gpu", self._knn_gpu, raising=False)

    def _knn_gpu(
        self,
        res: object,
        xq: Vectors,
        xb: Vectors,
        k: int,
        *,
        metric: int,
        device: int,
        vectorsMemoryLimit: int,  # noqa: N803 (FAISS's own name)
    ) -> tuple[Vectors, NDArray[np.int64]]:
        assert metric == faiss.METRIC_INNER_PRODUCT
        assert xq.flags.c_contiguous
        assert xb.flags.c_contiguous
        assert 0 < k <= min(len(xb), 2_048)
        assert 0 < vectorsMemoryLimit < 1 << 30
        self.calls.append((device, len(xb), k))
        found: tuple[Vectors, NDArray[np.int64]] = faiss.knn(xq, xb, k, metric=metric)
        return found


def random_vectors(rows: int, seed: int) -> Vectors:
    return np.random.default_rng(seed).standard_normal((rows, WIDTH)).astype(np.float32)


def unit(rows: int, seed: int) -> Vectors:
    vectors = random_vectors(rows, seed)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def quantised(rows: int, seed: int) -> Vectors:
    """So few values that most scores tie, and every sum is exact."""
    return np.random.default_rng(seed).integers(-1, 2, size=(rows, 4)).astype(np.float32)


def with_zeros(rows: int, seed: int) -> Vectors:
    vectors = unit(rows, seed)
    vectors[::3] = 0
    return vectors


def twice(rows: int, seed: int) -> Vectors:
    return np.concatenate([unit(rows // 2, seed)] * 2)


KINDS = [random_vectors, unit, quantised, with_zeros, twice]


def found(queries: Vectors, vectors: Vectors, top_k: int, device: str, seed: int = 0) -> tuple[Run, IndexInfo]:
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(vectors))
    ids = [f"p{number:04}" for number in generator.permutation(len(vectors))]
    pieces = ((order[start : start + 13], vectors[order[start : start + 13]]) for start in range(0, len(vectors), 13))
    names = [f"q{number}" for number in range(len(queries))]
    return retrieve(names, queries, ids, np.arange(len(vectors)), pieces, top_k=top_k, device=device)


def check_same(run: Run, expected: Run) -> None:
    assert run.keys() == expected.keys()
    for query_id, ranked in expected.items():
        assert in_order(run[query_id]) == in_order(ranked)
        np.testing.assert_allclose(
            [run[query_id][passage_id] for passage_id in ranked], list(ranked.values()), rtol=0, atol=2e-6
        )


@pytest.mark.parametrize("top_k", [1, 10, 1_000])
@pytest.mark.parametrize("block", [50, 10_000])
@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_torch_ranks_as_the_processor_does(
    make: Any, block: int, top_k: int, by_torch: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    queries, vectors = make(30, 1), make(300, 2)
    for name in ("_BLOCK_BYTES", "_BLOCK_BYTES_GPU"):
        monkeypatch.setattr(index, name, block * 4 * vectors.shape[1])
    # All that may tie at the cut are told apart by their ids.
    monkeypatch.setattr("flagbench.runners.search.hits.TIES", 300)
    expected, _ = found(queries, vectors, top_k, "cpu")
    assert by_torch == []
    run, info = found(queries, vectors, top_k, "cuda:0")
    check_same(run, expected)
    assert by_torch == ["cuda:0"] * -(-300 // block)
    assert info.as_dict() == {
        "library": nearest.library(),
        "index": "flat, in blocks",
        "devices": "cuda x 1",
        "exact": True,
        "actor_blocks": 0,
    }


@pytest.mark.parametrize("gpus", [1, 2, 7])
@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_faiss_on_gpus_ranks_as_the_processor_does(make: Any, gpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    queries, vectors = make(30, 1), make(300, 2)
    for name in ("_BLOCK_BYTES", "_BLOCK_BYTES_GPU"):
        monkeypatch.setattr(index, name, 100 * 4 * vectors.shape[1])
    monkeypatch.setattr("flagbench.runners.search.hits.TIES", 300)
    expected, _ = found(queries, vectors, 20, "cpu")
    fake = FakeGpus(gpus, monkeypatch)
    index.gpu_count.cache_clear()
    run, info = found(queries, vectors, 20, "cuda:0")
    check_same(run, expected)
    assert (info.library, info.devices) == (f"faiss {faiss.__version__}", f"cuda x {gpus}")
    assert {device for device, _, _ in fake.calls} == set(range(gpus))
    assert sum(rows for _, rows, _ in fake.calls) == 300  # each vector goes to one GPU, once


def test_more_gpus_than_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeGpus(4, monkeypatch)
    queries, vectors = unit(3, 1), unit(2, 2)
    hits = search_block(queries, vectors, 2)
    np.testing.assert_array_equal(hits.places, np.argsort(-(queries @ vectors.T), axis=1))
    assert sorted(rows for _, rows, _ in fake.calls) == [1, 1]


@pytest.mark.parametrize(
    ("device", "searches"), [("cuda:0", "torch"), ("cuda:1,cuda:2", "torch"), ("cpu", "faiss"), ("mps", "faiss")]
)
def test_more_passages_than_faiss_finds_on_gpus_are_found_elsewhere(
    device: str, searches: str, by_torch: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeGpus(2, monkeypatch)
    queries, vectors = unit(2, 1), unit(2_100, 2)
    hits = search_block(queries, vectors, 2_049, device)
    best = -np.sort(-(queries @ vectors.T), axis=1)[:, :2_049]
    np.testing.assert_allclose(hits.scores, best, rtol=0, atol=1e-6)
    assert fake.calls == []
    assert hits.info.library.startswith(searches)
    assert by_torch == [name for name in [device.split(",")[0]] if searches == "torch"]


def test_what_will_search_is_known_before_it_does(by_torch: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def info(k: int, device: str) -> tuple[str, str]:
        said = StreamSearch(unit(1, 1), k, device=device).info
        return said.library.split()[0], said.devices

    assert info(10, "cpu") == ("faiss", "cpu")
    assert info(10, "cuda:0") == ("torch", "cuda x 1")
    FakeGpus(2, monkeypatch)
    index.gpu_count.cache_clear()
    assert info(10, "cpu") == info(10, "cuda:0") == ("faiss", "cuda x 2")
    assert info(2_049, "cuda:0") == ("torch", "cuda x 1")


@pytest.mark.parametrize(
    ("device", "devices", "searched_on"),
    [("cuda:0", "cuda x 1", "cuda:0"), ("cpu", "cpu", "cpu"), ("mps", "cpu", "cpu")],
)
def test_without_faiss_torch_searches(
    device: str, devices: str, searched_on: str, by_torch: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    queries, vectors = unit(5, 1), unit(60, 2)
    expected, _ = found(queries, vectors, 10, "cpu")
    monkeypatch.setitem(sys.modules, "faiss", None)
    index.gpu_count.cache_clear()
    run, info = found(queries, vectors, 10, device)
    check_same(run, expected)
    assert (info.library, info.devices) == (nearest.library(), devices)
    assert set(by_torch) == {searched_on}
