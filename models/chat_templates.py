"""Bounds of a chat template, which is a program of the checkpoint: how long it runs, and how much it writes.

Jinja's sandbox, in which transformers runs templates, keeps them from files and from Python; it does not keep loops in
loops from going on for ever, nor from writing until memory is full.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from flagbench.files import MIB

MOST_SECONDS = 10.0
"""Of one rendering; a template that is none of an attacker's takes milliseconds, also for a million characters."""

_MOST_CHARACTERS = 256 * MIB
"""That a template may write while it runs: what it made of messages is looked at more closely when it is done."""

_COMPILED = "<template>"
"""Where Jinja says that the code of a template stands that came as a text."""


class EndlessTemplate(RuntimeError):
    """A chat template was stopped."""


@contextmanager
def bounded(seconds: float = MOST_SECONDS, characters: int = _MOST_CHARACTERS) -> Iterator[None]:
    """Stop each template that is rendered inside, in this thread, when it runs too long or writes too much.

    Each line of its compiled code is looked at, and no other code: what a single expression of it does is not stopped.

    Args:
        seconds: That all of them may take.
        characters: That they may write.

    Raises:
        EndlessTemplate: One was stopped.
    """
    ends, left = time.monotonic() + seconds, characters

    def inside(frame: FrameType, event: str, value: Any) -> Any:
        nonlocal left
        if event == "return" and isinstance(value, str):  # so are the pieces that its generator yields
            left -= len(value)
            if left < 0:
                raise EndlessTemplate(f"it writes more than {characters:,} characters")
        if time.monotonic() > ends:
            raise EndlessTemplate(f"it runs for more than {seconds:g} seconds")
        return inside

    def entered(frame: FrameType, event: str, value: Any) -> Any:
        return inside if frame.f_code.co_filename == _COMPILED else None

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        yield
    finally:
        sys.settrace(before)
