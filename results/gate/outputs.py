"""A gate's verdicts for a terminal, a pull request and programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from flagbench import counted, first_few, printable
from flagbench.results.compare.text import escaped
from flagbench.results.data_state import DataState
from flagbench.results.figures import NATS, PERCENT, Ends, Scale
from flagbench.results.fitting import fit
from flagbench.results.gate.checks import Outcome, Unit
from flagbench.results.gate.judge import Report, Verdict
from flagbench.results.gate.rules import OF_MODEL
from flagbench.results.runs import Run
from flagbench.results.uncertainty import legend

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_ORDER: tuple[Outcome, ...] = ("FAIL", "inconclusive", "pass")
_STYLES = {"FAIL": "bold red", "inconclusive": "yellow", "pass": "green"}
_HEADINGS = ("verdict", "task", "rule", "check", "baseline", "candidate", "why")
_NUMBERS = ("baseline", "candidate")


def headline(report: Report) -> str:
    """The whole in one line."""
    word = {0: "PASS", 1: "REGRESSION", 2: "INCONCLUSIVE"}[report.exit_code]
    few = f" ({report.too_few} with too few items to judge)" if report.too_few else ""
    counts = ", ".join(
        f"{report.counts[outcome]} {outcome}{few if outcome == 'inconclusive' else ''}"
        for outcome in _ORDER
        if report.counts[outcome]
    )
    against = f"{printable(report.candidate.label)} against {printable(report.baseline.label)}"
    taken = (
        f" ({DataState.COUNTS_AGREE.words}: {first_few(map(printable, report.accepted))})" if report.accepted else ""
    )
    return f"{word}: {counts} of {len(report.verdicts)} checks of {against}{taken}"


def render(report: Report, *, width: int, passes: bool = True) -> tuple[Table | None, Sequence[Text]]:
    """A Rich table, what is broken first, and the lines below it; no table where it would have no rows.

    A terminal that has no room for all columns gets a table of two: the verdict, and the check in some lines.

    Args:
        report: The gate.
        passes: Have a row for each check that passes, and not a line for all of them.
        width: Columns of the terminal.
    """
    from rich.text import Text

    shown = [each for each in in_order(report) if passes or each.outcome != "pass"]
    title = f"regression gate {report.rules.file}"
    table = _side_by_side(title, shown)
    if len(fit(table, width)) > 1:
        table = _stacked(title, shown)
    style = _STYLES[{0: "pass", 1: "FAIL", 2: "inconclusive"}[report.exit_code]]
    folded = not passes and report.counts["pass"]
    what = "it" if folded == 1 else "them"
    line = [Text(f"{passed(report)}; --all shows {what}", style="green")] if folded else []
    return table if shown else None, [*line, *map(Text, notes(report, shown)), Text(headline(report), style=style)]


def _side_by_side(title: str, shown: Sequence[Verdict]) -> Table:
    """A table with all columns."""
    from rich.table import Table
    from rich.text import Text

    made = Table(title=Text(title), title_justify="left", title_style="bold")
    for name in _HEADINGS:
        made.add_column(name, justify="right" if name in _NUMBERS else "left")
    for verdict in shown:
        outcome, *others = _cells(verdict)
        # Text is shown as it is: a name may look like rich's markup.
        made.add_row(Text(outcome, style=_STYLES[verdict.outcome]), *map(Text, others))
    return made


def _stacked(title: str, shown: Sequence[Verdict]) -> Table:
    """A table of verdicts and checks, each of these with its rule, its scores and why on lines of their own."""
    from rich.table import Table
    from rich.text import Text

    made = Table("verdict", "check", title=Text(title), title_justify="left", title_style="bold", show_lines=True)
    for verdict in shown:
        outcome, subject, rule, check, *numbers, why = _cells(verdict)
        scores = " → ".join(filter(None, numbers))
        said = (f"{subject}: {check}, {rule}", "" if scores in why else scores, why)
        made.add_row(Text(outcome, style=_STYLES[verdict.outcome]), Text("\n".join(filter(None, said))))
    return made


def passed(report: Report) -> str:
    """What passes, in a few words, such as ``12 tasks and 1 average pass``."""
    its: dict[tuple[str, bool], list[bool]] = {}
    alone = [verdict.outcome == "pass" for verdict in report.verdicts if verdict.check in OF_MODEL]
    for verdict in report.verdicts:
        if verdict.check not in OF_MODEL:
            its.setdefault((verdict.subject, bool(verdict.kind)), []).append(verdict.outcome == "pass")
    whole = [task for (_, task), each in its.items() if all(each)]
    parts = [(whole.count(True), "task"), (whole.count(False), "average")]
    more = sum(alone) + sum(sum(each) for each in its.values() if not all(each))
    parts.append((more, "further check" if whole else "check"))
    words = [counted(number, what) for number, what in parts if number]
    single = sum(number for number, _ in parts) == 1
    return (
        f"{' and '.join([', '.join(words[:-1]), words[-1]] if words[1:] else words)} {'passes' if single else 'pass'}"
    )


def to_markdown(report: Report, *, passes: bool = False) -> str:
    """A table of broken and inconclusive checks, and one of passed checks that unfolds; scores in percent.

    Args:
        report: The gate.
        passes: Unfold it.
    """
    off = [verdict for verdict in in_order(report) if verdict.outcome != "pass"]
    its = [verdict for verdict in report.verdicts if verdict.outcome == "pass"]
    parts = [f"### Regression gate: {escaped(headline(report))}"]
    if off:
        parts.append(_table(off))
    if its:
        state = " open" if passes else ""
        parts.append(f"<details{state}><summary>{passed(report)}</summary>\n\n{_table(its)}\n\n</details>")
    parts.append("\n".join(f"- {escaped(note)}" for note in notes(report)))
    return "\n\n".join(parts) + "\n"


def to_json(report: Report) -> str:
    """All of it; scores as they are recorded, shares as fractions of 1, limits in the unit of the rules."""
    document = {
        "outcome": {0: "pass", 1: "regression", 2: "inconclusive"}[report.exit_code],
        "exit_code": report.exit_code,
        "counts": {outcome: report.counts[outcome] for outcome in _ORDER},
        "baseline": _run(report.baseline),
        "candidate": _run(report.candidate),
        "releases": {name: _run(run) for name, run in report.releases.items()},
        "verdicts": [asdict(verdict) for verdict in report.verdicts],
        "notes": report.notes,
        "settings": report.settings,
        "too_few_items": report.too_few,
        "method": {"tests": report.tests, "correction": "Holm", "alpha": report.rules.alpha, "seed": report.seed},
    }
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def in_order(report: Report) -> list[Verdict]:
    """Verdicts with the broken checks first, then the inconclusive ones."""
    return sorted(report.verdicts, key=lambda verdict: _ORDER.index(verdict.outcome))


def check_line(verdict: Verdict) -> str:
    """A check as the rules have it."""
    line = verdict.check if verdict.limit is None else f"{verdict.check} {verdict.limit:g}"
    return f"{line} since {printable(verdict.since)}" if verdict.since else line


def notes(report: Report, shown: Sequence[Verdict] | None = None) -> list[str]:
    """Notes below the table, a line each.

    Args:
        report: The gate.
        shown: The checks that the table has, all of them if None: what an interval is, is said where one is shown.
    """
    lines = [report.settings] if report.settings else []
    lines += [f"note: {printable(note)}" for note in report.notes]
    if report.tests:
        lines.append(
            f"significance: two-sided sign flips item by item, Holm's correction over the gate's tests "
            f"({report.tests}), level {report.rules.alpha:g}, seed {report.seed}"
        )
    runs = (report.baseline, report.candidate, *report.releases.values())
    scores = [
        (_scale(verdict.unit), *its)
        for verdict in (report.verdicts if shown is None else shown)
        for its in ((verdict.baseline, verdict.baseline_ends), (verdict.candidate, verdict.candidate_ends))
    ]
    lines += legend(scores, samples=any(run.record.sampled for run in runs))
    for whose, run in (("baseline", report.baseline), ("candidate", report.candidate)):
        lines.append(f"{whose}: {printable(f'{run.record.model_at}, {run.folder}')}")
    for name, run in report.releases.items():
        lines.append(printable(f"release {name}: {run.record.model_at}, {run.folder}"))
    return lines


def _run(run: Run) -> dict[str, str]:
    record = run.record
    return {"model": record.model, "revision": record.revision, "benchmark": record.benchmark, "path": str(run.folder)}


def _table(verdicts: Sequence[Verdict]) -> str:
    rule = ["---:" if name in _NUMBERS else "---" for name in _HEADINGS]
    rows = [[escaped(cell) for cell in _cells(verdict)] for verdict in verdicts]
    return "\n".join(f"| {' | '.join(row)} |" for row in (_HEADINGS, rule, *rows))


def _cells(verdict: Verdict) -> list[str]:
    pairs = (verdict.baseline, verdict.baseline_ends), (verdict.candidate, verdict.candidate_ends)
    numbers = [_number(number, ends, verdict.unit) for number, ends in pairs]
    names = [printable(name) for name in (verdict.subject, verdict.rule)]
    return [verdict.outcome, *names, check_line(verdict), *numbers, printable(verdict.said)]


def _scale(unit: Unit) -> Scale:
    """How scores are shown."""
    return NATS if unit == "nats" else PERCENT


def _number(number: float | None, ends: Ends | None, unit: Unit) -> str:
    if number is None:
        return ""
    if unit == "seconds per text":
        return f"{1000 * number:.3f} ms"
    if unit == "seconds":
        return f"{1000 * number:,.4g} ms"
    if unit == "tokens per second":
        return f"{number:,.0f} tokens/s"
    if unit == "bytes":
        return f"{number / 1e6:,.0f} MB"
    if unit == "cosine":
        return f"{number:.6f}"
    return _scale(unit).within(number, ends)
