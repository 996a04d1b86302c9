"""Terminal output: consoles, and text that can be printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_WITHOUT_TERMINAL = 140


def encodable(text: str) -> str:
    """The text with a sign for each half of a surrogate pair, which a name may hold and no file or terminal takes."""
    return text.encode("utf-8", "replace").decode()


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal; as a wide one where the output goes to a file."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False)
    if not made.is_terminal:
        made.width = _WIDTH_WITHOUT_TERMINAL
    return made


def say(console: Console, *lines: str) -> None:
    """Print lines as they are: no markup, no emoji, and no breaks but the terminal's own."""
    for line in lines:
        console.print(line, markup=False, emoji=False, soft_wrap=True)
