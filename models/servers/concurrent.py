"""Many questions to a server at a time, and their answers as they come."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def as_they_come(
    items: Iterable[T], ask: Callable[[T, threading.Event], R | None], concurrency: int
) -> Iterator[tuple[int, R]]:
    """Ask about items in threads of their own.

    Args:
        items: Taken one by one, in the caller's thread, when there is room.
        ask: Called with an item and an event that says that all is to stop; None when it stopped before its answer.
        concurrency: Items that are asked about at the same time.

    Yields:
        The number of the item, counted from 0, and its answer, in the order in which answers come.

    Raises:
        Exception: What ``ask`` or ``items`` raised first. What was on its way by then is yielded before.
    """
    threads = Round(ask)
    source = enumerate(items)
    fault: BaseException | None = None
    try:
        while True:
            while fault is None and threads.out < concurrency:
                try:
                    threads.put(next(source))
                except StopIteration:
                    break
                except Exception as error:
                    fault = error
            if not threads.out:
                break
            index, result = threads.get()
            if isinstance(result, BaseException):
                fault = fault or result
                threads.stop.set()
            elif result is not None:
                yield index, result
        if fault is not None:
            raise fault
    finally:
        threads.close()


class Round(Generic[T, R]):
    """The threads of one call of ``as_they_come``. Daemons: an interrupted run must not wait minutes for a server."""

    def __init__(self, ask: Callable[[T, threading.Event], R | None]) -> None:
        self.stop = threading.Event()
        self._ask = ask
        self._todo: queue.SimpleQueue[tuple[int, T] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[int, R | BaseException | None]] = queue.SimpleQueue()
        self._threads = self.out = 0

    def put(self, item: tuple[int, T]) -> None:
        """Have a question asked."""
        self._todo.put(item)
        self.out += 1
        if self._threads < self.out:
            threading.Thread(target=self._work, daemon=True).start()
            self._threads += 1

    def get(self) -> tuple[int, R | BaseException | None]:
        """Wait for the next answer, or the error in its place; None for a question that was given up."""
        result = self._done.get()
        self.out -= 1
        return result

    def close(self) -> None:
        """Let the threads end."""
        self.stop.set()
        for _ in range(self._threads):
            self._todo.put(None)

    def _work(self) -> None:
        while (item := self._todo.get()) is not None:
            try:
                self._done.put((item[0], self._ask(item[1], self.stop)))
            except BaseException as error:
                self._done.put((item[0], error))
