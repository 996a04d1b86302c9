"""Points of a series, and what their vectors take. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flagbench.runners.terminal import in_units

if TYPE_CHECKING:
    from flagbench.results.record import TaskRecord
    from flagbench.runners.run.finished import Finished
    from flagbench.runners.run.plan import Plan


def size(records: Iterable[TaskRecord]) -> str:
    """The bytes of a million vectors that scores were made with; empty where that is not recorded, or not of all."""
    found = {record.vectors["bytes_per_million"] if record.vectors else None for record in records if record.scores}
    (known,) = found if len(found) == 1 else (None,)
    return in_units(known) if known else ""


def vectors_line(records: Sequence[TaskRecord]) -> str:
    """The vectors that scores were made with, in a line; empty where ``size`` is."""
    taken = size(records)
    if not taken:
        return ""
    its = next(record.vectors for record in records if record.vectors)
    return f"vectors: {its['dimensions']:,} numbers, {its['precision']}; a million take {taken}"


def is_point(plan: Plan, finished: Finished) -> bool:
    """Whether a plan that ran is a point of a curve that ``flagbench compare`` draws."""
    scored = any(record.status != "error" for record in finished.records)
    return scored and bool(plan.model.spec.view or plan.model.spec.mixture)
