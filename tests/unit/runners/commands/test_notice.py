"""A line on a terminal at once, of which nothing is left; elsewhere none."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from flagbench.runners.commands.notice import notice


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> str:
        """What the line shows now: a terminal writes over it from its start after a return."""
        return self.getvalue().rpartition("\r")[2].removeprefix("\x1b[2K")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> _Terminal:
    stream = _Terminal()
    monkeypatch.setattr("flagbench.runners.commands.notice.sys", SimpleNamespace(stderr=stream))
    monkeypatch.setenv("COLUMNS", "40")
    return stream


def test_it_is_there_at_once_and_gone_afterwards(terminal: _Terminal) -> None:
    with notice("looking at the model") as show:
        assert terminal.shown == "looking at the model"
        show("getting ready")
        assert terminal.shown == "getting ready"
    assert terminal.shown == ""
    assert "\n" not in terminal.getvalue()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_finds_an_empty_line(terminal: _Terminal, error: type[BaseException]) -> None:
    with pytest.raises(error), notice("looking"):
        raise error
    assert terminal.shown == ""


def test_it_has_one_line_and_moves_no_cursor(terminal: _Terminal) -> None:
    with notice("a\x1b[2Jb\n" + 60 * "c"):
        assert len(terminal.shown) == 39
        assert terminal.shown.startswith("a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}ccc")
        assert terminal.shown.endswith("c…")


def test_a_chinese_character_takes_two_columns(terminal: _Terminal) -> None:
    with notice(30 * "检"):
        assert terminal.shown == 19 * "检" + "…"


def test_a_terminal_that_can_erase_nothing_is_asked_to_erase_nothing(
    terminal: _Terminal, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with notice("looking") as show:
        assert terminal.getvalue() == ""
        show("getting ready")
    assert terminal.getvalue() == "getting ready\n"


def test_elsewhere_what_is_done_next_stays(capsys: pytest.CaptureFixture[str]) -> None:
    with notice("looking") as show:
        assert capsys.readouterr() == ("", "")
        show("getting\x1b ready")
    assert capsys.readouterr() == ("", "getting\N{REPLACEMENT CHARACTER} ready\n")
