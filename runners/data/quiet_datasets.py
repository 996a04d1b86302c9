"""What ``datasets`` does beside its work, while it reads: its log, and its import of torch."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def logged() -> Iterator[list[str]]:
    """What ``datasets`` logs, instead of its place on the terminal beside the line that says the same."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("datasets")
    before, logger.handlers = logger.handlers, [handler]
    try:
        yield lines
    finally:
        logger.handlers = before


@contextmanager
def without_torch() -> Iterator[None]:
    """While it lasts, ``datasets`` imports no torch for rows that it streams: they are shared with no workers of it."""
    if "datasets" not in sys.modules:
        yield
        return
    import datasets

    there = datasets.config.TORCH_AVAILABLE
    datasets.config.TORCH_AVAILABLE = there and "torch" in sys.modules
    try:
        yield
    finally:
        datasets.config.TORCH_AVAILABLE = there
