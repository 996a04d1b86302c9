"""Guard of a folder of search results: it holds one model, with one set of settings, over one set of data."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from flagbench import BadInput
from flagbench.airbench.search_results import read
from flagbench.results.data_state import in_mini
from flagbench.results.record import TaskRecord
from flagbench.results.runs import find_run
from flagbench.runners.run.plan import Plan, Step
from flagbench.runners.run.settings import changes

_BELOW_A_RUN = 6
"""Folders between a file of search results and that of its run."""


def check_results(plan: Plan) -> None:
    """See that results of other settings, or of another model, are neither mixed with the new ones nor overwritten.

    Raises:
        BadInput: They would be.
    """
    for step in plan.steps:
        _refuse_other_settings(plan, step)
        _refuse_foreign_files(plan, step)


def over_mini(files: Iterable[Path], mini: Path) -> bool:
    """Tell whether one of some files of search results was left by a run over the miniature data.

    Args:
        files: ``AIR-Bench_<version>/search_results/<model>/<reranker>/<type>/<domain>/<name>.json`` in the folder of a
            run; anywhere else, or without a record that can be read, it is not known to be.
        mini: Folder of the miniature data.
    """
    names: dict[Path, set[str]] = {}
    for file in (each.resolve() for each in files):
        folder = file.parents[min(_BELOW_A_RUN, len(file.parents) - 1)]
        names.setdefault(folder, set()).add(file.relative_to(folder).as_posix())
    return any(
        in_mini(record, mini.parts[-2:]) and not names[folder].isdisjoint(record.files)
        for folder in names
        for record in _tasks_of(folder)
    )


def _tasks_of(folder: Path) -> Collection[TaskRecord]:
    """The tasks of the run in a folder; none without a record that can be read."""
    file = folder / "flagbench" / "run.json"
    try:
        return find_run(file).record.tasks.values() if file.is_file() else ()
    except BadInput:
        return ()


def _refuse_other_settings(plan: Plan, step: Step) -> None:
    """All datasets of one version are one submission, so all have the model's settings of this step."""
    anew = {each.task.name for each in plan.steps} if plan.request.overwrite else set()
    for name, record in (plan.earlier.tasks if plan.earlier else {}).items():
        of_same_version = name.startswith(f"AIR-Bench_{step.task.group}_")
        if not of_same_version or name in anew or record.status == "error":
            continue
        same_task = name == step.task.name
        before = _of_submission(record.settings, same_task)
        today, *former = (
            _of_submission(each, same_task) for each in filter(None, (step.settings, step.former_settings))
        )
        if before not in (today, *former):
            others = "; ".join(changes(before, today))
            again = "" if plan.request.overwrite else ", or make them anew with --overwrite"
            raise BadInput(
                f"{plan.store.folder} holds AIR-Bench {step.task.group} results of other settings ({others}): choose "
                f"another --output{again}"
            )


def _of_submission(settings: Mapping[str, Any], same_task: bool) -> dict[str, Any]:
    """Settings that must be equal in all of a submission; for one dataset also its instruction and its data."""
    parts = ["model", "reranker", "store", *(["instruction", "data", "task"] if same_task else [])]
    return {part: settings[part] for part in parts if part in settings}


def _refuse_foreign_files(plan: Plan, step: Step) -> None:
    """A file that no run recorded may be another model's, put there by hand; one of ours, cut off by a kill, is not."""
    known = plan.earlier.tasks.get(step.task.name) if plan.earlier else None
    for name in step.outputs:
        path = plan.store.folder / name
        if path.is_file() and not (known and name in known.files) and not plan.request.overwrite:
            try:
                read(path)
            except BadInput as error:
                raise BadInput(f"{error}; or write over it with --overwrite") from error
