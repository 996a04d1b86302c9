"""What a run asks of a task's data, and by which settings, where these are not the published ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from flagbench.results.data_state import DataState

if TYPE_CHECKING:
    from flagbench.runners.data.verdict import DataVerdict


def as_asked(verdict: DataVerdict, asked: int, there: int, what: str, lines: Sequence[str] = ()) -> DataVerdict:
    """The verdict on what is asked of data: a part of it, or other settings, are no published score's, whatever it is.

    Args:
        verdict: On all of the data.
        asked: Samples that are asked.
        there: Samples that there are.
        what: These are, for people.
        lines: Settings that are not the published ones (``setting``).
    """
    said = [f"{asked:,} of {there:,} {what}"] if asked < there else []
    said += lines
    if not said:
        return verdict
    return replace(verdict, status=DataState.DIFFERS, differences=(*verdict.differences, *said))


def setting(name: str, its: int | str, own: int | str) -> list[str]:
    """A line where a setting is not the published one.

    Args:
        name: Of the flag.
        its: Value in the run.
        own: Value of the protocol.
    """
    return [f"{name} {its} instead of {own}"] if its != own else []


def context_length(wanted: int | None, own: int, published: Sequence[int] = ()) -> tuple[list[str], list[str]]:
    """A line where the longest prompt of a run is of no published score, and a note where it is one of several.

    Args:
        wanted: Tokens, as the user gave them; None for the protocol's own.
        own: The protocol's own.
        published: Others by which scores are published, of smaller models.
    """
    if wanted is None or wanted == own:
        return [], []
    if wanted in published:
        return [], [f"prompts have {wanted:,} tokens at most, as published for some models, instead of {own:,}"]
    return setting("--context-length", wanted, own), []
