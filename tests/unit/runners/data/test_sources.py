"""Sources as values: what each says of itself, what of it moves a score, and a folder of the user's own."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from flagbench import BadData
from flagbench.runners.data import sources
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.data.sources import Folder, HubRepo, Snapshot

_COMMIT = "0123456789abcdef0123456789abcdef01234567"


def _data(folder: Path) -> Path:
    """A small dataset of two files, of known times."""
    (folder / "rows").mkdir(parents=True)
    (folder / "README.md").write_text("# Rows\n", encoding="utf-8")
    (folder / "rows" / "test.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n', encoding="utf-8")
    for number, path in enumerate((folder / "README.md", folder / "rows" / "test.jsonl")):
        os.utime(path, ns=(0, 1_700_000_000_000_000_000 + number))
    return folder


def test_a_snapshot_and_a_folder_of_the_same_files_have_the_same_settings(tmp_path: Path) -> None:
    """Names, sizes and times; the digest is that of canonical JSON, as results before had it."""
    folder = _data(tmp_path / "org" / "data")
    marks = [
        ["README.md", 7, 1_700_000_000_000_000_000],
        ["rows/test.jsonl", 32, 1_700_000_000_000_000_001],
    ]
    text = json.dumps({"files": marks}, sort_keys=True)
    expected = {"source": "folder", "files": hashlib.sha256(text.encode()).hexdigest()[:16]}
    assert Snapshot(tmp_path, "org/data").settings() == expected
    assert Folder(folder).settings() == expected
    os.utime(folder / "README.md", ns=(0, 1_700_000_000_000_000_009))
    assert Folder(folder).settings() != expected


def test_the_settings_of_a_repo_are_its_commit() -> None:
    assert HubRepo("org/data", _COMMIT).settings() == {"source": "hub", "commit": _COMMIT}
    assert HubRepo("org/data", _COMMIT).where == f"hub org/data@{_COMMIT}"


def test_snapshots_give_the_source_of_a_dataset(tmp_path: Path) -> None:
    assert Snapshots(tmp_path).source("org/data", "main") == Snapshot(tmp_path, "org/data")
    hub = Snapshots(None)
    assert hub.source("org/data", "main") == HubRepo("org/data", "main")
    assert hub.source("org/data", "main") is hub.source("org/data", "main"), "what it downloaded is known to it"
    assert hub.source("org/data", "main") != hub.source("org/data", _COMMIT)


def test_a_repo_is_asked_once_for_the_same_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def download(repo: str, *, repo_type: str, revision: str, patterns: tuple[str, ...]) -> Path:
        asked.append((repo, repo_type, revision, patterns))
        return tmp_path / _COMMIT

    monkeypatch.setattr("flagbench.runners.data.sources.download", download)
    source = HubRepo("org/data", "main")
    for _ in range(2):
        assert source.settings() == {"source": "hub", "commit": _COMMIT}
        assert source.files("a", "b") == tmp_path / _COMMIT
    assert asked == [("org/data", "dataset", "main", ("README.md",)), ("org/data", "dataset", "main", ("a", "b"))]
    HubRepo("org/data", "main").card()
    assert len(asked) == 3


def test_a_folder_of_the_user_is_read_from_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _data(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    source = Folder(Path("mine"))
    assert source == Folder(folder)
    assert source.where == f"folder {folder}"
    assert source.configs() == ["default"]
    assert source.splits(None) == ["test"]
    assert source.read(None, "test")["text"] == ["one", "two"]
    assert list(source.read_texts(None, "test", ["text"])["text"]) == ["one", "two"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Folder(Path("~/mine")) == source


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=f"^the folder {tmp_path}/gone does not exist$"):
        Folder(tmp_path / "gone").read(None, "test")
    with pytest.raises(BadData, match=f"^dataset org/gone is not in {tmp_path}: {tmp_path}/org/gone does not exist$"):
        Snapshot(tmp_path, "org/gone").files("*")


@pytest.mark.parametrize("missing", [0, 1, 2, 4])
def test_a_row_without_a_value_is_named_by_its_number_in_the_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    """Whichever piece of the split it is read in, here of two rows."""
    monkeypatch.setattr(sources, "_ROWS_A_READ", 2)
    rows = [{"id": str(number), "text": None if number == missing else f"text {number}"} for number in range(5)]
    (tmp_path / "test.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    folder = Folder(tmp_path)
    assert list(folder.read_texts(None, "test", ["id"])["id"]) == ["0", "1", "2", "3", "4"]
    with pytest.raises(BadData, match=rf"split 'test' has no text in row {missing} \(counted from 0\)"):
        folder.read_texts(None, "test", ["id", "text"])


def _card(folder: Path, *configs: str) -> Path:
    folder.mkdir(exist_ok=True)
    text = "".join(["---\nconfigs:\n", *configs, "---\n"])
    (folder / "README.md").write_text(text, encoding="utf-8")
    return folder


def test_of_a_repo_whose_card_names_no_files_all_are_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, ...]] = []

    def download(repo: str, *, repo_type: str, revision: str, patterns: tuple[str, ...]) -> Path:
        asked.append(patterns)
        return folder

    folder = _data(tmp_path / _COMMIT)
    monkeypatch.setattr(sources, "download", download)
    assert HubRepo("org/data", "main")._stream(None, "test")[0] == folder
    assert asked == [("README.md",), ("*",)]
    asked.clear()
    _card(folder, "- config_name: default\n  data_files:\n  - split: test\n    path: '**/test.jsonl'\n")
    assert HubRepo("org/data", "main")._stream(None, "test")[0] == folder
    assert asked == [("README.md",), ("*test.jsonl",)]
    with pytest.raises(BadData, match=r"config 'default' has no split 'dev' \(it has test\)"):
        HubRepo("org/data", "main")._stream(None, "dev")
