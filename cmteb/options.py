"""The flags of C-MTEB."""

from __future__ import annotations

from dataclasses import dataclass

from flagbench.flags import flag


@dataclass(frozen=True)
class CmtebOptions:
    """Options of a C-MTEB run.

    Attributes:
        group: Task group, where no tasks are named.
    """

    group: str = flag(
        "core", "group of tasks: core, multilingual, crosslingual, clustering-v2", metavar="NAME", selects=True
    )
