"""The scores of a run on the items that are not in the training data, from the values per query that it kept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flagbench import BadInput, first_few, printable
from flagbench.results.contradictions import contradiction
from flagbench.results.figures import PERCENT
from flagbench.results.intervals import student, welch
from flagbench.results.runs import Run
from flagbench.results.statistics import ROUNDING, holm
from flagbench.results.uncertainty import measured
from flagbench.results.values import Values
from flagbench.runners.leaks.find import Found
from flagbench.runners.leaks.report import kinds_of, parts_of

if TYPE_CHECKING:
    from rich.table import Table

    from flagbench.results.record import Interval
    from flagbench.runners.data.verdict import Content

Cell = tuple[str, str]
"""Split and subset."""

_PERMUTATIONS = 9_999
_FEWEST = 2  # values of which there is a variance
_FEW_LEVELS = 64  # of values, whose numbers are drawn instead of the items
_BLOCK = 1 << 20  # numbers in memory at a time


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
        low: Lower end of the interval of ``on_untouched``, which is made as that of a score is; None where it has none.
        high: Upper end.
        difference: ``on_touched`` minus ``on_untouched``; None where one of them has fewer than two values.
        difference_low: Lower end of its interval.
        difference_high: Upper end.
        p: Of a permutation test that the two are alike; None where it cannot be made.
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


def untouched(run: Run, found: Found, contents: Mapping[str, Mapping[str, Content]]) -> list[Untouched]:
    """The tasks of a run that were looked for and have values.

    Args:
        run: With the files beside its record.
        found: What was found.
        contents: Of the data that was looked for, by task and part.

    Raises:
        BadInput: Its values contradict a score or are of other data, or no task of it was looked for.
    """
    made = []
    for task in dict.fromkeys(part.task for part in found.collected.parts):
        values = run.values(task) if task in run.record.tasks else None
        if said := contradiction(run, task) if values else "":
            raise BadInput(f"{run.folder}, {task}: {said}; evaluate it with --overwrite")
        if values is not None:
            _check_same_data(run, task, contents.get(task, {}))
        main = str(run.record.tasks[task].settings.get("task", {}).get("main_score")) if values else ""
        if values is None or main not in values.metrics:
            continue
        by_cell = _by_cell(task, values, main, found)
        if by_cell:
            made.append(compared(task, by_cell, main))
    if not made:
        raise BadInput(
            f"{run.folder} has no values per query of a task that was looked for: name a run of these tasks, with the "
            "files beside its run.json"
        )
    tested = [each.p for each in made if each.p is not None]
    adjusted = iter(holm(tested)) if tested else iter(())
    return [replace(each, adjusted=float(next(adjusted))) if each.p is not None else each for each in made]


def _check_same_data(run: Run, task: str, content: Mapping[str, Content]) -> None:
    """See that a run is over the data that was looked for: rows of other data may have the same ids.

    Raises:
        BadInput: The content of one of its parts is not that.
    """
    its = run.record.tasks[task].data.get("content") or {}
    marks = {part: {"rows": own.rows, "digest": own.digest} for part, own in content.items()}
    if other := [part for part, mark in marks.items() if part in its and its[part] != mark]:
        raise BadInput(
            f"{task}: the run is over other data ({first_few(map(printable, other))}): name the data that it was made "
            "over, with --data or --mini"
        )


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


def compared(
    task: str, by_cell: Mapping[Cell, tuple[NDArray[np.float64], NDArray[np.bool_]]], main: str = ""
) -> Untouched:
    """Compare the values of items that are in the training data with those of the others.

    A score is the mean over splits and subsets of the means in each. The difference is tested by a permutation test
    within each of them.

    Args:
        task: Name.
        by_cell: Values, and which of them are of items that are in the training data.
        main: Name of the main score, which has a range; empty for one that is not known.
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
    if interval := _interval(task, dict(zip(by_cell, others, strict=True)), main):
        base = replace(base, low=interval["low"], high=interval["high"])
    pairs = [(one, other) for one, other in zip(touched, others, strict=True) if min(len(one), len(other)) >= _FEWEST]
    if not pairs:
        return base
    difference, half = spread(pairs)
    base = replace(base, difference=difference)
    if all(len(np.unique(np.concatenate(pair))) == 1 for pair in pairs):
        return base
    if half > 0:
        base = replace(base, difference_low=difference - half, difference_high=difference + half)
    return replace(base, p=permuted(pairs))


def _interval(task: str, others: Mapping[Cell, NDArray[np.float64]], main: str) -> Interval | None:
    """The interval that a score over these items alone would be given; None where there is none."""
    parts: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for (split, subset), own in others.items():
        if len(own):
            by_id = {str(place): value for place, value in enumerate(own.tolist())}
            parts.setdefault(split, {})[subset] = {main: by_id}
    values = Values(task, parts)
    return measured(values, main, values.means(main), main) if parts else None


def spread(pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> tuple[float, float]:
    """The mean over pairs of samples of the differences of their means, and half of its 95% interval.

    The variance of each difference is the larger one of Welch's (1947) and that of a pooled variance: few items of one
    value, such as three right answers, have no variance of their own and would make the difference look certain.

    Args:
        pairs: Samples of two or more values.
    """
    squares: list[float] = []
    freedoms: list[float] = []
    for one, other in pairs:
        own = [float(each.var(ddof=1)) / len(each) for each in (one, other)]
        count = len(one) + len(other) - 2
        within = sum(float(each.var()) * len(each) for each in (one, other)) / count
        pooled = within * (1 / len(one) + 1 / len(other))
        apart = sum(own), welch(own, [len(one) - 1, len(other) - 1])
        square, freedom = max(apart, (pooled, float(count)))
        squares.append(square / len(pairs) ** 2)
        freedoms.append(freedom)
    difference = float(np.mean([one.mean() - other.mean() for one, other in pairs]))
    error = math.sqrt(sum(squares))
    return difference, student(welch(squares, freedoms)) * error if error else 0.0


def permuted(
    pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], *, permutations: int = _PERMUTATIONS
) -> float:
    """Two-sided p-value of the mean over pairs of samples of the differences of their means, by a permutation test.

    If it makes no difference to be in the training data, each choice of as many items is as likely. So the level holds
    for few items and for values that are right or wrong as well, where Welch's test raises false alarms.

    Args:
        pairs: Samples of one or more values.
        permutations: How many are drawn; with the observed one among them p is never 0.
    """
    rng = np.random.default_rng(0)
    drawn, observed, size = np.zeros(permutations), 0.0, 0.0
    for one, other in pairs:
        values, k, rest = np.concatenate([one, other]), len(one), len(other)
        whole, each = float(values.sum()), 1 / k + 1 / rest
        drawn += _sums(rng, values, k, permutations) * each - whole / rest
        observed += float(one.sum()) * each - whole / rest
        size += float(np.abs(values).sum()) * each
    as_far = int((np.abs(drawn) >= abs(observed) - ROUNDING * size).sum())
    return (1 + as_far) / (1 + permutations)


def _sums(rng: np.random.Generator, values: NDArray[np.float64], count: int, draws: int) -> NDArray[np.float64]:
    """``float64[draws]``: sums of so many of the values, drawn without replacement."""
    levels, times = np.unique(values, return_counts=True)
    if len(levels) <= _FEW_LEVELS:
        chosen = rng.multivariate_hypergeometric(times, count, size=draws, method="marginals")
        return np.asarray(chosen @ levels, dtype=np.float64)
    fewer = min(count, len(values) - count)
    sums = np.empty(draws)
    rows = max(1, _BLOCK // len(values))
    for begin in range(0, draws, rows):
        keys = rng.random((min(rows, draws - begin), len(values)), dtype=np.float32)
        sums[begin : begin + rows] = values[np.argpartition(keys, fewer - 1, axis=1)[:, :fewer]].sum(axis=1)
    return sums if fewer == count else float(values.sum()) - sums


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
