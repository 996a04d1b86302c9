"""The scores of a run on the items that are not in the training data, from the values per query that it kept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.results.contradictions import contradiction
from flagbench.results.figures import PERCENT
from flagbench.results.intervals import student
from flagbench.results.runs import Run
from flagbench.results.statistics import bootstrap_means, holm, interval_of
from flagbench.results.values import Values
from flagbench.runners.leaks.find import Found
from flagbench.runners.leaks.report import kinds_of, parts_of

if TYPE_CHECKING:
    from rich.table import Table

Cell = tuple[str, str]
"""Split and subset."""

_FEWEST = 2  # values of which there is a variance


@dataclass(frozen=True)
class Untouched:
    """A task's score with and without the items that are in the training data.

    Attributes:
        task: Name.
        items: Queries, pairs or rows that have a value.
        touched: Of them, those that are in the training data.
        score: Over all: the mean of their values, as the task's score is.
        on_touched: Over those that are there; None without any.
        on_untouched: Over the others; None without any.
        low: Lower end of the interval of ``on_untouched``.
        high: Upper end.
        difference: ``on_touched`` minus ``on_untouched``; None where one of them has fewer than two values.
        difference_low: Lower end of its interval.
        difference_high: Upper end.
        p: Of Welch's test that the two are alike; None where it cannot be made.
        adjusted: The same for as many tests as there are tasks (Holm).
    """

    task: str
    items: int
    touched: int
    score: float
    on_touched: float | None = None
    on_untouched: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p: float | None = None
    adjusted: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def untouched(run: Run, found: Found) -> list[Untouched]:
    """The tasks of a run that were looked for and have values.

    Args:
        run: With the files beside its record.
        found: What was found.

    Raises:
        BadInput: Its values contradict a score or are of other items, or no task of it was looked for.
    """
    made = []
    for task in dict.fromkeys(part.task for part in found.collected.parts):
        values = run.values(task) if task in run.record.tasks else None
        if said := contradiction(run, task) if values else "":
            raise BadInput(f"{run.folder}, {task}: {said}; evaluate it with --overwrite")
        main = str(run.record.tasks[task].settings.get("task", {}).get("main_score")) if values else ""
        if values is None or main not in values.metrics:
            continue
        by_cell = _by_cell(task, values, main, found)
        if by_cell:
            made.append(compared(task, by_cell))
    if not made:
        raise BadInput(
            f"{run.folder} has no values per query of a task that was looked for: name a run of these tasks, with the "
            "files beside its run.json"
        )
    tested = [each.p for each in made if each.p is not None]
    adjusted = iter(holm(tested)) if tested else iter(())
    return [replace(each, adjusted=float(next(adjusted))) if each.p is not None else each for each in made]


def _by_cell(
    task: str, values: Values, main: str, found: Found
) -> dict[Cell, tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """The values of each split and subset, and which of them are of items that are in the training data."""
    made = {}
    for part in parts_of(found):
        if part.task != task or not part.scored:
            continue
        by_id = values.parts.get(part.split, {}).get(part.subset, {}).get(main)
        if not by_id:
            continue
        places = {id_: place for place, id_ in enumerate(part.ids.to_pylist())}
        if unknown := next((id_ for id_ in by_id if id_ not in places), None):
            raise BadInput(
                f"{task}: the run has a value of {unknown!r:.60}, which is not among the {part.role} of this data: "
                "name the data that the run was made over"
            )
        kinds = kinds_of(found, part)
        own = np.array(list(by_id.values()), dtype=np.float64)
        made[part.split, part.subset] = (own, kinds[[places[id_] for id_ in by_id]] > 0)
    return made


def compared(task: str, by_cell: Mapping[Cell, tuple[NDArray[np.float64], NDArray[np.bool_]]]) -> Untouched:
    """Compare the values of items that are in the training data with those of the others.

    A score is the mean over splits and subsets of the means in each. The difference is tested by Welch's test (1947)
    within each of them, the variances added up, with the degrees of freedom of Welch and Satterthwaite.

    Args:
        task: Name.
        by_cell: Values, and which of them are of items that are in the training data.
    """
    touched = [own[is_touched] for own, is_touched in by_cell.values()]
    others = [own[~is_touched] for own, is_touched in by_cell.values()]
    base = Untouched(
        task=task,
        items=sum(len(own) for own, _ in by_cell.values()),
        touched=sum(map(len, touched)),
        score=float(np.mean([own.mean() for own, _ in by_cell.values()])),
        on_touched=_mean(touched),
        on_untouched=_mean(others),
    )
    if base.on_untouched is not None:
        drawn = [bootstrap_means(own[None, :], seed=place)[0] for place, own in enumerate(others) if len(own)]
        low, high = interval_of(np.mean(drawn, axis=0))
        base = replace(base, low=low, high=high)
    pairs = [(one, other) for one, other in zip(touched, others, strict=True) if min(len(one), len(other)) >= _FEWEST]
    if not pairs:
        return base
    difference, half, p = welch(pairs)
    if p is None:
        return replace(base, difference=difference)
    low, high = difference - half, difference + half
    return replace(base, difference=difference, difference_low=low, difference_high=high, p=p)


def welch(pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> tuple[float, float, float | None]:
    """Welch's test of the mean over pairs of samples of the differences of their means.

    Args:
        pairs: Samples of two or more values.

    Returns:
        The difference, half of its interval, and the two-sided p-value; 0 and None where no value differs from others.
    """
    from scipy import stats

    difference = float(np.mean([one.mean() - other.mean() for one, other in pairs]))
    variances = [(own.var(ddof=1) / len(own), len(own) - 1) for pair in pairs for own in pair]
    variance = sum(each for each, _ in variances)
    if variance == 0:
        return difference, 0.0, None
    freedom = variance**2 / sum(each**2 / count for each, count in variances)
    error = math.sqrt(variance) / len(pairs)
    half = student(freedom) * error
    return difference, half, float(2 * stats.t.sf(abs(difference) / error, freedom))


def _mean(parts: Sequence[NDArray[np.float64]]) -> float | None:
    there = [float(own.mean()) for own in parts if len(own)]
    return float(np.mean(there)) if there else None


def render(rows: Sequence[Untouched], label: str) -> Table:
    """A table of the tasks.

    Args:
        rows: Those.
        label: Of the run.
    """
    from rich.table import Table
    from rich.text import Text

    made = Table(title=Text(f"{label}: scores without what is in the training data"), title_justify="left")
    for heading in ("task", "items", "leaked", "score", "untouched", "95% interval", "leaked − untouched", "p"):
        made.add_column(heading, justify="left" if heading == "task" else "right", overflow="fold")
    for row in rows:
        interval = "" if row.low is None else f"{PERCENT.figure(row.low)} to {PERCENT.figure(row.high)}"
        made.add_row(
            Text(row.task),
            f"{row.items:,}",
            f"{row.touched:,}",
            PERCENT.figure(row.score),
            PERCENT.figure(row.on_untouched),
            interval,
            _gain(row),
            "" if row.adjusted is None else f"{row.adjusted:.3f}" if row.adjusted >= 0.001 else "< 0.001",
        )
    return made


def _gain(row: Untouched) -> str:
    if row.difference is None:
        return ""
    ends = (row.difference_low, row.difference_high)
    interval = "" if None in ends else f" ({PERCENT.gain(ends[0])} to {PERCENT.gain(ends[1])})"
    return f"{PERCENT.gain(row.difference)}{interval}"


def verdicts(rows: Sequence[Untouched], level: float = 0.05) -> list[str]:
    """Sentences on the tasks whose scores are better, or worse, where the items are in the training data."""
    said = []
    for row in rows:
        if row.adjusted is None or row.adjusted >= level or row.difference is None:
            continue
        way = "better" if row.difference > 0 else "worse"
        said.append(
            f"{row.task}: {abs(100 * row.difference):.1f} points {way} on what is in the training data; significant "
            f"(p = {row.adjusted:.2g}), so that the score is not one of unseen data"
        )
    if not said and any(row.adjusted is not None for row in rows):
        said.append(
            "no task scores differently on what is in the training data, as far as these items can tell (p ≥ 0.05 "
            "after Holm's correction)"
        )
    return said
