"""Rules that compare with a release by its name instead of the baseline: drops that are small each add up."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from flagbench import BadInput, first_few, printable
from flagbench.results.gate.judge import Report
from flagbench.results.gate.rules import Rules


def check_releases(rules: Rules, releases: Collection[str]) -> None:
    """See that each release that a rule names is there, and each that is there is one that a rule names.

    Args:
        rules: The rules.
        releases: Names of those that are there.

    Raises:
        BadInput: They are not the same, or no rule compares with the baseline.
    """
    for rule in rules.rules:
        if rule.since and rule.since not in releases:
            name = printable(rule.since)
            raise BadInput(
                f"{rules.file}: {printable(rule.label)} compares with the release {name}: name its run or saved "
                f"baseline with --release {name}=FILE"
            )
    named = {rule.since for rule in rules.rules}
    if idle := [name for name in releases if name not in named]:
        raise BadInput(
            f"no rule of {rules.file} compares with the release {first_few(map(printable, idle))}: add "
            f'since = "{printable(idle[0])}" to a rule, or drop --release'
        )
    if "" not in named:
        raise BadInput(
            f"no rule of {rules.file} compares with --baseline, as each has since: add one that does, or drop since "
            "from those of one release and give that release as --baseline"
        )


def compared_with(rules: Rules) -> int:
    """How many runs a gate tests drops against: the baseline, and the releases that its rules name."""
    return len({rule.since for rule in rules.rules if "no-significant-drop" in rule.checks})


def judge_by_release(rules: Rules, judge_part: Callable[[Rules, str], Report]) -> Report:
    """Judge a run by all rules, each against what it compares with.

    Tests against each of these are corrected together, at an even share of ``alpha``, so that all of them raise a
    false alarm with a chance of at most that (Bonferroni over what is compared with, Holm within).

    Args:
        rules: Of which one compares with the baseline at least.
        judge_part: Judges by some rules, which all compare with the release of this name, or the baseline (empty).
    """
    names = sorted(dict.fromkeys(rule.since for rule in rules.rules), key=bool)
    by_name = {name: tuple(rule for rule in rules.rules if rule.since == name) for name in names}
    tested = compared_with(rules)
    alpha = rules.alpha / max(1, tested)
    parts = {name: judge_part(replace(rules, rules=its, alpha=alpha), name) for name, its in by_name.items()}
    whole = parts.pop("")
    notes = list(whole.notes)
    if tested > 1:
        notes.append(f"alpha {rules.alpha:g} is shared: the tests against each of {tested} runs have {alpha:g}")
    for name, part in parts.items():
        its = [part.settings] if part.settings else []
        notes += [f"since {name}: {note}" for note in [*its, *part.notes]]
    every = [whole, *parts.values()]
    return replace(
        whole,
        rules=rules,
        verdicts=tuple(verdict for part in every for verdict in part.verdicts),
        tests=sum(part.tests for part in every),
        notes=tuple(notes),
        too_few=sum(part.too_few for part in every),
        releases={name: part.baseline for name, part in parts.items()},
    )
