"""Imports without the search for garbage, which costs about as much as they do where packages are large."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flagbench.runners.run.plan import Plan

_ENGINE = "flagbench.runners.run.engine"


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause Python's garbage collection; objects alive at its end are never collected.

    torch, mteb and datasets leave more than a million objects, which stay until the process ends. Looking through them
    again and again for cycles to free takes a quarter of their import, and once more as long when the process ends. Not
    for what is read later: rows in a cycle would never be freed.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if enabled:
            gc.enable()


def import_ahead(plans: Sequence[Plan]) -> None:
    """Import what loading and scoring the tasks of plans will take, unless all of them are finished.

    Args:
        plans: What will run.
    """
    for plan in plans:
        if any(step.state != "finished" for step in plan.steps):
            for module in (_ENGINE, *plan.benchmark.imports):
                importlib.import_module(module)
