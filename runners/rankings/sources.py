"""Run files as the source of the rankings of tasks: one file, or a folder with one for each task."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flagbench import BadData, BadInput, counted, first_few
from flagbench.files import open_file, shown_files
from flagbench.paths import check_there
from flagbench.runners.rankings.model import RankedModel, TaskRankings, ranked_model
from flagbench.runners.rankings.run_files import Rankings, RunFile, read_run_file
from flagbench.runners.task import Task

_ENDINGS = frozenset({".gz", ".json", ".run", ".trec", ".tsv", ".txt"})
_PREDICTIONS = "_predictions"
_FIX = "leave it out"
_HEAD = 4_096  # bytes; files of search results name their task in the first 300
_NAMES_ITS_TASK = b'"benchmark_version"'


@dataclass(frozen=True)
class RunFiles:
    """Rankings in run files.

    Attributes:
        path: A run file of one task, or a folder with a file for each task (or split of it), whose name is that of the
            task, or whose content says it.
        name: Name of what made them, ``org/name``; empty for that of the file or folder.
    """

    path: Path
    name: str = ""

    def resolve(self, tasks: Sequence[Task]) -> RankedModel:
        """See RankingsSource."""
        check_there(self.path, "name a run file, or a folder with one for each task")
        files = self._of_folder(tasks) if self.path.is_dir() else self._of_one(tasks)
        rankings = {
            task.name: TaskRankings(_names(files[task.name]), parts_of(task, files[task.name])) for task in tasks
        }
        evidence = [
            f"rankings of {task}: {file.path.name}, {file.format}, {file.queries:,} queries, "
            f"{counted(file.results, 'result')}"
            for task, its in files.items()
            for file in its
        ]
        stem = _stem(self.path.resolve()).removesuffix(_PREDICTIONS)
        return ranked_model(self.name or f"local/{stem or 'run'}", "run-file", rankings, evidence)

    def _of_one(self, tasks: Sequence[Task]) -> dict[str, list[RunFile]]:
        if len(tasks) > 1:
            raise BadInput(
                f"{self.path} is of one task, and {len(tasks)} are chosen ({first_few(task.name for task in tasks)}): "
                "name it with --tasks, or give a folder with a run file for each"
            )
        return {tasks[0].name: [read_run_file(self.path)]}

    def _of_folder(self, tasks: Sequence[Task]) -> dict[str, list[RunFile]]:
        if os.path.lexists(self.path / "flagbench" / "run.json"):
            raise BadInput(
                f"{self.path} holds the results of a run: name the folder of its rankings there, flagbench/predictions "
                "(of --save-predictions) or one of search_results"
            )
        paths = shown_files(self.path, _FIX, error=BadData)
        found = {task.name: _named(task, [path for path in paths if path.parent == self.path]) for task in tasks}
        if not all(found.values()):
            for file in [read_run_file(path) for path in paths if _names_its_task(path)]:
                if file.task in found:
                    found[file.task].append(file)
        if lacking := [name for name, files in found.items() if not files]:
            raise BadInput(
                f"{self.path} has no run file of {first_few(lacking)}: name it after its task, such as "
                f"{lacking[0]}.trec, or choose the tasks that are there with --tasks"
            )
        return found


def parts_of(task: Task, files: Sequence[RunFile]) -> dict[tuple[str, str], Rankings]:
    """The rankings of each split and subset of a task; those that a file has of others are left out.

    Raises:
        BadData: A file does not say of which it is, two are of one, or there is none of one.
    """
    found: dict[tuple[str, str], Rankings] = {}
    wanted = [(split, subset) for split in task.splits for subset in task.subsets]
    for file in files:
        for (split, subset), run in file.parts.items():
            its = [each for each in wanted if split in {None, each[0]} and subset in {None, each[1]}]
            if len(its) > 1:
                raise BadData(
                    f"{file.path} does not say of which part of {task.name} it is ({first_few(map('/'.join, its))}): "
                    "write it as mteb's predictions or a file of search results, which say it, or choose one part"
                )
            for part in its:
                if part in found:
                    raise BadData(f"{_names(files)} have two rankings of {task.name} {'/'.join(part)}: remove one")
                found[part] = run
    if lacking := [part for part in wanted if part not in found]:
        there = dict.fromkeys(part for file in files for part in file.parts)
        raise BadData(
            f"{_names(files)} has no rankings of {task.name} {first_few(map('/'.join, lacking))}, but of "
            f"{first_few(map(_part_name, there)) or 'nothing'}: name split and subset as the task does, or use a run "
            "over these"
        )
    return found


def _named(task: Task, paths: Sequence[Path]) -> list[RunFile]:
    """The files that have a task's name; mteb 1 wrote one for each subset."""
    named: Mapping[str, str | None] = {
        **{f"{task.name}_{subset}{_PREDICTIONS}".lower(): subset for subset in task.subsets},
        **dict.fromkeys((task.name.lower(), f"{task.name}{_PREDICTIONS}".lower())),
    }
    stems = [(path, _stem(path).lower()) for path in paths]
    return [_of_subset(read_run_file(path), named[stem]) for path, stem in stems if stem in named]


def _of_subset(file: RunFile, subset: str | None) -> RunFile:
    """A file whose name says of which subset it is; its content goes before its name."""
    if subset is None:
        return file
    return replace(file, parts={(split, own or subset): run for (split, own), run in file.parts.items()})


def _names_its_task(path: Path) -> bool:
    with open_file(path, _FIX, error=BadData) as file:
        return _NAMES_ITS_TASK in file.read(_HEAD)


def _part_name(part: tuple[str | None, str | None]) -> str:
    """Split and subset, as far as a file says them."""
    return f"{'/'.join(filter(None, part)):.60}"


def _names(files: Sequence[RunFile]) -> str:
    return first_few((file.path for file in files), 2)


def _stem(path: Path) -> str:
    """A file's name without its endings; the name of a task may have dots."""
    while path.suffix.lower() in _ENDINGS:
        path = path.with_suffix("")
    return path.name
