"""A pool that searches, with workers that follow a script; a real cluster is in tests/e2e/test_ray.py."""

from __future__ import annotations

import functools
import itertools
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench import BadInput, ModelFault
from flagbench.models.baselines.random import FakeEncoder
from flagbench.models.contract import DENSE
from flagbench.runners.encoding import encode
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.progress import Silent
from flagbench.runners.search import index
from flagbench.runners.search.index import search_block
from flagbench.runners.search.ranking import Texts, rank
from flagbench.runners.workers import cluster
from flagbench.runners.workers.cluster import ClusterPool, _Actor, _Shared
from flagbench.runners.workers.pool import Block, Facts, Message, WorkerError, WorkerLost
from tests.unit.worker_models import ENCODER

TEXTS = [f"passage {row}" for row in range(90)]
QUERIES = Texts([f"q{row}" for row in range(5)], TEXTS[10:60:10])
PASSAGES = Texts([f"p{row}" for row in range(90)], TEXTS)


@dataclass
class Script:
    """What the workers of a pool do at each block, in the order in which blocks come, and what they had.

    Attributes:
        fates: ``lost`` (at the first attempt, or ``always``), ``broken`` or ``fine``, of the first blocks.
        blocks: All that were given out, also again.
        encoded: Chunks.
    """

    fates: Sequence[str] = ()
    blocks: list[Block] = field(default_factory=list)
    encoded: int = 0
    _lock: Any = field(default_factory=threading.Lock)

    def given(self, block: Block) -> tuple[int, bool]:
        """Which block it is, and whether it was given out before."""
        with self._lock:
            different = list(dict.fromkeys(id(each.vectors) for each in self.blocks))
            self.blocks.append(block)
            again = id(block.vectors) in different
            return (different.index(id(block.vectors)) if again else len(different)), again

    def pool(self, workers: int = 2) -> ClusterPool:
        return ClusterPool(ENCODER, [functools.partial(Scripted, self)] * workers, "cpu")


class Scripted:
    def __init__(self, script: Script) -> None:
        self._script = script
        self._lost = False

    def ready(self) -> Facts:
        return Facts(frozenset({"encode"}), DENSE, "torch")

    def call(self, message: Message | Block, patience: float) -> Any:
        assert not self._lost, "a lost worker was asked again"
        if not isinstance(message, Block):
            with self._script._lock:
                self._script.encoded += 1
            _, _, texts, asked = message
            return FakeEncoder(ENCODER).encode(texts, **asked)
        number, again = self._script.given(message)
        match self._script.fates[number : number + 1]:
            case ["lost"] if again:
                pass
            case ["lost" | "always"]:
                self._lost = True
                raise WorkerLost("its node went away")
            case ["broken"]:
                raise WorkerError("ZeroDivisionError: not this one")
        return search_block(message.queries, message.vectors, message.k)

    def kill(self) -> None: ...


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "_CHUNK_CPU", (8, 10_000))
    monkeypatch.setattr(index, "_BLOCK_BYTES", 20 * 384 * 4)


def ranked(adapter: Any, search_worker: Callable[[], Any] | None) -> Any:
    return rank(TextEncoder(adapter, Silent()), QUERIES, PASSAGES, None, top_k=7, search_worker=search_worker)


@pytest.mark.parametrize("fates", [[], ["lost"], ["fine", "lost", "fine", "lost"]], ids=str)
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_search_what_they_encode(workers: int, fates: list[str]) -> None:
    expected, local = ranked(FakeEncoder(ENCODER), None)
    script = Script(fates)
    pool = script.pool(workers)
    found, info = ranked(pool, lambda: pool)
    pool.close()
    assert found == expected
    assert (info.actor_blocks, info.devices, info.library) == (5, local.devices, local.library)  # of 20 vectors, and 10
    assert len(script.blocks) == 5 + fates.count("lost")
    assert sorted({len(block.vectors) for block in script.blocks}) == [10, 20]
    assert len({id(block.queries) for block in script.blocks}) == 1
    assert script.encoded == 1 + 12


def test_a_block_that_is_lost_twice_ends_the_task() -> None:
    pool = Script(["always"]).pool(3)
    with pytest.raises(ModelFault) as caught:
        pool.search(np.ones((1, 2), np.float32), np.ones((3, 2), np.float32), 1)
    lost = "its node went away"
    assert str(caught.value) == f"{ENCODER.name}: the same vectors could not be searched: {lost}; {lost}"
    pool.close()


def test_an_error_of_a_worker_is_not_tried_again() -> None:
    script = Script(["broken"])
    pool = script.pool()
    with pytest.raises(WorkerError, match="not this one"):
        ranked(pool, lambda: pool)
    pool.close()
    assert len({id(block.vectors) for block in script.blocks}) == len(script.blocks)
    assert not any(thread.name.startswith("prepare") for thread in threading.enumerate())  # nor is encoding left


class Memory:
    """A cluster's memory."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self.held: dict[int, NDArray[np.float32]] = {}

    def put(self, value: NDArray[np.float32]) -> int:
        number = next(self._numbers)
        self.held[number] = value
        return number


def test_the_queries_of_a_search_are_put_once() -> None:
    memory = Memory()
    shared = _Shared(memory)
    one, other = np.ones((2, 3), np.float32), np.ones((2, 3), np.float32)
    assert [shared.reference(each) for each in (one, one, other, other, one)] == [0, 0, 1, 1, 2]
    assert [memory.held[number] is each for number, each in enumerate((one, other, one))] == [True] * 3


class Hanging:
    """A worker that loads until it is killed; the first of a pool loads at once and is lost at its first call."""

    made: list[Hanging]

    def __init__(self) -> None:
        self.first = not Hanging.made
        self.killed = threading.Event()
        self.waits = threading.Event()
        Hanging.made.append(self)

    def ready(self) -> Facts:
        self.waits.set()
        if not self.first and self.killed.wait(20):
            raise WorkerLost("it was killed while it loaded")
        return Facts(frozenset({"encode"}), DENSE, "torch")

    def call(self, message: Message | Block, patience: float) -> Any:
        raise WorkerLost("its node went away")

    def kill(self) -> None:
        self.killed.set()


def test_a_pool_that_is_closed_leaves_nobody_who_replaces_a_worker() -> None:
    Hanging.made = []
    ended: list[list[str]] = []
    pool = ClusterPool(
        ENCODER, [Hanging], "cpu", end=lambda: ended.append([thread.name for thread in threading.enumerate()])
    )

    def ask() -> None:
        with pytest.raises(ModelFault):
            pool.encode(["a"], role="query")

    asking = threading.Thread(target=ask)
    asking.start()
    while len(Hanging.made) < 2:
        threading.Event().wait(0.001)
    assert Hanging.made[1].waits.wait(20)

    pool.close()
    asking.join(20)
    assert [names.count("replace") for names in ended] == [0]
    assert not asking.is_alive()
    pool.close()
    assert len(ended) == 1
    with pytest.raises(ModelFault, match="no worker is left"):
        pool.encode(["a"], role="query")
    assert len(Hanging.made) == 2


class Disconnected:
    """Ray after its connection was closed: any call of it would make another one."""

    def is_initialized(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"ray.{name} connects anew")


def test_an_actor_without_a_connection_calls_nothing_of_ray() -> None:
    ray = Disconnected()
    with pytest.raises(WorkerLost, match="was closed"):
        _Actor(ray, _Shared(ray), FakeEncoder, "cpu", {})
    actor = object.__new__(_Actor)
    actor._ray, actor._shared = ray, _Shared(ray)
    for call in (actor.ready, lambda: actor.call(("encode", ENCODER, [], {}), 1.0), lambda: actor._answer(None, 1.0)):
        with pytest.raises(WorkerLost, match="was closed"):
            call()
    actor.kill()


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

    def shutdown(self) -> None:
        self.begun.clear()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What each pool was made of: how many workers, where they run, and what each of them asks the cluster for."""
    pools: list[Any] = []

    def pool(_: Any, starts: Sequence[Callable[[], Any]], device: str, *, end: object) -> str:
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
        begun, end = cluster._connected(address)
        joined, leave = cluster._connected(address)
        assert begun is joined is ray
        leave()  # the connection of another
        assert ray.begun == [{"address": address, "log_to_driver": False, "include_dashboard": dashboard}]
        end()
        assert ray.begun == []


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
