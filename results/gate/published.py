"""A published model as the baseline of a gate: its scores alone, of the splits that are published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import fmean

from flagbench.results.averages import Scores
from flagbench.results.data_state import DataState
from flagbench.results.published.scores import WHOLE, Published, PublishedTable
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.runs import Run


def as_baseline(
    published: Published, table: PublishedTable, candidate: Run, *, accept_counts: bool = False
) -> tuple[Run, Run]:
    """A published model as a run, and the part of a run that can be compared with it.

    Published scores are over the official data, by the rules of the run's; a task's score is that over the published
    splits, over all of the published subsets of these, and of the published metric.

    Args:
        published: The model.
        table: The table that it is from.
        candidate: The run.
        accept_counts: Whether data of which only the counts agree with the official data counts as official.
    """
    ours = candidate.record
    tasks = {
        task: _published(task, table.kinds[task], published.by_subset(task), ours.tasks.get(task))
        for task in published.scores
    }
    versions = {"versions": {"mteb": published.mteb}} if published.mteb else {}
    record = RunRecord(ours.benchmark, published.model, published.revision, {}, (), versions, tasks)
    comparable = {
        name: _against_published(its, published.by_subset(name), table, accept_counts) if name in tasks else its
        for name, its in ours.tasks.items()
    }
    baseline = Run(Path(f"published:{published.model}"), record, f"{published.model} (published)", {})
    return baseline, replace(candidate, record=replace(ours, tasks=comparable))


def _published(task: str, kind: str, scores: Scores, ours: TaskRecord | None) -> TaskRecord:
    """A task as if it had run on the published rows, by the rules of ours."""
    settings = {"task": ours.settings.get("task", {})} if ours else {}
    data = {"status": str(DataState.OFFICIAL), "differences": []}
    return TaskRecord(task, kind, "success", settings, "", scores, data)


def _against_published(ours: TaskRecord, published: Scores, table: PublishedTable, accept_counts: bool) -> TaskRecord:
    """A task with the splits that are published, each as one number where no subset has one of its own, and with what
    its data lacks to be official.
    """
    over = {split: by_subset for split, by_subset in ours.scores.items() if split in published and by_subset}
    scores = {
        split: by_subset if by_subset.keys() == published[split].keys() else {WHOLE: fmean(by_subset.values())}
        for split, by_subset in over.items()
    }
    state = DataState.of(ours.data)
    lines: list[str] = []
    if aside := state.set_aside(accept_counts=accept_counts):
        lines = list(ours.data.get("differences") or ()) or [aside]
    elif other := table.other_subsets(ours.name, over):
        lines = [other]
    if not lines and (other := table.other_metric(ours)):
        lines = [other]
    return replace(ours, scores=scores, files=(), data={"status": str(state), "differences": lines})
