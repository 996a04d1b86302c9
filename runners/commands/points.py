"""What the vectors of a run take. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flagbench.runners.terminal import in_units

if TYPE_CHECKING:
    from flagbench.results.record import TaskRecord


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
