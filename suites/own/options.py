"""The flag of own data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flagbench.flags import flag
from flagbench.runners.arguments import folder


@dataclass(frozen=True)
class OwnOptions:
    """Options of a run on own data.

    Attributes:
        data_set: Folder of a data set, or of several.
    """

    data_set: Path | None = flag(
        None,
        "folder of a data set, or of folders with one each",
        shown="none",
        metavar="DIR",
        parse=folder,
        selects=True,
    )
