"""A gate: whether a candidate may take the place of a baseline, rule by rule and task by task.

Nothing passes for want of knowledge: see ``known.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import MappingProxyType

from flagbench import BadInput, UnknownName, first_few, printable
from flagbench.results.averages import Weights, alike
from flagbench.results.compare.compare import Comparison, Line, compare
from flagbench.results.compare.settings import settings_differ, settings_mixed
from flagbench.results.data_state import DataState
from flagbench.results.figures import Ends, of_one_scale
from flagbench.results.gate.checks import CHECKS, CheckResult, Outcome, Subject, Unit
from flagbench.results.gate.known import Pair, TooFew, Unknown, check_known
from flagbench.results.gate.means import Means
from flagbench.results.gate.rules import Check, Rule, Rules
from flagbench.results.gate.server import server_matches
from flagbench.results.gate.speed import SPEED_CHECKS
from flagbench.results.published.variant import OTHER_SETTINGS, variant
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.runs import Run
from flagbench.results.server_match import ServerMatch
from flagbench.results.statistics import holm, smallest_p
from flagbench.results.tested import Tested
from flagbench.results.uncertainty import of_average, of_task
from flagbench.results.versions import mteb_differs

_AVERAGE = "average"


@dataclass(frozen=True)
class Verdict:
    """One check of one task or average.

    Attributes:
        rule: Its label.
        check: The name of the check.
        limit: The limit in the rule, in its unit; None for checks without one.
        subject: The task or average.
        kind: MTEB's task type; empty for averages.
        outcome: Pass, FAIL or inconclusive.
        said: Why, in one line.
        unit: The unit of the two numbers.
        baseline: The baseline's number; None where it has none, or none was asked for.
        candidate: The candidate's.
        since: The release that it was compared with; empty for the baseline.
        baseline_ends: Of the 95% interval of the baseline's score; None where it is not known, or the number is none.
        candidate_ends: Of the candidate's.
        p: Of a test, after Holm's correction; None for a check without one.
    """

    rule: str
    check: Check
    limit: float | None
    subject: str
    kind: str
    outcome: Outcome
    said: str
    unit: Unit = "score"
    baseline: float | None = None
    candidate: float | None = None
    since: str = ""
    baseline_ends: Ends | None = None
    candidate_ends: Ends | None = None
    p: float | None = None


@dataclass(frozen=True)
class Report:
    """A gate, judged.

    Attributes:
        rules: The rules.
        baseline: The run that the candidate was compared with.
        candidate: The run that was judged.
        verdicts: In the order of the rules, those against the baseline first.
        tests: The number of significance tests that were corrected together.
        seed: The seed of their draws.
        notes: Notes for the user, a line each.
        accepted: Tasks that were compared with published scores though only the counts of their data agree.
        too_few: How many of the inconclusive checks ask for a test that has too few items to ever fail.
        releases: The other runs that it was compared with, by the name in the rules.
    """

    rules: Rules
    baseline: Run
    candidate: Run
    verdicts: tuple[Verdict, ...]
    tests: int
    seed: int
    notes: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    too_few: int = 0
    releases: Mapping[str, Run] = field(default_factory=dict)

    @property
    def settings(self) -> str:
        """The line on settings that differ between the runs; empty where none do."""
        return settings_differ(self.baseline.record, self.candidate.record)

    @property
    def counts(self) -> Mapping[Outcome, int]:
        """The number of verdicts by outcome."""
        return Counter(verdict.outcome for verdict in self.verdicts)

    @property
    def exit_code(self) -> int:
        """1 where a rule is broken, which is certain whatever is inconclusive; else 2 where a check is inconclusive."""
        return 1 if self.counts["FAIL"] else 2 if self.counts["inconclusive"] else 0


def judge(
    rules: Rules,
    baseline: Run,
    candidate: Run,
    *,
    published_part: Run | None = None,
    means: Means | None = None,
    known: Mapping[str, str] = MappingProxyType({}),
    matched: ServerMatch | None = None,
    seed: int = 0,
    since: str = "",
) -> Report:
    """Judge a run by all of the rules.

    Args:
        rules: The rules.
        baseline: The run that the candidate is compared with.
        candidate: The run.
        published_part: The candidate's tasks and splits that a published baseline has scores of; None for all of it.
        means: The averages that the benchmark itself takes. A rule that names one asks for all of its tasks, over all
            that counts in it; patterns pass over them.
        known: By task what else is known of it, a note that moves no verdict.
        matched: The comparison of the candidate's server with its checkpoint; None for none.
        seed: The seed of the significance tests.
        since: The release that the baseline is of, as sentences name it; see ``since.py``.

    Raises:
        BadInput: A rule names a task, a type or an average that neither run has, or the runs share no task.
    """
    means = means or Means()
    tasks = {
        name: [run.record.tasks[name] for run in (baseline, candidate) if name in run.record.tasks]
        for name in dict.fromkeys([*baseline.record.tasks, *candidate.record.tasks])
    }
    chosen = [chosen_by(rules, rule, tasks, means.weights) if rule.select else {} for rule in rules.rules]
    asked = {
        name: names
        for rule, subjects in zip(rules.rules, chosen, strict=True)
        for name, names in subjects.items()
        if "no-significant-drop" in rule.checks
    }
    comparison = compare(
        [baseline, published_part or candidate],
        allow_differences=True,
        seed=seed,
        tests={name for name in asked if name in tasks},
        averages={name: names for name, names in asked.items() if name not in tasks},
    )
    lines = {line.task: line for line in comparison.lines}
    smallest = _smallest(comparison)
    records = (baseline.record, candidate.record, (published_part or candidate).record)
    judged = [*dict.fromkeys(name for its in chosen for names in its.values() for name in names)]
    accepted = _accepted(published_part, judged)
    pair = Pair(baseline, candidate, published=published_part is not None, accepted=accepted, since=since)
    verdicts: list[Verdict] = []
    too_few = 0
    for rule, subjects in zip(rules.rules, chosen, strict=True):
        if not rule.select:
            verdicts += [_verdict_of_model(check, rule, baseline, candidate, matched) for check in rule.checks]
        for name, names in subjects.items():
            its = tuple(lines[each] for each in names if each in lines)
            kind = its[0].kind if name in tasks else ""
            test = _test(comparison, name, its)
            subject = Subject(name, kind, its, *records, smallest.get(name, 0.0), names, pair.names[0], test)
            lacking = _lacking(subject, means if name not in tasks else Means())
            for check in rule.checks:
                verdict, few = _verdict(check, rule, subject, pair, rules.alpha, lacking)
                verdicts.append(verdict)
                too_few += few
    count = len(_tests(comparison))
    notes = tuple(_notes([lines[name] for name in judged if name in lines], pair, known))
    return Report(rules, baseline, candidate, tuple(verdicts), count, seed, notes, accepted, too_few)


def _notes(lines: Sequence[Line], pair: Pair, known: Mapping[str, str]) -> Iterator[str]:
    """The notes on what is judged, each with its tasks, and the settings that differ within a run."""
    baseline, candidate = pair.baseline, pair.candidate
    if pair.published and (words := variant(candidate.record, [line.task for line in lines])):
        yield f"the candidate has {OTHER_SETTINGS}: {words}"
    tasks: dict[str, list[str]] = {}
    for line in lines:
        for note in dict.fromkeys([*line.notes, *([known[line.task]] if line.task in known else [])]):
            tasks.setdefault(note, []).append(line.task)
    for note, names in tasks.items():
        yield f"{note}: {first_few(names)}"
    if versions := mteb_differs(baseline.record, candidate.record):
        yield versions
    for run, whose in zip((baseline, candidate), pair.names, strict=True):
        if mixed := settings_mixed(run.record.tasks.values(), run.record.spec):
            yield f"between tasks of the {whose}: {mixed}"


def _accepted(published_part: Run | None, names: Sequence[str]) -> tuple[str, ...]:
    """Tasks with published scores whose data counts as official by its counts: nothing is said to differ in it."""
    records = published_part.record.tasks if published_part else {}
    data = {name: records[name].data for name in names if name in records}
    return tuple(
        name for name, its in data.items() if DataState.of(its) is DataState.COUNTS_AGREE and not its.get("differences")
    )


def _tests(comparison: Comparison) -> dict[str, Tested]:
    """The tests of tasks and averages, by name."""
    tasks = {line.task: line.cells[1].test for line in comparison.lines}
    averages = {label: its[0] for label, its in comparison.asked.items()}
    return {name: test for name, test in {**tasks, **averages}.items() if isinstance(test, Tested)}


def _test(comparison: Comparison, name: str, lines: Sequence[Line]) -> Tested | str:
    """The test of a task or an average; why there is none."""
    if name in comparison.asked:
        return comparison.asked[name][0]
    cell = lines[0].cells[1] if lines else None
    return (cell.test or cell.untested) if cell else "neither run has it"


def _smallest(comparison: Comparison) -> dict[str, float]:
    """The least p after Holm's correction that the test of each task and average could give.

    An adjusted p never rises where another p falls, so each is at its least where all are.
    """
    items = {name: test.paired.clusters for name, test in _tests(comparison).items()}
    return dict(zip(items, holm(list(map(smallest_p, items.values()))).tolist(), strict=True))


def _lacking(subject: Subject, means: Means) -> str:
    """What a benchmark's own average lacks: a task, or a part of one that counts in it; empty for nothing."""
    if absent := [each for each in subject.weights if each not in [line.task for line in subject.lines]]:
        return f"neither run has {first_few(absent)}"
    if subject.name not in means.weights:
        return ""
    tasks = subject.candidate.tasks
    other = [each for each in subject.weights if each in tasks and not means.takes(tasks[each])]
    return f"{printable(subject.name)} is over other splits or subsets of {first_few(other)}" if other else ""


def _verdict(
    check: Check, rule: Rule, subject: Subject, pair: Pair, alpha: float, lacking: str
) -> tuple[Verdict, bool]:
    """The verdict of a check, and whether it has too few items to be judged; none can be given of what lacks a part."""
    outcome: Outcome = "inconclusive"
    result: CheckResult | None = None
    limit, few = rule.checks[check], False
    try:
        if lacking:
            raise Unknown(lacking)
        check_known(subject.lines, pair)
        result = CHECKS[check](subject, rule, limit or 0.0, alpha)
        outcome, said = "pass" if result.holds else "FAIL", result.said
        if any(line.task in pair.accepted for line in subject.lines):
            said += f"; {DataState.COUNTS_AGREE.words}"
    except Unknown as unknown:
        said, few = str(unknown), isinstance(unknown, TooFew)
    numbers = (result.unit, result.baseline, result.candidate) if result else ("score", None, None)
    verdict = Verdict(rule.label, check, limit, subject.name, subject.kind, outcome, said, *numbers)
    if verdict.unit in ("score", "nats"):
        whose = subject.candidate if check == "min-score" else subject.compared
        ends = _ends(subject, subject.baseline, verdict.baseline), _ends(subject, whose, verdict.candidate)
        verdict = replace(verdict, baseline_ends=ends[0], candidate_ends=ends[1])
    if result and check == "no-significant-drop" and isinstance(subject.test, Tested):
        verdict = replace(verdict, p=subject.test.adjusted)
    return replace(verdict, since=pair.since), few


def _verdict_of_model(check: Check, rule: Rule, baseline: Run, candidate: Run, matched: ServerMatch | None) -> Verdict:
    """The verdict of a check of the candidate in use: what ``flagbench speed`` and ``match`` found of it."""
    limit = rule.checks[check]
    subject = "speed" if check in SPEED_CHECKS else "server"
    try:
        if check in SPEED_CHECKS:
            result = SPEED_CHECKS[check](baseline, candidate, rule, limit or 0.0)
        else:
            result = server_matches(matched, candidate, limit or 0.0)
    except Unknown as unknown:
        return Verdict(rule.label, check, limit, subject, "", "inconclusive", str(unknown))
    outcome: Outcome = "pass" if result.holds else "FAIL"
    numbers = (result.unit, result.baseline, result.candidate)
    return Verdict(rule.label, check, limit, subject, "", outcome, result.said, *numbers)


def _ends(subject: Subject, record: RunRecord, score: float | None) -> Ends | None:
    """The ends of the interval of a task's score, or an average's."""
    names = [line.task for line in subject.lines]
    if score is None or any(name not in record.tasks for name in names):
        return None
    if subject.kind and len(names) == 1:
        found = of_task(record.tasks[names[0]])
    else:
        found = of_average(subject.weights or alike(names), score, [record.tasks[name] for name in names])
    return found.ends if found else None


def chosen_by(
    rules: Rules, rule: Rule, tasks: Mapping[str, Sequence[TaskRecord]], means: Mapping[str, Weights]
) -> dict[str, Weights]:
    """Select what a rule applies to: tasks by name, and the tasks of each average with their weights.

    A pattern, a type and an average pass over tasks that have no score; by its name such a task is judged.

    Raises:
        BadInput: A name or a pattern of the rule matches nothing that the runs have, or an average has the name of a
            task, and which of the two is meant is not known.
    """
    scored = [
        name
        for name, records in tasks.items()
        if any(record.status != "success" or record.score is not None for record in records)
    ]
    kinds = {name: records[0].kind for name, records in tasks.items()}
    averages = {f"{kind} mean": tuple(name for name in scored if kinds[name] == kind) for kind in kinds.values()}
    averages = {**averages, _AVERAGE: tuple(of_one_scale(scored, lambda name: tasks[name][0].main_score))}
    averages = {label: its for label, its in averages.items() if its}
    result: dict[str, Weights] = {}
    for pattern in rule.select.get("tasks", ()):
        names = _matching(rules, rule, "task", pattern, tasks)
        result |= {name: alike([name]) for name in names if name == pattern or name in scored}
    for pattern in rule.select.get("types", ()):
        its_kinds = _matching(rules, rule, "type", pattern, list(dict.fromkeys(kinds.values())))
        result |= {name: alike([name]) for name in scored if kinds[name] in its_kinds}
    for pattern in rule.select.get("averages", ()):
        if pattern in means and pattern not in averages:
            its = {pattern: means[pattern]}
        else:
            its = {label: alike(averages[label]) for label in _matching(rules, rule, "average", pattern, averages)}
        if both := [label for label in its if label in tasks]:
            raise BadInput(
                f"{rules.file}: {printable(rule.label)}: {first_few(both)} is an average and a task as well: give the "
                "task another name (name = in its task.toml), or leave the average out"
            )
        result |= its
    if not result:
        raise BadInput(f"{rules.file}: {printable(rule.label)}: none of its tasks has a score")
    return result


def _matching(rules: Rules, rule: Rule, what: str, pattern: str, known: Collection[str]) -> list[str]:
    if pattern in known:
        return [pattern]
    names = [name for name in known if fnmatchcase(name, pattern)]
    if not names:
        unknown = UnknownName(what, printable(pattern), map(printable, known), "neither run has it")
        raise BadInput(f"{rules.file}: {printable(rule.label)}: {unknown}")
    return names
