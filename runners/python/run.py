"""``flagbench.Run``: a finished run as a value, with its scores, its tables and its comparisons."""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flagbench import known_name

if TYPE_CHECKING:
    import pandas as pd

    from flagbench.results.record import RunRecord, TaskRecord
    from flagbench.results.runs import Run as RunOnDisk
    from flagbench.results.table import Row
    from flagbench.runners.python.comparison import RunComparison

_WIDTH = 140


class Run:
    """A finished run. It is read once: what is evaluated later into the same folder is not in it.

    Attributes:
        path: Folder of its results, ``<output>/<org>__<model>/<revision>``; file of a saved baseline.
        record: All that is recorded of it, as in its run.json.
    """

    path: Path
    record: RunRecord

    def __init__(self, found: RunOnDisk) -> None:
        self._found = found
        self.path = found.folder
        self.record = found.record

    @property
    def model(self) -> str:
        """Name of the model, ``org/model``."""
        return self.record.model

    @property
    def revision(self) -> str:
        """Commit of the model, or hash of its files."""
        return self.record.revision

    @property
    def benchmark(self) -> str:
        """Name of the benchmark that left a result last."""
        return self.record.benchmark

    @property
    def scores(self) -> dict[str, float]:
        """Main score by task, as it is recorded: 0 to 1 in most cases. Tasks without one are in ``failed``."""
        found = {name: task.score for name, task in self.record.tasks.items() if task.status != "error"}
        return {name: score for name, score in found.items() if score is not None}

    @property
    def failed(self) -> dict[str, str]:
        """Why tasks failed, by task: those without scores, and those whose last evaluation failed."""
        errors = {name: task.error or task.later_error for name, task in self.record.tasks.items()}
        return {name: error for name, error in errors.items() if error}

    @property
    def averages(self) -> dict[str, float | None]:
        """Averages as the leaderboard takes them, by label; None where tasks of one are not there."""
        return {row.label: row.score for _, means, _ in self._tables() for row in means}

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """Ends of the 95% interval of each score and average, by task and label; those that are not known are absent.

        They are for other items of the same kind, and of a sample for the score over all of its data.
        """
        rows = [row for tasks, means, _ in self._tables() for row in (*tasks, *means)]
        return {row.label: row.ends for row in rows if row.ends is not None}

    def task(self, name: str) -> TaskRecord:
        """All that is recorded of a task: scores by split and subset, settings, data, seconds.

        Raises:
            UnknownName: The run has none of this name.
        """
        return self.record.tasks[known_name("task", name, self.record.tasks)]

    def values(self, task: str) -> dict[str, dict[str, float]]:
        """The values of a task's queries or items: by metric, and by id; empty where the task left none.

        Raises:
            UnknownName: The run has no such task.
            BadInput: Their file is gone or damaged.
        """
        found = self._found.values(self.task(task).name)
        return {} if found is None else {metric: dict(found.of(metric)) for metric in found.metrics}

    def to_pandas(self) -> pd.DataFrame:
        """The tasks as a table: a row for each, with the columns task, type, metric, score, error, status, comparable
        and note; ``score`` as it is recorded, ``error`` how far the farther end of its 95% interval is.
        """
        import pandas as pd

        rows = {row.label: row for tasks, _, _ in self._tables() for row in tasks}
        return pd.DataFrame(
            [_cells(task, rows[name]) for name, task in self.record.tasks.items()],
            columns=["task", "type", "metric", "score", "error", "status", "comparable", "note"],
        ).astype({"score": float, "error": float})

    def compare(
        self, other: Run | str | os.PathLike[str], *, allow_differences: bool = False, seed: int = 0
    ) -> RunComparison:
        """How another run does against this one: what it gained and lost, and whether chance alone explains it.

        Args:
            other: A run, or where one lies.
            allow_differences: Compare tasks even if their data, splits, subsets, items or main scores differ.
            seed: Of the significance tests.

        Raises:
            BadInput: They have no task in common, or one that does not compare, or a file is damaged.
        """
        from flagbench.runners.python.comparison import compared

        its = other if isinstance(other, Run) else load(other)
        return compared([self._found, its._found], allow_differences=allow_differences, seed=seed)

    def __repr__(self) -> str:
        """The tables of ``flagbench show``, what explains them, and where the results lie."""
        from flagbench.results.data_state import DataState, footnotes
        from flagbench.results.table import incomplete, intervals, render
        from flagbench.runners.terminal import console, say

        file = io.StringIO()
        out = console(file=file, width=_WIDTH, text=True)
        shown = self._tables()
        for tasks, means, title in shown:
            out.print(render(title, {self.model: (tasks, means)}, _WIDTH))
        say(out, *intervals((tasks, means) for tasks, means, _ in shown))
        for tasks, means, _ in shown:
            say(out, *incomplete({self.model: (tasks, means)}))
        states = [DataState.of(task.data) for task in self.record.tasks.values() if task.status != "error"]
        say(out, *footnotes(states, "see run.json"))
        lines = [line.rstrip() for line in file.getvalue().splitlines()]
        return "\n".join([*lines, f"{self.record.model_at}, results in {self.path}"])

    def _tables(self) -> list[tuple[list[Row], list[Row], str]]:
        from flagbench.runners.commands.finished import tables_of

        return tables_of(self._found)


def load(path: str | os.PathLike[str], *, tasks: Collection[str] | None = None) -> Run:
    """Read a finished run.

    Args:
        path: Folder of a run, run.json, a saved baseline, or an output folder with one run.
        tasks: Names of its tasks to read; None for all.

    Raises:
        BadInput: There is no run, there are several, or it is damaged.
        UnknownName: It has no such task.
    """
    from flagbench.files import user_path
    from flagbench.results.runs import find_run

    found = find_run(user_path(os.fspath(path)))
    if tasks is None:
        return Run(found)
    have: Mapping[str, Any] = found.record.tasks
    chosen = [known_name("task", name, have) for name in tasks]
    kept = {name: task for name, task in have.items() if name in chosen}
    return Run(replace(found, record=replace(found.record, tasks=kept)))


def _cells(task: TaskRecord, row: Row) -> tuple[object, ...]:
    return task.name, task.kind, task.main_score, row.score, row.error, task.status, row.comparable, row.note
