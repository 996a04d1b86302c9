"""What a task of a run lacks for a file of its authors' to be of the whole task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flagbench.results.data_state import DataState
from flagbench.suites.longctx import needle, passkey
from flagbench.suites.longctx.registry import Row
from flagbench.suites.longctx.submission import SUBMITTED
from flagbench.suites.longctx.submission.grids import has_file

if TYPE_CHECKING:
    from flagbench.results.record import TaskRecord


def shortage(row: Row, protocol: str, answers: int, record: TaskRecord) -> str:
    """Say what a task lacks; empty where it is whole, or has no file of its authors'.

    Args:
        row: The task.
        protocol: Whose rules made it.
        answers: How many it has.
        record: Of it in the run; records of topics alone are told by it, of which no number is published.
    """
    if row.group in SUBMITTED:
        whole = row.rows
    elif not has_file(row, protocol):
        return ""
    elif row.kind == "topic":
        if DataState.of(record.data) not in (DataState.DIFFERS, DataState.GENERATED):
            return ""
        first = next(iter(record.data.get("differences") or ()), "its data is not the published data")
        return f"{row.name}: {first}"
    else:
        layout = needle.layout(protocol) if row.kind == "needle" else passkey.PUBLISHED
        whole = len(layout.lengths) * len(layout.depths)
    return f"{row.name} has {answers:,} of {whole:,} answers" if answers != whole else ""
