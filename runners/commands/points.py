"""The points of a series: which of them are one, and what their vectors take. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from flagbench import BadInput, in_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from flagbench.results.record import TaskRecord
    from flagbench.runners.request import RunRequest
    from flagbench.runners.run.finished import Finished
    from flagbench.runners.run.plan import Plan


def join(plans: list[Plan], plan: Plan) -> bool:
    """Add a plan to others, unless it is a point that is there already, as ``--dims 768,full`` of 768 numbers is.

    Args:
        plans: The others; changed.
        plan: The last one.

    Returns:
        Whether it is added.

    Raises:
        BadInput: It is of another one's model, so that its results would be in the folder of theirs.
    """
    for other in plans:
        if other.store.run_file != plan.store.run_file:
            continue
        if other.request != plan.request and _without_view(other) == _without_view(plan):
            return False
        first, second = other.request.model, plan.request.model
        what = f"{first} is named twice" if first == second else f"{first} and {second} are both {plan.name}"
        raise BadInput(f"{what}: name different models")
    plans.append(plan)
    return True


def _without_view(plan: Plan) -> RunRequest:
    return replace(plan.request, overrides=replace(plan.request.overrides, view=None))


def size(records: Iterable[TaskRecord]) -> str:
    """The bytes of a million vectors that scores were made with; empty where that is not recorded, or not of all."""
    found = {record.vectors["bytes_per_million"] if record.vectors else None for record in records if record.scores}
    (known,) = found if len(found) == 1 else (None,)
    return in_bytes(known) if known else ""


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
