"""FlagBench's own name: what a Python program uses, the version, and the one tree of errors of all packages.

``evaluate``, ``load``, ``Run`` and ``FlagBenchCallback`` are imported when they are first used.

The tree, caught once in ``runners/commands/cli.py`` and shown as one line::

    FlagbenchError            exit code 1: something failed that is not the user's input
    ├── BadInput              exit code 2: what was asked for cannot be done; says what to change
    │   ├── UnknownName       a name that no registry knows, with the nearest known ones
    │   ├── BadData           a dataset that is absent, incomplete or malformed
    │   └── NoHub             the hub gives no answer, so that asking it for more is in vain
    ├── ModelFault            a model that ran and gave something unusable (NaN, wrong shape)
    └── FailedTasks           tasks of an evaluation that a program called failed; has the scores of the others
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flagbench.callbacks import FlagBenchCallback as FlagBenchCallback
    from flagbench.runners.python.evaluate import evaluate as evaluate
    from flagbench.runners.python.run import Run as Run
    from flagbench.runners.python.run import load as load

__version__ = "0.1.0"

_OF_PYTHON = {
    "FlagBenchCallback": "flagbench.callbacks",
    "Run": "flagbench.runners.python.run",
    "evaluate": "flagbench.runners.python.evaluate",
    "load": "flagbench.runners.python.run",
}
"""Names that a program uses, and the modules that have them."""

_OFFERED = 3
_ALIKE = 0.5  # of difflib's ratio, which is 1 for the same
_LESS_ALIKE = 0.24  # than the nearest: what is less alike by more was not meant
_SHORTEST_PART = 4  # a shorter one is in too many names

UNTOLD = "server"
"""The revision of a model whose server does not tell it, and for which the user names none."""


def counted(number: int, name: str) -> str:
    """A number of things: ``1 task``, ``1,024 tasks``."""
    return f"{number:,} {name}" + ("" if number == 1 else "s")


def in_bytes(size: float | None) -> str:
    """A number of bytes in decimal units, rounded to three digits: ``1.54 GB``; empty for none."""
    if size is None:
        return ""
    units = ["B", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size /= 1000
        del units[0]
    return f"{size:,.0f} {units[0]}" if size >= 99.95 or units[0] == "B" else f"{size:.3g} {units[0]}"


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

    Attributes:
        kind: As given.
        name: As given.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.kind, self.name = kind, name
        names = list(known)
        near = nearest(name, names)
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


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """Up to three names that are like one in small letters, contain it, or are ``org/model`` with a model like it."""
    name = name.lower()
    lowered = {candidate.lower(): candidate for candidate in names}
    near = _alike(name, lowered)
    if not near and len(name) >= _SHORTEST_PART:
        near = sorted((each for each in lowered if name in each), key=len)[:_OFFERED]
    if not near:
        parts = {each.rpartition("/")[2]: each for each in lowered}
        near = [parts[each] for each in _alike(name, parts)]
    return [lowered[each] for each in near]


def _alike(name: str, names: Iterable[str]) -> list[str]:
    """Up to three names that are like one, the nearest first, and none that is far less so."""
    near = difflib.get_close_matches(name, list(names), n=_OFFERED, cutoff=_ALIKE)
    ratios = [difflib.SequenceMatcher(None, each, name).ratio() for each in near]
    return [each for each, ratio in zip(near, ratios, strict=True) if ratio > ratios[0] - _LESS_ALIKE]


class BadData(BadInput):
    """A dataset that is absent, incomplete or malformed."""


class AbsentData(BadData):
    """Data that is not there, unlike data that is wrong."""


class NoHub(BadInput):
    """The hub gives no answer: what else it would be asked for is not to be had either."""


class ModelFault(FlagbenchError):
    """A model that ran and gave something unusable."""


class FailedTasks(FlagbenchError):
    """Tasks of an evaluation failed.

    Args:
        failed: Why, by task.
        run: The run, with the scores of the other tasks; None where it left no result.
    """

    def __init__(self, failed: Mapping[str, str], run: Run | None) -> None:
        self.failed, self.run = dict(failed), run
        super().__init__(f"{counted(len(failed), 'task')} failed: {first_few(failed.values(), 3, '; ')}")


def __getattr__(name: str) -> Any:
    """The names of ``_OF_PYTHON``: importing FlagBench imports no more than is used."""
    if name not in _OF_PYTHON:
        raise AttributeError(f"module 'flagbench' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_OF_PYTHON[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_OF_PYTHON})
