"""The end of a watch: a step, a time, or a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_PART = r"[0-9]{1,9}(?:\.[0-9]{1,6})?(?:min|[smhd])"
_DURATION = re.compile(rf"(?:{_PART})+")
_MISSPELT = re.compile(r"[0-9][0-9.,_ ]*[a-zA-Z]*")
"""What begins as a step or a time, and is none."""


@dataclass(frozen=True)
class Until:
    """When to stop looking for checkpoints; one of three is given.

    Attributes:
        step: After this step of the training, or a later one.
        seconds: So long after the beginning.
        file: When this file is there.
    """

    step: int | None = None
    seconds: float | None = None
    file: Path | None = None

    def __str__(self) -> str:
        """In words, for the line that says what is waited for."""
        if self.step is not None:
            return f"until step {self.step:,}"
        return f"until {self.file} exists" if self.file else f"for {self.seconds:g} s"

    def reached(self, steps: int, seconds: float) -> bool:
        """Tell whether it is over.

        Args:
            steps: The last step of the training of which a checkpoint was seen, -1 for none.
            seconds: Since the beginning.
        """
        if self.step is not None:
            return steps >= self.step
        if self.seconds is not None:
            return seconds >= self.seconds
        return self.file is not None and self.file.exists()


def parse_until(text: str) -> Until:
    """``2000`` is a step, ``1h30m`` a time, and all else a file.

    Raises:
        ValueError: It is empty, longer than a number of steps is, or begins as a time and is none.
    """
    if text.isascii() and text.isdigit():
        if len(text) > len(str(10**15)):
            raise ValueError(f"expected a step of up to 15 digits, not '{text:.40}'")
        return Until(step=int(text))
    if _DURATION.fullmatch(text):
        parts = re.findall(r"([0-9.]+)([a-z]+)", text)
        return Until(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
    if not text or _MISSPELT.fullmatch(text):
        raise ValueError(
            f"expected a step, a time such as 2h30m, or a file, not '{text:.40}'; a file may be written as ./{text:.40}"
        )
    return Until(file=Path(text).expanduser())


def until_in(text: str, path: Callable[[str], str]) -> str:
    """An end as it is typed, whose path is changed where it is a file.

    Args:
        text: As ``parse_until`` takes it.
        path: Gives the file that stands for one.
    """
    try:
        return path(text) if parse_until(text).file else text
    except ValueError:  # whoever parses it says so
        return text
