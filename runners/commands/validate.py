"""``flagbench validate``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from flagbench import BadData, in_one_line, printable
from flagbench.runners.commands.evaluate import add_flags, add_models, check_apart, requests_of
from flagbench.runners.commands.notice import notice
from flagbench.runners.commands.parser import Parser
from flagbench.runners.commands.points import join
from flagbench.runners.commands.recorded_arguments import unlike
from flagbench.runners.terminal import WIDE, console, say

if TYPE_CHECKING:
    from flagbench.runners.run.plan import Plan


def add_validate(parser: Parser, arguments: Sequence[str]) -> None:
    """Add the flags of ``flagbench validate``."""
    add_models(parser, arguments)
    add_flags(parser, arguments)
    parser.set_defaults(run=_validate)


def _validate(options: argparse.Namespace) -> int:
    runs = (options, *getattr(options, "others", ()))
    code = max(map(_validate_one, runs))
    if len(runs) > 1 and not code:
        check_apart(runs)
    return code


def _validate_one(options: argparse.Namespace) -> int:
    from flagbench.runners.commands.show import show_plan
    from flagbench.runners.registry import find_benchmark
    from flagbench.runners.run import plan
    from flagbench.runners.run.expected import measured

    code = 0
    plans: list[Plan] = []
    for request in (replace(each, lenient=True) for each in requests_of(options)):
        benchmark = find_benchmark(request.benchmark)
        with notice(f"looking at model, tasks and data: {request.model} on {request.benchmark}"):
            unread = benchmark.unrecognised(request)
            resolved = None if unread and not benchmark.select(request) else plan.resolve(request)
        for each in unread:
            code = max(code, each.exit_code)
            print(f"flagbench: {in_one_line(each)}", file=sys.stderr)
        if resolved is None:
            continue
        if not join(plans, resolved):
            continue
        show_plan(resolved, console(width=WIDE), measured(resolved))
        say(console(), *unlike(options.like, resolved))
        for task, error in resolved.faults:
            code = max(code, error.exit_code)
            reason = in_one_line(error).removeprefix(f"{task.name}: ")
            print(f"flagbench: {task.name} cannot run: {reason}", file=sys.stderr)
        if resolved.faults:
            every = len(resolved.steps) + len(resolved.faults)
            print(f"flagbench: {plan.without_data(resolved.faults, every)}", file=sys.stderr)
        if _faulty_rows(resolved):
            code = BadData.exit_code
    return code


def _faulty_rows(resolved: Plan) -> bool:
    """Show all faults of the rows of a plan, of a benchmark that looks for them; True where there are any."""
    from flagbench.runners.benchmark import ALL_ROWS

    faulty = False
    looked: dict[str, None] = {}
    for step in resolved.steps:
        with notice(f"checking the rows of {step.task.name}"):
            lines = list(resolved.benchmark.faults(step.task, resolved.snapshots, resolved.request))
        for line in lines:
            print(f"flagbench: {printable(line)}", file=sys.stderr)
        faulty = faulty or bool(lines)
        looked[resolved.benchmark.looked_at(step.task, resolved.snapshots)] = None
    if not faulty and (which := " and ".join(filter(None, looked))):
        say(console(), "rows      no faults" + (f" in {which}" if which != ALL_ROWS else ""))
    return faulty
