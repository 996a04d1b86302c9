"""Saved answers that are scored again, and held against the score of the run that they lie beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean
from typing import TYPE_CHECKING, Any

from flagbench import BadData, BadInput, in_one_line
from flagbench.results.effective_length import effective_length_of
from flagbench.results.grids import Grid
from flagbench.suites.longctx import mmlu
from flagbench.suites.longctx.cells import cell_id
from flagbench.suites.longctx.evaluation import by_subset
from flagbench.suites.longctx.grid import grid_of
from flagbench.suites.longctx.registry import kind_of
from flagbench.suites.longctx.sample import Metrics
from flagbench.suites.longctx.saved import Saved, saved_of

if TYPE_CHECKING:
    from flagbench.results.runs import Run

_FIX = "evaluate the task again with --overwrite"
_EQUAL = 1e-6
_WITH_REFERENCES = frozenset({"needle", "passkey", "topic", "lines", "ruler", "mmlu"})
_NAMED_BY_CELL = frozenset({"needle", "passkey"})
_MOST_DIGITS = 15


class Scored:
    """A task of a run, scored.

    Attributes:
        saved: Its answers.
        metrics: Values of all its metrics by id.
        values: The same by subset, metric and id.
        scores: The main score by subset, 0 to 1 unless it is a log-likelihood.
    """

    def __init__(self, saved: Saved) -> None:
        row = saved.row
        self.saved = saved
        self.metrics: Metrics = kind_of(row).score(row, saved.protocol, saved.answers)
        self.values = by_subset(self.metrics, saved.answers)
        self.scores = {name: fmean(its[row.main_score].values()) for name, its in self.values.items() if its}

    @property
    def grid(self) -> Grid | None:
        """Its grid; None where its samples have no place in one."""
        row = self.saved.row
        return grid_of(row, self.saved.protocol, self.saved.answers, self.metrics.get(row.main_score, {}))


def scored_of(run: Run) -> Sequence[Scored]:
    """The answers to all tasks of a run that have results, scored again, in the order of the table of tasks.

    Raises:
        BadData: A file of answers is damaged or absent, its answers cannot be scored, or are not those that the run
            has its score by.
    """
    return [_checked(run, each) for each in saved_of(run)]


def as_values(scored: Scored) -> dict[str, Any]:
    """A task as plain values: its scores by subset as they are recorded, the means of all metrics over its samples, and
    the effective length where it has a grid of lengths.
    """
    row, grid = scored.saved.row, scored.grid
    found = effective_length_of(grid) if grid else None
    return {
        "task": row.name,
        "protocol": scored.saved.protocol,
        "main_score": row.main_score,
        "samples": len(scored.saved.answers),
        "scores": scored.scores,
        "metrics": {name: fmean(by_id.values()) for name, by_id in scored.metrics.items() if by_id},
        "effective_length": asdict(found) if found else None,
    }


def _checked(run: Run, saved: Saved) -> Scored:
    path = run.folder / Saved.file(saved.row.name)
    try:
        _check_answers(saved)
        found = Scored(saved)
        _ = found.grid
    except (LookupError, ValueError, TypeError, ArithmeticError, AttributeError, BadInput) as error:
        raise BadData(f"{path} holds no answers that can be scored ({_said(error)}): {_FIX}") from error
    if unlike := _unlike(run, found):
        raise BadData(f"{path} does not belong to the score of {saved.row.name} in run.json ({unlike}): {_FIX}")
    return found


def _said(error: Exception) -> str:
    said = in_one_line(error)
    return said if isinstance(error, BadInput | ValueError) else f"{type(error).__name__}: {said}"


def _check_answers(saved: Saved) -> None:
    """See that answers have what their kind needs.

    Raises:
        ValueError: One has not.
    """
    row = saved.row
    if not saved.answers:
        raise ValueError("there are none")
    subjects = {subject for its in mmlu.CATEGORIES.values() for subject in its}
    for each in saved.answers:
        if row.kind in _WITH_REFERENCES and not each.references:
            raise ValueError(f"{each.id!r:.80} has no right answer")
        if row.kind in _NAMED_BY_CELL and (each.cell is None or cell_id(each.cell) != each.id):
            raise ValueError(f"{each.id!r:.80} is not in the cell that it is named by")
        length = each.subset.isascii() and each.subset.isdigit() and len(each.subset) <= _MOST_DIGITS
        if row.kind == "ruler" and not length:
            raise ValueError(f"{each.id!r:.80} is of the length {each.subset!r:.80}, which is no number")
        if row.kind == "mmlu" and each.subset not in subjects:
            raise ValueError(f"{each.id!r:.80} is of {each.subset!r:.80}, which is no subject")


def _unlike(run: Run, scored: Scored) -> str:
    """How answers are not those of the scores and values that were recorded; empty where they are."""
    name, protocol = scored.saved.row.name, scored.saved.protocol
    record = run.record.tasks[name]
    if protocol not in record.scores:
        return f"the answers are by the rules of {protocol}, the score is by those of {', '.join(record.scores)}"
    scores = record.scores[protocol]
    if scores.keys() != scored.scores.keys():
        return "they are of other subsets"
    for subset, score in scores.items():
        if not abs(scored.scores[subset] - score) <= _EQUAL:
            return f"{subset}: the score is {score:.6g}, and that of the answers {scored.scores[subset]:.6g}"
    values = run.values(name)
    if values is None:
        return ""
    metric, kept = scored.saved.row.main_score, values.parts.get(protocol, {})
    for subset, its in scored.values.items():
        if its.get(metric, {}).keys() != kept.get(subset, {}).get(metric, {}).keys():
            return f"{subset}: they are of other samples than the values per query"
        if any(not abs(value - kept[subset][metric][id_]) <= _EQUAL for id_, value in its.get(metric, {}).items()):
            return f"{subset}: they have other values than those per query"
    return ""
