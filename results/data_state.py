"""What is known of the data that a task was scored on, in one vocabulary and one wording for all that show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flagbench.results.record import TaskRecord


class DataState(StrEnum):
    """How the scored data stands to the official data, as ``data.status`` of a record has it.

    The members are in order: the first that some of several tasks are in is the worst.
    """

    DIFFERS = "differs"
    """A count, or the content, is not that of the official data; or only a part of it was scored."""
    UNKNOWN = "unknown"
    """Nothing is published that it could be checked against."""
    OWN = "own"
    """The user's own data, of which nothing is official."""
    COUNTS_AGREE = "counts agree"
    """The counts are the published ones, which rows of other content may have too."""
    OFFICIAL = "official"
    """Read from the hub at the pinned commit, or shown to be the same by its files' hashes or its content."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> DataState:
        """The state in the ``data`` of a task's record; a value that is none is unknown."""
        status = data.get("status")
        return cls(status) if status in list(cls) else cls.UNKNOWN

    @classmethod
    def worst(cls, states: Iterable[DataState]) -> DataState:
        """The first of some states in the order of the members; official where there are none."""
        found = set(states)
        return next((state for state in cls if state in found), cls.OFFICIAL)

    @property
    def words(self) -> str:
        """The state as a note on a score; all that is shown of it has this wording."""
        return _WORDS[self]

    @property
    def marked(self) -> bool:
        """Whether a score is marked as one that a published score of the task does not compare with."""
        return self not in (DataState.OFFICIAL, DataState.OWN)

    def comparable(self, *, accept_counts: bool = False) -> bool:
        """Tell whether scores may be compared with published ones.

        Args:
            accept_counts: Whether the user takes data of which only the counts agree.
        """
        return self is DataState.OFFICIAL or (accept_counts and self is DataState.COUNTS_AGREE)

    def set_aside(self, *, accept_counts: bool = False) -> str:
        """Why a score is not compared with published ones, with the flag that would compare it; empty where it is.

        Args:
            accept_counts: Whether the user takes data of which only the counts agree.
        """
        if self.comparable(accept_counts=accept_counts):
            return ""
        return f"{self.words} ({ACCEPT_COUNTS})" if self.comparable(accept_counts=True) else self.words


def footnotes(states: Iterable[DataState], where: str = "") -> list[str]:
    """The line below scores that are marked with ``*``: what keeps them from published ones, in one for one mark.

    Args:
        states: Of the data of all that was scored.
        where: What tells more, in brackets.
    """
    present = set(states)
    more = f" ({where})" if where else ""
    words = [state.words for state in DataState if state in present and state.marked]
    return [f"* {', or '.join(words)}{more}: scores are not comparable with published ones"] if words else []


ACCEPT_COUNTS = "--accept-counts compares it"


def in_mini(record: TaskRecord, mini: Sequence[str]) -> bool:
    """Tell whether a task ran over miniature data.

    Args:
        record: The task.
        mini: The last folders of the path of the benchmark's miniature data; empty for none.
    """
    folders, end = _folders(str(record.data.get("source", ""))), len(mini)
    # Below them are the owner and the name of a repo, and where one of its files is named, the way to that.
    return bool(end) and tuple(mini) in (folders[at : at + end] for at in range(len(folders) - end - 1))


@lru_cache(maxsize=1 << 12)
def _folders(source: str) -> tuple[str, ...]:
    """The parts of the path that data was read from; those of a benchmark have the same in all runs."""
    return Path(source).parts


_WORDS = {
    DataState.OFFICIAL: "official data",
    DataState.COUNTS_AGREE: "only the counts agree with the official data",
    DataState.DIFFERS: "not the official data",
    DataState.OWN: "own data",
    DataState.UNKNOWN: "not known to be the official data",
}
