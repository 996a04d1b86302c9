"""The fixed words of a page, in a language."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from flagbench.results.page import Language

_MINUTE, _HOUR = 60, 3600


@dataclass(frozen=True)
class Words:
    """The strings of a language.

    Attributes:
        table: Text by key, with ``{name}`` where something comes in.
        kinds: Names of task types.
    """

    table: Mapping[str, str]
    kinds: Mapping[str, str]

    def __call__(self, key: str, /, **parts: Any) -> str:
        """The text of a key."""
        return self.table[key].format(**parts)

    def kind(self, name: str) -> str:
        """A task type; one that the table has not got is shown by its own name."""
        return self.kinds.get(name, name)

    def setting(self, key: str) -> str:
        """A setting by its key; a PEFT adapter is what the field calls an adapter, and that key is another thing."""
        before, dot, last = key.rpartition(".")
        return f"{before}{dot}{self('loaded_as')}" if last == "adapter" else key

    def profile(self, name: str) -> str:
        """How much of the data a board is over: all, the miniature data, or samples by their name."""
        whole = {"full": "profile_full", "mini": "profile_mini"}
        return self(whole[name]) if name in whole else self("profile_drawn", name=name)

    def duration(self, seconds: float | None) -> str:
        """A wall time, in the unit that a user would say it in."""
        if seconds is None:
            return self("unknown")
        if seconds < 0.05:
            return self("instant")
        if seconds >= _HOUR:
            return self("hours", number=f"{seconds / _HOUR:,.1f}")
        if seconds >= _MINUTE:
            return self("minutes", number=f"{seconds / _MINUTE:.1f}")
        return self("short_seconds", number=f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}")


@cache
def words(language: Language) -> Words:
    """The words of a language."""
    table = dict(tomllib.loads((Path(__file__).parent / "strings.toml").read_text(encoding="utf-8"))[language])
    return Words(kinds=table.pop("kinds"), table=table)
