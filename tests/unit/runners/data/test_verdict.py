"""Which of the four states rows are in: by their source, the hashes of their files, their counts and their content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.results.data_state import DataState
from flagbench.runners.data.hub_files import commit_of
from flagbench.runners.data.sources import Folder, HubRepo
from flagbench.runners.data.verdict import Content, DataVerdict, as_rows, judge, read_official

_COMMIT, _OTHER = "a" * 40, "b" * 40
_FILES = {"README.md": b"---\n---\n", "data/test.parquet": b"PAR1" * 99}


def _etag(name: str, content: bytes) -> str:
    """SHA-256 of what the hub keeps as large files; of others what ``git hash-object`` gives."""
    if name.endswith(".parquet"):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _downloaded(folder: Path, commit: str = _COMMIT, files: Mapping[str, bytes] = _FILES) -> Path:
    """As ``hf download --local-dir`` leaves it."""
    for name, content in files.items():
        metadata = folder / ".cache" / "huggingface" / "download" / f"{name}.metadata"
        for path in (folder / name, metadata):
            path.parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        metadata.write_text(f"{commit}\n{_etag(name, content)}\n1700000000.0\n", encoding="utf-8")
    return folder


def _cached(folder: Path) -> Path:
    """As the hub's cache has it."""
    snapshot = folder / "datasets--o--r" / "snapshots" / _COMMIT
    for name, content in _FILES.items():
        blob = folder / "datasets--o--r" / "blobs" / _etag(name, content)
        for path in (blob, snapshot / name):
            path.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        (snapshot / name).symlink_to(blob)
    return snapshot


def test_what_the_hub_client_kept_names_the_commit(tmp_path: Path) -> None:
    assert commit_of(_downloaded(tmp_path / "one")) == _COMMIT
    assert commit_of(_cached(tmp_path / "cache")) == _COMMIT


def test_git_and_the_hash_agree() -> None:
    assert _etag("a.txt", b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object


@pytest.mark.parametrize("name", list(_FILES))
def test_a_changed_file_is_of_no_commit(tmp_path: Path, name: str) -> None:
    one, cached = _downloaded(tmp_path / "one"), _cached(tmp_path / "cache")
    for folder in (one, cached):
        content = bytearray((folder / name).read_bytes())
        content[0] ^= 1
        (folder / name).resolve().write_bytes(bytes(content))
        assert commit_of(folder) is None


def test_a_file_beside_them_a_second_commit_or_no_metadata_is_none(tmp_path: Path) -> None:
    one = _downloaded(tmp_path / "one")
    (one / "data" / "more.parquet").write_bytes(b"PAR1")
    assert commit_of(one) is None
    two = _downloaded(tmp_path / "two")
    (metadata,) = two.rglob("test.parquet.metadata")
    metadata.write_text(metadata.read_text(encoding="utf-8").replace(_COMMIT, _OTHER), encoding="utf-8")
    assert commit_of(two) is None
    metadata.unlink()
    assert commit_of(two) is None
    (tmp_path / "empty").mkdir()
    assert commit_of(tmp_path / "empty") is None


def test_a_linked_folder_of_other_files_is_of_no_commit(tmp_path: Path) -> None:
    """What is left in the folder is as the hub gave it, and the rows are read through the link."""
    one = _downloaded(tmp_path / "one")
    (one / "data").rename(tmp_path / "away")
    (tmp_path / "away" / "test.parquet").write_bytes(b"PAR1 of other rows")
    (one / "data").symlink_to(tmp_path / "away")
    assert commit_of(one) is None


def test_a_file_without_all_its_shards_is_of_no_commit(tmp_path: Path) -> None:
    """Each shard that is there is the hub's; the rows of those that are not are missing."""
    shards = [f"data/test-0000{number}-of-00002.parquet" for number in (0, 1)]
    one = _downloaded(tmp_path / "one", files={name: name.encode() for name in shards})
    assert commit_of(one) == _COMMIT
    (one / shards[1]).unlink()
    assert commit_of(one) is None


def test_a_file_changed_under_its_size_and_date_is_of_no_commit(tmp_path: Path) -> None:
    one = _downloaded(tmp_path / "one")
    rows = one / "data" / "test.parquet"
    state = rows.stat()
    assert commit_of(one) == _COMMIT
    rows.write_bytes(rows.read_bytes()[::-1])
    os.utime(rows, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert commit_of(one) is None


_CONTENT = {"test": Content(2, "0" * 32)}
_ELSE = {"test": Content(2, "1" * 32)}


def test_the_states(tmp_path: Path) -> None:
    hub, plain = HubRepo("o/r", _COMMIT), Folder(tmp_path)
    verified = Folder(_downloaded(tmp_path / "one"))

    def state(source: object, counts: list[str] | None, known: object = None, revision: str = _COMMIT) -> str:
        return judge(_CONTENT, counts, [source], revision, known).status  # type: ignore[list-item, arg-type]

    assert state(hub, []) == state(hub, None) == state(hub, ["rows: 9 instead of 10"]) == "official"
    assert state(hub, [], revision=_OTHER) == "counts agree"
    assert state(verified, []) == "official"
    assert state(verified, [], revision=_OTHER) == "counts agree"
    assert state(verified, ["rows: 9 instead of 10"]) == "differs"
    assert state(plain, []) == "counts agree"
    assert state(plain, None) == "unknown"
    assert state(plain, ["rows: 9 instead of 10"]) == "differs"
    assert state(plain, [], _CONTENT) == state(plain, None, _CONTENT) == "official"
    assert state(plain, [], _ELSE) == "differs"
    assert state(hub, [], revision="main") == "counts agree"  # a branch pins nothing
    assert judge(_CONTENT, [], [verified, plain], _COMMIT, None).status == "counts agree"  # one of two repos


def test_a_part_that_differs_is_named(tmp_path: Path) -> None:
    found = judge(_CONTENT, [], [Folder(tmp_path)], _COMMIT, _ELSE)
    assert found.differences == ("test: its content is not the official one",)


def test_a_printed_row_is_a_row_of_the_table(tmp_path: Path) -> None:
    content = {"dev/zh/corpus": Content(3, "2" * 32), **_CONTENT}
    table = tmp_path / "official.toml"
    table.write_text(as_rows("A", _COMMIT, content) + "\n" + as_rows("B", "main", _CONTENT), encoding="utf-8")
    assert read_official(table) == {("A", _COMMIT): content, ("B", "main"): _CONTENT}


def test_a_row_of_the_table_is_toml_that_does_not_change() -> None:
    content = {"dev/zh/corpus": Content(3, "2" * 32), "test": Content(2, "0" * 32)}
    assert as_rows("A.v2", _COMMIT, content) == (
        f'[[official]]\ntask = "A.v2"\nrevision = "{_COMMIT}"\n[official.content]\n'
        f'"dev/zh/corpus" = {{ rows = 3, digest = "{"2" * 32}" }}\n"test" = {{ rows = 2, digest = "{"0" * 32}" }}\n'
    )


@pytest.mark.parametrize("odd", ["rows = 3", 'rows = 3, digest = "d", more = 1', 'digest = "d"'])
def test_a_part_of_the_table_needs_rows_and_digest(tmp_path: Path, odd: str) -> None:
    table = tmp_path / "official.toml"
    table.write_text(
        f'[[official]]\ntask = "A"\nrevision = "1"\n[official.content]\ntest = {{ {odd} }}\n', encoding="utf-8"
    )
    with pytest.raises(BadInput) as caught:
        read_official(table)
    assert str(caught.value) == "official.toml: the content of A needs rows and digest for each part"


def test_a_task_at_one_revision_is_in_the_table_once(tmp_path: Path) -> None:
    table = tmp_path / "official.toml"
    table.write_text(as_rows("A", "1", _CONTENT) + as_rows("A", "2", _CONTENT), encoding="utf-8")
    assert list(read_official(table)) == [("A", "1"), ("A", "2")]
    twice = tmp_path / "twice.toml"
    twice.write_text(as_rows("A", "1", _CONTENT) * 2, encoding="utf-8")
    with pytest.raises(BadInput, match=r"^twice\.toml: official A 1 is listed twice$"):
        read_official(twice)


def test_counts_come_before_parts_and_the_first_source_is_where(tmp_path: Path) -> None:
    content = {"dev": Content(1, "a" * 32), "test": Content(2, "b" * 32), "more": Content(3, "c" * 32)}
    known = {"dev": Content(1, "a" * 32), "test": Content(9, "b" * 32)}
    sources = [Folder(tmp_path / "one"), Folder(tmp_path / "two")]
    found = judge(content, ["rows: 2 instead of 9"], sources, _COMMIT, known)
    assert found == DataVerdict(
        DataState.DIFFERS,
        (
            "rows: 2 instead of 9",
            "test: its content is not the official one",
            "more: its content is not the official one",
        ),
        f"folder {tmp_path / 'one'}",
        content,
        [sources[1].settings()],
    )


def test_files_of_the_pinned_commit_need_no_known_content(tmp_path: Path) -> None:
    verified = Folder(_downloaded(tmp_path / "one"))
    found = judge(_CONTENT, [], [verified], _COMMIT, _ELSE)
    assert (found.status, found.differences) == (DataState.OFFICIAL, ())
    on_hub = judge(_CONTENT, ["rows: 9 instead of 10"], [HubRepo("o/r", _COMMIT)], _COMMIT, _ELSE)
    assert (on_hub.status, on_hub.differences) == (DataState.OFFICIAL, ("rows: 9 instead of 10",))


@pytest.mark.parametrize(
    ("metadata", "known"),
    [
        ("{commit}\n{etag}\n1.0\n", True),
        (" {commit} \r\n {etag} \r\n1.0\r\n", True),
        ("{commit}\n{etag}", True),
        ("{commit}\n", False),
        ("", False),
        ("{commit}0\n{etag}\n", False),
        ("main\n{etag}\n", False),
        ('{commit}\n"{etag}"\n', False),
        ("{commit}\n{etag}\n" + "x" * 4_096, False),
    ],
)
def test_what_is_kept_of_a_file_is_a_commit_and_a_hash(tmp_path: Path, metadata: str, known: bool) -> None:
    one = _downloaded(tmp_path / "one")
    (file,) = one.rglob("test.parquet.metadata")
    etag = _etag("test.parquet", _FILES["data/test.parquet"])
    file.write_bytes(metadata.format(commit=_COMMIT, etag=etag).encode())
    assert commit_of(one) == (_COMMIT if known else None)


def test_a_link_to_the_blobs_of_another_repo_is_of_no_commit(tmp_path: Path) -> None:
    snapshot = _cached(tmp_path / "cache")
    blobs = tmp_path / "cache" / "datasets--o--r" / "blobs"
    other = tmp_path / "cache" / "datasets--o--other" / "blobs"
    other.mkdir(parents=True)
    name = _etag("README.md", _FILES["README.md"])
    (blobs / name).rename(other / name)
    (snapshot / "README.md").unlink()
    (snapshot / "README.md").symlink_to(other / name)
    assert commit_of(snapshot) is None


def test_a_folder_named_cache_is_data_but_at_the_top(tmp_path: Path) -> None:
    one = _downloaded(tmp_path / "one")
    (one / ".cache" / "more").write_bytes(b"x")
    assert commit_of(one) == _COMMIT
    (one / "data" / ".cache").mkdir()
    (one / "data" / ".cache" / "more").write_bytes(b"x")
    assert commit_of(one) is None


@pytest.mark.parametrize(
    ("names", "known"),
    [
        (["a-00000-of-00001.jsonl"], True),
        (["a-00000-of-00002.jsonl", "a-00001-of-00002.jsonl", "b.jsonl"], True),
        (["a-00001-of-00002.jsonl", "a-00002-of-00002.jsonl"], False),
        (["a-00000-of-00002.jsonl", "b-00001-of-00002.jsonl"], False),
        (["a-00000-of-00002.jsonl", "a-00001-of-00002.csv"], False),
        (["a-00000-of-00002.jsonl", "a-00001-of-00003.jsonl"], False),
        (["x/a-00000-of-00002.jsonl", "y/a-00001-of-00002.jsonl"], False),
        (["a-00000-of-00001.jsonl", "a-00000-of-00002.jsonl"], False),
    ],
)
def test_shards_are_whole_by_folder_name_number_and_ending(tmp_path: Path, names: list[str], known: bool) -> None:
    one = _downloaded(tmp_path / "one", files={name: name.encode() for name in names})
    assert commit_of(one) == (_COMMIT if known else None)
