"""What is printed, whatever it comes from."""

from __future__ import annotations

import io

import pytest
from rich.table import Table
from rich.text import Text

from flagbench.runners.terminal import console, say

ODD = "a\x1b[31mb\x9bd\u202ee\ud800f"
SHOWN = "a�[31mb�d�e�f"


def test_no_text_moves_a_cursor_however_it_is_printed() -> None:
    file = io.StringIO()
    out = console(file=file)
    say(out, ODD, "two\nlines", "a\rb\x07")
    table = Table(title=Text(ODD))
    table.add_column(Text(ODD))
    table.add_row(Text(ODD))
    out.print(table)
    out.print(Text(ODD))
    text = file.getvalue()
    assert text.count(SHOWN) == 1
    assert text.count("a[31mbde�f") == 4  # what takes no room in a table gets none
    assert "two\nlines\n" in text
    assert all(character.isprintable() or character == "\n" for character in text)


def test_colours_are_still_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    file = io.StringIO()
    console(file=file).print(Text("red", style="red"))
    assert file.getvalue() == "\x1b[31mred\x1b[0m\n"
