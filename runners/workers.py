"""One model on several devices: a process for each, which take chunks as they become free.

The pool is an adapter like any other. Nothing is shared between the workers and nothing is collective: each loads the
model on its device, gets texts through a pipe and sends numbers back. A worker that dies or hangs is replaced and its
chunk given away once more; the second time the task fails with what the worker said.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from flagbench import BadInput, FlagbenchError, ModelFault
from models.contract import DENSE, Adapter, Backend, Capability, Part, Role
from models.device import limit_threads
from models.embeddings import Embeddings
from models.spec import ModelSpec

# A worker hangs when a chunk takes longer than this, and longer than so many times the longest one before it.
_PATIENCE_SECONDS = 1_800.0
_PATIENCE_TIMES = 20.0
_ATTEMPTS = 2

Load = Callable[..., Adapter]
"""``load(device=…)`` gives the model on a device. Sent to the workers, so it must be picklable."""


@dataclass(frozen=True)
class _Facts:
    """What a worker says of the adapter that it loaded."""

    capabilities: frozenset[Capability]
    parts: frozenset[Part]
    backend: Backend


class WorkerLost(Exception):
    """A worker died or hung with a chunk."""


class Pool:
    """An adapter that is loaded once on each of several devices.

    Attributes:
        spec: As the model's.
        device: The devices, with commas between them; ``cpu`` when all are the processor.
        lanes: Chunks that can run at the same time.
    """

    def __init__(
        self, spec: ModelSpec, load: Load, devices: Sequence[str], *, patience: float = _PATIENCE_SECONDS
    ) -> None:
        """Start the workers and wait until each has loaded the model.

        Args:
            spec: Of the model.
            load: Loads it.
            devices: One worker each; the same may be named several times.
            patience: Seconds after which a chunk's worker hangs, if no chunk before was that slow.

        Raises:
            BadInput: The model cannot be loaded.
            ModelFault: A worker died while it loaded.
        """
        self.spec = spec
        self.device = "cpu" if set(devices) == {"cpu"} else ",".join(devices)
        self.lanes = len(devices)
        self._patience = patience
        self._longest = 0.0
        self._load = load
        threads = max(1, (os.cpu_count() or 1) // len(devices)) if self.device == "cpu" else None
        workers = [_Worker(load, device, threads) for device in devices]
        self._free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        try:
            facts = [worker.ready() for worker in workers]
        except BaseException:
            for worker in workers:
                worker.kill()
            raise
        for worker in workers:
            self._free.put(worker)
        self._workers = workers
        self.capabilities, self.parts, self.backend = facts[0].capabilities, facts[0].parts, facts[0].backend

    def reading(self, spec: ModelSpec) -> Pool:
        """The same workers, which read a layerwise reranker at the cutoff layer of another spec."""
        other = object.__new__(Pool)
        other.__dict__ = self.__dict__ | {"spec": spec}
        return other

    def prepare(self, texts: Sequence[Any], **arguments: Any) -> Callable[[], Any]:
        """See the contract of encoders and scorers. What it returns may be called from several threads at once."""
        call = "encode" if "encode" in self.capabilities else "score"
        return lambda: self._run((call, self.spec, list(texts), arguments))

    def encode(
        self, texts: Sequence[str], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Embeddings:
        """See the contract."""
        return cast("Embeddings", self.prepare(texts, role=role, instruction=instruction, parts=parts)())

    def score(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> NDArray[np.float32]:
        """See the contract."""
        return cast("NDArray[np.float32]", self.prepare(pairs, instruction=instruction)())

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.kill()

    def _run(self, message: tuple[Any, ...]) -> Any:
        said: list[str] = []
        for _ in range(_ATTEMPTS):
            worker = self._free.get()
            started = time.monotonic()
            try:
                result = worker.call(message, max(self._patience, _PATIENCE_TIMES * self._longest))
            except WorkerLost as error:
                said.append(str(error))
                worker = self._replacement(worker)
                continue
            finally:
                self._free.put(worker)
            self._longest = max(self._longest, time.monotonic() - started)
            return result
        raise ModelFault(f"{self.spec.name}: lost two workers with the same texts: {'; '.join(said)}")

    def _replacement(self, worker: _Worker) -> _Worker:
        worker.kill()
        other = _Worker(self._load, worker.device, worker.threads)
        other.ready()
        self._workers[self._workers.index(worker)] = other
        return other


class _Worker:
    """One process with the model on one device."""

    def __init__(self, load: Load, device: str, threads: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.device = device
        self.threads = threads
        self._pipe, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(
            target=_work, args=(theirs, load, device, threads), name=f"worker-{device}", daemon=True
        )
        self._process.start()
        theirs.close()

    def ready(self) -> _Facts:
        """Wait until the model is loaded."""
        try:
            return cast("_Facts", self._answer(None))
        except WorkerLost as error:
            raise ModelFault(f"{error} while it loaded the model") from error

    def call(self, message: tuple[Any, ...], patience: float) -> Any:
        """Have the worker do something.

        Args:
            message: What.
            patience: Seconds to wait.

        Raises:
            WorkerLost: It died, or took longer.
        """
        try:
            self._pipe.send(message)
        except OSError as error:
            raise WorkerLost(self._fate()) from error
        return self._answer(patience)

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _answer(self, patience: float | None) -> Any:
        if not self._pipe.poll(patience):
            raise WorkerLost(f"the worker on {self.device} gave no answer in {patience:.0f} s")
        try:
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise WorkerLost(self._fate()) from error
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _fate(self) -> str:
        self._process.join()
        return f"the worker on {self.device} died with exit code {self._process.exitcode}"


class WorkerError(Exception):
    """What a worker's code raised, with its traceback."""


def _work(pipe: Connection, load: Load, device: str, threads: int | None) -> None:
    """A worker's life: load, then answer until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    if threads is not None:
        limit_threads(threads)
    adapter: Any = _outcome(lambda: load(device=device))
    if isinstance(adapter, BaseException):
        pipe.send(adapter)
        return
    pipe.send(_Facts(adapter.capabilities, getattr(adapter, "parts", frozenset()), adapter.backend))
    while True:
        try:
            call, spec, texts, arguments = pipe.recv()
        except EOFError:
            return
        reader = adapter if spec == adapter.spec else adapter.reading(spec)
        pipe.send(_outcome(lambda: getattr(reader, call)(texts, **arguments)))  # noqa: B023


def _outcome(call: Callable[[], Any]) -> Any:
    """What a call returned, or raised."""
    try:
        return call()
    except FlagbenchError as error:
        return (BadInput if error.exit_code == BadInput.exit_code else ModelFault)(str(error))
    except Exception as error:  # whatever it is, the parent is told
        text = "".join(traceback.format_exception(error))
        return WorkerError(f"{type(error).__name__}: {error}\n{text}")


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
