"""What a gate can see: the smallest drop that each of its rules would find in four of five cases.

A true drop is found where the observed one is beyond what the rule allows: with the standard error ``s`` of the
difference of two runs on the same items, a limit ``c`` finds ``c + 0.84 s`` with a power of 80%. The limit of a
significance test is ``t s``, at the level that Holm's correction leaves where no other test of the gate has failed yet:
``alpha`` over the number of tests (Bland, An Introduction to Medical Statistics, chapter 18, has the same sum).

Of items that are right or wrong a score moves by steps of one item, and what is found is a step beyond the limit: half
a step more is needed, and a whole one for a test, whose sum of signs moves by two (Edwards, 1948, on McNemar's test).
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING

from flagbench import first_few, printable
from flagbench.results.averages import Weights, average, scores_in, shares
from flagbench.results.compare.compare import EQUAL
from flagbench.results.figures import Scale, joint_scale
from flagbench.results.gate.judge import chosen_by
from flagbench.results.gate.means import Means
from flagbench.results.gate.rules import Check, Rule, Rules
from flagbench.results.gate.since import compared_with
from flagbench.results.record import PartInterval, TaskRecord
from flagbench.results.runs import Run, shared_metric
from flagbench.results.statistics import smallest_p
from flagbench.results.tested import shared
from flagbench.results.uncertainty import of_average

if TYPE_CHECKING:
    from rich.table import Table

POWER = 0.8
ALIKE = 0.8
"""Correlation that is assumed of the values of two models on the same items, where one run alone is known."""

_Z = NormalDist().inv_cdf(POWER)
_CHECKS: tuple[Check, ...] = ("max-drop", "max-relative-drop", "no-significant-drop")


@dataclass(frozen=True)
class Sight:
    """What one check can see of a task or an average.

    Attributes:
        rule: Its label.
        check: Its name.
        subject: The task or average.
        smallest: The smallest drop that it finds with a power of 80%, in the unit of its limits; None where that is
            not known.
        unit: That unit.
        limit: What the check allows, in that unit; of a test the smallest significant drop that fails.
        alpha: Level of all tests of the gate together, of a check that is a test; None of others.
        profile: The smallest profile that finds the wanted drop; empty where none does, or none was wanted.
        why: Why it is not known.
    """

    rule: str
    check: Check
    subject: str
    smallest: float | None
    unit: str
    limit: float = 0.0
    alpha: float | None = None
    profile: str = ""
    why: str = ""

    @property
    def line(self) -> str:
        """The check with its limit, for people."""
        if self.alpha is None:
            return f"{self.check} {self.limit:g}"
        more = f", min-effect {self.limit:g}" if self.limit else ""
        return f"{self.check} (alpha {self.alpha:g}{more})"


@dataclass(frozen=True)
class _Spread:
    """Standard error of the difference of two runs, its degrees of freedom, and how much data it is of.

    The step is that of a score whose items are right or wrong; 0 of all others, and of an average of several tasks.
    """

    error: float
    clusters: int
    step: float = 0.0


class _NotKnown(Exception):
    """Why a spread is not known."""


def power(
    rules: Rules,
    runs: Sequence[Run],
    means: Means,
    profiles: Mapping[str, Mapping[str, int]],
    wanted: float = 0.0,
) -> list[Sight]:
    """What each check of a drop can see.

    Args:
        rules: The rules.
        runs: The baseline, and a candidate whose differences say how far they spread. Without one the spread is that of
            the baseline's values, and those of a model like it are assumed to correlate with them by ``ALIKE``.
        means: The benchmark's own averages.
        profiles: By profile, smallest first, and by task, how many items of each split and subset it draws.
        wanted: Drop that should be seen; 0 for none.

    Raises:
        BadInput: A rule names what the runs have not got.
    """
    records: dict[str, list[TaskRecord]] = {}
    for run in runs:
        for name, record in run.record.tasks.items():
            records.setdefault(name, []).append(record)
    judged = [rule for rule in rules.rules if rule.select and not rule.since]
    chosen = [(rule, chosen_by(rules, rule, records, means.weights)) for rule in judged]
    tests = {name for rule, its in chosen for name in its if "no-significant-drop" in rule.checks}
    level = rules.alpha / max(1, compared_with(rules)) / max(1, len(tests))
    found = []
    for rule, subjects in chosen:
        for name, of in subjects.items():
            checks = [each for each in _CHECKS if each in rule.checks]
            for check in checks:
                sight = _sight(rule, check, name, of, runs, level, profiles, wanted)
                of_test = check == "no-significant-drop"
                limit = rule.min_effect if of_test else rule.checks[check] or 0.0
                found.append(replace(sight, limit=limit, alpha=rules.alpha if of_test else None))
    return found


def _sight(
    rule: Rule,
    check: Check,
    name: str,
    of: Weights,
    runs: Sequence[Run],
    alpha: float,
    profiles: Mapping[str, Mapping[str, int]],
    wanted: float,
) -> Sight:
    scale = joint_scale(runs[0].record.tasks[task].main_score for task in of if task in runs[0].record.tasks)
    if scale is None:
        return Sight(rule.label, check, name, None, "", why="its tasks have scores of different units")
    unit = "% of the score" if check == "max-relative-drop" else scale.change
    try:
        whole = _spread(of, runs)
        factor = 100 / _whole(of, runs[0], scale) if check == "max-relative-drop" else scale.factor

        def smallest(spread: _Spread) -> float:
            return _smallest(rule, check, spread, alpha, factor)

        seen = smallest(whole)
        names = [each for each in profiles if wanted and smallest(_drawn(whole, of, runs[0], profiles[each])) <= wanted]
        profile = names[0] if names else "full" if wanted and seen <= wanted else ""
    except _NotKnown as error:
        return Sight(rule.label, check, name, None, unit, why=str(error))
    return Sight(rule.label, check, name, seen, unit, profile=profile)


def _smallest(rule: Rule, check: Check, spread: _Spread, alpha: float, factor: float) -> float:
    """The smallest drop that is found, in the unit of the rule."""
    from flagbench.results.intervals import student

    size, step = factor * spread.error, factor * spread.step
    limit = rule.checks[check] or 0.0
    if check == "no-significant-drop":
        if smallest_p(spread.clusters) > alpha:
            raise _NotKnown(f"a test over {spread.clusters} items can never fail at this level")
        tested = student(max(1, spread.clusters - 1), 1 - alpha) * size + step
        return max(rule.min_effect + step / 2, tested) + _Z * size
    return limit + step / 2 + _Z * size


def _spread(of: Weights, runs: Sequence[Run]) -> _Spread:
    """The standard error of the difference of two runs in a task or an average."""
    if len(runs) == 1:
        records = [replace(record, sample=None) for record in runs[0].record.tasks.values()]
        found = of_average(of, _score(of, runs[0]), records)
        if found is None:
            raise _NotKnown("the baseline keeps no values of its items")
        error = math.sqrt(2 * (1 - ALIKE)) * found.error
        return _Spread(error, sum(_clusters(record, of) for record in records), _step(of, runs[0]))
    squares, clusters, step = 0.0, 0, 0.0
    for task, weight in of.items():
        values = (runs[0].values(task), runs[1].values(task))
        scores = runs[0].record.tasks[task].scores if task in runs[0].record.tasks else {}
        items = shared(task, (runs[0], runs[1]), values, 0, shares(of, task, scores))
        if isinstance(items, str):
            raise _NotKnown(f"{task}: {items}" if len(of) > 1 else items)
        its = items.differences.of
        if its.error is None:
            raise _NotKnown(f"{task} has a single item")
        squares += (weight * its.error) ** 2
        clusters += len(its)
        if len(of) == 1 and _are_steps(its.totals, len(its), its.items):
            step = 1 / its.items
    if not squares:
        raise _NotKnown("the two runs have the same value for each item, which says nothing of how others differ")
    return _Spread(math.sqrt(squares), clusters, step)


def _are_steps(values: Collection[float], clusters: int, items: int) -> bool:
    """Whether items, or their differences, are right or wrong, each a draw of its own."""
    return clusters == items and {abs(float(value)) for value in values} <= {0.0, 1.0}


def _step(of: Weights, run: Run) -> float:
    """The step of a task's score; 0 where its items are not right or wrong, and of several tasks."""
    if len(of) > 1:
        return 0.0
    (task,) = of
    values, record = run.values(task), run.record.tasks[task]
    metric = shared_metric((record, record), (values, values)) if values else None
    if values is None or metric is None or values.clusters:
        return 0.0
    its = values.of(metric)
    return 1 / len(its) if _are_steps(its.values(), len(its), len(its)) else 0.0


def _clusters(record: TaskRecord, of: Weights) -> int:
    return sum(part["clusters"] for part in _parts(record)) if record.name in of else 0


def _parts(record: TaskRecord) -> Iterator[PartInterval]:
    for by_subset in record.interval["parts"].values() if record.interval else ():
        yield from by_subset.values()


def _score(of: Weights, run: Run) -> float:
    scores = scores_in(of, {name: record.scores for name, record in run.record.tasks.items()})
    if len(scores) < len(of.members):
        raise _NotKnown("the baseline lacks a score")
    return average(of, scores)


def _whole(of: Weights, run: Run, scale: Scale) -> float:
    """The score that a relative drop is a share of."""
    score = _score(of, run)
    if score <= EQUAL:
        raise _NotKnown(f"the baseline's score is {scale.figure(score)}, of which no drop is a share")
    return score


def _drawn(whole: _Spread, of: Weights, run: Run, items: Mapping[str, int]) -> _Spread:
    """The same of a sample: the error grows by the root of how much less of each task is drawn."""
    before = after = 0.0
    clusters = 0
    for task, weight in of.items():
        for part in _parts(run.record.tasks[task]):
            drawn = min(part["items"], items.get(task, part["items"]))
            square = (weight * part["error"]) ** 2
            before, after = before + square, after + square * part["items"] / drawn
            clusters += round(part["clusters"] * drawn / part["items"])
    if not before:  # how much of the data the spread is of is not known
        return _Spread(math.inf, whole.clusters)
    # The items are as many times fewer as the squared error is larger.
    return _Spread(whole.error * math.sqrt(after / before), clusters, whole.step * after / before)


def render(sights: Sequence[Sight], *, wanted: float, paired: bool) -> tuple[Table, list[str]]:
    """A Rich table, and the lines below it.

    Args:
        sights: What each check can see.
        wanted: See ``power``.
        paired: Whether there is a candidate.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(title="smallest drops that the gate sees, with a power of 80%", title_justify="left")
    heads = ("task", "rule", "check", "smallest drop", *([f"profile that sees {wanted:g}"] if wanted else []))
    for head in heads:
        table.add_column(head, justify="right" if head == "smallest drop" else "left", overflow="fold")
    for each in sights:
        drop = "not known" if each.smallest is None else f"{each.smallest:.2f} {each.unit}"
        enough = [each.profile or ("" if each.smallest is None else "no profile")] if wanted else []
        table.add_row(*(Text(printable(cell)) for cell in (each.subject, each.rule, each.line, drop, *enough)))
    spread = (
        "the spread is that of the differences of the two runs"
        if paired
        else f"the spread is that of the baseline's values, those of two models are assumed to correlate by {ALIKE:g}; "
        "with --candidate it is that of their differences"
    )
    lines = [f"{spread}; significance is at the level that Holm's correction leaves the first of the gate's tests"]
    if wanted:
        lines.append("what a profile would see is computed from how many items it draws of the baseline's")
    why: dict[str, list[str]] = {}
    for each in sights:
        if each.why:
            why.setdefault(each.why, []).append(each.subject)
    lines += [f"not known, {printable(each)}: {first_few(map(printable, names))}" for each, names in why.items()]
    return table, lines


def to_json(sights: Sequence[Sight], *, wanted: float, paired: bool) -> str:
    """The same, for programs."""
    document = {"power": POWER, "wanted": wanted or None, "spread": "differences" if paired else "assumed"}
    return json.dumps(document | {"checks": [asdict(each) for each in sights]}, ensure_ascii=False, indent=2) + "\n"
