"""A local Ray cluster of two nodes: the vectors and files of one process, also when a node is lost."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench import BadInput
from models.overrides import Overrides
from models.resolve import resolve_model
from runners.cluster import pool_on_ray
from runners.encode import TextEncoder
from runners.progress import Silent
from tests.checkpoints import add_sentence_transformers, write_bert
from tests.conftest import ROOT
from tests.e2e.test_cli import flagbench
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

    def advance(self, items: int) -> None:
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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_whole_run_on_a_cluster(cluster: _Cluster, model: Path, tmp_path: Path) -> None:
    local = flagbench(*command(model, tmp_path / "local"), **ONE_THREAD)  # as many as an actor of one processor has
    assert local.returncode == 0, local.stderr
    flags = ("--device", "cpu", "--engine", "ray", "--ray-address", cluster.address)
    far = flagbench(*command(model, tmp_path / "far", *flags), PYTHONPATH=str(ROOT))
    assert far.returncode == 0, far.stderr
    assert files(tmp_path / "far") == files(tmp_path / "local")


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
