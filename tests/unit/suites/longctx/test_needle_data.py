"""What is said of the text that needles are hidden in, and which files are refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.results.data_state import DataState
from flagbench.runners.data.sources import Snapshot
from flagbench.suites.longctx import needle, passkey
from flagbench.suites.longctx.generated import Generated
from flagbench.suites.longctx.haystack import ESSAYS, MINI, read_haystack
from flagbench.suites.longctx.options import LongContextOptions
from flagbench.suites.longctx.registry import row_of
from flagbench.suites.longctx.sample import Content

REPO = "namespace-Pt/projects"


def essays(root: Path, **texts: str) -> Snapshot:
    folder = root / REPO / ESSAYS
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_bytes(text.encode())
    return Snapshot(root, REPO)


def read(source: Snapshot | Generated, haystack: Path | None = None, protocol: str = "", **options: object) -> Content:
    made = LongContextOptions(haystack=haystack, protocol=protocol, **options)  # type: ignore[arg-type]
    return needle.read(row_of("Needle"), source, made)


def test_the_essays_of_the_data_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    source = essays(tmp_path, b=" second\r\n", a="first\n", c="")
    found = read_haystack(source, LongContextOptions())
    assert (found.texts, found.own) == (("first\n", " second\n"), False)
    content = read(source)
    assert content.verdict.status == DataState.UNKNOWN
    assert content.verdict.source == str(tmp_path / REPO / ESSAYS)
    assert content.notes == [f"needles are hidden in {tmp_path / REPO / ESSAYS}"]


@pytest.mark.parametrize("source", [Generated(), Snapshot(MINI, REPO)])
def test_without_essays_the_own_text_is_taken_and_said(source: Snapshot) -> None:
    content = read(source)
    assert content.verdict.status == DataState.DIFFERS
    assert list(content.verdict.differences) == ["the haystack is FlagBench's own text, not the published essays"]
    assert list(content.notes) == ["needles are hidden in FlagBench's own text, repeated where it is too short"]
    assert len(content.rows[0].haystack.texts) > 5
    chinese = read(source, Path("own-zh")).rows[0].haystack.texts
    assert all(sum("\u4e00" <= sign <= "\u9fff" for sign in text) > 400 for text in chinese)


def test_own_texts_do_not_hold_what_is_hidden_in_them() -> None:
    for name in ("own", "own-zh"):
        for text in read_haystack(Generated(), LongContextOptions(haystack=Path(name))).texts:
            assert "San Francisco" not in text
            assert "pass key" not in text


def test_another_haystack_is_other_data(tmp_path: Path) -> None:
    for name, text in (("a", "one text"), ("b", "another text")):
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    digests = {read(Generated(), tmp_path / f"{name}.txt").verdict.content["haystack"].digest for name in "ab"}
    assert len(digests) == 2


def test_the_original_says_that_it_is_scored_by_a_judge(tmp_path: Path) -> None:
    content = read(essays(tmp_path, a="text"), protocol="official")
    assert "scored by a judge" in content.notes[1]
    assert content.verdict.status == DataState.DIFFERS
    assert list(content.verdict.differences) == ["haystack: its content is not the official one"]


def test_grids_that_are_not_published_are_said() -> None:
    content = passkey.read(row_of("Passkey"), Generated(), LongContextOptions())
    assert (content.verdict.status, list(content.verdict.differences)) == (DataState.OFFICIAL, [])
    assert len(content.rows) == 200
    other = passkey.read(row_of("Passkey"), Generated(), LongContextOptions(lengths=(500,), depths=(0, 5), seed=9))
    assert other.verdict.status == DataState.DIFFERS
    assert list(other.verdict.differences) == [
        "the lengths are not the published ones, 8,192 to 131,072 in 20 steps",
        "the depths are not the published ones, 0 to 100 in 10 steps",
        "the keys are drawn with the seed 9, the published ones with 123",
    ]
    assert other.verdict.content["keys"] != content.verdict.content["keys"]


@pytest.mark.parametrize("what", ["absent", "blank", "latin", "pipe", "empty folder", "link", "large"])
def test_what_is_no_haystack_is_refused(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hay"
    fault = "cannot be read"
    if what == "blank":
        path.write_text(" \n", encoding="utf-8")
        fault = "has no text"
    elif what == "latin":
        path.write_bytes("Größe".encode("latin-1"))
        fault = "is not UTF-8"
    elif what == "pipe":
        os.mkfifo(path)
        fault = "is not a regular file"
    elif what == "empty folder":
        path.mkdir()
        (path / "a.md").write_text("text", encoding="utf-8")
        fault = r"has no \*.txt with a text in it"
    elif what == "link":
        path.mkdir()
        (tmp_path / "secret").write_text("text", encoding="utf-8")
        (path / "a.txt").symlink_to(tmp_path / "secret")
        fault = "is a link that leads out"
    elif what == "large":
        monkeypatch.setattr("flagbench.suites.longctx.haystack._LARGEST", 10)
        path.mkdir()
        for name in "ab":
            (path / f"{name}.txt").write_text("eight by", encoding="utf-8")
        fault = "larger|more than"
    with pytest.raises(BadInput, match=fault):
        read_haystack(Generated(), LongContextOptions(haystack=path))
