"""The flags of C-MTEB, and those of every other task of mteb."""

from __future__ import annotations

from dataclasses import dataclass

from flagbench.flags import flag
from flagbench.runners.arguments import names


@dataclass(frozen=True)
class CmtebOptions:
    """Options of a C-MTEB run.

    Attributes:
        group: Task group, where no tasks are named.
    """

    group: str = flag(
        "core", "group of tasks: core, multilingual, crosslingual, clustering-v2", metavar="NAME", selects=True
    )


@dataclass(frozen=True)
class MtebOptions:
    """Options of a run of mteb's tasks.

    Attributes:
        subsets: Language subsets of multilingual tasks; empty for all.
    """

    subsets: tuple[str, ...] = flag(
        (), "language subsets of each task", shown="all", metavar="A,B", parse=names, selects=True
    )
