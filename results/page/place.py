"""The pages that a page is one of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flagbench.results.page.history import History, Release


@dataclass(frozen=True)
class Index:
    """The content of the first page.

    Attributes:
        histories: Leaderboards over the releases.
        releases: Each with the address of its leaderboard, the oldest first.
        files: Address and name of each file of all scores.
    """

    histories: Sequence[History]
    releases: Sequence[tuple[Release, str]]
    files: Sequence[tuple[str, str]]

    @property
    def shown(self) -> Sequence[Release]:
        """The releases."""
        return [release for release, _ in self.releases]


@dataclass(frozen=True)
class Site:
    """Where a page lies among others.

    Attributes:
        title: Of the page; empty for what its runs say.
        home: Address of the first page; empty for a page that is alone, and for the first one.
        links: Addresses of the pages of runs, by their folder.
        index: What the first page has; None for all others.
    """

    title: str = ""
    home: str = ""
    links: Mapping[Path, str] = field(default_factory=dict)
    index: Index | None = None


ALONE = Site()
"""A page without others."""
