"""Many questions to a server at a time, and their answers as they come."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Stop(threading.Event):
    """Set when nothing more is to begin; ``give_up`` also ends what is on its way."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Callable[[], object]] = []
        self._given_up = False
        self._changing = threading.Lock()

    def give_up(self) -> None:
        """Set, and call what the waiting ones asked to be called."""
        with self._changing:
            self._given_up, calls = True, list(self._calls)
        self.set()
        for call in calls:
            call()

    @contextmanager
    def calling(self, call: Callable[[], object]) -> Iterator[None]:
        """Have something called when all is given up inside, or was before."""
        with self._changing:
            self._calls.append(call)
            late = self._given_up
        try:
            if late:
                call()
            yield
        finally:
            with self._changing:
                self._calls.remove(call)


def as_they_come(items: Iterable[T], ask: Callable[[T, Stop], R | None], concurrency: int) -> Iterator[tuple[int, R]]:
    """Ask about items in threads of their own.

    Args:
        items: Taken one by one, in the caller's thread, when there is room.
        ask: Called with an item and an event that says that all is to stop; None when it stopped before its answer.
        concurrency: Items that are asked about at the same time.

    Yields:
        The number of the item, counted from 0, and its answer, in the order in which answers come.

    Raises:
        Exception: What ``ask`` or ``items`` raised first. What was on its way by then is yielded before.

    A caller who leaves earlier gives up what is on its way; no thread is left in any case.
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
    """The threads of one call of ``as_they_come``."""

    def __init__(self, ask: Callable[[T, Stop], R | None]) -> None:
        self.stop = Stop()
        self.out = 0
        self._ask = ask
        self._todo: queue.SimpleQueue[tuple[int, T] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[int, R | BaseException | None]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def put(self, item: tuple[int, T]) -> None:
        """Have a question asked."""
        self._todo.put(item)
        self.out += 1
        if len(self._threads) < self.out:
            # Daemons: an interpreter that ends without close must not wait minutes for a server.
            self._threads.append(threading.Thread(target=self._work, daemon=True))
            self._threads[-1].start()

    def get(self) -> tuple[int, R | BaseException | None]:
        """Wait for the next answer, or the error in its place; None for a question that was given up."""
        result = self._done.get()
        self.out -= 1
        return result

    def close(self) -> None:
        """End the threads."""
        self.stop.give_up()
        for _ in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (item := self._todo.get()) is not None:
            try:
                self._done.put((item[0], self._ask(item[1], self.stop)))
            except BaseException as error:
                self._done.put((item[0], error))
