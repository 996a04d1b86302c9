"""FlagBench's own name: the version, and the one tree of errors of all packages.

The tree, caught once in ``runners/commands/cli.py`` and shown as one line::

    FlagbenchError            exit code 1: something failed that is not the user's input
    ├── BadInput              exit code 2: what was asked for cannot be done; says what to change
    │   ├── UnknownName       a name that no registry knows, with the nearest known ones
    │   ├── BadData           a dataset that is absent, incomplete or malformed
    │   └── NoHub             the hub gives no answer, so that asking it for more is in vain
    └── ModelFault            a model that ran and gave something unusable (NaN, wrong shape)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__version__ = "0.1.0"

_OFFERED = 3
_ALIKE = 0.5  # of difflib's ratio, which is 1 for the same
_SHORTEST_PART = 4  # a shorter one is in too many names


def counted(number: int, name: str) -> str:
    """A number of things: ``1 task``, ``1,024 tasks``."""
    return f"{number:,} {name}" + ("" if number == 1 else "s")


def first_few(items: Iterable[object], shown: int = 5, between: str = ", ") -> str:
    """The first few of many in one line, and how many more there are: for messages and notes.

    Args:
        items: Anything with a text.
        shown: At most so many of them.
        between: What stands between two.
    """
    texts = list(map(str, items))
    more = f"{between.rstrip(', ')} and {len(texts) - shown:,} more" if len(texts) > shown else ""
    return between.join(texts[:shown]) + more


def printable(text: object) -> str:
    """Text from a file or a server as it may be printed: on one line, of whole characters, none that moves a cursor."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in str(text))


def in_one_line(error: BaseException) -> str:
    """The message of an error in one line; its name where it has none."""
    return printable(" ".join(str(error).split())) or type(error).__name__


class FlagbenchError(Exception):
    """Base of all errors that end in one line instead of a traceback."""

    exit_code = 1


class BadInput(FlagbenchError):
    """The request cannot be carried out; the message names the cause and the fix."""

    exit_code = 2


class UnknownName(BadInput):
    """A name that is not in a registry.

    Args:
        kind: What was named, for example ``"task"``.
        name: The name as given.
        known: All valid names; the nearest are offered.
        hint: Where the full list is to be seen.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        names = list(known)
        near = _nearest(name.lower(), names)
        parts = [f"unknown {kind} '{name}'"]
        if near:
            parts.append("did you mean " + " or ".join(near) + "?")
        elif 0 < len(names) <= 12:
            parts.append("known: " + ", ".join(sorted(names)))
        if hint:
            parts.append(hint)
        super().__init__("; ".join(parts))


def known_name(kind: str, name: str, known: Iterable[str], hint: str = "") -> str:
    """The known name that one is: itself, or the only one that differs from it in small and capital letters alone.

    Args:
        kind: See UnknownName, like the rest.
        name: The name as given.
        known: All valid names.
        hint: Where the full list is to be seen.

    Raises:
        UnknownName: There is none, or several differ so.
    """
    names = list(known)
    if name in names:
        return name
    alike = [candidate for candidate in names if candidate.lower() == name.lower()]
    if len(alike) != 1:
        raise UnknownName(kind, name, names, hint)
    return alike[0]


def _nearest(name: str, names: Iterable[str]) -> list[str]:
    """Up to three names that are like one in small letters, contain it, or are ``org/model`` with a model like it."""
    lowered = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(name, lowered, n=_OFFERED, cutoff=_ALIKE)
    if not near and len(name) >= _SHORTEST_PART:
        near = sorted((each for each in lowered if name in each), key=len)[:_OFFERED]
    if not near:
        parts = {each.rpartition("/")[2]: each for each in lowered}
        near = [parts[each] for each in difflib.get_close_matches(name, parts, n=_OFFERED, cutoff=_ALIKE)]
    return [lowered[each] for each in near]


class BadData(BadInput):
    """A dataset that is absent, incomplete or malformed."""


class AbsentData(BadData):
    """Data that is not there, unlike data that is wrong."""


class NoHub(BadInput):
    """The hub gives no answer: what else it would be asked for is not to be had either."""


class ModelFault(FlagbenchError):
    """A model that ran and gave something unusable."""
