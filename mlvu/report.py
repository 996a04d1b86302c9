"""Scores of MLVU for people and for files: each task by both rules, M-Avg, and what M-Avg must not be mixed up with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flagbench import counted
from flagbench.mlvu.judgements import Judged
from flagbench.mlvu.loading import oddities_line
from flagbench.mlvu.registry import SETS, Set, averaged, datasets
from flagbench.mlvu.saved import Saved
from flagbench.mlvu.scoring import Average, TaskScore, m_average, score
from flagbench.results.compare.settings import settings_mixed
from flagbench.results.data_state import DataState
from flagbench.results.figures import percent
from flagbench.results.record import RunRecord
from flagbench.runners.terminal import say

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class RunScores:
    """Scores of one run.

    Attributes:
        folder: Of the run.
        tasks: By the tasks' full names.
        states: Of the data of each task.
        question_sets: Name of the question set of each task.
        unlabelled: Tasks without labels, whose answers can be submitted only.
        unjudged: Open tasks with labels and without a judge.
        judged: Grades of the open tasks by set; empty without a judge.
        odd: Lines on labels that differ from the file of questions.
        mixed: By set, the line on settings that differ between its tasks, which then have no M-Avg.
    """

    folder: Path
    tasks: Mapping[str, TaskScore]
    states: Mapping[str, DataState]
    question_sets: Mapping[str, str]
    unlabelled: tuple[str, ...]
    unjudged: tuple[str, ...]
    judged: Mapping[Set, Judged]
    odd: tuple[str, ...] = ()
    mixed: Mapping[Set, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, folder: Path, saved: Sequence[Saved], judged: Mapping[Set, Judged], record: RunRecord | None = None
    ) -> RunScores:
        """Score the answers of a run.

        Args:
            folder: Of the run.
            saved: The answers.
            judged: Grades of the open tasks by set.
            record: Of the run; None where answers alone were copied, whose settings are not known.
        """
        choices = [each for each in saved if each.row.kind == "multiple-choice"]
        tasks = {
            each.row.task_name: score(each.row.task_name, each.questions, each.answers)
            for each in choices
            if each.labelled
        }
        return cls(
            folder,
            tasks,
            {each.row.task_name: each.state for each in saved},
            {each.row.task_name: each.question_set for each in saved},
            tuple(each.row.task_name for each in saved if not each.labelled),
            tuple(
                each.row.task_name
                for each in saved
                if each.row.kind == "open" and each.labelled and each.row.set not in judged
            ),
            judged,
            tuple(oddities_line(each.row.task_name, each.odd) for each in saved if each.odd),
            {each: _mixed(record, [row.task_name for row in averaged(each)]) for each in SETS} if record else {},
        )

    @property
    def comparable(self) -> frozenset[str]:
        """Tasks of which all questions were asked, on the official data."""
        return frozenset(
            name
            for name, state in self.states.items()
            if state.comparable() and self.question_sets[name] == "as-released"
        )

    @property
    def label(self) -> str:
        """Model and revision, as the folders say."""
        return f"{self.folder.parent.name.replace('__', '/', 1)}@{self.folder.name[:8]}"

    def averages(self, of: Set) -> dict[str, Average | None]:
        """M-Avg of a set by both rules; None where a task is missing or partial, or settings differ between tasks."""
        if self.mixed.get(of):
            return {"official": None, "robust": None}
        return {
            "official": m_average(self.tasks, of, "official"),
            "robust": m_average(self.tasks, of, "robust"),
        }


def show(runs: Sequence[RunScores], out: Console) -> None:
    """A table for each run."""
    from rich.markup import escape
    from rich.table import Table

    for run in runs:
        table = Table(title=f"MLVU: {escape(run.label)}", title_justify="left")
        for heading in ("task", "answered", "official", "95%", "robust", "no option named", "note"):
            table.add_column(heading, justify="left" if heading in {"task", "note"} else "right")
        for row in datasets():
            found = run.tasks.get(row.task_name)
            if found:
                table.add_row(row.task_name, *_cells(found), _note(run, row.task_name, found))
        table.add_section()
        for each in SETS:
            for rule, average in run.averages(each).items():
                present = [name for name in run.tasks if name.startswith(f"MLVU-{each}_")]
                if present:
                    table.add_row(f"M-Avg ({each}), {rule}", "", *_average(average, run.mixed.get(each, "")))
        if run.tasks:
            out.print(table)
        else:
            say(out, f"MLVU: {run.label}")
        for line in _lines(run):
            say(out, line)


def as_dict(runs: Sequence[RunScores]) -> dict[str, Any]:
    """Plain values of all of it, by the runs' labels; by their folders where several have one label."""
    labels = Counter(run.label for run in runs)
    return {
        run.label if labels[run.label] == 1 else str(run.folder): {
            "folder": str(run.folder),
            "tasks": {
                name: {
                    **asdict(found),
                    "question_set": run.question_sets[name],
                    "data": str(run.states[name]),
                    "comparable": name in run.comparable,
                    **{f"{rule}_accuracy": found.accuracy(rule) for rule in ("official", "robust")},
                    **{f"{rule}_interval": found.interval(rule) for rule in ("official", "robust")},
                }
                for name, found in run.tasks.items()
            },
            "M-Avg": {
                each: {rule: asdict(average) if average else None for rule, average in run.averages(each).items()}
                for each in SETS
            },
            **({"settings_between_tasks": lines} if (lines := _said(run)) else {}),
            "open": {each: judged.as_dict() for each, judged in run.judged.items()} or None,
        }
        for run in runs
    }


def _cells(found: TaskScore) -> list[str]:
    interval = found.interval()
    return [
        f"{found.answered:,} of {found.asked:,}",
        percent(found.accuracy()),
        f"{percent(interval[0])}-{percent(interval[1])}" if interval else "",
        percent(found.accuracy("robust")),
        str(found.unparsed or ""),
    ]


def _note(run: RunScores, name: str, found: TaskScore) -> str:
    notes = []
    if unmatched := found.unmatched_labels:
        notes.append(f"{counted(unmatched, 'label')} {'is' if unmatched == 1 else 'are'} no candidate")
    if not found.complete:
        notes.append("partial")
    elif run.question_sets[name] != "as-released":
        notes.append(f"{run.question_sets[name]} questions")
    elif not run.states[name].comparable():
        notes.append(run.states[name].words)
    return "; ".join(notes)


def _said(run: RunScores) -> dict[str, str]:
    return {each: line for each, line in run.mixed.items() if line}


def _mixed(record: RunRecord, names: Sequence[str]) -> str:
    return settings_mixed((record.tasks[name] for name in names if name in record.tasks), record.spec)


def _average(average: Average | None, mixed: str) -> list[str]:
    if average is None:
        return ["", "", "", "", mixed or "blank while a task is missing or partial"]
    low, high = average.interval
    return [
        percent(average.value),
        f"{percent(low)}-{percent(high)}",
        "",
        "",
        f"pooled {percent(average.pooled)}, which is another number",
    ]


def _lines(run: RunScores) -> list[str]:
    lines = []
    if run.unlabelled:
        lines.append(
            f"without labels, not scored: {', '.join(run.unlabelled)}; --data adds them, flagbench submit mlvu writes "
            "the predictions"
        )
    if run.unjudged:
        lines.append(f"not judged yet: {', '.join(run.unjudged)}; --judge MODEL judges them")
    lines += run.odd
    for of, judged in run.judged.items():
        parts = [f"{name} {value:.2f}" for name, value in judged.components.items() if value is not None]
        parts += [
            f"{name} {value:.2f}" for name, value in (("SSC", judged.ssc), ("VS", judged.vs)) if value is not None
        ]
        parts.append(f"G-Avg {judged.g_avg:.2f}" if judged.g_avg is not None else "G-Avg blank")
        lines.append(f"open tasks ({of}), judged by {judged.judge} (texts {judged.prompt_version}): {', '.join(parts)}")
        if judged.failed:
            lines.append(f"{len(judged.failed)} answers got no grades and count in no mean: {judged.failed[0].fault}")
    return lines
