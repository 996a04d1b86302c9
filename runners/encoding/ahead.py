"""How an adapter gives its results: chunk by chunk, the next one prepared beside a forward pass, or as they come."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from flagbench.models.contract import Adapter, Parallel
from flagbench.models.passes import Stopped, stopped_by
from flagbench.models.remote import Streaming

R = TypeVar("R")


def stream_of(adapter: Adapter) -> Callable[..., Iterator[tuple[NDArray[np.int64], Any]]] | None:
    """What gives results as they come; None where an adapter gives them chunk by chunk. A deferred one loads here."""
    return adapter.stream if isinstance(adapter, Streaming) else None


def lanes_of(adapter: Adapter) -> int:
    """Number of prepared calls of an adapter that may run at the same time. A deferred one loads here."""
    return adapter.lanes if isinstance(adapter, Parallel) else 1


def ahead(
    chunks: Iterable[NDArray[np.int64]],
    prepare: Callable[[NDArray[np.int64]], Callable[[], R]],
    lanes: int,
    *,
    beside: Callable[[], None] | None = None,
) -> Iterator[tuple[NDArray[np.int64], R]]:
    """Results of chunks, in their order.

    A thread prepares the next chunk while this one runs; an adapter of several lanes runs so many at the same time,
    each in a thread that waits for it.

    Args:
        chunks: Rows of each.
        prepare: Makes the call that runs the model over a chunk.
        lanes: Calls that may run at the same time.
        beside: A model of one lane runs in a thread of its own, which this makes ready, one chunk ahead, so that its
            device has work while the caller keeps what it got. A caller that takes no more waits for the pass that
            runs, and for no other. None where it runs in the caller's thread.
    """

    def begin(chunk: NDArray[np.int64]) -> Callable[[], R]:
        run = prepare(chunk)
        if lanes == 1:
            return run
        result = run()
        return lambda: result

    def run(prepared: Future[Callable[[], R]]) -> R:
        if end.is_set():
            raise Stopped
        try:
            with stopped_by(end):
                return prepared.result()()
        except BaseException:
            end.set()
            raise

    def started(chunk: NDArray[np.int64]) -> Callable[[], R]:
        prepared = pool.submit(begin, chunk)
        return runner.submit(run, prepared).result if runner else lambda: prepared.result()()

    end = threading.Event()
    pool = ThreadPoolExecutor(lanes, thread_name_prefix="prepare")
    runner = ThreadPoolExecutor(1, "run", initializer=beside) if beside and lanes == 1 else None
    most = lanes + (runner is not None)
    coming: deque[tuple[NDArray[np.int64], Callable[[], R]]] = deque()
    try:
        for chunk in chunks:
            coming.append((chunk, started(chunk)))
            if len(coming) > most:
                first, result = coming.popleft()
                yield first, result()
        for first, result in coming:
            yield first, result()
    finally:
        end.set()
        pool.shutdown(cancel_futures=True)
        if runner:
            runner.shutdown(cancel_futures=True)
