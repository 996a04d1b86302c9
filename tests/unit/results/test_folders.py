"""A folder takes the place of another in one step, so that a kill at any instant leaves the one or the other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flagbench.results import folders
from flagbench.results.folders import put_in_place, unfinished_folder


def _filled(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "file").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets two folders change places in one step")
def test_the_place_is_never_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = _filled(tmp_path / "site", "old")
    monkeypatch.setattr(Path, "rename", lambda *_: pytest.fail("two steps, between which the place is empty"))
    with unfinished_folder(tmp_path, ".test.") as unfinished:
        put_in_place(_filled(unfinished / "made", "new"), target, unfinished / "before")
        assert (unfinished / "made" / "file").read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    assert (target / "file").read_text(encoding="utf-8") == "new"


def test_where_a_system_cannot_it_takes_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = _filled(tmp_path / "site", "old")
    monkeypatch.setattr(folders, "_exchanged", lambda *_: False)
    put_in_place(_filled(tmp_path / "made", "new"), target, tmp_path / "before")
    assert (target / "file").read_text(encoding="utf-8") == "new"
    assert (tmp_path / "before" / "file").read_text(encoding="utf-8") == "old"
    assert not (tmp_path / "made").exists()
