"""What ``flagbench compare`` says, as a value."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flagbench.results.compare.compare import Comparison, compare

if TYPE_CHECKING:
    import pandas as pd

    from flagbench.results.runs import Run as RunOnDisk

_WIDTH = 200


@dataclass(frozen=True)
class RunComparison:
    """A run against another.

    Attributes:
        comparison: All numbers, as the command computes them.
        text: The tables and notes that the command prints.
    """

    comparison: Comparison
    text: str

    @property
    def deltas(self) -> dict[str, float]:
        """By task, what the second run has more than the first, in scores as they are recorded."""
        found = {line.task: line.cells[1].delta for line in self.comparison.lines}
        return {task: delta for task, delta in found.items() if delta is not None}

    @property
    def significant(self) -> tuple[str, ...]:
        """The tasks whose difference chance alone does not explain, by Holm's correction at 5% over all tests."""
        lines = self.comparison.lines
        return tuple(line.task for line in lines if (test := line.cells[1].test) and test.significant)

    def to_pandas(self) -> pd.DataFrame:
        """A row for each task: task, type, metric, first, second, delta, p (after the correction), significant."""
        import pandas as pd

        rows = [
            (
                line.task,
                line.kind,
                line.main_score,
                line.cells[0].score,
                line.cells[1].score,
                line.cells[1].delta,
                line.cells[1].test.adjusted if line.cells[1].test else None,
                bool(line.cells[1].test and line.cells[1].test.significant),
            )
            for line in self.comparison.lines
        ]
        columns = ["task", "type", "metric", "first", "second", "delta", "p", "significant"]
        return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(["first", "second", "delta", "p"], float))

    def to_markdown(self) -> str:
        """The same as ``text`` in Markdown."""
        from flagbench.results.compare.text import to_markdown

        return to_markdown(self.comparison)

    def __repr__(self) -> str:
        return self.text


def compared(runs: Sequence[RunOnDisk], *, allow_differences: bool, seed: int) -> RunComparison:
    """Compare runs as the command does.

    Args:
        runs: Two; the second is compared with the first.
        allow_differences: See ``compare``.
        seed: See ``compare``.

    Raises:
        BadInput: See ``compare``.
    """
    from flagbench.results.compare.screen import render
    from flagbench.results.page.miniature import of_one_kind
    from flagbench.results.runs import labelled
    from flagbench.runners.commands.report import benchmarks
    from flagbench.runners.terminal import console

    found = labelled(runs)
    comparison = compare(found, allow_differences=allow_differences, seed=seed)
    comparison = of_one_kind(comparison, benchmarks(found))
    file = io.StringIO()
    out = console(file=file, width=_WIDTH, text=True)
    for part in render(comparison, _WIDTH):
        out.print(part, soft_wrap=not hasattr(part, "columns"))
    return RunComparison(comparison, "\n".join(line.rstrip() for line in file.getvalue().splitlines()))
