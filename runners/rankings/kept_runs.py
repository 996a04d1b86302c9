"""The rankings that finished runs have kept, fused into one model."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from flagbench import BadInput, first_few
from flagbench.files import inside
from flagbench.results.kinds import RANKED
from flagbench.results.record import RunRecord
from flagbench.results.runs import Run, difference
from flagbench.runners.rankings.fusion import FusionSettings, fuse
from flagbench.runners.rankings.model import Parts, RankedModel, TaskRankings, ranked_model
from flagbench.runners.rankings.options import FusionOptions
from flagbench.runners.rankings.run_files import read_run_file
from flagbench.runners.rankings.sources import parts_of
from flagbench.runners.task import Task

KeptFiles = Callable[[RunRecord, str], Sequence[str]]
"""Names of the files with a run's final rankings of a task, in the folder of the run."""


@dataclass(frozen=True)
class FusedRuns:
    """A fusion of the rankings of runs.

    Attributes:
        runs: Two or more.
        options: How they are fused.
        kept: Which files hold their rankings.
        name: Of the fusion, ``org/name``; empty for one of the method and the runs.
    """

    runs: Sequence[Run]
    options: FusionOptions
    kept: KeptFiles
    name: str = ""

    def tasks(self, wanted: Sequence[str], there: Collection[str] | None = None) -> tuple[str, ...]:
        """Names of the tasks that are fused.

        Args:
            wanted: Names; empty for all that rank passages, which all runs have then.
            there: Names of the tasks that the data has, to which all that rank passages are limited; None for any.

        Raises:
            BadInput: A run lacks one, or has no whole result of it.
        """
        first, *others = self.runs
        ranking = {run.folder: [name for name in _ranking(run) if there is None or name in there] for run in self.runs}
        names = tuple(wanted or ranking[first.folder])
        if not names and not _ranking(first):
            raise BadInput(f"{first.folder} has no task that ranks passages: fuse runs of retrieval or reranking")
        if not names:
            raise BadInput(
                f"{first.folder} has rankings of {first_few(_ranking(first))}, and the data is "
                f"{first_few(there or ())}: name the data that the runs are of"
            )
        for run in self.runs:
            if lacking := [name for name in names if name not in run.record.tasks]:
                raise BadInput(
                    f"{run.folder} has no {first_few(lacking)}: choose tasks that all runs have with --tasks"
                )
            records = [run.record.tasks[name] for name in names]
            if cut := [each.name for each in records if each.status != "success" or each.sample]:
                raise BadInput(
                    f"{run.folder} has no result over all of {first_few(cut)}: evaluate it in full, or choose others"
                )
        for run in others if not wanted else ():
            if more := [name for name in ranking[run.folder] if name not in names]:
                raise BadInput(
                    f"{run.folder} has {first_few(more)} and {first.folder} has not: choose tasks that all runs have "
                    "with --tasks"
                )
        return names

    def resolve(self, tasks: Sequence[Task]) -> RankedModel:
        """See RankingsSource."""
        records = [run.record for run in self.runs]
        settings = FusionSettings.of(self.options, [f"{record.model}@{record.revision}" for record in records])
        rankings = {task.name: self._of(task, settings) for task in tasks}
        evidence = [f"rankings of {run.label}: {run.folder}" for run in self.runs]
        others = dict.fromkeys(name for record in records for name in record.tasks if name not in rankings)
        if others:
            evidence.append(f"not fused: {first_few(others)}, which the runs have beside these tasks")
        short = "-".join(record.model.split("/")[-1] for record in records)
        return ranked_model(self.name or f"local/{self.options.by}-{short}", "fusion", rankings, evidence, settings)

    def _of(self, task: Task, settings: FusionSettings) -> TaskRankings:
        first, *others = self.runs
        like = first.record.tasks[task.name]
        for run in others:
            if lines := list(difference(like, run.record.tasks[task.name])):
                raise BadInput(
                    f"{first.folder} and {run.folder} differ in {task.name}: {lines[0]}; fuse runs over the same data"
                )
        kept = {run.label: self._kept(run, task) for run in self.runs}
        parts = {part: fuse([its[part] for its in kept.values()], settings) for part in kept[first.label]}
        ranked = {
            label: {part: {query for query, hits in run.items() if hits} for part, run in its.items()}
            for label, its in kept.items()
        }
        return TaskRankings(f"the fusion of {first_few((run.folder for run in self.runs), 2)}", parts, like, ranked)

    def _kept(self, run: Run, task: Task) -> Parts:
        fix = f"evaluate {task.name} again with --save-predictions --overwrite"
        names = [] if run.kept is not None else self.kept(run.record, task.name)
        paths: list[Path] = [inside(run.folder, name, fix) for name in names]
        if not paths or not all(map(os.path.lexists, paths)):
            raise BadInput(f"{run.folder} has kept no rankings of {task.name}: {fix}")
        return parts_of(task, [read_run_file(path) for path in paths])


def _ranking(run: Run) -> tuple[str, ...]:
    return tuple(
        name for name, record in run.record.tasks.items() if record.kind in RANKED and record.status != "error"
    )
