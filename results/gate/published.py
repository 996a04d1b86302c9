"""A published model as the baseline of a gate: its scores alone, of the splits that are published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from flagbench.results.data_state import DataState
from flagbench.results.published.scores import Published
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.runs import Run

_WHOLE = "default"


def as_baseline(
    published: Published, kinds: Mapping[str, str], candidate: Run, *, accept_counts: bool = False
) -> tuple[Run, Run]:
    """A published model as a run, and the part of a run that can be compared with it.

    Published scores are over the official data, by the rules of the run's; a task's score is that over the published
    splits.

    Args:
        published: The model.
        kinds: Type by task, as in the table that it is from.
        candidate: The run.
        accept_counts: Whether data of which only the counts agree with the official data counts as official.
    """
    ours = candidate.record
    tasks = {
        task: _published(task, kinds[task], splits, ours.tasks.get(task)) for task, splits in published.scores.items()
    }
    record = RunRecord(ours.benchmark, published.model, published.revision, {}, (), {}, tasks)
    comparable = {
        name: _against_published(its, published.scores[name], accept_counts) if name in published.scores else its
        for name, its in ours.tasks.items()
    }
    baseline = Run(Path(f"published:{published.model}"), record, f"{published.model} (published)", {})
    return baseline, replace(candidate, record=replace(ours, tasks=comparable))


def _published(task: str, kind: str, scores: Mapping[str, float], ours: TaskRecord | None) -> TaskRecord:
    """A task as if it had run on the published rows, by the rules of ours."""
    settings = {"task": ours.settings.get("task", {})} if ours else {}
    by_split = {split: {_WHOLE: score} for split, score in scores.items()}
    data = {"status": str(DataState.OFFICIAL), "differences": []}
    return TaskRecord(task, kind, "success", settings, "", by_split, data)


def _against_published(ours: TaskRecord, published: Mapping[str, float], accept_counts: bool) -> TaskRecord:
    """A task with the splits that are published, each as one number, and with what its data lacks to be official."""
    scores = {
        split: {_WHOLE: fmean(by_subset.values())}
        for split, by_subset in ours.scores.items()
        if split in published and by_subset
    }
    state = DataState.of(ours.data)
    lines: list[str] = []
    if not state.comparable(accept_counts=accept_counts):
        hint = " (--accept-counts compares it)" if state.comparable(accept_counts=True) else ""
        lines = list(ours.data.get("differences") or ()) or [f"{state.words}{hint}"]
    return replace(ours, scores=scores, files=(), data={"status": str(state), "differences": lines})
