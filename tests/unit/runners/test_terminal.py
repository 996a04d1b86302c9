"""What is printed, whatever it comes from."""

from __future__ import annotations

import io

import pytest
from rich.control import Control
from rich.table import Table
from rich.text import Text

from flagbench.runners.terminal import console, encodable, say

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
    assert "\ntwo�lines\n" in text  # a break in a name begins no line that says something else
    assert all(character.isprintable() or character == "\n" for character in text)


def test_colours_are_still_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    file = io.StringIO()
    console(file=file).print(Text("red", style="red"))
    assert file.getvalue() == "\x1b[31mred\x1b[0m\n"


def test_a_line_is_printed_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """No markup, no emoji, and no breaks where there is no terminal."""
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    file = io.StringIO()
    lines = ("[bold]x[/bold] [/nope]", ":smile: 12", "word " * 60 + "end")
    say(console(file=file), *lines)
    assert file.getvalue() == "".join(f"{line}\n" for line in lines)


def test_how_wide_a_table_is_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "33")
    assert console(file=io.StringIO()).width == 140
    assert console(file=io.StringIO(), width=77).width == 77
    assert [console(stderr=stderr, width=77).width for stderr in (False, True)] == [33, 33]
    for said in ("", "0", "-5", "wide", "9" * 99):
        monkeypatch.setenv("COLUMNS", said)
        assert console(width=77).width == 77
    monkeypatch.setenv("COLUMNS", "33")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert console(file=io.StringIO(), width=77).width == 33


def test_what_moves_the_cursor_of_a_progress_bar_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    file = io.StringIO()
    out = console(file=file)
    out.control(Control.home())
    assert file.getvalue() == "\x1b[H"


def test_halves_of_surrogate_pairs_become_signs() -> None:
    assert encodable("a\ud800b\udcff 文") == "a?b? 文"
