"""The command that makes a run again, as a page shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flagbench.results.runs import Run


@dataclass(frozen=True)
class Command:
    """A command line.

    Attributes:
        text: As a shell takes it.
        lacking: Words in it that stand for what the record of the run does not tell, such as ``MODEL``.
    """

    text: str
    lacking: tuple[str, ...] = ()


CommandOf = Callable[[Run], Command | None]
"""Gives the command of a run; None where its record tells of none."""


def no_command(run: Run) -> None:
    """No command, for pages on which none is shown."""


def version_of(run: Run) -> str:
    """The version of FlagBench that made a run; empty where that is not recorded."""
    versions = run.record.environment.get("versions")
    version = versions.get("flagbench") if isinstance(versions, dict) else None
    return version if isinstance(version, str) else ""
