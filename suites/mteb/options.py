"""The flags of mteb's tasks."""

from __future__ import annotations

from dataclasses import dataclass

from flagbench.flags import flag
from flagbench.runners.arguments import names


@dataclass(frozen=True)
class MtebOptions:
    """Options of a run of mteb's tasks.

    Attributes:
        subsets: Language subsets of multilingual tasks; empty for all.
    """

    subsets: tuple[str, ...] = flag(
        (), "language subsets of each task", shown="all", metavar="A,B", parse=names, selects=True
    )
