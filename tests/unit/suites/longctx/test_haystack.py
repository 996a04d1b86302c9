"""Texts that needles are hidden in: whose they are, in which order, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from flagbench import AbsentData, BadData
from flagbench.runners.data.sources import Snapshot
from flagbench.suites.longctx.generated import Generated
from flagbench.suites.longctx.haystack import MINI, read_haystack
from flagbench.suites.longctx.options import LongContextOptions

NO_FLAGS = LongContextOptions()


def test_texts_of_the_user_are_sorted_and_come_first(tmp_path: Path) -> None:
    for name, text in {"b.txt": "second", "a.txt": "first", "c.md": "no text file", "d.txt": " \n"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    haystack = read_haystack(Generated(), LongContextOptions(haystack=tmp_path))
    assert haystack.texts == ("first", "second")
    assert not haystack.published


def test_one_file_of_the_user_is_one_text(tmp_path: Path) -> None:
    path = tmp_path / "essay.md"
    path.write_text("\ufeffone text", encoding="utf-8")
    assert read_haystack(Generated(), LongContextOptions(haystack=path)).texts == ("one text",)


@pytest.mark.parametrize("place", ["", "long-llm/needle", "scripts/data/synthetic/json"])
def test_essays_are_found_wherever_they_lie_in_the_data(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "org" / "repo" / place
    (folder / "PaulGrahamEssays").mkdir(parents=True)
    (folder / "PaulGrahamEssays" / "avg.txt").write_text("Beating the averages.", encoding="utf-8")
    (folder / "other.txt").write_text("Not an essay.", encoding="utf-8")
    haystack = read_haystack(Snapshot(tmp_path, "org/repo"), NO_FLAGS)
    assert haystack.texts == ("Beating the averages.",)
    assert haystack.published


def test_rulers_file_of_all_essays_is_one_text(tmp_path: Path) -> None:
    folder = tmp_path / "org" / "repo"
    folder.mkdir(parents=True)
    (folder / "PaulGrahamEssays.json").write_text(json.dumps({"text": "All of them."}), encoding="utf-8")
    assert read_haystack(Snapshot(tmp_path, "org/repo"), NO_FLAGS).texts == ("All of them.",)


def test_data_without_essays_is_named_with_the_flag_that_gives_some(tmp_path: Path) -> None:
    (tmp_path / "org" / "repo").mkdir(parents=True)
    with pytest.raises(AbsentData, match="--haystack"):
        read_haystack(Snapshot(tmp_path, "org/repo"), NO_FLAGS)


def test_without_data_the_texts_are_the_packages_own() -> None:
    for source, language, options in (
        (Generated(), "en", NO_FLAGS),
        (Generated(), "zh", LongContextOptions(haystack=Path("own-zh"))),
    ):
        haystack = read_haystack(source, options)
        assert (haystack.own, haystack.published) == (True, False)
        folder = LongContextOptions(haystack=MINI / "haystack" / language)
        assert haystack.texts == read_haystack(Generated(), folder).texts


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    def refused(path: Path, message: str) -> None:
        with pytest.raises(BadData, match=message):
            read_haystack(Generated(), LongContextOptions(haystack=path))

    refused(tmp_path / "absent.txt", "cannot be read")
    refused(tmp_path, r"has no \*.txt with a text")
    (tmp_path / "blank.txt").write_text(" ", encoding="utf-8")
    refused(tmp_path / "blank.txt", "has no text")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    refused(tmp_path / "latin.txt", "is not UTF-8")
    (tmp_path / "list.json").write_text('["text"]', encoding="utf-8")
    refused(tmp_path / "list.json", "not an object with a text")
    os.mkfifo(tmp_path / "pipe.txt")
    refused(tmp_path / "pipe.txt", "not a regular file")


def test_a_link_out_of_the_data_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"text": "not for this"}', encoding="utf-8")
    folder = tmp_path / "data" / "org" / "repo"
    folder.mkdir(parents=True)
    (folder / "PaulGrahamEssays.json").symlink_to(secret)
    with pytest.raises(BadData, match="leads out of"):
        read_haystack(Snapshot(tmp_path / "data", "org/repo"), NO_FLAGS)
