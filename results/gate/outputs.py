"""A gate's verdicts for a terminal, a pull request and programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from flagbench import first_few, printable
from flagbench.results.compare.text import escaped
from flagbench.results.data_state import DataState
from flagbench.results.figures import NATS, PERCENT
from flagbench.results.gate.checks import Outcome, Unit
from flagbench.results.gate.judge import Report, Verdict
from flagbench.results.runs import Run

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
    counts = ", ".join(f"{report.counts[outcome]} {outcome}" for outcome in _ORDER if report.counts[outcome])
    if report.too_few:
        counts += f" ({report.too_few} with too few items to judge)"
    against = f"{printable(report.candidate.label)} against {printable(report.baseline.label)}"
    taken = (
        f" ({DataState.COUNTS_AGREE.words}: {first_few(map(printable, report.accepted))})" if report.accepted else ""
    )
    return f"{word}: {counts} of {len(report.verdicts)} checks of {against}{taken}"


def render(report: Report) -> tuple[Table, Sequence[Text]]:
    """A Rich table, what is broken first, and the lines below it."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(f"regression gate {report.rules.file}"), title_justify="left", title_style="bold")
    for name in _HEADINGS:
        table.add_column(name, justify="right" if name in _NUMBERS else "left", overflow="fold")
    for verdict in in_order(report):
        outcome, *others = _cells(verdict)
        # Text is shown as it is: a name may look like rich's markup.
        table.add_row(Text(outcome, style=_STYLES[verdict.outcome]), *map(Text, others))
    style = _STYLES[{0: "pass", 1: "FAIL", 2: "inconclusive"}[report.exit_code]]
    return table, [*map(Text, notes(report)), Text(headline(report), style=style)]


def to_markdown(report: Report) -> str:
    """A table of broken and inconclusive checks, and one of passed checks that unfolds; scores in percent."""
    off = [verdict for verdict in in_order(report) if verdict.outcome != "pass"]
    passed = [verdict for verdict in report.verdicts if verdict.outcome == "pass"]
    parts = [f"### Regression gate: {escaped(headline(report))}"]
    if off:
        parts.append(_table(off))
    if passed:
        parts.append(f"<details><summary>{len(passed)} pass</summary>\n\n{_table(passed)}\n\n</details>")
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


def notes(report: Report) -> list[str]:
    """Notes below the table, a line each."""
    lines = [report.settings] if report.settings else []
    lines += [f"note: {printable(note)}" for note in report.notes]
    if report.tests:
        lines.append(
            f"significance: two-sided sign flips item by item, Holm's correction over the gate's tests "
            f"({report.tests}), level {report.rules.alpha:g}, seed {report.seed}"
        )
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
    numbers = [_number(number, verdict.unit) for number in (verdict.baseline, verdict.candidate)]
    names = [printable(name) for name in (verdict.subject, verdict.rule)]
    return [verdict.outcome, *names, check_line(verdict), *numbers, printable(verdict.said)]


def _number(number: float | None, unit: Unit) -> str:
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
    return (NATS if unit == "nats" else PERCENT).figure(number)
