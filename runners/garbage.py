"""Imports without the search for garbage, which costs about as much as they do where packages are large."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected(*, frozen: bool = True) -> Iterator[None]:
    """Pause Python's garbage collection; objects alive at its end are never collected.

    torch, mteb and datasets leave more than a million objects, which stay until the process ends. Looking through them
    again and again for cycles to free takes a quarter of their import, and once more as long when the process ends. Not
    for what is read later: rows in a cycle would never be freed.

    Args:
        frozen: False where rows may be alive already: garbage is looked for among all objects afterwards.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        if frozen:
            gc.freeze()
    finally:
        if enabled:
            gc.enable()
