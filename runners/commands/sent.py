"""The table of a dry run of an embedder or a reranker behind a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flagbench import BadInput, counted, first_few
from flagbench.runners.terminal import console, say

if TYPE_CHECKING:
    from flagbench.runners.encoding.counting import Sent
    from flagbench.runners.run.plan import Plan

_MILLION = 1_000_000


def check_counted(plan: Plan) -> None:
    """See that the tokens of a plan can be counted, before its data is read.

    Raises:
        BadInput: No tokenizer of its models behind servers is named.
    """
    known, uncounted = _served(plan)
    if known:
        return
    if plan.model.spec.name not in uncounted:
        raise BadInput(
            f"--price is for a million tokens, and nothing counts those of {first_few(uncounted)}, which re-ranks: "
            "drop it"
        )
    raise BadInput("--price is for a million tokens, and a server does not count them: name the model's --tokenizer")


def _served(plan: Plan) -> tuple[list[str], list[str]]:
    """The names of the models behind servers whose tokens are counted, and of the others."""
    from flagbench.models.served.resolve import ServedModel

    served = [model for model in (plan.model, plan.reranker) if isinstance(model, ServedModel)]
    with_tokens = [each.spec.name for each in served if each.counted is not None]
    return with_tokens, [each.spec.name for each in served if each.counted is None]


def show_sent(plan: Plan, found: Sequence[tuple[str, Sent]], price: float | None) -> None:
    """Show what a run would send, task by task and in all.

    Args:
        plan: Of the run.
        found: By the name of each task that has no result.
        price: Of a million tokens, which are counted; None to say nothing of money.
    """
    from rich.table import Table
    from rich.text import Text

    from flagbench.runners.encoding.counting import Sent

    total = Sent()
    for _, sent in found:
        total.add(sent)
    tokens = bool(total.tokens) or not total.texts or price is not None
    out = console()
    table = Table(title=Text(f"{plan.name} on {plan.benchmark.title}: dry run"), title_justify="left")
    headings = ["task", "texts", "cached", "requests", "characters", *(["tokens"] if tokens else [])]
    for heading in [*headings, *(["cost"] if price is not None else [])]:
        table.add_column(heading, justify="left" if heading == "task" else "right")
    rows = [*found, ("in all", total)]
    for name, sent in rows:
        if sent is total:
            table.add_section()
        counts = [sent.texts, sent.kept, sent.requests, sent.characters, *([sent.tokens] if tokens else [])]
        cost = [_cost(sent.tokens * price / _MILLION)] if price is not None else []
        table.add_row(*map(Text, [name, *(f"{count:,}" for count in counts), *cost]))
    out.print(table)
    known, others = _served(plan)
    if tokens and others:
        what = "tokens are" if price is None else "tokens and cost are"
        say(out, f"warning: {what} those of {first_few(known)} alone: nothing counts those of {first_few(others)}")
    if done := len(plan.steps) - len(found):
        say(out, f"{counted(done, 'task')} with a result: not asked again")
    say(out, "no text was sent, nothing was written; a run sends some probes beside, and what fails is sent again")


def _cost(money: float) -> str:
    return "< 0.0001" if 0 < money < 0.0001 else f"{money:,.4f}"
