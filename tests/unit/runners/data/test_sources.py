"""Sources as values: what each says of itself, what of it moves a score, and a folder of the user's own."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import os
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import pytest

from flagbench import AbsentData, BadData, BadInput, NoHub
from flagbench.runners.data import cards, sources, streams
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.data.sources import Folder, HubRepo, Snapshot
from tests.pictures import drawn

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
    """Names and bytes; the digest is that of canonical JSON."""
    folder = _data(tmp_path / "org" / "data")
    marks = [
        ["README.md", hashlib.sha256(b"# Rows\n").hexdigest()],
        ["rows/test.jsonl", hashlib.sha256(b'{"text": "one"}\n{"text": "two"}\n').hexdigest()],
    ]
    text = json.dumps({"files": marks}, sort_keys=True)
    expected = {"source": "folder", "content": hashlib.sha256(text.encode()).hexdigest()[:16]}
    assert Snapshot(tmp_path, "org/data").settings() == expected
    assert Folder(folder).settings() == expected
    os.utime(folder / "README.md", ns=(0, 1_700_000_000_000_000_009))
    assert Folder(folder).settings() == expected


def test_an_earlier_flagbench_knew_files_by_size_and_time(tmp_path: Path) -> None:
    folder = _data(tmp_path / "org" / "data")
    marks = [
        ["README.md", 7, 1_700_000_000_000_000_000],
        ["rows/test.jsonl", 32, 1_700_000_000_000_000_001],
    ]
    text = json.dumps({"files": marks}, sort_keys=True)
    expected = {"source": "folder", "files": hashlib.sha256(text.encode()).hexdigest()[:16]}
    assert Snapshot(tmp_path, "org/data").former_settings() == expected
    os.utime(folder / "README.md", ns=(0, 1_700_000_000_000_000_009))
    assert Folder(folder).former_settings() != expected
    assert HubRepo("org/data", _COMMIT).former_settings() is None


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
    monkeypatch.setattr(streams, "_ROWS_A_READ", 2)
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


def test_a_file_of_a_kind_that_is_not_read_and_one_that_is_packed(tmp_path: Path) -> None:
    entry = "- config_name: default\n  data_files:\n  - split: test\n    path: {}\n"
    folder = _card(tmp_path, entry.format("rows.odd"))
    (folder / "rows.odd").write_text("x", encoding="utf-8")
    with pytest.raises(BadData) as caught:
        Folder(folder).read(None, "test")
    assert str(caught.value) == f"{folder / 'rows.odd'}: rows in files of this kind are not read"
    _card(tmp_path, entry.format("v1.0.jsonl.gz"))
    (folder / "v1.0.jsonl.gz").write_bytes(gzip.compress(b'{"text": "one"}\n'))
    assert Folder(folder).read(None, "test")["text"] == ["one"]
    _card(tmp_path, entry.format("plain"))
    (folder / "plain").write_text("x", encoding="utf-8")
    with pytest.raises(BadData, match="plain: rows in files of this kind are not read"):
        Folder(folder).read(None, "test")


def test_a_log_of_datasets_is_as_it_was_after_a_file_that_cannot_be_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test.jsonl").write_text('{"text": "a"}\n{"text": \n', encoding="utf-8")
    before = list(logging.getLogger("datasets").handlers)
    with pytest.raises(BadData) as caught:
        Folder(tmp_path).read(None, "test")
    assert str(caught.value).startswith(f"{tmp_path / 'test.jsonl'} cannot be read as a dataset: ")
    assert logging.getLogger("datasets").handlers == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("path", "shown"),
    [("/etc/rows", "'/etc/rows'"), ("[]", "[]"), ("3", "3"), ("[a, 3]", "['a', 3]"), ('""', "''")],
)
def test_a_path_in_a_card_that_is_none_is_shown(tmp_path: Path, path: str, shown: str) -> None:
    folder = _card(tmp_path, f"- config_name: default\n  data_files:\n  - split: test\n    path: {path}\n")
    with pytest.raises(BadData) as caught:
        Folder(folder).read(None, "test")
    assert str(caught.value) == (
        f"{folder / 'README.md'}: the path of split 'test' is {shown}, and not the name of files in the folder; "
        "fix its YAML"
    )


def test_only_a_commit_is_known_to_be_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sources, "download", lambda *_, **__: tmp_path / _COMMIT)
    assert HubRepo("org/data", _COMMIT).is_at(_COMMIT)
    assert not HubRepo("org/data", "f" * 40).is_at(_COMMIT)
    assert HubRepo("org/data", "main").is_at(_COMMIT)
    assert not HubRepo("org/data", "main").is_at("main")
    assert not HubRepo("org/data", _COMMIT).is_at(_COMMIT[:8])


def test_what_the_hub_has_not_is_absent_and_a_hub_without_an_answer_is_no_fault_of_the_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for error, kind in ((BadInput("no such repo"), AbsentData), (NoHub("no route"), NoHub)):
        monkeypatch.setattr(sources, "download", Mock(side_effect=error))
        with pytest.raises(BadInput, match=str(error)) as caught:
            HubRepo("org/data", _COMMIT).card()
        assert type(caught.value) is kind


def test_what_is_written_into_a_folder_would_be_data_by_whatever_way(tmp_path: Path) -> None:
    data = Folder(_data(tmp_path / "data"))
    (tmp_path / "link").symlink_to(tmp_path / "data" / "rows")
    (tmp_path / "data" / "out").symlink_to(tmp_path)
    inside = [tmp_path / "data", tmp_path / "data" / "a" / "b", tmp_path / "link" / "a", tmp_path / "x" / ".." / "data"]
    outside = [tmp_path, tmp_path / "data2", tmp_path / "data" / ".." / "b", tmp_path / "data" / "out" / "b"]
    assert [data.holds(path) for path in (*inside, *outside)] == [True] * 4 + [False] * 4
    assert not HubRepo("org/data", _COMMIT).holds(tmp_path)


_CARD = "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: test\n    path: test-*\n---\n"


@pytest.mark.parametrize("card", ["", _CARD])
@pytest.mark.parametrize(
    ("last", "fault"),
    [
        ({"text": "c", "label": {"x": 1}}, "column 'label' is struct<x: int64> in this file and int64 in that one"),
        ({"text": "c", "label": "three"}, "column 'label' is string in this file and int64 in that one"),
        ({"text": "c", "label": 3, "grade": 1}, "column 'grade' is in this file alone"),
    ],
)
def test_the_file_that_does_not_go_with_those_before_it_is_named(
    card: str, last: dict[str, object], fault: str, tmp_path: Path
) -> None:
    """Whether the card names the files or datasets finds them, and however the rows are read."""
    for number, row in enumerate(({"text": "a", "label": 1}, {"text": "b", "label": 2}, last)):
        (tmp_path / f"test-{number}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    if card:
        (tmp_path / "README.md").write_text(card, encoding="utf-8")
    expected = (
        f"{tmp_path / 'test-2.jsonl'} cannot be read with test-0.jsonl: {fault}; "
        "give all files of a split the same columns, of the same types"
    )
    source = Folder(tmp_path)
    for read in (lambda: source.read(None, "test"), lambda: source.read_texts(None, "test", ["text"])):
        with pytest.raises(BadData) as caught:
            read()
        assert str(caught.value) == expected


def test_the_row_of_a_folder_of_pictures_that_names_none_is_told(tmp_path: Path) -> None:
    """And not that its rows have other columns than the pictures beside them."""
    for name in ("a", "b"):
        (tmp_path / "test").mkdir(exist_ok=True)
        (tmp_path / f"test/{name}.png").write_bytes(drawn("red"))
    rows = [{"file_name": "a.png", "label": 1}, {"file_name": None, "label": 2}]
    file = tmp_path / "test/metadata.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(BadData) as caught:
        Folder(tmp_path).read_with_images(None, "test")
    said = "has nothing instead of the name of a file in file_name; name it, or remove the row"
    assert str(caught.value) == f"{file}, line 2 {said}"


def test_a_column_of_another_type_in_parquet_is_named_and_one_that_is_widened_is_read(tmp_path: Path) -> None:
    """datasets takes whole numbers of any width for those of the first file, and an empty column for any."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def write(number: int, labels: pa.Array) -> None:
        pq.write_table(pa.table({"text": ["a"], "label": labels}), tmp_path / f"test-{number}.parquet")

    write(0, pa.array([1]))
    write(1, pa.array([2], pa.int32()))
    write(2, pa.array([None]))
    assert Folder(tmp_path).read(None, "test")["label"] == [1, 2, None]
    write(3, pa.array([["x"]]))
    with pytest.raises(BadData, match=r"test-3\.parquet cannot be read with test-0\.parquet: column 'label' is list<"):
        Folder(tmp_path).read(None, "test")


@pytest.mark.parametrize(
    "path", ["../else/test.jsonl", "data/../../test.jsonl", ".cache/test.jsonl", "data/.kept/test.jsonl"]
)
def test_a_card_does_not_name_files_whose_changes_would_not_be_seen(tmp_path: Path, path: str) -> None:
    """A folder is known by the bytes of its own files that are not hidden, so no other file is read."""
    folder = _card(tmp_path, f"- config_name: default\n  data_files:\n  - split: test\n    path: {path}\n")
    with pytest.raises(BadData, match="leads out of the folder or to hidden files"):
        cards.files(folder, None)


def test_a_card_of_odd_yaml_is_refused_in_one_line(tmp_path: Path) -> None:
    """Lists that name one another have a text of gigabytes; it is not made."""
    names = "abcdefghij"
    lists = "".join(f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in pairwise(names))
    bomb = f"a: &a [x, x]\n{lists}"
    for text in (
        f"{bomb}configs: *j\n",
        f"{bomb}configs:\n- config_name: *j\n",
        f"{bomb}configs:\n- config_name: default\n  data_files:\n  - split: *j\n    path: test.jsonl\n",
        "configs:\n- config_name: default\n  data_files:\n  - split: test\n    path: '**test.jsonl'\n",
    ):
        (tmp_path / "README.md").write_text(f"---\n{text}---\n", encoding="utf-8")
        with pytest.raises(BadData, match=r"fix its YAML$"):
            list(cards.each_split(tmp_path))
