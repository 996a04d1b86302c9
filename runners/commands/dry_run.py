"""``flagbench evaluate --dry-run``: what a run would ask of a model, and what that costs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from flagbench import BadInput, counted
from flagbench.flags import real
from flagbench.runners.commands.notice import notice
from flagbench.runners.terminal import console, say

if TYPE_CHECKING:
    from flagbench.runners.generation.demand import Demand, Price
    from flagbench.runners.request import RunRequest
    from flagbench.runners.run.plan import Plan

_LARGEST_PRICE = 1e9


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    """Add ``--dry-run`` and ``--price`` to a parser."""
    group = parser.add_argument_group("cost")
    group.add_argument(
        "--dry-run",
        action="store_true",
        help="count what the run would ask of the model, without asking or writing anything (default off)",
    )
    group.add_argument(
        "--price",
        type=price,
        metavar="IN,OUT",
        help="money for a million tokens of prompts and for a million of answers, with --dry-run (default none)",
    )


def price(text: str) -> tuple[float, float]:
    """Two prices with a comma between them."""
    try:
        prompts, answers = (real(each) for each in text.split(","))
    except ValueError:
        prompts = answers = -1.0
    if not (0 <= prompts <= _LARGEST_PRICE and 0 <= answers <= _LARGEST_PRICE):
        raise argparse.ArgumentTypeError(
            f"expected two prices with a comma between them, such as 0.5,1.5, not '{text}'"
        )
    return prompts, answers


def check_price(options: argparse.Namespace) -> None:
    """See that a price is given for a dry run alone.

    Raises:
        BadInput: It is not.
    """
    if options.price is not None and not options.dry_run:
        raise BadInput("--price is what --dry-run reckons with: add --dry-run, or drop it")


def show_dry_run(requests: Callable[[], Sequence[RunRequest]], subject: str, prices: tuple[float, float] | None) -> int:
    """Count and show what requests would ask of their models.

    Args:
        requests: Makes them; their imports take a while.
        subject: What would be evaluated on what, for a line.
        prices: Of a million tokens of prompts, and of answers; None to say nothing of money.

    Returns:
        The exit code.

    Raises:
        BadInput: One of them cannot be carried out, or its benchmark does not count what it asks.
    """
    with notice(f"looking at model, tasks and data: {subject}"):
        from flagbench.runners.generation.demand import Price
        from flagbench.runners.progress import progress_for
        from flagbench.runners.registry import find_benchmark
        from flagbench.runners.run import plan
        from flagbench.runners.run.dry_run import check_counts, demands
        from flagbench.runners.run.finished import unfinished

        made = requests()
        for name in dict.fromkeys(request.benchmark for request in made):
            check_counts(find_benchmark(name))
        plans = [plan.resolve(request) for request in made]
    err = console(stderr=True)
    for each in plans:
        with progress_for(err, len(unfinished(each))) as progress:
            found = [(step.task.name, demand) for step, demand in demands(each, progress)]
        _show(each, found, Price(*prices) if prices else None)
    return 0


def _show(plan: Plan, found: Sequence[tuple[str, Demand]], price: Price | None) -> None:
    """A table of the tasks and their sum, and what it leaves out."""
    from rich.table import Table
    from rich.text import Text

    from flagbench.runners.generation.demand import Demand

    out = console()
    done = len(plan.steps) - len(found)
    table = Table(title=Text(f"{plan.name} on {plan.benchmark.title}: dry run"), title_justify="left")
    headings = ["task", "samples", "requests", "prompt tokens", "answer tokens at most", *(["cost"] if price else [])]
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "task" else "right")
    total = sum((demand for _, demand in found), Demand())
    for name, demand in found:
        table.add_row(*map(Text, _cells(name, demand, price)))
    table.add_section()
    table.add_row(*map(Text, _cells("in all", total, price)))
    out.print(table)
    if total.answered:
        say(out, f"{counted(total.answered, 'sample')} that an unfinished run has answers to: not asked again")
    if done:
        say(out, f"{counted(done, 'task')} with a result: not asked again")
    say(out, "prompts are counted without the tokens that a chat template adds; nothing was asked, nothing was written")


def _cells(name: str, demand: Demand, price: Price | None) -> list[str]:
    counts = (demand.samples, demand.requests, demand.prompt_tokens, demand.answer_tokens)
    return [name, *(f"{count:,}" for count in counts), *([f"{price.of(demand):,.2f}"] if price else [])]
