"""Runs side by side as text: JSON, CSV, Markdown, and what tables of a terminal show (``screen.py``)."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flagbench import counted, first_few, printable
from flagbench.results.compare.averages import Average
from flagbench.results.compare.compare import ALPHA, Cell, Comparison, too_few
from flagbench.results.figures import Ends, Scale
from flagbench.results.intervals import LEVEL
from flagbench.results.kinds import unit_of
from flagbench.results.runs import Run
from flagbench.results.statistics import PERMUTATIONS, RESAMPLES
from flagbench.results.tested import Tested
from flagbench.results.uncertainty import Shown, legend
from flagbench.results.versions import mteb_differs

TEXTS = ("task", "average", "type", "run", "metric")
"""Headings of columns of words."""

# What formulas begin with: https://owasp.org/www-community/attacks/CSV_Injection.
_FORMULAS = ("=", "+", "-", "@", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}", "\N{FULLWIDTH HYPHEN-MINUS}")


@dataclass(frozen=True)
class Words:
    """What notes say of runs that are one series.

    Attributes:
        reference: Why the first run is it, behind its name; empty where it was named first.
        settings: The line on all settings that differ, instead of one for each run; empty for these.
    """

    reference: str = ""
    settings: str = ""


_ALWAYS = ("label", "tasks", "scores", "deltas")
"""Of an average: what an object of JSON has whether there is something of it or not."""

NO_WORDS = Words()
"""Of runs of which nothing of the kind is known."""


def to_json(comparison: Comparison, more: Mapping[str, Any] | None = None) -> str:
    """All that was found, as JSON; scores and differences as they are recorded, which is not in percent.

    Args:
        comparison: The runs.
        more: Objects beside what is known of the comparison, by their keys.
    """
    runs = [
        {part: getattr(run.record, part) for part in ("benchmark", "model", "revision")}
        | {"label": run.label, "folder": str(run.folder), "missing": missing}
        | dict(zip(("won", "tied", "lost"), tally, strict=True))
        for run, missing, tally in zip(comparison.runs, comparison.missing, comparison.tallies, strict=True)
    ]
    method = {"test": "sign flips", "permutations": PERMUTATIONS, "interval": "BCa bootstrap", "level": LEVEL}
    document = {
        "runs": runs,
        "tasks": [asdict(line) for line in comparison.lines],
        "averages": [
            {name: value for name, value in asdict(average).items() if name in _ALWAYS or any(value)}
            for average in comparison.averages
        ],
        "differences": comparison.differences,
        "settings": [{"label": run.label, "line": line} for run, line in _settings(comparison)],
        "settings_between_tasks": [{"label": run.label, "line": line} for run, line in _mixed(comparison)],
        "method": method | {"resamples": RESAMPLES, "correction": "Holm", "alpha": ALPHA, "seed": comparison.seed},
        **(more or {}),
    }
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def to_csv(comparison: Comparison) -> str:
    """One row for each task and run, and for each average of several tasks and run, to compute with: numbers as they
    are recorded, which is not in percent. The type of an average is ``average``.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    tested = ("queries", "difference", "low", "high", "p", "better", "same", "worse")
    head = ("task", "type", "main_score", "run", "model", "revision", "status", "score", "delta", "metric")
    more = ("untested", "note", "score_low", "score_high", "smallest_p")
    writer.writerow([*head, *tested, "p_holm", "significant", *more])

    def write(
        its: tuple[str, str, str, str],
        run: Run,
        scores: tuple[float | None, float | None],
        test: Tested | None,
        remarks: tuple[str, str],
        ends: Ends | None,
    ) -> None:
        *of, status = its
        found = [getattr(test.paired, part) for part in tested] if test else [""] * len(tested)
        verdict = (test.adjusted, str(test.significant).lower()) if test else ("", "")
        row = (*of, run.label, run.record.model, run.record.revision, status, *scores, test.metric if test else "")
        least = test.paired.smallest_p if test else ""
        writer.writerow(map(of_spreadsheet, [*row, *found, *verdict, *remarks, *(ends or ("", "")), least]))

    for line in comparison.lines:
        for run, cell in zip(comparison.runs, line.cells, strict=True):
            its = (line.task, line.kind, line.main_score, cell.status)
            write(its, run, (cell.score, cell.delta), cell.test, (cell.untested, cell.note), cell.ends)
    for each in comparison.averages:
        for at, run in enumerate(comparison.runs if each.tasks > 1 else ()):
            test, why = (each.tests[at], each.untested[at]) if each.tests else (None, "")
            of = (each.label, "average", each.metric, "")
            scores, ends = (each.scores[at], each.deltas[at]), each.ends[at] if each.ends else None
            write(of, run, scores, test, (why, each.note), ends)
    return out.getvalue()


def of_spreadsheet(value: object) -> object:
    """A value of a CSV file: a text that a spreadsheet would take for a formula has an apostrophe before it."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULAS) else text


def to_markdown(comparison: Comparison, words: Words = NO_WORDS) -> str:
    """Tables and notes; scores in percent where they have no unit behind them.

    Args:
        comparison: The runs.
        words: What is known of them all.
    """
    parts = []
    for title, headings, groups in tables_of(comparison):
        lines = [
            f"| {' | '.join(map(escaped, row))} |" for row in (headings, *(row for rows in groups for row in rows))
        ]
        rule = f"| {' | '.join('---' if name in TEXTS else '---:' for name in headings)} |"
        parts.append("\n".join([f"**{escaped(title)}**", "", lines[0], rule, *lines[1:], ""]))
    notes = "\n".join(f"- {escaped(note)}" for note in notes_of(comparison, words))
    return "\n".join([*parts, notes]) + "\n"


def tables_of(
    comparison: Comparison, *, intervals: bool = True
) -> Iterator[tuple[str, list[str], list[list[list[str]]]]]:
    """Title, headings and groups of rows of the scores, and of the tests where there are any.

    Args:
        comparison: The runs.
        intervals: Whether scores stand with their intervals.
    """
    first, *others = [run.label for run in comparison.runs]
    tasks = [
        [printable(line.task), printable(line.kind), *_flat(_cells(cell, line.scale, intervals) for cell in line.cells)]
        for line in comparison.lines
    ]
    means = [
        [f"{printable(each.label)} of {each.tasks} shared", "", *_flat(_of_average(each, intervals))]
        for each in comparison.averages
    ]
    tallies = ["tasks won / tied / lost", "", *_flat(("", " / ".join(map(str, each))) for each in comparison.tallies)]
    headings = ["task", "type", first, *(name for label in others for name in (label, "Δ"))]
    yield "scores in percent", headings, [tasks, [*means, tallies]]

    def whose(run: Run) -> list[str]:
        return [run.label] if len(others) > 1 else []

    rows = [
        [
            printable(line.task),
            *([run.label] if len(others) > 1 else []),
            *_test_cells(cell.test, line.kind, line.scale),
        ]
        for line in comparison.lines
        for run, cell in zip(comparison.runs, line.cells, strict=True)
        if cell.test
    ]
    averages = [
        [printable(each.label), *whose(run), *_test_cells(test, "", each.scale)[1:]]
        for each in comparison.averages
        for run, test in zip(comparison.runs, each.tests, strict=False)
        if test
    ]
    columns = [*(["run"] if len(others) > 1 else []), "metric", "items", "+ / = / -", "mean Δ"]
    columns += [f"{LEVEL:.0%} interval", "p", "p (Holm)"]
    if rows:
        yield f"{', '.join(others)} against {first}, item by item", ["task", *columns], [rows]
    if averages:
        columns.remove("metric")
        yield f"{', '.join(others)} against {first}, over the items of all tasks", ["average", *columns], [averages]


def has_intervals(comparison: Comparison) -> bool:
    """Tell whether a score of them has an interval."""
    return any(cell.ends for line in comparison.lines for cell in line.cells)


def _too_few(comparison: Comparison) -> Iterator[str]:
    """Lines on tests that can not be significant, though an interval of theirs may be without 0."""
    tests = [(cell.test, line.task) for line in comparison.lines for cell in line.cells]
    tests += [(test, each.label) for each in comparison.averages for test in each.tests]
    subjects: dict[str, dict[str, None]] = {}
    for test, subject in tests:
        if test and (its := too_few(test)):
            items = counted(its.items, "item")
            over = f"in which {items} differ{'s' if its.items == 1 else ''}" if its.differ else f"over {items}"
            line = f"a test {over} can never be significant (p is at least {its.p:g})"
            subjects.setdefault(line, {})[printable(subject)] = None
    yield from (f"{line}: {first_few(its)}" for line, its in subjects.items())


def scored(comparison: Comparison) -> Iterator[Shown]:
    """All scores of the tables with their intervals."""
    for line in comparison.lines:
        yield from ((line.scale, cell.score, cell.ends) for cell in line.cells)
    for each in comparison.averages:
        yield from ((each.scale, *its) for its in zip(each.scores, each.ends, strict=False))


def _of_average(each: Average, intervals: bool) -> Iterator[tuple[str, str]]:
    """Score and difference of each run."""
    for at, (score, delta) in enumerate(zip(each.scores, each.deltas, strict=True)):
        test = each.tests[at] if each.tests else None
        mark = "†" if test and test.significant and delta is not None else ""
        ends = each.ends[at] if intervals and each.ends else None
        yield each.scale.within(score, ends), each.scale.gain(delta) + mark


def _flat(cells: Iterable[tuple[str, str]]) -> list[str]:
    """Score and difference of each run, one after the other; the first run has no difference."""
    (first, _), *others = cells
    return [first, *(text for pair in others for text in pair)]


def _cells(cell: Cell, scale: Scale, intervals: bool) -> tuple[str, str]:
    mark = "†" if cell.test and cell.test.significant and cell.delta is not None else ""
    named = {"missing": "", "error": "failed"}.get(cell.status, "no score")
    text = scale.within(cell.score, cell.ends if intervals else None) or named
    return f"{text} (partial)" if cell.status == "partial" else text, scale.gain(cell.delta) + mark


def _test_cells(test: Tested, kind: str, scale: Scale) -> list[str]:
    its, name, gain = test.paired, unit_of(kind), scale.gain
    items = f"{its.queries:,} {name}" if {its.queries} == set(test.queries) else f"{its.queries:,} shared {name}"
    items += f" in {its.clusters:,} clusters" if its.clusters < its.queries else ""
    better = f"{its.better:,} / {its.same:,} / {its.worse:,}"
    interval = "" if its.low is None else f"{gain(its.low)} to {gain(its.high)}"
    return [test.metric, items, better, gain(its.difference), interval, f"{its.p:.4f}", f"{test.adjusted:.4f}"]


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, in one cell of a table."""
    return re.sub(r"([\\|`*<\[&~$])", r"\\\1", printable(text))


def _settings(comparison: Comparison) -> list[tuple[Run, str]]:
    return [(run, line) for run, line in zip(comparison.runs, comparison.settings, strict=True) if line]


def _mixed(comparison: Comparison) -> list[tuple[Run, str]]:
    return [(run, line) for run, line in zip(comparison.runs, comparison.mixed, strict=True) if line]


def notes_of(comparison: Comparison, words: Words = NO_WORDS, *, intervals: bool = True) -> list[str]:
    """Notes below the tables, one line each.

    Args:
        comparison: The runs.
        words: What is known of them all.
        intervals: Whether scores stand with their intervals.
    """
    runs = comparison.runs
    tests = [cell.test for line in comparison.lines for cell in line.cells if cell.test]
    tasks_by_note: dict[str, list[str]] = {}
    for line in comparison.lines:
        for run, cell in zip(runs, line.cells, strict=True):
            part = {"error": "failed", "partial": "of a part of the data, not averaged", "missing": "not run"}
            if cell.status in part:
                tasks_by_note.setdefault(f"{run.label}: {part[cell.status]}", []).append(line.task)
            if cell.untested and None not in (cell.score, line.cells[0].score):
                tasks_by_note.setdefault(f"{run.label}: not tested, {cell.untested}", []).append(line.task)
            if cell.test and len({cell.test.paired.queries, *cell.test.queries}) > 1:
                counts = f"{cell.test.paired.queries:,} shared of {cell.test.queries[0]:,} and {cell.test.queries[1]:,}"
                tasks_by_note.setdefault(f"{run.label}: tested on {unit_of(line.kind)} {counts}", []).append(line.task)
        for note in line.notes:
            tasks_by_note.setdefault(note, []).append(line.task)
    of_averages = [test for each in comparison.averages for test in each.tests if test]
    notes = [
        f"Δ is to {runs[0].label}{words.reference}"
        + ("; + / = / - are items that are better, equal and worse" if tests else "")
    ]
    if words.settings:
        notes.append(words.settings)
    for run, changes in _settings(comparison) if not words.settings else ():
        notes.append(changes if len(runs) == 2 else f"{run.label}: {changes}")
    for run, changes in ((run, mteb_differs(runs[0].record, run.record)) for run in runs[1:]):
        notes += [changes if len(runs) == 2 else f"{run.label}: {changes}"] if changes else []
    for run, changes in _mixed(comparison):
        notes.append(f"{run.label}: {changes} (between its own tasks, so they have no average)")
    notes += [f"{printable(each.label)}: {each.note}" for each in comparison.averages if each.note]
    if tests:
        notes.append(
            f"† significant: p (Holm) at most {ALPHA}, two-sided sign flips ({PERMUTATIONS:,} drawn, or all), Holm's "
            f"correction for {counted(len(tests), 'test')}"
            + (f", and for the {len(of_averages)} of averages" if of_averages else "")
            + f", seed {comparison.seed}; interval: BCa bootstrap, {RESAMPLES:,} resamples (fewer than 30 items: "
            "Student's t)"
        )
    notes += _too_few(comparison)
    if intervals:
        notes += legend(scored(comparison), samples=any(run.record.sampled for run in runs))
    for each in comparison.averages:
        for run, why in zip(runs, each.untested, strict=False):
            if why:
                tasks_by_note.setdefault(f"{run.label}: not tested, {why}", []).append(each.label)
    for text, tasks in tasks_by_note.items():
        notes.append(f"{text}: {first_few(map(printable, tasks))}")
    return [*notes, *comparison.differences]
