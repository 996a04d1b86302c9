"""A local Ray cluster of two nodes: the vectors, rankings and files of one process, also when a node is lost."""

from __future__ import annotations

import functools
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from flagbench import BadInput
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.progress import Silent
from flagbench.runners.search import index
from flagbench.runners.search.ranking import Texts, rank
from flagbench.runners.workers import cluster as cluster_module
from flagbench.runners.workers.cluster import pool_on_ray
from flagbench.runners.workers.pool import Block
from tests.checkpoints import add_sentence_transformers, write_bert
from tests.conftest import ROOT
from tests.e2e.commands import flagbench
from tests.e2e.test_workers import ONE_THREAD, command, files

TEXTS = [f"passage {number} " + "of some length " * (number % 30) for number in range(6_000)]


class _Cluster:
    """Two nodes of one processor, beside a head that runs nothing."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self.nodes = [self._cluster.add_node(num_cpus=1) for _ in range(2)]
        self.address: str = self._cluster.address

    def lose_one(self) -> None:
        self._cluster.remove_node(self.nodes.pop(), allow_graceful=False)

    def close(self) -> None:
        import ray

        ray.shutdown()
        self._cluster.shutdown()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Cluster]:
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # as if FlagBench were installed on the nodes
    started = _Cluster()
    yield started
    started.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_sentence_transformers(write_bert(tmp_path_factory.mktemp("model") / "bert"))


@pytest.fixture
def load(model: Path) -> Any:
    leaves = {"trust_remote_code": False, "allow_pickle": False}
    found = resolve_model(str(model), None, Overrides(), on_cpu=lambda: True, **leaves)
    return functools.partial(found.load, batch_size=None, **leaves)


class _AtTheFirstChunk(Silent):
    """Does something when the first chunk is done."""

    def __init__(self, what: Any) -> None:
        self._what = what

    def advance(self, items: int, work: float | None = None) -> None:
        what, self._what = self._what, lambda: None
        what()


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")  # as many as an actor of one processor has
@pytest.mark.filterwarnings("ignore")  # of Ray's own
def test_the_cluster_gives_the_very_vectors(cluster: _Cluster, load: Any) -> None:
    alone = load(device="cpu")
    expected = TextEncoder(alone, Silent()).encode(TEXTS, role="passage")
    pool = pool_on_ray(cluster.address, "cpu", alone.spec, load)
    assert pool.lanes == 2
    np.testing.assert_array_equal(TextEncoder(pool, Silent()).encode(TEXTS, role="passage"), expected)
    loss = threading.Thread(target=cluster.lose_one)
    found = TextEncoder(pool, _AtTheFirstChunk(loss.start)).encode(TEXTS, role="passage")
    loss.join()
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(TextEncoder(pool, Silent()).encode(TEXTS, role="passage"), expected)
    pool.close()


class _Lost(cluster_module._Actor):
    """An actor that is killed while it searches its second block, whichever actor that is."""

    blocks = 0

    def call(self, message: Any, patience: float) -> Any:
        if isinstance(message, Block):
            _Lost.blocks += 1
            if _Lost.blocks == 2:
                references = self._handle.search.remote(message.queries, message.vectors, message.k)
                self._ray.kill(self._handle)
                return self._answer(references, patience)
        return super().call(message, patience)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("loss", ["none", "an actor", "a node"])
def test_actors_search(cluster: _Cluster, load: Any, loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = load(device="cpu")
    queries = Texts([f"q{number}" for number in range(40)], TEXTS[100:6_000:148][:40])
    passages = Texts([f"p{number}" for number in range(len(TEXTS))], TEXTS)
    width = TextEncoder(alone, Silent()).encode(TEXTS[:1], role="query").shape[1]
    monkeypatch.setattr(index, "_BLOCK_BYTES", 700 * width * 4)
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # as many as an actor of one processor has
    expected, local = rank(TextEncoder(alone, Silent()), queries, passages, None, top_k=100)
    faiss.omp_set_num_threads(threads)

    if loss == "an actor":
        monkeypatch.setattr(_Lost, "blocks", 0)
        monkeypatch.setattr(cluster_module, "_Actor", _Lost)
    pool = pool_on_ray(cluster.address, "cpu", alone.spec, load)
    gone = threading.Thread(target=cluster.lose_one)
    calls = 0

    def search_worker() -> Any:
        nonlocal calls
        calls += 1
        if loss == "a node" and calls == 3:
            gone.start()
        return pool

    monkeypatch.setattr(index, "search_block", None)  # this process has nothing to search with
    found, info = rank(TextEncoder(pool, Silent()), queries, passages, None, top_k=100, search_worker=search_worker)
    if loss == "a node":
        gone.join()
    pool.close()
    assert found == expected
    assert info.actor_blocks == calls == -(-6_000 // 700)
    assert info.as_dict() == local.as_dict() | {"actor_blocks": 9}
    assert _Lost.blocks == (10 if loss == "an actor" else 0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_whole_run_on_a_cluster(cluster: _Cluster, model: Path, tmp_path: Path) -> None:
    local = flagbench(*command(model, tmp_path / "local"), **ONE_THREAD)  # as many as an actor of one processor has
    assert local.returncode == 0, local.stderr
    flags = ("--device", "cpu", "--engine", "ray", "--ray-address", cluster.address)
    far = flagbench(*command(model, tmp_path / "far", *flags), PYTHONPATH=str(ROOT))
    assert far.returncode == 0, far.stderr
    assert _searched_by_actors(tmp_path / "far") == {"STSB": None, "CovidRetrieval": 1, "TNews": None}
    assert _searched_by_actors(tmp_path / "local") == {"STSB": None, "CovidRetrieval": 0, "TNews": None}
    expected = _without_blocks(files(tmp_path / "local"))
    assert _without_blocks(files(tmp_path / "far")) == expected

    # With all vectors in the store the actors search as well: the same bits, and the same record of it.
    warm = flagbench(*command(model, tmp_path / "far", *flags), "--overwrite", PYTHONPATH=str(ROOT))
    assert warm.returncode == 0, warm.stderr
    assert _searched_by_actors(tmp_path / "far")["CovidRetrieval"] == 1
    assert _without_blocks(files(tmp_path / "far")) == expected


def _searched_by_actors(folder: Path) -> dict[str, int | None]:
    """Blocks that actors searched, by task; None where nothing is searched."""
    (path,) = (folder / "results").rglob("run.json")
    tasks = json.loads(path.read_text(encoding="utf-8"))["tasks"]
    return {name: task["search"] and task["search"]["actor_blocks"] for name, task in tasks.items()}


def _without_blocks(value: Any) -> Any:
    """Where a corpus was searched is said, and is all that differs."""
    if isinstance(value, dict):
        return {key: _without_blocks(item) for key, item in value.items() if key != "actor_blocks"}
    return value


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere.invalid:6379", "garbage"])
def test_an_address_where_no_cluster_is(model: Path, tmp_path: Path, address: str) -> None:
    pytest.importorskip("ray")
    flags = ("--device", "cpu", "--engine", "ray", "--ray-address", address)
    refused = flagbench(*command(model, tmp_path, *flags), PYTHONPATH=str(ROOT))
    assert refused.returncode == 2
    assert address in refused.stderr.strip().splitlines()[-1]
    assert "Traceback" not in refused.stderr


def test_without_ray_it_says_what_to_install(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BadInput, match=r"pip install 'flagbench\[ray\]'"):
        pool_on_ray(None, "cpu", load.func.__self__.spec, load)
