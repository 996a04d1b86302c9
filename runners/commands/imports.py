"""Imports ahead of a run."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flagbench.runners.run.plan import Plan

_ENGINE = "flagbench.runners.run.engine"


def import_ahead(plans: Sequence[Plan]) -> None:
    """Import what loading and scoring the tasks of plans will take, unless all of them are finished.

    Args:
        plans: What will run.
    """
    for plan in plans:
        if any(step.state != "finished" for step in plan.steps):
            for module in (_ENGINE, *plan.benchmark.imports):
                importlib.import_module(module)
