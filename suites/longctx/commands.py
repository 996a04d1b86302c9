"""``flagbench score longctx`` and ``flagbench submit longctx``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import BadInput, first_few
from flagbench.files import inside
from flagbench.runners.arguments import add_examples, add_run_argument, any_path
from flagbench.runners.terminal import console, say
from flagbench.suites.longctx.judge_command import add_judge, judge_run, loaded_judge

if TYPE_CHECKING:
    from flagbench.results.runs import Run
    from flagbench.suites.longctx.sample import Answer
    from flagbench.suites.longctx.saved import Saved
    from flagbench.suites.longctx.scored import Scored


def add_score(parser: argparse.ArgumentParser) -> None:
    """The options of ``flagbench score longctx``."""
    add_examples(
        parser,
        "flagbench score longctx results",
        "flagbench score longctx results --judge gpt-4o --judge-base https://api.openai.com/v1 --dry-run",
    )
    add_run_argument(parser)
    parser.add_argument(
        "--json", type=any_path, metavar="FILE", help="file for all scores and tables as JSON (default: none)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace this file if it exists (default off)")
    add_judge(parser)
    parser.set_defaults(run=_score)


def add_submit(parser: argparse.ArgumentParser) -> None:
    """The options of ``flagbench submit longctx``."""
    add_examples(
        parser,
        "flagbench submit longctx results --output longctx-submission",
    )
    add_run_argument(parser)
    parser.add_argument(
        "--output",
        type=any_path,
        default=Path("longctx-submission"),
        metavar="DIR",
        help="folder of the files, a folder for each benchmark (default longctx-submission)",
    )
    parser.add_argument(
        "--allow-partial",
        action="store_true",
        help="write files of tasks that were not asked all their samples, and list them (default off)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the files if they exist (default off)")
    parser.set_defaults(run=_submit)


def _answers(path: Path) -> tuple[Run, Sequence[Scored]]:
    """A run and its answers, scored again: no other ones than those of its scores are shown, judged or handed in."""
    from flagbench.results.runs import find_run
    from flagbench.suites.longctx.scored import scored_of

    run = find_run(path)
    if run.record.benchmark != "longctx":
        raise BadInput(f"{path} is a run of {run.record.benchmark}, not of longctx: give one of that")
    scored = scored_of(run)
    if not scored:
        folder = shlex.quote(str(run.folder))
        raise BadInput(f"no task of {folder} has answers: flagbench show {folder} says why")
    return run, scored


def _score(options: argparse.Namespace) -> int:
    from rich.table import Table
    from rich.text import Text

    from flagbench.results.store import check_target, write_atomic
    from flagbench.suites.longctx.heat_map import show
    from flagbench.suites.longctx.scored import as_values
    from flagbench.suites.longctx.tables import tables

    check_target("--json", options.json, overwrite=options.overwrite)
    run, scored = _answers(options.path)
    saved = [each.saved for each in scored]
    model = loaded_judge(options)
    if model is not None and options.dry_run:
        judge_run(run.folder, saved, model, dry_run=True)
        return 0
    out = console()
    for each in scored:
        if (grid := each.grid) is not None:
            show(grid, out)
            out.print()
    shown = list(tables(run.record.model, scored))
    for printed in shown:
        out.print(Text(printed.title, style="bold"))
        table = Table(box=None)
        for at, heading in enumerate(printed.headings):
            table.add_column(heading, justify="right" if at else "left")
        for row in printed.rows:
            table.add_row(*map(Text, row))
        out.print(table)
        out.print()
    judged = judge_run(run.folder, saved, model) if model is not None else {}
    if options.json is not None:
        values = {
            "model": run.record.model,
            "revision": run.record.revision,
            "tasks": [as_values(each) for each in scored],
            "tables": [asdict(each) for each in shown],
            "judged": judged,
        }
        write_atomic(options.json, json.dumps(values, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
        say(out, f"written   {options.json}")
    return 0


def _submit(options: argparse.Namespace) -> int:
    from flagbench.results.store import write_atomic
    from flagbench.suites.longctx.submission.shortage import shortage

    run, scored = _answers(options.path)
    saved = [each.saved for each in scored]
    files = _files(run, saved)
    if not files:
        raise BadInput(
            f"{options.path} has no task of LongBench, InfiniteBench or RULER, and no grid of FlagEmbedding's: nothing "
            "else has a layout of its authors"
        )
    short = [
        said
        for each in saved
        if (said := shortage(each.row, each.protocol, len(each.answers), run.record.tasks[each.row.name]))
    ]
    if short and not options.allow_partial:
        raise BadInput(
            f"{options.path} cannot be submitted: {first_few(short, 2, '; ')}; evaluate all samples, or use "
            "--allow-partial"
        )
    fix = "give the model another name, or remove the link"
    texts = {inside(options.output, name, fix): text for name, text in files.items()}
    if not options.overwrite and (there := [path for path in texts if path.exists()]):
        raise BadInput(f"{there[0]} exists already: use --overwrite, or another --output")
    out = console()
    say(out, f"results   {run.folder}")
    for line in short:
        say(out, f"PARTIAL   {line}")
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"cannot write {path.parent}: {error.strerror}; use another --output") from error
        write_atomic(path, text)
        say(out, f"written   {path}, {len(text.encode()):,} bytes")
    return 0


def _files(run: Run, saved: Sequence[Saved]) -> dict[str, str]:
    """The files of all benchmarks that have a layout of their own, by path."""
    from flagbench.suites.longctx.ruler import submission as ruler
    from flagbench.suites.longctx.submission import grids, infinitebench, longbench

    model = run.record.model.replace("/", "__")
    made: dict[str, str] = {}
    for protocol in dict.fromkeys(each.protocol for each in saved):
        its = [each for each in saved if each.protocol == protocol]
        of_longbench = _answers_of(its, "LongBench")
        scores = {name: dict(run.record.tasks[name].scores[protocol]) for name in of_longbench}
        found = {
            "LongBench": longbench.files(model, of_longbench, scores),
            "InfiniteBench": infinitebench.files(model, _answers_of(its, "InfiniteBench")),
            "RULER": ruler.files(model, _answers_of(its, "RULER")),
            "FlagEmbedding": grids.files(
                model, protocol, {each.row.name: each.answers for each in its if each.row.group == "grid"}
            ),
        }
        made |= {f"{protocol}/{title}/{name}": text for title, texts in found.items() for name, text in texts.items()}
    return made


def _answers_of(saved: Sequence[Saved], benchmark: str) -> dict[str, Sequence[Answer]]:
    from flagbench.suites.longctx.submission import SUBMITTED

    return {each.row.name: each.answers for each in saved if SUBMITTED.get(each.row.group) == benchmark}
