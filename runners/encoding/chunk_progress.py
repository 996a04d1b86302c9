"""Progress of a chunk, told pass by pass where the model runs in this process, and at its end where it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flagbench.models.passes import heard_by
from flagbench.runners.progress import Progress

R = TypeVar("R")


class ChunkProgress:
    """One chunk of a stage.

    Args:
        progress: The progress to report to.
        rows: Of the chunk.
        work: Of all its rows, as of the stage.
    """

    def __init__(self, progress: Progress, rows: int, work: float) -> None:
        self._progress = progress
        self._rows, self._work = rows, work
        self._each = work / max(1, rows)

    def run(self, call: Callable[[], R]) -> R:
        """Call what runs the model over the chunk."""
        with heard_by(self._passed):
            return call()

    def finish(self) -> None:
        """Tell of what no pass told."""
        if self._rows:
            self._progress.advance(self._rows, self._work)
        self._rows, self._work = 0, 0.0

    def _passed(self, rows: int) -> None:
        rows = min(rows, self._rows)  # a model may run over a row more than once
        if rows:
            work = self._each * rows
            self._progress.advance(rows, work)
            self._rows, self._work = self._rows - rows, self._work - work
