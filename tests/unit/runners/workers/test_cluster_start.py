"""How a Ray cluster is begun or joined, and how many workers a pool on it has; Ray itself is not needed."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.runners.workers import cluster
from tests.unit.worker_models import ENCODER


class _Ray:
    """A cluster of some nodes, and how it was asked for."""

    __spec__ = ModuleSpec("ray", None)

    def __init__(self, *nodes: dict[str, float], alive: Sequence[bool] = ()) -> None:
        states = alive or [True] * len(nodes)
        self._nodes = [{"Alive": state, "Resources": node} for node, state in zip(nodes, states, strict=True)]
        self.begun: list[dict[str, Any]] = []

    def nodes(self) -> list[dict[str, Any]]:
        return self._nodes

    def is_initialized(self) -> bool:
        return bool(self.begun)

    def init(self, **options: Any) -> None:
        self.begun.append(options)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What each pool was made of: how many workers, where they run, and what each of them asks the cluster for."""
    pools: list[Any] = []

    def pool(_: Any, starts: Sequence[Callable[[], Any]], device: str) -> str:
        needs = {(start.args[-2], tuple(start.args[-1].items())) for start in starts}  # type: ignore[attr-defined]
        pools.append((len(starts), device, needs))
        return "a pool"

    monkeypatch.setattr(cluster, "ClusterPool", pool)
    return pools


@pytest.mark.parametrize(
    ("device", "nodes", "pool"),
    [
        ("cuda", [{"GPU": 2, "CPU": 8}, {"CPU": 4}, {"GPU": 1}], (3, "cuda", {("cuda:0", (("num_gpus", 1),))})),
        ("cpu", [{"CPU": 8}, {"CPU": 4}, {"CPU": 0}, {"GPU": 1}], (2, "cpu", {("cpu", (("num_cpus", 4),))})),
    ],
)
def test_an_actor_for_each_gpu_or_each_node(
    device: str, nodes: list[dict[str, float]], pool: Any, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", _Ray(*nodes))
    assert cluster.pool_on_ray(None, device, ENCODER, lambda **_: None) == "a pool"  # type: ignore[arg-type,comparison-overlap,return-value]
    assert started == [pool]


@pytest.mark.parametrize(("device", "what"), [("cuda", "GPU"), ("cpu", "processor")])
@pytest.mark.usefixtures("started")
def test_a_cluster_without_room_is_refused(device: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that is gone has none."""
    ray = _Ray({"CPU": 8, "GPU": 8}, {"object_store_memory": 1}, alive=[False, True])
    monkeypatch.setitem(sys.modules, "ray", ray)
    with pytest.raises(BadInput) as caught:
        cluster.pool_on_ray(None, device, ENCODER, lambda **_: None)  # type: ignore[arg-type,return-value]
    assert str(caught.value) == f"the Ray cluster has no {what} to run on: see ray status"


def test_a_cluster_is_begun_or_joined_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its workers print nothing here; a dashboard is not begun, and one that runs is left alone."""
    for address, dashboard in ((None, False), ("auto", None)):
        ray = _Ray()
        monkeypatch.setitem(sys.modules, "ray", ray)
        assert cluster._connected(address) is cluster._connected(address) is ray
        assert ray.begun == [{"address": address, "log_to_driver": False, "include_dashboard": dashboard}]


def test_a_cluster_that_cannot_be_joined_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: Any) -> None:
        raise ConnectionError("no such cluster\nand many more lines")

    ray = _Ray()
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setitem(sys.modules, "ray", ray)
    for address, where in ((None, "this machine"), ("auto", "auto")):
        with pytest.raises(BadInput) as caught:
            cluster._connected(address)
        assert str(caught.value) == f"--ray-address {where}: no Ray cluster answers there (no such cluster)"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(BadInput, match=r"no Ray cluster answers there"):
            cluster._connected(f"127.0.0.1:{port}")
    with pytest.raises(BadInput) as caught:
        cluster._connected(f"127.0.0.1:{port}")
    said = f"--ray-address 127.0.0.1:{port}: no server answers there (Connection refused)"
    assert str(caught.value) == said
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BadInput, match="--engine ray needs Ray"):
        cluster._connected(None)
