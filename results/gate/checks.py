"""Checks of a gate on a task or an average, a function each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from flagbench import counted, first_few, printable
from flagbench.results.averages import Weights, alike, average, lacking, scores_in
from flagbench.results.compare.compare import EQUAL, Line
from flagbench.results.figures import PERCENT, Scale, joint_scale
from flagbench.results.gate.known import TooFew, Unknown
from flagbench.results.gate.rules import Check, Rule
from flagbench.results.record import MACHINE, RunRecord, TaskRecord
from flagbench.results.tested import Tested

Outcome = Literal["pass", "FAIL", "inconclusive"]
Unit = Literal[
    "score", "nats", "share of answers", "seconds per text", "seconds", "tokens per second", "bytes", "cosine"
]

_WORDS = {"device_name": "device name"}

# What was timed, and how often: texts of embedding models, questions of video models.
_PACES = (("encode", "encoded"), ("answer", "answered"))


@dataclass(frozen=True)
class Subject:
    """A task, or an average of several.

    Attributes:
        name: Its own.
        kind: Type of a task; empty for an average.
        lines: The task or tasks, with the baseline's cell first.
        baseline: Its record.
        candidate: Its record, with all splits of every task.
        compared: The same with the splits that are compared with the baseline's.
        smallest: The least p after Holm's correction that its test could give, beside the gate's other tests.
        weights: Of the tasks in an average; empty where they are alike.
        against: What the baseline is called in a sentence.
        test: Of a drop; why there is none.
    """

    name: str
    kind: str
    lines: tuple[Line, ...]
    baseline: RunRecord
    candidate: RunRecord
    compared: RunRecord
    smallest: float = 0.0
    weights: Weights = field(default_factory=Weights)
    against: str = "baseline"
    test: Tested | str = "not asked for"

    @property
    def scale(self) -> Scale:
        """How its scores are shown, and in which unit its limits are.

        Raises:
            Unknown: Its tasks have scores of several units.
        """
        scale = joint_scale(line.main_score for line in self.lines)
        if scale is None:
            raise Unknown("its tasks have scores of different units, which have no mean")
        return scale

    def mean(self, record: RunRecord) -> float:
        """The mean of the scores of its tasks in a run.

        Raises:
            Unknown: The run has no scores of a part of a task that counts.
        """
        of = self.weights or alike(line.task for line in self.lines)
        scores = scores_in(of, {line.task: record.tasks[line.task].scores for line in self.lines})
        if absent := lacking(of, scores):
            raise Unknown(f"there are no scores of {first_few(absent)} by subset, of which only some count")
        return average(of, scores)


@dataclass(frozen=True)
class CheckResult:
    """The result of a check.

    Attributes:
        holds: Whether the rule is kept.
        said: How far from breaking it, or beyond.
        candidate: The candidate's number.
        baseline: The baseline's; None where none was asked for.
        unit: Of both.
    """

    holds: bool
    said: str
    candidate: float
    baseline: float | None = None
    unit: Unit = "score"


def _max_drop(subject: Subject, rule: Rule, limit: float, alpha: float) -> CheckResult:
    scale, (before, after) = subject.scale, _scores(subject)
    holds = scale.factor * (before - after - EQUAL) <= limit
    said = _allowed(_moved(after - before, scale, limit), f"{limit:g}")
    return _result(subject, holds, said, after, before)


def _max_relative_drop(subject: Subject, rule: Rule, limit: float, alpha: float) -> CheckResult:
    before, after = _scores(subject)
    if before <= EQUAL:
        raise Unknown(
            f"the {subject.against}'s score is {subject.scale.figure(before)}: a relative drop is not defined"
        )
    change = 100 * (after - before) / before
    holds = -change <= limit + 100 * EQUAL
    said = _way(change, f"{_amount(abs(change), 2, limit)}% of the {subject.against}'s score")
    return _result(subject, holds, _allowed(said, f"{limit:g}%"), after, before)


def _no_significant_drop(subject: Subject, rule: Rule, limit: float, alpha: float) -> CheckResult:
    scale, (before, after), test = subject.scale, _scores(subject), subject.test
    if isinstance(test, str):
        raise Unknown(f"not tested: {test}")
    if subject.smallest > alpha:
        raise TooFew(
            f"too few items to judge: a test over {counted(test.paired.clusters, 'item')} cannot give a p (Holm) "
            f"below {subject.smallest:.4f}, and significant is one of at most {alpha:g}"
        )
    change, p = test.paired.difference, test.adjusted
    dropped, large = p <= alpha and change < 0, scale.factor * (EQUAL - change) >= rule.min_effect
    said = f"{_moved(change, scale, rule.min_effect)}; {'' if p <= alpha else 'not '}significant ({_p(p, alpha)})"
    if dropped and not large:
        said += f", and a drop of {rule.min_effect:g} {scale.change} or more would fail"
    return _result(subject, not (dropped and large), said, after, before)


def _must_beat(subject: Subject, rule: Rule, limit: float, alpha: float) -> CheckResult:
    before, after = _scores(subject)
    holds = after > before + EQUAL
    said = _moved(after - before, subject.scale) + ("" if holds else "; it must rise")
    return _result(subject, holds, said, after, before)


def _min_score(subject: Subject, rule: Rule, limit: float, alpha: float) -> CheckResult:
    scale = subject.scale
    score = subject.mean(subject.candidate)
    holds = scale.factor * (score + EQUAL) >= limit
    return _result(subject, holds, f"{scale.figure(score)}; at least {limit:g} is required", score)


def _max_unparseable(subject: Subject, rule: Rule, limit: float, alpha: float) -> CheckResult:
    unparsed = answers = 0
    for line in subject.lines:
        texts = subject.candidate.tasks[line.task].texts
        if not texts.get("asked") or "unparsed" not in texts:
            raise Unknown(f"{line.task}: the run keeps no count of answers that name no option")
        if not 0 <= texts["unparsed"] <= texts["asked"]:
            raise Unknown(f"{line.task}: {texts['unparsed']:,} of {texts['asked']:,} answers is no count")
        unparsed += texts["unparsed"]
        answers += texts["asked"]
    share = unparsed / answers
    said = f"{unparsed:,} of {answers:,} answers name no option ({100 * share:.2f}%); {limit:g}% is allowed"
    return CheckResult(100 * share <= limit + 100 * EQUAL, said, share, unit="share of answers")


def _max_latency_ratio(subject: Subject, rule: Rule, limit: float, alpha: float) -> CheckResult:
    for line in subject.lines if not rule.any_machine else ():
        same_machine(*(its.environment_of(line.task) for its in (subject.baseline, subject.candidate)))
    before, after, count = 0.0, 0.0, 0
    for line in subject.lines:
        one, its = (_pace(line.task, record.tasks[line.task]) for record in (subject.baseline, subject.candidate))
        if one[1] != its[1]:
            raise Unknown(
                f"{line.task}: {its[1]:,} texts were encoded against {one[1]:,}, the others were cached: "
                "evaluate both with --no-store"
            )
        for seconds, texts in (one, its) if one[1] else ():
            if not (0 < seconds < math.inf and texts > 0):
                raise Unknown(f"{line.task}: {texts:,} texts in {seconds:g} s is no time: evaluate it again")
        before, after, count = before + one[0], after + its[0], count + its[1]
    if not count:
        raise Unknown("nothing was encoded, all was cached: evaluate both with --no-store")
    said = f"{after / before:.3f} times the {subject.against}'s time per text; {limit:g} is allowed"
    return CheckResult(after / before <= limit, said, after / count, before / count, "seconds per text")


CHECKS: Mapping[Check, Callable[[Subject, Rule, float, float], CheckResult]] = {
    "max-drop": _max_drop,
    "max-relative-drop": _max_relative_drop,
    "no-significant-drop": _no_significant_drop,
    "must-beat": _must_beat,
    "min-score": _min_score,
    "max-unparseable": _max_unparseable,
    "max-latency-ratio": _max_latency_ratio,
}
"""Each takes the subject, the rule, the limit of this check (0 where it has none) and the level of significance.

It raises Unknown where it cannot be judged. What every rule has to know is seen to before: see ``known.py``.
"""


def _result(subject: Subject, holds: bool, said: str, candidate: float, baseline: float | None = None) -> CheckResult:
    """The result of a check of scores, in their unit."""
    unit: Unit = "score" if subject.scale is PERCENT else "nats"
    return CheckResult(holds, said, candidate, baseline, unit)


def _scores(subject: Subject) -> tuple[float, float]:
    """The means of both runs' scores."""
    return subject.mean(subject.baseline), subject.mean(subject.compared)


def same_machine(first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    """See that two environments are of one kind of machine, as far as times depend on it.

    Raises:
        Unknown: They are not, or do not say.
    """
    first, second = ({"OMP_NUM_THREADS": None, **each} for each in (first, second))
    for part in MACHINE:
        if part not in first or part not in second:
            raise Unknown("where the two runs were made is not recorded: any-machine = true compares them all the same")
        if first[part] != second[part]:
            raise Unknown(
                f"{_WORDS.get(part, part)} {_value(second[part])} against {_value(first[part])}: any-machine = true "
                "compares times all the same"
            )


def _value(value: Any) -> str:
    return "not set" if value is None else printable(value)


def _pace(task: str, record: TaskRecord) -> tuple[float, int]:
    """Seconds, and texts in them."""
    for stage, texts in _PACES:
        if stage in record.seconds and texts in record.texts:
            return record.seconds[stage], record.texts[texts]
    raise Unknown(f"{task}: how many texts were encoded is not recorded")


def _moved(change: float, scale: Scale, limit: float = 0.0) -> str:
    """What became of a score, such as ``dropped 17.1 points``."""
    points = scale.factor * change
    return _way(points, f"{_amount(abs(points), 2 + scale.places, limit)} {scale.change}")


def _way(change: float, amount: str) -> str:
    if amount.startswith(("0 ", "0%")):
        return "unchanged"
    return f"{'dropped' if change < 0 else 'rose'} {amount}"


def _amount(size: float, places: int, limit: float) -> str:
    """A number without idle zeros; with a digit more where it would look like a limit that it is not."""
    text = f"{size:.{places}f}"
    if float(text) == limit and abs(size - limit) > EQUAL:
        text = f"{size:.{places + 1}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _allowed(said: str, limit: str) -> str:
    """What became of a score beside the drop that is allowed."""
    return f"{said}; {limit} is allowed" if said.startswith("dropped") else f"{said}; a drop of {limit} is allowed"


def _p(p: float, alpha: float) -> str:
    """A p-value, with as many digits as tell it from the level."""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if (round(p, 3) <= alpha) == (p <= alpha) else f"p = {p:.4f}"
