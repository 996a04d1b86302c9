"""Interning of what records hold: equal settings, data and environments of many tasks and runs are one object."""

from __future__ import annotations

import marshal
import sys
from typing import Any

_CONTAINERS = frozenset({dict, list, tuple})

_PLAIN = 0
"""Version of marshal's format that writes equal values alike, whichever of their parts are one object."""


class Interned:
    """The values of some records, each kept once. Records are read-only, so their tasks may share what they hold.

    Values are told apart by their types and the order of their keys as well: ``0``, ``0.0`` and ``False`` stay what
    they are, and a record is written as it was read.
    """

    def __init__(self) -> None:
        self._values: dict[bytes, Any] = {}

    def __call__(self, value: Any) -> Any:
        """The value that was interned first of those that are equal to this one.

        Args:
            value: As JSON gives it; a list may be a tuple.
        """
        kind = type(value)
        if kind is str:
            return sys.intern(value)
        if kind not in _CONTAINERS:
            return value
        key = marshal.dumps(value, _PLAIN)
        known = self._values.get(key)
        if known is None:
            known = self._values[key] = self.inside(value) if kind is dict else kind(map(self, value))
        return known

    def inside(self, value: dict[str, Any]) -> dict[str, Any]:
        """The same object with the values in it interned, of one that is unlike all others."""
        return {sys.intern(key): self(each) for key, each in value.items()}
