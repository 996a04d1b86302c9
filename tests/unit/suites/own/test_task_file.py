"""What a task.toml says keeps runs from comparing, or is named as a setting that differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

from flagbench.results.compare.settings import settings_differ
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.runs import difference
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.request import RunRequest
from flagbench.runners.run.settings import model_settings, task_settings
from flagbench.suites.own.benchmark import OWN
from flagbench.suites.own.options import OwnOptions
from flagbench.suites.own.task_file import TaskFile
from tests.unit.suites.own.folders import Change, labelled, retrieval, write

_BOTH = [{"text": "a", "other": "b", "label": "x"}, {"text": "b", "other": "a", "label": "y"}]


_BEFORE = {"name", "kind", "dataset", "revision", "splits", "main_score", "group", "subsets"}


def classes(folder: Path) -> None:
    """Texts with labels in two columns and two splits."""
    for split in ("train", "test", "dev"):
        write(f"{split}.jsonl", _BOTH)(folder)


_CHANGES: Mapping[str, tuple[Change, str]] = {
    "type": (labelled, 'type = "Clustering"'),
    "language": (retrieval, 'language = "zh"'),
    "metric": (retrieval, 'metric = "recall@5"'),
    "splits": (classes, 'splits = ["dev"]'),
    "instruction": (retrieval, 'instruction = "Find it: "'),
    "samples_per_label": (labelled, "samples_per_label = 1"),
    "columns": (classes, '[columns]\ntext = "other"'),
}
"""A folder, and what changes its score; a name tells tasks apart."""


def _run(folder: Path, said: str) -> RunRecord:
    """The record of a run as it would be: settings and content of the one task of a folder."""
    write("task.toml", said + "\n")(folder)
    request = RunRequest("flagbench/random", "own", options=OwnOptions(folder))
    (task,) = OWN.select(request)
    spec = OWN.model(request, lambda: True).spec
    loaded = OWN.load(task, Snapshots(folder), request)
    settings = {**model_settings(spec, task), "task": task_settings(OWN, task)}
    scores = {split: {"default": 0.5} for split in task.splits}
    content = {part: asdict(its) for part, its in (loaded.data.content or {}).items()}
    record = TaskRecord(
        "set", task.kind, "success", settings, "d", scores, {"status": "own", "content": content}, files=("set.json",)
    )
    return RunRecord("own", "org/m", "r", spec.as_dict(), (), {}, {"set": record})


def test_every_key_but_the_name_is_asked_here() -> None:
    assert {each.name for each in fields(TaskFile)} - {"name"} == _CHANGES.keys()


@pytest.mark.parametrize("key", _CHANGES)
def test_a_key_that_moves_scores_is_seen_between_runs(key: str, tmp_path: Path) -> None:
    make, said = _CHANGES[key]
    make(tmp_path)
    before, after, again = (_run(tmp_path, each) for each in ("", said, said))
    first, second = before.tasks["set"], after.tasks["set"]
    assert list(difference(first, second)) or settings_differ(before, after)
    assert not list(difference(second, again.tasks["set"]))
    assert not settings_differ(after, again)


@pytest.mark.parametrize(
    ("make", "said", "options", "line"),
    [
        (retrieval, 'language = "zh"', {"language": "zh"}, "language of the task by default against zh"),
        (
            labelled,
            "samples_per_label = 32",
            {"samples_per_label": 32},
            "samples per label of the task by default against 32",
        ),
    ],
)
def test_what_only_the_task_file_says_is_a_setting_of_the_task(
    make: Change, said: str, options: dict[str, Any], line: str, tmp_path: Path
) -> None:
    make(tmp_path)
    plain, other = (_run(tmp_path, each).tasks["set"] for each in ("", said))
    assert plain.settings["task"].keys() == _BEFORE  # older results stay finished
    assert other.settings["task"] == {**plain.settings["task"], "options": options}
    assert list(difference(plain, other)) == [line]


@pytest.mark.parametrize(("make", "said"), [(labelled, 'language = "zh"'), (retrieval, "samples_per_label = 32")])
def test_what_a_type_has_no_use_for_is_none(make: Change, said: str, tmp_path: Path) -> None:
    make(tmp_path)
    plain, other = (_run(tmp_path, each).tasks["set"] for each in ("", said))
    assert plain.settings == other.settings


def test_the_default_written_out_is_the_default(tmp_path: Path) -> None:
    labelled(tmp_path)
    assert _run(tmp_path, "").tasks == _run(tmp_path, "samples_per_label = 8").tasks
