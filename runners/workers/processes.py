"""Workers on this machine: one process for each device."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, cast

from flagbench.models.device import joint_device, limit_threads
from flagbench.models.spec import ModelSpec
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


def pool_on(devices: Sequence[str], spec: ModelSpec, load: Load) -> Pool:
    """A pool with a process on each device; several on the processor share its cores.

    Args:
        devices: As torch names them; the processor may stand there several times.
        spec: Of the model.
        load: Loads it.

    Raises:
        BadInput: The model cannot be loaded.
        ModelFault: A worker died while it loaded.
    """
    device = joint_device(devices)
    threads = max(1, (os.cpu_count() or 1) // len(devices)) if device == "cpu" else None
    starts: list[Callable[[], Worker]] = [
        functools.partial(_ProcessWorker, load, device, threads) for device in devices
    ]
    return Pool(spec, starts, device)


class _ProcessWorker:
    """A process at the other end of a pipe."""

    def __init__(self, load: Load, device: str, threads: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self._device = device
        self._pipe, theirs = context.Pipe()
        self._using = threading.Lock()
        self._process: SpawnProcess = context.Process(
            target=_work, args=(theirs, load, device, threads), name=f"worker-{device}", daemon=True
        )
        self._process.start()
        theirs.close()

    def ready(self) -> Facts:
        """See Worker."""
        with self._using:
            return cast("Facts", self._answer(None))

    def call(self, message: Message | Block, patience: float) -> Any:
        """See Worker."""
        with self._using:
            try:
                self._pipe.send(message)
            except OSError as error:
                raise WorkerLost(self._fate()) from error
            return self._answer(patience)

    def kill(self) -> None:
        """See Worker."""
        self._process.kill()
        self._process.join()
        with self._using:  # whoever waits at the pipe is told by its end
            self._pipe.close()

    def _answer(self, patience: float | None) -> Any:
        try:
            if not self._pipe.poll(patience):
                raise WorkerLost(f"the worker on {self._device} gave no answer in {patience:.0f} s")
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise WorkerLost(self._fate()) from error
        return unwrapped(answer)

    def _fate(self) -> str:
        self._process.join()
        return f"the worker on {self._device} died with exit code {self._process.exitcode}"


def _work(pipe: Connection, load: Load, device: str, threads: int | None) -> None:
    """A worker's life: load, then answer until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which takes its workers with it
    threading.Thread(target=_die_with_parent, daemon=True).start()
    if threads is not None:
        limit_threads(threads)
    served = outcome(lambda: Served(load, device))
    pipe.send(served if isinstance(served, BaseException) else served.facts())
    while not isinstance(served, BaseException):
        try:
            message = pipe.recv()
        except EOFError:
            return
        pipe.send(outcome(functools.partial(served.answer, message)))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
