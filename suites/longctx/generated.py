"""The source of tasks that are generated: no data, and so nothing to fetch, to lack or to change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flagbench import BadData
from flagbench.results.data_state import BY_RULE
from flagbench.runners.data.sources import Source


class Generated(Source):
    """The place of a dataset where there is none."""

    def card(self) -> Path:
        """See Source: there is none."""
        raise BadData("a generated task has no data")

    def files(self, *patterns: str) -> Path:
        """See Source: there are none."""
        raise BadData("a generated task has no data")

    @property
    def where(self) -> str:
        """See Source."""
        return BY_RULE

    def settings(self) -> dict[str, Any]:
        """See Source."""
        return {"source": "generated"}

    def known_commit(self) -> str | None:
        """See Source."""
        return None

    def size(self) -> int:
        """See Source."""
        return 0
