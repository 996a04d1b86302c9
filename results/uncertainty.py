"""How far scores may be from those of other items of the same kind: of tasks, and of averages of them.

What a record keeps of it is made once, from the values of its items, when a task is evaluated; all that is shown later,
of averages too, is computed from that and needs no values. Items of one cluster are one draw. A score without values
has no interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flagbench.results.averages import Cell, Slice, Weights, score_of, task_of
from flagbench.results.figures import Ends, Scale
from flagbench.results.shapes import score_range
from flagbench.results.shares import wilson

if TYPE_CHECKING:
    from flagbench.results.intervals import Clusters
    from flagbench.results.record import Interval, PartInterval, TaskRecord
    from flagbench.results.values import Values

_Z = 1.959963984540054
"""Standard errors on each side of an interval of many items."""


@dataclass(frozen=True)
class Uncertainty:
    """A 95% interval of a score.

    Attributes:
        low: Lower end.
        high: Upper end.
        error: Standard error of the score.
        freedom: Degrees of freedom of that; infinite where it is of many items.
    """

    low: float
    high: float
    error: float
    freedom: float

    @property
    def ends(self) -> Ends:
        """Both of them."""
        return self.low, self.high


Shown = tuple[Scale, float | None, Ends | None]
"""A score with its interval, as a table has it."""


def marks_of(shown: Iterable[Shown]) -> tuple[str, ...]:
    """What intervals of scores stand behind: ``±``, ``-/+``, both, or nothing where there are none."""
    first = {scale.sides(score, ends)[0] for scale, score, ends in shown if score is not None and ends is not None}
    return tuple(mark for mark in ("±", "-/+") if mark[0] in first)


def legend(shown: Iterable[Shown], *, samples: bool) -> list[str]:
    """The line below tables that says what stands behind scores; none where no interval does.

    Args:
        shown: What the tables have.
        samples: Whether some are of samples, whose interval is another.
    """
    marks = marks_of(shown)
    if not marks:
        return []
    whole = " (of a sample: for all of its data)" if samples else ""
    return [f"{' and '.join(marks)}: 95% confidence interval over the items of the tasks{whole}"]


def measured(values: Values, metric: str, scores: Mapping[str, Mapping[str, float]], main: str) -> Interval | None:
    """The interval of a task, as its record keeps it.

    Of items that are right or wrong, each a draw of its own, it is Wilson's; else Student's of the values, or of their
    sums by cluster. Several splits and subsets are strata that are drawn from by themselves.

    Args:
        values: Of the items.
        metric: That which has the scores for its means.
        scores: Of the task, by split and subset.
        main: Name of the main score, which has a range.

    Returns:
        None where a part has no values, a single item or cluster, or values that are all alike and say nothing of how
        they vary.
    """
    parts: dict[str, dict[str, PartInterval]] = {}
    ends: list[tuple[float, float]] = []
    for split, by_subset in scores.items():
        for subset in by_subset:
            by_id = values.parts.get(split, {}).get(subset, {}).get(metric, {})
            part = _of_part(list(by_id.values()), values.clusters_in(split, subset, by_id)) if by_id else None
            if part is None:
                return None
            parts.setdefault(split, {})[subset] = part[0]
            ends += [part[1]] if part[1] else []
    whole = score_of(values.task, scores)
    if whole is None:
        return None
    joint = _joined(parts, whole, main)
    if len(ends) == sum(map(len, scores.values())) == 1:
        joint["low"], joint["high"] = _possible(ends[0], whole, score_range(main))
    return joint


def merged(before: TaskRecord, after: TaskRecord) -> Interval | None:
    """The interval of a task of which some splits did not run again.

    Args:
        before: With their scores, and those of what did.
        after: With the scores of both.

    Returns:
        None where that of one of them is not known.
    """
    score = after.score
    if before.interval is None or after.interval is None or score is None:
        return None
    kept = {**before.interval["parts"], **after.interval["parts"]}
    if any(subset not in kept.get(split, {}) for split, its in after.scores.items() for subset in its):
        return None
    parts = {split: {subset: kept[split][subset] for subset in its} for split, its in after.scores.items()}
    return after.interval if parts == after.interval["parts"] else _joined(parts, score, after.main_score)


def _joined(parts: Mapping[str, Mapping[str, PartInterval]], score: float, main: str) -> Interval:
    """Student's interval of the mean of splits and subsets, as far as the main score can be."""
    each = [part for by_subset in parts.values() for part in by_subset.values()]
    low, high = _possible(_ends(score, *_joint([(1 / len(each), its) for its in each])), score, score_range(main))
    return {"low": low, "high": high, "parts": parts}


def _of_part(
    values: Sequence[float], names: Sequence[str] | None
) -> tuple[PartInterval, tuple[float, float] | None] | None:
    """What is kept of a split and subset, and the ends of Wilson's interval where it is that."""
    from flagbench.results.intervals import Clusters

    of = Clusters.of(values, names)
    shares = set(values) <= {0.0, 1.0}
    if shares and len(of) == of.items:
        low, high = wilson(round(sum(values)), of.items)
        # A share of none or all has no spread, and is no certainty: its standard error is that of its interval.
        return _kept((high - low) / 2 / _Z, of), (low, high)
    error = of.error
    if error is None:
        return None
    if error == 0.0:
        if not shares:
            return None
        low, high = wilson(len(of) if values[0] else 0, len(of))
        error = (high - low) / 2 / _Z
    return _kept(error, of), None


def _kept(error: float, of: Clusters) -> PartInterval:
    return {"error": error, "items": of.items, "clusters": len(of)}


def of_task(record: TaskRecord) -> Uncertainty | None:
    """The interval of a task's score; of a sample that of the score over all of its data.

    Args:
        record: The task, maybe with some of its splits and subsets alone.

    Returns:
        None where nothing is known of it: there are no values per item, or the run is of before intervals were kept.
    """
    score = record.score
    if score is None or record.status == "error":
        return None
    if record.sample:
        half = record.sample.get("error")
        if half is None:
            return None
        ends = _possible((score - half, score + half), score, score_range(record.main_score))
        return Uncertainty(*ends, half / _Z, math.inf)
    cells = [(split, subset) for split, by_subset in record.scores.items() for subset in by_subset]
    parts = _parts(record, cells)
    if record.interval is None or parts is None:
        return None
    error, freedom = _joint([(1 / len(parts), part) for part in parts])
    if len(parts) == sum(map(len, record.interval["parts"].values())):
        return Uncertainty(record.interval["low"], record.interval["high"], error, freedom)
    ends = _possible(_ends(score, error, freedom), score, score_range(record.main_score))
    return Uncertainty(*ends, error, freedom)


def of_average(of: Weights, score: float | None, records: Iterable[TaskRecord]) -> Uncertainty | None:
    """The interval of an average: its tasks are strata, each drawn from by itself.

    Where one of them is a sample, it is that of the average over all of the data, to which whole tasks add nothing.

    Args:
        of: The weights of its tasks, or of parts of them.
        score: The average.
        records: Its tasks, and maybe others.

    Returns:
        None where that of one of its tasks is not known.
    """
    by_name = {record.name: record for record in records}
    names = list(of.members)
    if len(names) == 1 and isinstance(names[0], str) and score is not None:  # the mean of a task is its score
        return of_task(by_name[names[0]]) if names[0] in by_name else None
    sampled = any(by_name[name].sample for name in of if name in by_name)
    squares: list[float] = []
    freedoms: list[float] = []
    for member, weight in of.members.items():
        record = by_name.get(task_of(member))
        if record and sampled and not record.sample:
            continue
        found = _error_of(record, member) if record else None
        if found is None:
            return None
        squares.append((weight * found[0]) ** 2)
        freedoms.append(found[1])
    if score is None or not squares:
        return None
    error, freedom = _summed(squares, freedoms)
    ranges = [(weight, *score_range(by_name[name].main_score)) for name, weight in of.items() if name in by_name]
    whole = sum(weight * least for weight, least, _ in ranges), sum(weight * most for weight, _, most in ranges)
    return Uncertainty(*_possible(_ends(score, error, freedom), score, whole), error, freedom)


def _error_of(record: TaskRecord, member: str | Slice) -> tuple[float, float] | None:
    """Standard error and degrees of freedom of a member of an average."""
    if isinstance(member, Slice):
        parts = None if record.sample else _parts(record, sorted(member.cells))
        return _joint([(1 / len(parts), part) for part in parts]) if parts else None
    whole = of_task(record)
    return (whole.error, whole.freedom) if whole else None


def _parts(record: TaskRecord, cells: Sequence[Cell]) -> list[PartInterval] | None:
    """What is kept of some splits and subsets; None where one has nothing."""
    kept = record.interval["parts"] if record.interval else {}
    found = [kept.get(split, {}).get(subset) for split, subset in cells]
    known = [part for part in found if part is not None]
    return known if known and len(known) == len(found) else None


def _joint(parts: Sequence[tuple[float, PartInterval]]) -> tuple[float, float]:
    """Standard error and degrees of freedom of a weighted sum of independent parts."""
    return _summed(
        [(weight * part["error"]) ** 2 for weight, part in parts], [max(1, part["clusters"] - 1) for _, part in parts]
    )


def _summed(squares: Sequence[float], freedoms: Sequence[float]) -> tuple[float, float]:
    from flagbench.results.intervals import welch

    return math.sqrt(math.fsum(squares)), welch(squares, freedoms)


def _possible(ends: Ends, score: float, allowed: Ends) -> Ends:
    """The ends of an interval, as far as a score can be, and with the score between them."""
    (low, high), (least, most) = ends, allowed
    return max(low, min(least, score)), min(high, max(most, score))


def _ends(score: float, error: float, freedom: float) -> tuple[float, float]:
    from flagbench.results.intervals import student_interval

    return student_interval(score, error, freedom)
