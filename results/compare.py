"""Runs side by side: scores, what they gained and lost against the first, and whether chance alone explains it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from flagbench import BadInput, first_few
from results.record import TaskRecord
from results.runs import Run, Tested, difference, other_queries, shown, surely_alike, tested
from results.statistics import LEVEL, PERMUTATIONS, RESAMPLES, holm

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

ALPHA = 0.05
"""Of all tests of a comparison together."""

EQUAL = 1e-9
"""Scores that are this near are equal: they differ in the order of additions."""


@dataclass(frozen=True)
class Cell:
    """One task of one run.

    Attributes:
        status: Of the task; ``missing`` where the run has not got it.
        score: 0 to 1.
        delta: To the first run; None unless both have a score of the whole task.
        test: Against the first run.
        untested: Why there is no test; empty where there is one, and for the first run.
        note: What the record says of the score, or the error.
    """

    status: Literal["success", "partial", "error", "missing"]
    score: float | None = None
    delta: float | None = None
    test: Tested | None = None
    untested: str = ""
    note: str = ""

    @property
    def whole(self) -> float | None:
        """The score, where it is of the whole task."""
        return self.score if self.status == "success" else None


@dataclass(frozen=True)
class Line:
    """One task.

    Attributes:
        task: Name.
        kind: MTEB's task type.
        main_score: Name of the metric.
        cells: One for each run.
        notes: What the user must know when comparing them, besides differences.
        differences: Why their scores do not compare, where that was allowed.
    """

    task: str
    kind: str
    main_score: str
    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Average:
    """A mean over tasks of which all runs have whole scores.

    Attributes:
        label: Of which.
        tasks: How many.
        scores: One for each run, None without tasks.
        deltas: To the first run's, None for that.
    """

    label: str
    tasks: int
    scores: tuple[float | None, ...]
    deltas: tuple[float | None, ...]


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        runs: The first is what the others are held against.
        lines: The tasks, in the order in which the runs name them.
        averages: Of each task type, where there are several, and of all.
        tallies: Tasks won, tied and lost against the first run, for each run.
        seed: Of the tests.
    """

    runs: tuple[Run, ...]
    lines: tuple[Line, ...]
    averages: tuple[Average, ...]
    tallies: tuple[tuple[int, int, int], ...]
    seed: int

    @property
    def differences(self) -> tuple[str, ...]:
        """Why scores do not compare, where that was allowed."""
        return tuple(each for line in self.lines for each in line.differences)

    @property
    def missing(self) -> tuple[tuple[str, ...], ...]:
        """For each run the tasks that others have and it has not."""
        return tuple(
            tuple(line.task for line in self.lines if line.cells[at].status == "missing")
            for at in range(len(self.runs))
        )


def compare(
    runs: Sequence[Run], *, allow_differences: bool = False, seed: int = 0, tests: Collection[str] | None = None
) -> Comparison:
    """Put runs side by side.

    Args:
        runs: Two or more; the first is what the others are held against.
        allow_differences: Compare tasks even if their data, splits, subsets, queries or main scores differ.
        seed: Of the permutations and the resamples.
        tests: Tasks to test, where they do not differ; None for all that can be.

    Raises:
        BadInput: There is one run only, or no task in two of them, or a task differs, or a file is damaged.
    """
    if len(runs) < 2:
        raise BadInput(f"{runs[0].label if runs else 'nothing'} is one run only: name two runs or more to compare")
    names = list(dict.fromkeys(name for run in runs for name in run.record.tasks))
    if not any(sum(name in run.record.tasks for run in runs) > 1 for name in names):
        ran = "; ".join(f"{run.label} ran {shown(run.record.benchmark)}" for run in runs)
        raise BadInput(f"the runs have no task in common ({ran}): name runs of the same tasks")
    return side_by_side(runs, allow_differences=allow_differences, seed=seed, tests=tests)


def side_by_side(
    runs: Sequence[Run],
    *,
    allow_differences: bool = False,
    seed: int = 0,
    tests: Collection[str] | None = None,
    by_query: bool = True,
) -> Comparison:
    """The same of any runs: of one alone as well, and of some that share no task.

    Args:
        runs: One or more.
        allow_differences: See ``compare``.
        seed: See ``compare``.
        tests: See ``compare``.
        by_query: Read the values by query; without them nothing is tested, which is quick.

    Raises:
        BadInput: A task differs, or a file is damaged.
    """
    lines = []
    for name in dict.fromkeys(name for run in runs for name in run.record.tasks):
        line = _line(name, runs, seed, tests if by_query else (), by_query=by_query and len(runs) > 1)
        if line.differences and not allow_differences:
            raise BadInput(f"{line.differences[0]}; compare runs over the same data, or use --allow-differences")
        lines.append(line)
    lines = _corrected(lines)
    tallies = tuple(_tally(lines, at) for at in range(len(runs)))
    return Comparison(tuple(runs), tuple(lines), tuple(_averages(lines, len(runs))), tallies, seed)


def _line(task: str, runs: Sequence[Run], seed: int, tests: Collection[str] | None, *, by_query: bool) -> Line:
    """One task of all runs."""
    records = [run.record.tasks.get(task) for run in runs]
    values = [run.values(task) if record and by_query else None for run, record in zip(runs, records, strict=True)]
    scored = [
        (run, record, its)
        for run, record, its in zip(runs, records, values, strict=True)
        if record and record.score is not None
    ]
    differences: list[str] = []
    notes: list[str] = []
    for run, record, its in scored[1:]:
        base, first, one = scored[0]
        found = [*difference(first, record), *other_queries(first, record, one, its)]
        differences += [f"{base.label} and {run.label} differ in {shown(task)}: {each}" for each in found]
        if not found and not surely_alike(first, record):
            notes.append(f"whether the rows of {run.label} are those of {base.label} is not known")
    if any(record and record.data.get("status") == "differs" for record in records):
        notes.append("not the published data")
    cells = [_cell(record) for record in records]
    for at in range(1, len(runs)):
        if tests is None or (task in tests and not differences):
            found_out = tested(task, (runs[0], runs[at]), (values[0], values[at]), seed)
        else:
            found_out = "not asked for"
        before, after = cells[0].whole, cells[at].whole
        delta = after - before if before is not None and after is not None else None
        cells[at] = replace(
            cells[at],
            delta=delta,
            test=None if isinstance(found_out, str) else found_out,
            untested=found_out if isinstance(found_out, str) else "",
        )
    known = next(record for record in records if record)
    main_score = str(known.settings.get("task", {}).get("main_score", ""))
    return Line(task, known.kind, main_score, tuple(cells), tuple(notes), tuple(differences))


def _cell(record: TaskRecord | None) -> Cell:
    if record is None:
        return Cell("missing")
    if record.status == "error":
        return Cell("error", note=record.error)
    return Cell(record.status, record.score, note=record.note)


def _corrected(lines: Sequence[Line]) -> list[Line]:
    """The same lines, with Holm's correction over all tests in them."""
    adjusted = iter(holm([cell.test.paired.p for line in lines for cell in line.cells if cell.test]).tolist())

    def corrected(cell: Cell) -> Cell:
        if cell.test is None:
            return cell
        p = next(adjusted)
        return replace(cell, test=replace(cell.test, adjusted=p, significant=p <= ALPHA))

    return [replace(line, cells=tuple(corrected(cell) for cell in line.cells)) for line in lines]


def _tally(lines: Sequence[Line], at: int) -> tuple[int, int, int]:
    deltas = [line.cells[at].delta for line in lines]
    known = [0.0 if abs(delta) <= EQUAL else delta for delta in deltas if delta is not None]
    return sum(each > 0 for each in known), sum(each == 0 for each in known), sum(each < 0 for each in known)


def _averages(lines: Sequence[Line], runs: int) -> Iterator[Average]:
    shared = [line for line in lines if all(cell.whole is not None for cell in line.cells)]
    kinds = list(dict.fromkeys(line.kind for line in shared))
    groups = {f"{kind} mean": [line for line in shared if line.kind == kind] for kind in kinds if len(kinds) > 1}
    for label, its in {**groups, "average": shared}.items():
        if not its:
            yield Average(label, 0, (None,) * runs, (None,) * runs)
            continue
        columns = zip(*([cell.score or 0.0 for cell in line.cells] for line in its), strict=True)
        first, *others = map(fmean, columns)
        yield Average(label, len(its), (first, *others), (None, *(score - first for score in others)))


def to_json(comparison: Comparison) -> str:
    """All that was found, as JSON; scores and differences are fractions of 1, in full."""
    runs = [
        {part: getattr(run.record, part) for part in ("benchmark", "model", "revision")}
        | {"label": run.label, "folder": str(run.folder), "missing": missing}
        | dict(zip(("won", "tied", "lost"), tally, strict=True))
        for run, missing, tally in zip(comparison.runs, comparison.missing, comparison.tallies, strict=True)
    ]
    method = {"test": "sign flips", "permutations": PERMUTATIONS, "interval": "bootstrap percentile", "level": LEVEL}
    document = {
        "runs": runs,
        "tasks": [asdict(line) for line in comparison.lines],
        "averages": [asdict(average) for average in comparison.averages],
        "differences": comparison.differences,
        "method": method | {"resamples": RESAMPLES, "correction": "Holm", "alpha": ALPHA, "seed": comparison.seed},
    }
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def to_csv(comparison: Comparison) -> str:
    """One row for each task and run, to compute with: numbers are fractions of 1, in full."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    tested = ("queries", "difference", "low", "high", "p", "better", "same", "worse")
    head = ("task", "type", "main_score", "run", "model", "revision", "status", "score", "delta", "metric")
    writer.writerow([*head, *tested, "p_holm", "significant", "untested", "note"])
    for line in comparison.lines:
        for run, cell in zip(comparison.runs, line.cells, strict=True):
            its = (line.task, line.kind, line.main_score, run.label, run.record.model, run.record.revision)
            test = cell.test
            found = [getattr(test.paired, part) for part in tested] if test else [""] * len(tested)
            verdict = (test.adjusted, str(test.significant).lower()) if test else ("", "")
            row = (*its, cell.status, cell.score, cell.delta, test.metric if test else "", *found, *verdict)
            writer.writerow([*row, cell.untested, cell.note])
    return out.getvalue()


def to_markdown(comparison: Comparison) -> str:
    """Tables and notes; scores in percent."""
    parts = []
    for title, headings, groups in _tables(comparison):
        lines = [
            f"| {' | '.join(map(escaped, row))} |" for row in (headings, *(row for rows in groups for row in rows))
        ]
        rule = f"| {' | '.join('---' if name in _TEXTS else '---:' for name in headings)} |"
        parts.append("\n".join([f"**{escaped(title)}**", "", lines[0], rule, *lines[1:], ""]))
    notes = "\n".join(f"- {escaped(note)}" for note in _notes(comparison))
    return "\n".join([*parts, notes]) + "\n"


def render(comparison: Comparison) -> list[Table | Text]:
    """What ``to_markdown`` says, for a terminal."""
    from rich.table import Table
    from rich.text import Text

    made: list[Table | Text] = []
    for title, headings, groups in _tables(comparison):
        # Text is shown as it is: a name may look like rich's markup.
        table = Table(title=Text(title), title_justify="left", title_style="bold")
        for name in headings:
            table.add_column(Text(name), justify="left" if name in _TEXTS else "right", overflow="fold")
        for rows in groups:
            for row in rows:
                table.add_row(*map(Text, row))
            table.add_section()
        made.append(table)
    return [*made, *map(Text, _notes(comparison))]


_TEXTS = ("task", "type", "run", "metric")


def _tables(comparison: Comparison) -> Iterator[tuple[str, list[str], list[list[list[str]]]]]:
    """Title, headings and groups of rows of the scores, and of the tests where there are any."""
    first, *others = [run.label for run in comparison.runs]
    tasks = [[shown(line.task), shown(line.kind), *_flat(map(_cells, line.cells))] for line in comparison.lines]
    means = [
        [
            f"{shown(each.label)} of {each.tasks} shared",
            "",
            *_flat(zip(map(_percent, each.scores), map(_gain, each.deltas), strict=True)),
        ]
        for each in comparison.averages
    ]
    tallies = ["tasks won / tied / lost", "", *_flat(("", " / ".join(map(str, each))) for each in comparison.tallies)]
    headings = ["task", "type", first, *(name for label in others for name in (label, "Δ"))]
    yield "scores in percent", headings, [tasks, [*means, tallies]]
    rows = [
        [shown(line.task), *([run.label] if len(others) > 1 else []), *_test_cells(cell.test)]
        for line in comparison.lines
        for run, cell in zip(comparison.runs, line.cells, strict=True)
        if cell.test
    ]
    if rows:
        columns = ["metric", "queries", "+ / = / -", "mean Δ", f"{LEVEL:.0%} interval", "p", "p (Holm)"]
        whose = ["run"] if len(others) > 1 else []
        yield f"{', '.join(others)} against {first}, query by query", ["task", *whose, *columns], [rows]


def _flat(cells: Iterable[tuple[str, str]]) -> list[str]:
    """Score and difference of each run, one after the other; the first run has no difference."""
    (first, _), *others = cells
    return [first, *(text for pair in others for text in pair)]


def _cells(cell: Cell) -> tuple[str, str]:
    mark = "†" if cell.test and cell.test.significant and cell.delta is not None else ""
    named = {"missing": "", "error": "failed"}.get(cell.status, "no score")
    text = _percent(cell.score) or named
    return f"{text} (partial)" if cell.status == "partial" else text, _gain(cell.delta) + mark


def _test_cells(test: Tested) -> list[str]:
    its = test.paired
    queries = f"{its.queries:,}" if {its.queries} == set(test.queries) else f"{its.queries:,} shared"
    better = f"{its.better:,} / {its.same:,} / {its.worse:,}"
    interval = f"{_gain(its.low)} to {_gain(its.high)}"
    return [test.metric, queries, better, _gain(its.difference), interval, f"{its.p:.4f}", f"{test.adjusted:.4f}"]


def _percent(score: float | None) -> str:
    return "" if score is None else f"{100 * score:.2f}"


def _gain(delta: float | None) -> str:
    return "" if delta is None else f"{round(100 * delta, 2) + 0.0:+.2f}"  # no -0.00


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, in one cell of a table."""
    return re.sub(r"([\\|`*<\[&~$])", r"\\\1", shown(text))


def _notes(comparison: Comparison) -> list[str]:
    """What tables do not say, one line each."""
    runs = comparison.runs
    tests = [cell.test for line in comparison.lines for cell in line.cells if cell.test]
    said: dict[str, list[str]] = {}
    for line in comparison.lines:
        for run, cell in zip(runs, line.cells, strict=True):
            part = {"error": "failed", "partial": "of a part of the data, not averaged", "missing": "not run"}
            if cell.status in part:
                said.setdefault(f"{run.label}: {part[cell.status]}", []).append(line.task)
            if cell.untested and None not in (cell.score, line.cells[0].score):
                said.setdefault(f"{run.label}: not tested, {cell.untested}", []).append(line.task)
            if cell.test and len({cell.test.paired.queries, *cell.test.queries}) > 1:
                counts = f"{cell.test.paired.queries:,} shared of {cell.test.queries[0]:,} and {cell.test.queries[1]:,}"
                said.setdefault(f"{run.label}: tested on queries {counts}", []).append(line.task)
        for note in line.notes:
            said.setdefault(note, []).append(line.task)
    notes = [f"Δ is to {runs[0].label}" + ("; + / = / - are queries that are better, equal and worse" if tests else "")]
    if tests:
        notes.append(
            f"† significant: p (Holm) at most {ALPHA}, two-sided sign flips ({PERMUTATIONS:,} drawn, or all), Holm's "
            f"correction for {len(tests)} tests, seed {comparison.seed}; interval: bootstrap, {RESAMPLES:,} resamples"
        )
    for text, tasks in said.items():
        notes.append(f"{text}: {first_few(map(shown, tasks))}")
    return [*notes, *comparison.differences]
