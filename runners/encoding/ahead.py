"""How an adapter gives its results: chunk by chunk, the next one prepared beside a forward pass, or as they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from flagbench.models.contract import Adapter, Parallel
from flagbench.models.remote import Streaming

R = TypeVar("R")


def stream_of(adapter: Adapter) -> Callable[..., Iterator[tuple[NDArray[np.int64], Any]]] | None:
    """What gives results as they come; None where an adapter gives them chunk by chunk. A deferred one loads here."""
    return adapter.stream if isinstance(adapter, Streaming) else None


def lanes_of(adapter: Adapter) -> int:
    """Number of prepared calls of an adapter that may run at the same time. A deferred one loads here."""
    return adapter.lanes if isinstance(adapter, Parallel) else 1


def ahead(
    chunks: Iterable[NDArray[np.int64]], prepare: Callable[[NDArray[np.int64]], Callable[[], R]], lanes: int
) -> Iterator[tuple[NDArray[np.int64], R]]:
    """Results of chunks, in their order.

    A thread prepares the next chunk while this one runs; an adapter of several lanes runs so many at the same time,
    each in a thread that waits for it.
    """

    def begin(chunk: NDArray[np.int64]) -> Callable[[], R]:
        run = prepare(chunk)
        if lanes == 1:
            return run
        result = run()
        return lambda: result

    pool = ThreadPoolExecutor(lanes, thread_name_prefix="prepare")
    coming: deque[tuple[NDArray[np.int64], Future[Callable[[], R]]]] = deque()
    try:
        for chunk in chunks:
            coming.append((chunk, pool.submit(begin, chunk)))
            if len(coming) > lanes:
                first, future = coming.popleft()
                yield first, future.result()()
        for first, future in coming:
            yield first, future.result()()
    finally:
        pool.shutdown(cancel_futures=True)
