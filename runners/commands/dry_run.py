"""``flagbench evaluate --dry-run``: what a run would ask of a model, and what that costs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from flagbench import BadInput, counted
from flagbench.flags import real
from flagbench.runners.commands.notice import notice
from flagbench.runners.commands.points import join
from flagbench.runners.commands.sent import check_counted, show_sent
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
        metavar="IN[,OUT]",
        help="money for a million tokens of prompts and for a million of answers, with --dry-run; of an embedder or a "
        "reranker behind a server one number (default none)",
    )


def price(text: str) -> tuple[float, ...]:
    """A price, or two with a comma between them."""
    try:
        found = tuple(real(each) for each in text.split(","))
    except ValueError:
        found = ()
    if not (1 <= len(found) <= 2 and all(0 <= each <= _LARGEST_PRICE for each in found)):
        raise argparse.ArgumentTypeError(
            f"expected two prices with a comma between them, such as 0.5,1.5, or one for an embedder, not '{text}'"
        )
    return found


def check_price(options: argparse.Namespace) -> None:
    """See that a price is given for a dry run alone.

    Raises:
        BadInput: It is not.
    """
    if options.price is not None and not options.dry_run:
        raise BadInput("--price is what --dry-run reckons with: add --dry-run, or drop it")


def show_dry_run(requests: Callable[[], Sequence[RunRequest]], subject: str, prices: tuple[float, ...] | None) -> int:
    """Count and show what requests would ask of their models.

    Args:
        requests: Makes them; their imports take a while.
        subject: What would be evaluated on what, for a line.
        prices: Of a million tokens of prompts, and of answers where there are any; None to say nothing of money.

    Returns:
        The exit code.

    Raises:
        BadInput: One of them cannot be carried out, or its benchmark does not count what it asks.
    """
    with notice(f"looking at model, tasks and data: {subject}"):
        from dataclasses import replace

        from flagbench.models.served.resolve import UNANSWERED
        from flagbench.runners.generation.demand import Price
        from flagbench.runners.progress import progress_for
        from flagbench.runners.registry import find_benchmark
        from flagbench.runners.run import plan
        from flagbench.runners.run.dry_run import check_counts, demands, is_served, sent_by
        from flagbench.runners.run.finished import unfinished

        made = requests()
        for name in dict.fromkeys(request.benchmark for request in made if request.served is None):
            check_counts(find_benchmark(name))
        plans: list[Plan] = []
        for request in made:
            served = replace(request.served, may_be_down=True) if request.served else None
            join(plans, plan.resolve(replace(request, served=served)))
        for each in plans:
            if not is_served(each):
                check_counts(each.benchmark)
            _check_number(prices, served=is_served(each))
            if prices is not None and is_served(each):
                check_counted(each)
    err = console(stderr=True)
    for each in plans:
        evidence = [line for model in (each.model, each.reranker) if model for line in model.evidence]
        say(err, *(f"warning: {line}" for line in evidence if UNANSWERED in line))
        with progress_for(err, len(unfinished(each))) as progress:
            if is_served(each):
                sent = [(step.task.name, found) for step, found in sent_by(each, progress)]
            else:
                found = [(step.task.name, demand) for step, demand in demands(each, progress)]
        if is_served(each):
            show_sent(each, sent, prices[0] if prices else None)
        else:
            _show(each, found, Price(*prices) if prices else None)
    return 0


def _check_number(prices: tuple[float, ...] | None, *, served: bool) -> None:
    """See that there are as many prices as what is asked has.

    Raises:
        BadInput: There are not.
    """
    if prices is not None and len(prices) != (1 if served else 2):
        many = "one price, that of its input, such as 0.02" if served else "two prices, such as 0.5,1.5"
        raise BadInput(f"--price: {'an embedder or reranker' if served else 'a model that answers'} has {many}")


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
    for line in _too_long(plan, found):
        say(out, line)
    say(out, "prompts are counted without the tokens that a chat template adds; nothing was asked, nothing was written")


def _too_long(plan: Plan, found: Sequence[tuple[str, Demand]]) -> Iterator[str]:
    """A line for each task that asks for more tokens than the model has positions for, where both are known."""
    from flagbench.models.text import TextSettings

    spec = plan.model.spec
    positions = spec.own.positions if isinstance(spec.own, TextSettings) else 0
    for name, demand in found:
        if 0 < positions < demand.longest:
            yield (
                f"{spec.name} has {positions:,} positions, and a question of {name} takes {demand.longest:,} with its "
                "answer: the run will be refused; ask shorter ones"
            )


def _cells(name: str, demand: Demand, price: Price | None) -> list[str]:
    counts = (demand.samples, demand.requests, demand.prompt_tokens, demand.answer_tokens)
    return [name, *(f"{count:,}" for count in counts), *([f"{price.of(demand):,.2f}"] if price else [])]
