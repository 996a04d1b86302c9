"""``flagbench show RUN``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flagbench.runners.arguments import add_examples, add_run_argument
from flagbench.runners.terminal import WIDE, console, encodable, say
from flagbench.runners.trackers.target import add_log

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from flagbench.results.record import TaskRecord
    from flagbench.results.runs import Run
    from flagbench.results.table import Row
    from flagbench.runners.trackers.target import Target

_HEADINGS = ("task", "type", "score", "note")
_EMPTY = ("", "None", "{}")
_LONGEST = 100
"""Characters of a list that people can read in one line."""
_RUN_HEADINGS = ("model", "revision", "benchmark", "tasks", "finished", "folder")


def add_show(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``flagbench show``."""
    add_examples(
        parser,
        "flagbench show results",
        "flagbench show results/org__model/main --task STSB",
        "flagbench show results --format csv",
    )
    add_run_argument(parser, several="(several runs in it are listed)")
    parser.add_argument("--task", metavar="NAME", help="task to show with all that is recorded of it (default: all)")
    parser.add_argument(
        "--format",
        choices=("table", "markdown", "csv", "json"),
        default="table",
        help="format of the output (default table)",
    )
    add_log(parser)
    parser.set_defaults(run=_show)


def _show(options: argparse.Namespace) -> int:
    from flagbench.results.contradictions import contradictions
    from flagbench.results.runs import find_run, find_runs

    runs = find_runs(options.path)
    if options.log:
        _log(runs, options.log)
    if len(runs) > 1 and not options.task:
        _list(runs, options.format)
        return 0
    run = find_run(options.path) if len(runs) > 1 else runs[0]
    if options.task:
        _show_task(_task_of(run, options.task), options.format)
        return 0
    parts = tables_of(run)
    if options.format == "table":
        _show_run(run, parts, console())
    else:
        rows = [row for tasks, _, _ in parts for row in tasks] + [row for _, means, _ in parts for row in means]
        sys.stdout.write(encodable(_WRITTEN[options.format](run, rows)))
    say(console(stderr=True), *contradictions(run, run.record.tasks))
    return 0


def _log(runs: Sequence[Run], targets: Sequence[Target]) -> None:
    """Give the scores of runs to trackers."""
    from flagbench.runners.commands.log_runs import log_finished
    from flagbench.runners.commands.report import benchmarks

    known = benchmarks(runs)
    facts = [(run, known.get(run.record.benchmark)) for run in runs]
    log_finished([(run, its.averages_of(run) if its else {}) for run, its in facts], targets)


def _list(runs: Sequence[Run], format_: str) -> None:
    """Print which runs there are, in order."""
    rows = [_cells(run) for run in _ordered(runs)]
    if format_ == "json":
        import json

        values = [dict(zip(_RUN_HEADINGS, row, strict=True)) for row in rows]
        sys.stdout.write(encodable(json.dumps(values, ensure_ascii=False, indent=2) + "\n"))
        return
    texts = [[str(cell) for cell in row] for row in rows]
    if format_ != "table":
        sys.stdout.write(encodable((_csv if format_ == "csv" else _markdown)(_RUN_HEADINGS, texts)))
        return
    given = {str(run.folder) for run in runs if run.record.spec.get("ability") == "replay"}  # they have no revision
    out = console(width=WIDE)
    cells = [[row[0], "" if row[5] in given else row[1][:8], *row[2:]] for row in texts]
    for part in _listed(cells, out.width):
        out.print(part, soft_wrap=not hasattr(part, "columns"))
    say(out, f"then: flagbench show {shlex.quote(texts[0][5])}")


def _ordered(runs: Sequence[Run]) -> list[Run]:
    """The run that finished last first; those of a series are together and along its axis, as curves have them."""
    from flagbench.results.series.axes import find_series

    together = [series.order for series in find_series(runs).series]
    alone = [(at,) for at in range(len(runs)) if not any(at in order for order in together)]
    groups = sorted([*together, *alone], key=lambda group: max(_finished(runs[at]) for at in group), reverse=True)
    return [runs[at] for group in groups for at in group]


def _finished(run: Run) -> str:
    return max((task.finished or "" for task in run.record.tasks.values()), default="")


def _listed(rows: Sequence[Sequence[str]], width: int) -> list[Table | Text]:
    """The table of runs; where its folders have no room, they are lines below it, from which they can be copied."""
    from rich.text import Text

    from flagbench.results.fitting import Column, folded, table, width_of

    title = f"{len(rows)} runs"
    columns = [
        Column(name, cells, left=True) for name, cells in zip(_RUN_HEADINGS, zip(*rows, strict=True), strict=True)
    ]
    if width_of(columns) <= width:
        return [table(title, columns, width)]
    model, *others, finished, folder = columns
    numbers = Column("", tuple(f"#{number}" for number in range(1, len(rows) + 1)), left=True)
    minutes = Column(finished.heading, tuple(time[:16].replace("T", " ") for time in finished.cells), left=True)
    room = model.width - (width_of([numbers, model, *others, minutes]) - width)
    model = Column(model.heading, tuple(folded(name, room) for name in model.cells), left=True)
    lines = [f"#{number} is {where}" for number, where in enumerate(folder.cells, 1)]
    return [table(title, [numbers, model, *others, minutes], width), *map(Text, lines)]


def _cells(run: Run) -> tuple[str, str, str, int, str, str]:
    record = run.record
    return record.model, record.revision, record.benchmark, len(record.tasks), _finished(run), str(run.folder)


Shown = tuple["list[Row]", "list[Row]", str]
"""Tasks, averages, and the name of what they are of."""


def tables_of(run: Run) -> list[Shown]:
    """Tasks and averages, as at the end of the run that evaluated them last; those over miniature data by themselves,
    and named so.

    Args:
        run: With the tasks that are shown.
    """
    from flagbench.results.averages import tasks_of
    from flagbench.results.page.boards import MINI, averages_over, parts_of
    from flagbench.results.recorded_averages import recorded_averages
    from flagbench.results.table import rows
    from flagbench.runners.commands.report import benchmarks

    known, name = benchmarks([run]), run.record.benchmark
    records = list(run.record.tasks.values())
    recorded = recorded_averages(records)
    means: dict[bool, dict[str, Row]] = {False: {}, True: {}}
    parts = parts_of(run, known, recorded)
    mini = {task for (_, _, profile), its in parts.items() if profile == MINI for task in its}
    for each, label, profile in parts:
        every = averages_over(each, profile, known, recorded)
        over = tasks_of(every)
        inside = {other for other, tasks in over.items() if set(tasks) <= set(over.get(label, ()))}
        of_kind = [record for record in records if (record.name in mini) == (profile == MINI)]
        counted = [record for record in of_kind if each not in known or known[each].takes(record)]
        means[profile == MINI] |= {row.label: row for row in rows(counted, every)[1] if row.label in inside}
    title = known[name].title if name in known else name
    whole, small = ([record for record in records if (record.name in mini) == kind] for kind in (False, True))
    shown: list[Shown] = []
    if whole or not small:
        shown.append((rows(whole, {})[0], list(means[False].values()), title))
    if small:
        named = [replace(row, label=f"{row.label} (miniature)") if whole else row for row in means[True].values()]
        shown.append((rows(small, {})[0], named, f"{title} mini"))
    return shown


def _show_run(run: Run, parts: Sequence[Shown], out: Console) -> None:
    from flagbench.results.data_state import DataState, footnotes
    from flagbench.results.table import incomplete, intervals, render
    from flagbench.runners.commands.points import vectors_line

    record = run.record
    say(out, record.model_at)
    for line in record.evidence:
        say(out, f"  {line}")
    for tasks, averages, title in parts:
        out.print(render(title, {record.model: (tasks, averages)}, out.width))
    say(out, *intervals((tasks, averages) for tasks, averages, _ in parts))
    for tasks, averages, _ in parts:
        say(out, *incomplete({record.model: (tasks, averages)}))
    if record.spec.get("view") and (line := vectors_line(list(record.tasks.values()))):
        say(out, line)
    for line in _effective_lengths(run):
        say(out, line)
    states = [DataState.of(task.data) for task in record.tasks.values() if task.status != "error"]
    for line in footnotes(states, "see run.json"):
        say(out, line)
    finished = sorted(task.finished for task in record.tasks.values() if task.finished)
    if finished:
        say(out, f"finished {finished[-1]}; settings and timings in {run.folder / 'flagbench' / 'run.json'}")
    for task in record.tasks.values():
        if task.status == "error" or task.later_error:
            say(out, f"flagbench: {task.name}: {task.error or task.later_error}")


def _effective_lengths(run: Run) -> Iterator[str]:
    """A line for each task whose scores are by length."""
    from flagbench.results.effective_length import effective_length_of
    from flagbench.results.grids import Grid
    from flagbench.results.page.grids import by_run

    for (_, task), grid in by_run([run]).items():
        if isinstance(grid, Grid) and (found := effective_length_of(grid)):
            yield f"{task}: effective length at RULER's threshold of 85.6: {found.said(grid.columns.values[0])}"


def _task_of(run: Run, name: str) -> TaskRecord:
    """The record of a task.

    Raises:
        UnknownName: The run has none of this name.
    """
    from flagbench import first_few, known_name

    tasks = run.record.tasks
    return tasks[known_name("task", name, tasks, f"the run has {first_few(tasks, 40)}")]


def _show_task(record: TaskRecord, format_: str) -> None:
    """All that is recorded of a task, a line for each value; for people without what is empty, and times rounded."""
    import json
    from dataclasses import asdict

    from flagbench.results.figures import scale_of

    values = asdict(record)
    if format_ == "json":
        sys.stdout.write(encodable(json.dumps(values, ensure_ascii=False, indent=2) + "\n"))
        return
    score = ("score", scale_of(record.main_score).figure(record.score))
    if format_ == "csv":
        sys.stdout.write(encodable(_csv(("value of", "is"), [score, *_leaves(values)])))
        return
    lines = [score, *_leaves(values, longest=_LONGEST)]
    lines = [(key, _for_people(key, value)) for key, value in lines if value not in _EMPTY]
    if format_ == "table":
        width = max(len(key) for key, _ in lines)
        say(console(), *(f"{key:{width}}  {value}" for key, value in lines))
        return
    sys.stdout.write(encodable(_markdown(("value of", "is"), lines)))


def _for_people(key: str, value: str) -> str:
    return f"{float(value):.3f}" if key.startswith("seconds.") else value


def _leaves(value: Any, path: str = "", *, longest: float = math.inf) -> list[tuple[str, str]]:
    """Each value of nested objects and lists with its place.

    Args:
        value: Plain values.
        path: Their place.
        longest: Characters of a list in one line; what is in a longer one has a line each.
    """
    if isinstance(value, Mapping) and value:
        return [
            leaf
            for key, item in value.items()
            for leaf in _leaves(item, f"{path}.{key}" if path else str(key), longest=longest)
        ]
    if not isinstance(value, list | tuple):
        return [(path, str(value))]
    line = ", ".join(map(str, value))
    if len(line) <= longest and not any(isinstance(item, Mapping) for item in value):
        return [(path, line)]
    return [leaf for number, item in enumerate(value) for leaf in _leaves(item, f"{path}.{number}", longest=longest)]


def _json(run: Run, rows: Sequence[Row]) -> str:
    import json

    record = run.record
    scores = [
        {"task": row.label, "type": row.kind, "score": row.score, "note": row.note}
        | dict(zip(("low", "high"), row.ends or (None, None), strict=True))
        for row in rows
    ]
    return (
        json.dumps(
            {"model": record.model, "revision": record.revision, "benchmark": record.benchmark, "scores": scores},
            ensure_ascii=False,
            indent=2,
        )
        + "\n"
    )


def _csv(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Scores as they are recorded."""
    import csv
    import io

    from flagbench.results.compare.text import of_spreadsheet

    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([headings, *(map(of_spreadsheet, row) for row in rows)])
    return out.getvalue()


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    from flagbench.results.compare.text import escaped

    lines = [headings, ["---"] * len(headings), *(map(escaped, row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


_WRITTEN: Mapping[str, Callable[[Run, Sequence[Row]], str]] = {
    "json": _json,
    "csv": lambda run, rows: _csv(
        (*_HEADINGS, "low", "high"),
        [(row.label, row.kind, row.score, row.note, *(row.ends or ("", ""))) for row in rows],
    ),
    "markdown": lambda run, rows: _markdown(
        _HEADINGS,
        [(row.label, row.kind, row.scale.within(row.score, row.ends), row.note) for row in rows if not row.empty],
    ),
}
