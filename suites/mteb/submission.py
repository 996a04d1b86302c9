"""Submission to MTEB's results repository: checks of a run's results, and the folder with them.

``<output>/results/<org>__<model>/<revision>/`` holds ``<Task>.json``, ``model_meta.json`` and ``run_settings.jsonl``,
as mteb's own ``ResultCache`` writes them and the repository's tests want them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flagbench import BadInput, first_few, printable
from flagbench.files import check_file, inside
from flagbench.results.compare.settings import settings_mixed
from flagbench.results.data_state import DataState
from flagbench.results.folders import put_in_place, unfinished_folder
from flagbench.results.kinds import RANKED
from flagbench.results.record import TaskRecord
from flagbench.results.runs import Run
from flagbench.results.store import RunStore
from flagbench.runners.mteb.version import tasks_registry
from flagbench.suites.mteb.submitted_model import Identity, describe

REPOSITORY = "https://github.com/embeddings-benchmark/results"
CMTEB = "MTEB(cmn, v1)"

_META = "model_meta.json"
_UNFINISHED = ".submission."
_RUN_SETTINGS = "run_settings.jsonl"
_ROUNDED = 1e-6
"""mteb writes scores with six decimals."""
_NO_TASK = "not of mteb"
_OTHER_DATA = {
    DataState.DIFFERS: f"what is {DataState.DIFFERS.words}",
    DataState.GENERATED: f"data {DataState.GENERATED.words}",
    DataState.OWN: f"{DataState.OWN.words} of this name",
}
"""Data under a task's name that is certainly not the task's."""

# Published settings of a model: nothing that could name a place on a disk.
_OF_ALL = ("query_max_length", "passage_max_length", "lowercase", "dtype", "attention")
_OF_ENCODERS = ("pooling", "normalize", "similarity", "domain")
_OF_SEVERAL_PARTS = ("retrieval", "weights", "candidates")
_OF_RERANKERS = ("cutoff_layer", "head", "head_index", "compress_layers", "compress_ratio")
_VERSIONS = ("mteb", "flagbench", "torch", "transformers", "sentence-transformers")


@dataclass(frozen=True)
class Entry:
    """One task of a submission.

    Attributes:
        record: As in run.json.
        result: mteb's TaskResult.
    """

    record: TaskRecord
    result: Any

    @property
    def name(self) -> str:
        """Of the task."""
        return self.record.name


@dataclass(frozen=True)
class Standing:
    """Completeness of a benchmark of mteb.

    Attributes:
        benchmark: Its name.
        tasks: How many it has.
        missing: Names of those without a result for each split and subset.
    """

    benchmark: str
    tasks: int
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Checked:
    """Results that were found fit to be submitted.

    Attributes:
        run: Whose.
        identity: Name and commit of the model.
        meta: mteb's ModelMeta of it.
        entries: Results, in the order of the run.
        left_out: Why, by the name of each task of the run that is not among them.
        unsure: Names of tasks whose data is not known to be the official data, by its state.
        standings: The benchmarks that are complete; without any, the one that is nearest to it. C-MTEB always, once it
            is begun.
    """

    run: Run
    identity: Identity
    meta: Any
    entries: tuple[Entry, ...]
    left_out: Mapping[str, str]
    unsure: Mapping[DataState, Sequence[str]]
    standings: tuple[Standing, ...]


def check(run: Run, identity: Identity, *, allow_partial: bool = False) -> Checked:
    """See whether a run can be submitted.

    Args:
        run: As ``evaluate`` left it.
        identity: What its model is called on the hub.
        allow_partial: Tasks that failed, ran over a part of their data or over other rows than the published are left
            out, and no benchmark has to be complete. What is there must be right all the same.

    Raises:
        BadInput: It cannot (the message names all kinds of faults).
    """
    left_out, entries, faults = _sort(run)
    if mixed := settings_mixed((entry.record for entry in entries), run.record.spec):
        faults.append(f"{mixed}: evaluate all tasks with the same settings")
    unfit = by_reason({name: reason for name, reason in left_out.items() if reason != _NO_TASK})
    if not entries and not faults:
        raise BadInput(f"{run.folder} has nothing to submit: {'; '.join(unfit) or 'it has no task of mteb'}")
    standings = _standings({entry.name: entry.result for entry in entries})
    if standings and all(each.missing for each in standings):
        unfit.append(lacking(standings[0]))
    if faults or (unfit and not allow_partial):
        hint = " (evaluate them, or use --allow-partial)" if not faults else ""
        reasons = faults if allow_partial else [*faults, *unfit]
        raise BadInput(f"{run.folder} cannot be submitted: {first_few(map(printable, reasons), between='; ')}{hint}")
    states = {entry.name: DataState.of(entry.record.data) for entry in entries}
    unsure = {
        state: [name for name, its in states.items() if its is state]
        for state in DataState
        if state in states.values() and not state.comparable()
    }
    return Checked(run, identity, describe(run, identity), tuple(entries), left_out, unsure, standings)


def _sort(run: Run) -> tuple[dict[str, str], list[Entry], list[str]]:
    """Tasks that are left out and why, results, and what is wrong with files of results."""
    known = tasks_registry()
    left_out: dict[str, str] = {}
    entries, faults = [], []
    for name, record in run.record.tasks.items():
        if name not in known or record.name != name:
            left_out[name] = _NO_TASK
        elif record.status != "success":
            left_out[name] = "failed" if record.status == "error" else "ran over a part of the data"
        elif (state := DataState.of(record.data) if record.data else DataState.DIFFERS) in _OTHER_DATA:
            left_out[name] = f"ran over {_OTHER_DATA[state]}"
        else:
            try:
                entries.append(Entry(record, _read(run, record)))
            except BadInput as error:
                faults.append(str(error))
    return left_out, entries, faults


def _read(run: Run, record: TaskRecord) -> Any:
    """A task's result file, which must be that of the record.

    Raises:
        BadInput: It is gone, no result, or changed since the run.
    """
    from mteb.results import TaskResult

    again = f"evaluate {record.name} again with --overwrite"
    path = inside(run.folder, f"{record.name}.json", again)
    if not os.path.lexists(path):
        raise BadInput(f"{path.name} is gone: evaluate {record.name} again")
    check_file(path, again)
    try:
        result = TaskResult.from_disk(path, load_historic_data=False)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"{path.name} is not a result of mteb: {again}") from error
    revision = part(record.settings, "task").get("revision")
    if result.task_name != record.name or result.dataset_revision != revision:
        found = printable(f"{result.task_name} at {result.dataset_revision}")
        raise BadInput(f"{path.name} has {found}, unlike run.json: {again}")
    scores = {(split, each["hf_subset"]): each["main_score"] for split, rows in result.scores.items() for each in rows}
    ours = {(split, subset): score for split, by_subset in record.scores.items() for subset, score in by_subset.items()}
    for key in dict.fromkeys([*ours, *scores]):
        one, other = ours.get(key), scores.get(key)
        if one is None or not isinstance(other, float | int) or not abs(one - other) <= _ROUNDED:
            recorded = "no score" if one is None else f"{one:.6f}"
            differs = f"its main score of {'/'.join(key)} is {other}, in run.json {recorded}"
            raise BadInput(f"{path.name} was changed after the run: {differs}; {again}")
    return result


def by_reason(left_out: Mapping[str, str]) -> list[str]:
    """Notes on what was left out, a line per reason."""
    reasons: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        reasons.setdefault(reason, []).append(name)
    return [
        f"{len(names)} task{'s' * (len(names) > 1)} {reason}: {first_few(map(printable, names))}"
        for reason, names in reasons.items()
    ]


def _standings(results: Mapping[str, Any]) -> tuple[Standing, ...]:
    """See Checked."""
    import mteb

    found = []
    for benchmark in mteb.get_benchmarks():
        missing = tuple(task.metadata.name for task in benchmark.tasks if not _covers(results, task))
        if len(missing) < len(benchmark.tasks):
            found.append(Standing(benchmark.name, len(benchmark.tasks), missing))
    found.sort(key=lambda each: (len(each.missing) / each.tasks, -each.tasks, each.benchmark))
    first = [each for each in found if not each.missing] or found[:1]
    return (*first, *(each for each in found if each.benchmark == CMTEB and each not in first))


def _covers(results: Mapping[str, Any], task: Any) -> bool:
    """Tell whether there is a result for each split and subset of a task."""
    result = results.get(task.metadata.name)
    if result is None:
        return False
    if task.is_aggregate:  # its one subset is that of the average
        return set(task.eval_splits) <= set(result.scores)
    return not result.get_missing_evaluations(task)


def lacking(standing: Standing) -> str:
    """The missing tasks of a benchmark, in one line."""
    counted = f"{len(standing.missing)} of {standing.tasks} tasks of {standing.benchmark}"
    return f"{counted} are missing: {first_few(map(printable, standing.missing))}"


def folder_of(identity: Identity, output: Path) -> Path:
    """Folder of the results of a model."""
    return RunStore(output / "results", identity.name, identity.revision).folder


def check_target(output: Path, identity: Identity, run: Run, *, overwrite: bool) -> None:
    """See that the folder can be written, before the work.

    Raises:
        BadInput: It is there already, or would lie among the results of the run.
    """
    target = folder_of(identity, output)
    blocking = next((each for each in (target, *target.parents) if each.exists() and not each.is_dir()), None)
    if blocking is not None:
        raise BadInput(f"{blocking} is not a folder: use another --output")
    own, theirs = run.folder.resolve(), target.resolve()
    if own.is_relative_to(theirs) or theirs.is_relative_to(own):
        raise BadInput(f"{target} would lie among the results of the run: use another --output")
    if not target.exists():
        return
    if not overwrite:
        raise BadInput(f"{target} exists already: use --overwrite, or another --output")
    if foreign := [path.name for path in target.iterdir() if path.is_dir() or path.suffix not in (".json", ".jsonl")]:
        raise BadInput(
            f"{target} holds files that are not results ({first_few(map(printable, foreign))}): use another --output"
        )


def write(checked: Checked, output: Path, *, overwrite: bool = False) -> Path:
    """Write the folder, whole or not at all: it takes its place once mteb has read it back.

    Args:
        checked: What ``check`` gave.
        output: A new folder, or a clone of the results repository.
        overwrite: A submission of the same model that is there already may be replaced.

    Returns:
        The folder with the results.

    Raises:
        BadInput: It is there already, holds tasks that this one lacks, or cannot be written.
    """
    check_target(output, checked.identity, checked.run, overwrite=overwrite)
    target = folder_of(checked.identity, output)
    kept = {"model_meta", *(entry.name for entry in checked.entries)}
    if lost := [path.stem for path in sorted(target.glob("*.json")) if path.stem not in kept]:
        raise BadInput(
            f"{target} holds results of {first_few(map(printable, lost))}, which the run has not: use another --output"
        )
    try:
        with unfinished_folder(output, _UNFINISHED) as unfinished:
            made = folder_of(checked.identity, unfinished)
            made.mkdir(parents=True)
            _fill(made, checked)
            _read_back(checked, unfinished)
            put_in_place(made, target, unfinished / "before")
    except OSError as error:
        raise BadInput(f"cannot write {target}: {error.strerror}; use another --output") from error
    return target


def _fill(folder: Path, checked: Checked) -> None:
    """Write all files. Results go through mteb, which keeps nothing that it does not know."""
    for entry in checked.entries:
        entry.result.to_disk(folder / f"{entry.name}.json")
    meta = checked.meta.to_dict()
    if meta["training_datasets"] is not None:
        meta["training_datasets"] = sorted(meta["training_datasets"])
    (folder / _META).write_text(json.dumps(meta, default=str, indent=4), encoding="utf-8")
    lines = [json.dumps(each) for entry in checked.entries for each in _run_settings(checked.run, entry)]
    (folder / _RUN_SETTINGS).write_text("\n".join([*lines, ""]), encoding="utf-8")


def _run_settings(run: Run, entry: Entry) -> Iterator[dict[str, Any]]:
    """Evaluation settings of each split of a task, as mteb's ResultCache notes them."""
    versions = part(run.record.environment_of(entry.record.name), "versions")
    for split, scores in entry.result.scores.items():
        yield {
            "task": entry.name,
            "splits": [split],
            "version": {name: versions.get(name) for name in _VERSIONS} | {"mteb": entry.result.mteb_version},
            "encode_kwargs": settings_of(entry.record),
            "subsets": sorted(each["hf_subset"] for each in scores),
        }


def settings_of(record: TaskRecord) -> dict[str, Any]:
    """The settings that moved a task's scores and are at work in it, as plain values."""
    model = part(record.settings, "model")
    keys = _OF_ALL + (_OF_RERANKERS if model.get("ability") == "score" else _OF_ENCODERS)
    keys += _OF_SEVERAL_PARTS if model.get("retrieval", "dense") != "dense" else ()
    # A task with queries has no other texts than these and passages.
    roles = ("query", "passage") if record.kind in RANKED else ("symmetric",)
    texts = part(record.settings, "instruction")
    instruction = {role: texts[role] for role in roles if texts.get(role)}
    return (
        {key: model[key] for key in keys if model.get(key) not in (None, "", [])}
        | ({"instruction": instruction} if instruction else {})
        | ({"vectors": "fp16"} if record.settings.get("store") == "fp16" else {})
    )


def _read_back(checked: Checked, root: Path) -> None:
    """See that mteb reads of a folder what was meant to be written.

    Raises:
        BadInput: It does not.
    """
    import mteb

    loaded = mteb.ResultCache(cache_path=root).load_results(include_remote=False, require_model_meta=True)
    found = {
        (each.model_name, each.model_revision, result.task_name): json.dumps(result.scores, sort_keys=True)
        for each in loaded.model_results
        for result in each.task_results
    }
    its = checked.identity
    if found != {
        (its.name, its.revision, entry.name): json.dumps(entry.result.scores, sort_keys=True)
        for entry in checked.entries
    }:
        raise BadInput(f"mteb reads other results of {its.name} than were written: check the disk")


def part(values: Any, key: str) -> Mapping[str, Any]:
    """An object in run.json; empty where it is absent or no object."""
    found = values.get(key) if isinstance(values, Mapping) else None
    return found if isinstance(found, Mapping) else {}
