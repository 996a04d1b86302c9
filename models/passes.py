"""Forward passes as they end, for whoever waits for a call of an adapter that runs many of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[int], None] | None] = ContextVar("listener", default=None)


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


def passed(rows: int) -> None:
    """Say that a pass over so many rows has ended."""
    listener = _listener.get()
    if listener is not None:
        listener(rows)
