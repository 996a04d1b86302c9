"""A published model as the baseline of a gate: its scores alone, of the splits that are published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from flagbench.results.published.scores import Published
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.runs import Run

_WHOLE = "default"


def as_baseline(published: Published, kinds: Mapping[str, str], candidate: Run) -> tuple[Run, Run]:
    """A published model as a run, and the part of a run that can be compared with it.

    A task's rows are the published ones where the run's are; its score is that over the published splits.

    Args:
        published: The model.
        kinds: Type by task, as in the table that it is from.
        candidate: The run.
    """
    ours = candidate.record
    tasks = {
        task: _published(task, kinds[task], splits, ours.tasks.get(task)) for task, splits in published.scores.items()
    }
    record = RunRecord(ours.benchmark, published.model, published.revision, {}, (), {}, tasks)
    comparable = {
        name: _of_splits(its, published.scores[name]) if name in published.scores else its
        for name, its in ours.tasks.items()
    }
    baseline = Run(Path(f"published:{published.model}"), record, f"{published.model} (published)", {})
    return baseline, replace(candidate, record=replace(ours, tasks=comparable))


def _published(task: str, kind: str, scores: Mapping[str, float], ours: TaskRecord | None) -> TaskRecord:
    """A task as if it had run on the published rows, by the rules of ours."""
    settings = {"task": ours.settings.get("task", {})} if ours else {}
    by_split = {split: {_WHOLE: score} for split, score in scores.items()}
    data = {"status": "exact", "differences": []}
    return TaskRecord(task, kind, "success", settings, "", by_split, data)


def _of_splits(ours: TaskRecord, published: Mapping[str, float]) -> TaskRecord:
    """A task with the splits that are published, each as one number."""
    scores = {
        split: {_WHOLE: fmean(by_subset.values())}
        for split, by_subset in ours.scores.items()
        if split in published and by_subset
    }
    return replace(ours, scores=scores, files=())
