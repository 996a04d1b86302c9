"""Points of a series, and what their vectors take. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flagbench.runners.terminal import in_units

if TYPE_CHECKING:
    from pathlib import Path

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


def to_compare(outcomes: Sequence[tuple[Plan, Finished]]) -> Sequence[Path]:
    """What ``flagbench compare`` puts side by side: the folder of a curve's points, or those of two models or more.

    Args:
        outcomes: Plans, with what came of them.
    """
    scored = [plan for plan, finished in outcomes if any(record.status != "error" for record in finished.records)]
    if points := [plan for plan in scored if plan.model.spec.view or plan.model.spec.mixture]:
        return [points[0].request.output]
    return [plan.store.folder for plan in scored] if len(scored) > 1 else []
