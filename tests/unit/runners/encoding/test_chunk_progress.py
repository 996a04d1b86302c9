"""The progress of a chunk: pass by pass, and never more than the chunk has."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from flagbench.models.passes import passed
from flagbench.runners.encoding.chunk_progress import ChunkProgress
from flagbench.runners.progress import Silent


class Told(Silent):
    def __init__(self) -> None:
        self.steps: list[tuple[int, float | None]] = []

    def advance(self, items: int, work: float | None = None) -> None:
        self.steps.append((items, work))


@pytest.mark.parametrize(
    ("passes", "steps"),
    [
        ((), [(10, 50.0)]),
        ((4, 6), [(4, 20.0), (6, 30.0)]),
        ((4,), [(4, 20.0), (6, 30.0)]),
        ((10, 10), [(10, 50.0)]),
        ((7, 7), [(7, 35.0), (3, 15.0)]),
    ],
)
def test_passes_and_the_rest_are_the_whole_chunk(passes: Sequence[int], steps: list[tuple[int, float | None]]) -> None:
    told = Told()
    part = ChunkProgress(told, 10, 50.0)

    def call() -> str:
        for rows in passes:
            passed(rows)
        return "vectors"

    assert part.run(call) == "vectors"
    passed(3)  # of somebody else
    part.finish()
    part.finish()
    assert told.steps == steps
