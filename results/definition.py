"""What a run records of its benchmark, where looking that up takes long: what its scores are shown with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from flagbench.results.averages import Averages, Member, Slice
from flagbench.results.shapes import Digest, Text


class AveragedPart(TypedDict):
    """A part of a task that counts in an average: subsets by split."""

    task: Text
    parts: Mapping[Text, list[Text]]


RecordedAverages = Mapping[Text, Annotated[list[Text | AveragedPart], Field(min_length=1)]]
"""By label: names of tasks, labels of averages before it, and parts of tasks."""


class Miniature(TypedDict):
    """Miniature data: the last folders of its path, and the averages over it."""

    folders: list[Text]
    averages: RecordedAverages


class Definition(TypedDict):
    """A benchmark as the run had it: ``results/page/benchmark.py`` says what each is; ``parts`` are digests."""

    title: Text
    averages: RecordedAverages
    miniature: Miniature | None
    parts: Mapping[Text, Digest]


def recorded(averages: Averages) -> dict[str, list[str | AveragedPart]]:
    """Averages as plain values."""
    return {label: [_recorded(member) for member in members] for label, members in averages.items()}


def averages_from(found: RecordedAverages) -> Averages:
    """The averages that plain values are of."""
    return {label: [_member(each) for each in members] for label, members in found.items()}


def check_definition(definition: Definition) -> None:
    """See that no average is made of itself by way of others.

    Raises:
        ValueError: One is, or of one that comes after it.
    """
    _check_order(definition["averages"])
    if definition["miniature"]:
        _check_order(definition["miniature"]["averages"])


def _check_order(averages: Mapping[str, Sequence[str | AveragedPart]]) -> None:
    before: set[str] = set()
    for label, members in averages.items():
        for member in members:
            # A label in itself is the task of this name.
            if isinstance(member, str) and member in averages and member not in before | {label}:
                raise ValueError(f"the average {label} is made of {member}, which has to come before it")
        before.add(label)


def _recorded(member: Member) -> str | AveragedPart:
    if isinstance(member, str):
        return member
    parts: dict[str, list[str]] = {}
    for split, subset in sorted(member.cells):
        parts.setdefault(split, []).append(subset)
    return {"task": member.task, "parts": parts}


def _member(found: str | AveragedPart) -> Member:
    if isinstance(found, str):
        return found
    cells = ((split, subset) for split, subsets in found["parts"].items() for subset in subsets)
    return Slice(found["task"], frozenset(cells))
