"""Forward passes as they end, for whoever waits for a call of an adapter that runs many of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[int], None] | None] = ContextVar("listener", default=None)
_end: ContextVar[threading.Event | None] = ContextVar("end", default=None)


class Stopped(Exception):
    """Nobody will take the results of a call any more."""


@contextmanager
def heard_by(listener: Callable[[int], None]) -> Iterator[None]:
    """While it lasts, a listener hears of the passes of this thread.

    Args:
        listener: Takes the number of rows of each.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def stopped_by(end: threading.Event) -> Iterator[None]:
    """While it lasts, the first pass of this thread that ends after an event was set ends the call.

    Args:
        end: Set by another thread.
    """
    token = _end.set(end)
    try:
        yield
    finally:
        _end.reset(token)


def passed(rows: int) -> None:
    """Say that a pass over so many rows has ended.

    Raises:
        Stopped: Its results are not wanted any more.
    """
    listener, end = _listener.get(), _end.get()
    if listener is not None:
        listener(rows)
    if end is not None and end.is_set():
        raise Stopped
