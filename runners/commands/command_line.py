"""The command that makes a finished run again, as far as its record tells it: what pages show."""

from __future__ import annotations

import shlex
from functools import lru_cache
from typing import TYPE_CHECKING

from flagbench import BadInput
from flagbench.results.page.commands import Command
from flagbench.runners.trackers.target import without_secrets

if TYPE_CHECKING:
    from flagbench.results.runs import Run
    from flagbench.runners.commands.given import Given


def command_of(run: Run) -> Command | None:
    """The command line of a run, the same as ``flagbench evaluate --like`` makes of its record.

    What the record does not tell (where a checkpoint lies) is a word in capitals. The password of an address is left
    out, and keys of servers are in no record.

    Args:
        run: With the tasks that it is about.

    Returns:
        None where nothing would make it again: rankings that were made before, a benchmark that is not installed here,
        and a record that is not as FlagBench writes it.
    """
    from flagbench.runners.commands.like import arguments_of

    lacking: list[str] = []

    def stand_in(word: str, _: str) -> str:
        if word.isupper():
            lacking.append(word)
        return word

    benchmark = run.record.benchmark
    try:
        arguments = arguments_of(run, benchmark, _nothing_given(benchmark), "", stand_in)
    except (BadInput, ValueError, TypeError, AttributeError, KeyError):  # settings of a record may be anything
        return None
    words = ["flagbench", "evaluate", *(without_secrets(str(word)) for word in arguments)]
    return Command(shlex.join(words), tuple(lacking))


@lru_cache(maxsize=32)
def _nothing_given(benchmark: str) -> Given:
    """A command line of nothing but the name of a benchmark."""
    from flagbench.runners.commands.evaluate import add_evaluate
    from flagbench.runners.commands.given import given_by
    from flagbench.runners.commands.parser import Parser

    return given_by(Parser(prog="flagbench evaluate", fill=add_evaluate), [], benchmark)
