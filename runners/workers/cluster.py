"""Workers on a Ray cluster: an actor for each GPU, or each processor, of its nodes.

The plan, the store and the results stay with the process that was started. The actors load the model, encode chunks of
texts and search blocks of a corpus; their lists are merged where they come back. A block goes out when its vectors are
together, so search runs beside encoding; the queries are sent once for all blocks. Also vectors that the store has are
searched by actors: else it would be up to the store whose threads multiply, and so which last bits come out.

A node that is lost takes its workers with it: their chunks and blocks go to others, and a new actor is started where
the cluster has room. Checkpoints and, for several such runs, the store lie on storage that all nodes see.
"""

from __future__ import annotations

import functools
import importlib.util
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.models.spec import ModelSpec
from flagbench.runners.search.index import BlockHits, search_block
from flagbench.runners.workers.pool import (
    Block,
    Facts,
    Load,
    Message,
    Pool,
    Served,
    Worker,
    WorkerLost,
    outcome,
    unwrapped,
)

if TYPE_CHECKING:
    from types import ModuleType

# What a new actor may take to find a place and load the model; a cluster without room is not waited for longer.
_START_SECONDS = 600.0
_CONNECT_SECONDS = 10.0


class ClusterPool(Pool):
    """A pool whose workers also search: a ``SearchWorker``."""

    def search(self, queries: NDArray[np.float32], vectors: NDArray[np.float32], k: int) -> BlockHits:
        """See SearchWorker."""
        return cast("BlockHits", self._run(Block(queries, vectors, k)))


def pool_on_ray(address: str | None, device: str, spec: ModelSpec, load: Load) -> ClusterPool:
    """A pool with an actor for each GPU of the cluster, or for each of its nodes where the model runs on processors.

    Args:
        address: Of a running cluster (``host:port``, ``auto``); None starts one on this machine.
        device: ``cpu`` or ``cuda``, the same on all nodes.
        spec: Of the model.
        load: Loads it.

    Raises:
        BadInput: Ray is not installed, the cluster is not there or has no such device, or the model cannot be loaded.
        ModelFault: A worker died while it loaded.
    """
    ray, end = _connected(address)
    try:
        return _pool(ray, end, device, spec, load)
    except BaseException:
        end()
        raise


def _pool(ray: ModuleType, end: Callable[[], object], device: str, spec: ModelSpec, load: Load) -> ClusterPool:
    on_gpu = device.startswith("cuda")
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if on_gpu:
        count = int(sum(node.get("GPU", 0) for node in nodes))
        needs = {"num_gpus": 1}
    else:
        processors = [int(node.get("CPU", 0)) for node in nodes]
        count = sum(number > 0 for number in processors)
        needs = {"num_cpus": min((number for number in processors if number > 0), default=1)}
    if not count:
        raise BadInput(f"the Ray cluster has no {'GPU' if on_gpu else 'processor'} to run on: see ray status")
    begin = functools.partial(_Actor, ray, _Shared(ray), load, "cuda:0" if on_gpu else "cpu", needs)
    start: Callable[[], Worker] = begin
    return ClusterPool(spec, [start] * count, "cuda" if on_gpu else "cpu", end=end)


def check_cluster(address: str | None) -> None:
    """See that Ray is installed and that a server answers at the address, without joining the cluster.

    Raises:
        BadInput: It is not, or none does.
    """
    if importlib.util.find_spec("ray") is None:
        raise BadInput("--engine ray needs Ray: pip install 'flagbench[ray]'")
    _refuse_unreachable(address)


def _connected(address: str | None) -> tuple[ModuleType, Callable[[], object]]:
    """Ray, and what ends the connection; nothing where it was there before."""
    check_cluster(address)
    import ray

    if ray.is_initialized():
        return ray, lambda: None
    try:
        ray.init(address=address, log_to_driver=False, include_dashboard=False if address is None else None)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = address or "this machine"
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput(f"--ray-address {where}: no Ray cluster answers there ({first_line})") from error
    return ray, ray.shutdown


def _refuse_unreachable(address: str | None) -> None:
    """See that a server answers; Ray itself waits for minutes before it says that none does."""
    host, _, port = (address or "").rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise BadInput(f"--ray-address {address}: no server answers there ({error.strerror or error})") from error


class _Remote:
    """The part of an actor that runs on its node."""

    def __init__(self, load: Load, device: str) -> None:
        self._device = device
        self._served = outcome(lambda: Served(load, device))

    def facts(self) -> Any:
        """The worker's facts, or why the model is not loaded."""
        return self._served if isinstance(self._served, BaseException) else self._served.facts()

    def answer(self, message: Message) -> Any:
        """See Served."""
        return outcome(functools.partial(self._served.answer, message))

    def search(self, queries: NDArray[np.float32], vectors: NDArray[np.float32], k: int) -> Any:
        """See ``search_block``."""
        return outcome(functools.partial(search_block, queries, vectors, k, self._device))


class _Shared:
    """The queries of a search in the cluster's memory, where every node fetches them once."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._lock = threading.Lock()
        self._last: tuple[NDArray[np.float32], Any] | None = None

    def reference(self, queries: NDArray[np.float32]) -> Any:
        """Reference to the queries in the cluster's memory; put there unless the search before had the same."""
        with self._lock:
            if self._last is None or self._last[0] is not queries:
                self._last = queries, self._ray.put(queries)
            return self._last[1]


class _Actor:
    """An actor, as the pool sees it."""

    def __init__(self, ray: Any, shared: _Shared, load: Load, device: str, needs: dict[str, int]) -> None:
        self._ray = ray
        self._shared = shared
        self._refuse_without_cluster()
        # No second try of Ray's own: the pool gives a lost chunk away again, and counts.
        self._handle = ray.remote(_Remote).options(max_restarts=0, max_task_retries=0, **needs).remote(load, device)

    def ready(self) -> Facts:
        """See Worker."""
        self._refuse_without_cluster()
        return cast("Facts", self._answer(self._handle.facts.remote(), _START_SECONDS))

    def call(self, message: Message | Block, patience: float) -> Any:
        """See Worker."""
        self._refuse_without_cluster()
        if isinstance(message, Block):
            queries = self._shared.reference(message.queries)
            return self._answer(self._handle.search.remote(queries, message.vectors, message.k), patience)
        return self._answer(self._handle.answer.remote(message), patience)

    def kill(self) -> None:
        """See Worker."""
        if self._ray.is_initialized():
            self._ray.kill(self._handle)

    def _refuse_without_cluster(self) -> None:
        """See that the connection is there: without one, any call of Ray's would make a new one, to a new cluster.

        Raises:
            WorkerLost: It is not.
        """
        if not self._ray.is_initialized():
            raise WorkerLost("the connection to the Ray cluster was closed")

    def _answer(self, reference: Any, patience: float) -> Any:
        self._refuse_without_cluster()
        errors = self._ray.exceptions
        try:
            return unwrapped(self._ray.get(reference, timeout=patience))
        except errors.GetTimeoutError as error:
            raise WorkerLost(f"a Ray worker gave no answer in {patience:.0f} s") from error
        except errors.RayError as error:
            raise WorkerLost(f"a Ray worker was lost: {str(error).splitlines()[0]}") from error
