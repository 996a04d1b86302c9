"""Values of arguments that several commands take: what they mean, and what is none of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from flagbench.runners.arguments import any_path, folder, names, positive, rate, seconds, size


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (names, "A", ("A",)),
        (names, " B, A ,,B,", ("B", "A")),
        (size, "50GB", 50_000_000_000),
        (size, "1.5 TiB", 3 * 2**39),
        (folder, "a/b", Path("a/b")),
        (folder, "~/s", Path.home() / "s"),
        (rate, "0.001", 0.001),
        (rate, "999.9", 999.9),
        (rate, "2", 2.0),
        (seconds, "0.5", 0.5),
        (seconds, "86400", 86_400.0),
        (positive, "1", 1),
        (positive, " 12 ", 12),
        (positive, "1000000000", 1_000_000_000),
    ],
)
def test_what_a_value_means(read: Any, text: str, value: Any) -> None:
    assert read(text) == value
    assert type(read(text)) is type(value)


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (names, "", "expected names with commas between them"),
        (names, " , ,", "expected names with commas between them"),
        (size, "many", "expected a size such as 50GB, 500MB or 1.5TiB, not 'many'"),
        (folder, "", "expected a folder, not ''"),
        (folder, "~nobody-of-this-name/s", "~nobody-of-this-name/s: there is no such home folder; give the whole path"),
        (rate, "0", "expected frames a second, not '0'"),
        (rate, "-1", "expected frames a second, not '-1'"),
        (rate, "1000", "expected frames a second, not '1000'"),
        (rate, "nan", "expected frames a second, not 'nan'"),
        (rate, "1_0", "expected frames a second, not '1_0'"),
        (rate, "fast", "expected frames a second, not 'fast'"),
        (seconds, "0", "expected seconds, up to 86400, not '0'"),
        (seconds, "-1", "expected seconds, up to 86400, not '-1'"),
        (seconds, "86400.5", "expected seconds, up to 86400, not '86400.5'"),
        (seconds, "nan", "expected seconds, up to 86400, not 'nan'"),
        (seconds, "1_0", "expected seconds, up to 86400, not '1_0'"),
        (seconds, "a day", "expected seconds, up to 86400, not 'a day'"),
        (positive, "0", "expected a whole number above 0, not '0'"),
        (positive, "1_0", "expected a whole number above 0, not '1_0'"),
        (positive, "1.0", "expected a whole number above 0, not '1.0'"),
        (positive, "1000000001", "expected a whole number up to 1,000,000,000, not '1000000001'"),
    ],
)
def test_what_is_no_value_is_said(read: Any, text: str, said: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        read(text)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a" * 5_000, "File name too long"),
        ("~nosuchuser/x", "there is no such home folder"),
        ("a\0b", "cannot be the name of a file"),
    ],
)
def test_a_path_that_no_file_can_have_is_refused_where_it_is_given(text: str, said: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=said) as refused:
        any_path(text)
    assert len(str(refused.value)) < 200


def test_a_path_need_not_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert any_path("~/a/b") == tmp_path / "a" / "b"
    (tmp_path / "file").touch()
    assert any_path(f"{tmp_path}/file/below") == tmp_path / "file" / "below"


def test_a_link_that_leads_nowhere_is_a_path_and_one_that_leads_to_itself_is_none(tmp_path: Path) -> None:
    """What lies there is for whoever opens it; only a way that goes through a circle has no end."""
    (tmp_path / "gone").symlink_to("nothing")
    (tmp_path / "circle").symlink_to("circle")
    assert any_path(str(tmp_path / "gone")) == tmp_path / "gone"
    for name in ("circle", "circle/below"):
        with pytest.raises(argparse.ArgumentTypeError) as refused:
            any_path(str(tmp_path / name))
        shown = repr(str(tmp_path / name))[:80]
        assert str(refused.value) == f"{shown} cannot be the name of a file (Too many levels of symbolic links)"
