"""Digests of data files: their bytes decide, and a large file that is unchanged is read once."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flagbench import BadData
from flagbench.runners.data import file_digests
from flagbench.runners.data.file_digests import DATABASE, of_file, of_folder

LARGE = 3_000_000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, of which FlagBench's folder is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "flagbench"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour after the files were written."""
    now = time.time_ns
    monkeypatch.setattr(file_digests.time, "time_ns", lambda: now() + 3_600_000_000_000)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read."""
    names: list[str] = []
    original: Callable[..., object] = file_digests.open_file

    def open_file(path: Path, *arguments: object, **named: object) -> object:
        names.append(path.name)
        return original(path, *arguments, **named)

    monkeypatch.setattr(file_digests, "open_file", open_file)
    return names


def _large(path: Path, seed: bytes = b"a") -> Path:
    path.write_bytes(seed * LARGE)
    return path


@pytest.mark.parametrize("size", [10, LARGE])
@pytest.mark.usefixtures("later")
def test_other_bytes_of_the_same_size_and_date_are_another_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"a" * size)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    first = of_file(path)
    assert first == hashlib.sha256(b"a" * size).hexdigest()
    path.write_bytes(b"a" * (size - 1) + b"b")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert of_file(path) == hashlib.sha256(b"a" * (size - 1) + b"b").hexdigest() != first


@pytest.mark.usefixtures("later")
def test_a_large_file_that_is_unchanged_is_read_once(tmp_path: Path, opened: list[str], cache: Path) -> None:
    path = _large(tmp_path / "corpus.parquet")
    (tmp_path / "small.jsonl").write_bytes(b"a")
    first = [of_file(path), of_file(tmp_path / "small.jsonl")]
    assert [of_file(path), of_file(tmp_path / "small.jsonl")] == first
    assert opened == ["corpus.parquet", "small.jsonl", "small.jsonl"]
    assert (cache / DATABASE).is_file()
    path.rename(tmp_path / "renamed.parquet")
    assert of_file(tmp_path / "renamed.parquet") == first[0]


@pytest.mark.usefixtures("later")
def test_small_files_of_a_folder_are_read_once_until_they_change(tmp_path: Path, opened: list[str]) -> None:
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    for number in range(5):
        (folder / "images" / f"{number}.png").write_bytes(b"%d" % number)
    first = of_folder(folder)
    assert len(opened) == 5
    assert of_folder(folder) == first
    assert len(opened) == 5
    changed = folder / "images" / "3.png"
    date = changed.stat().st_mtime_ns
    changed.write_bytes(b"9")
    os.utime(changed, ns=(date, date))  # of the same size and date
    second = of_folder(folder)
    assert second != first
    assert opened[5:] == ["3.png"]
    (folder / "images" / "3.png").unlink()
    assert of_folder(folder) not in (first, second)
    (folder / "images" / "3.png").write_bytes(b"3")
    assert of_folder(folder) == first
    assert opened[6:] == ["3.png"]


def test_small_files_that_changed_a_moment_ago_are_read_again(tmp_path: Path, opened: list[str]) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.jsonl").write_bytes(b"a")
    assert of_folder(tmp_path / "set") == of_folder(tmp_path / "set")
    assert opened == ["a.jsonl"] * 2


@pytest.mark.parametrize("kept", ["[]", "{", '{"a.jsonl": []}', '{"a.jsonl": 7}', '{"a.jsonl": [1, 2]}'])
@pytest.mark.usefixtures("later")
def test_a_row_of_small_files_that_is_none_counts_nothing(tmp_path: Path, opened: list[str], kept: str) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(b"a")
    first = of_folder(folder)
    key = f"small files of {str(folder)!a}"
    file_digests._with_database(lambda database: file_digests._keep(database, key, kept))
    assert of_folder(folder) == first
    assert opened == ["a.jsonl"] * 2


def test_a_file_that_changed_a_moment_ago_is_read_again(tmp_path: Path, opened: list[str]) -> None:
    """It may change again before the clock of the file system has moved on."""
    path = _large(tmp_path / "corpus.parquet")
    assert of_file(path) == of_file(path)
    assert opened == ["corpus.parquet"] * 2


@pytest.mark.parametrize("fault", ["no database", "a folder in its place", "no home"])
@pytest.mark.usefixtures("later")
def test_without_a_database_files_are_read_each_time(
    tmp_path: Path, opened: list[str], cache: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "no database":
        cache.mkdir(parents=True)
        (cache / DATABASE).write_bytes(b"not a database" * 1000)
    elif fault == "a folder in its place":
        (cache / DATABASE).mkdir(parents=True)
    else:
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.delenv("HOME")
        monkeypatch.setattr(Path, "expanduser", _no_home)
    path = _large(tmp_path / "corpus.parquet")
    assert {of_file(path), of_file(path)} == {hashlib.sha256(b"a" * LARGE).hexdigest()}
    assert opened == ["corpus.parquet"] * 2


def _no_home(path: Path) -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_an_image_that_nothing_reads_is_not_read_for_its_digest(tmp_path: Path, opened: list[str]) -> None:
    path = tmp_path / "endless.png"
    path.write_bytes(b"\x89PNG")
    os.truncate(path, 20 << 30)
    seen = {of_file(path)}
    os.truncate(path, 21 << 30)
    seen.add(of_file(path))
    assert (len(seen), opened) == (2, [])


def test_a_video_is_known_by_its_size_head_middle_and_tail(tmp_path: Path, opened: list[str]) -> None:
    path = tmp_path / "film.mp4"
    data = bytearray(LARGE)
    seen = set()
    for place in (None, 0, LARGE // 2, LARGE - 1):
        if place is not None:
            data[place] ^= 1
        path.write_bytes(data)
        seen.add(of_file(path))
    path.write_bytes(data + b"0")
    seen.add(of_file(path))
    assert len(seen) == 5
    data[LARGE // 4] ^= 1
    path.write_bytes(data + b"0")
    assert of_file(path) in seen
    assert opened == []


@pytest.mark.usefixtures("later")
def test_a_video_that_is_unchanged_is_looked_at_once_and_is_no_file_of_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where one file has a name of either kind."""
    film = _large(tmp_path / "film.mp4")
    first = of_file(film)
    with monkeypatch.context() as patched:
        patched.setattr(file_digests, "of_ends", lambda path: pytest.fail(f"{path} was read again"))
        assert of_file(film) == first
    os.link(film, tmp_path / "film.jsonl")
    assert of_file(tmp_path / "film.jsonl") == hashlib.sha256(b"a" * LARGE).hexdigest() != of_file(film)


def test_a_folder_is_the_names_and_bytes_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "data" / "rows").mkdir(parents=True)
    (tmp_path / "data" / "README.md").write_bytes(b"one")
    (tmp_path / "data" / "rows" / "test.jsonl").write_bytes(b"two")
    first = of_folder(tmp_path / "data")
    for hidden in (".gitattributes", ".cache/huggingface/x.metadata", "rows/.part"):
        path = tmp_path / "data" / hidden
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"three")
    os.mkfifo(tmp_path / "data" / "pipe")
    assert of_folder(tmp_path / "data") == first, "hidden files and pipes are no data"
    (tmp_path / "data" / "rows" / "test.jsonl").rename(tmp_path / "data" / "rows" / "dev.jsonl")
    second = of_folder(tmp_path / "data")
    (tmp_path / "data" / "rows" / "dev.jsonl").write_bytes(b"tvo")
    third = of_folder(tmp_path / "data")
    (tmp_path / "data" / "rows").rename(tmp_path / "data" / "more")
    assert len({first, second, third, of_folder(tmp_path / "data")}) == 4


def test_a_file_that_is_gone_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"none\.jsonl cannot be read \(No such file or directory\): copy the data again"):
        of_file(tmp_path / "none.jsonl")


def test_what_is_read_through_links_counts_and_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    outside, data = tmp_path / "outside", tmp_path / "data"
    outside.mkdir()
    data.mkdir()
    (outside / "test.jsonl").write_text("{}", encoding="utf-8")
    (data / "linked.jsonl").symlink_to(outside / "test.jsonl")
    before = of_folder(data)
    (outside / "test.jsonl").write_text("[]", encoding="utf-8")
    assert of_folder(data) != before
    (data / "linked.jsonl").unlink()
    (data / "linked").symlink_to(outside)
    before = of_folder(data)
    (outside / "test.jsonl").write_text("{}", encoding="utf-8")
    assert of_folder(data) != before
    for target in (data, tmp_path, Path("/"), outside):
        (data / "more").symlink_to(target)
        with pytest.raises(BadData, match="is a link to a folder that it lies in or that is linked twice: remove it"):
            of_folder(data)
        (data / "more").unlink()


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize(("size", "reads"), [((1 << 20) - 1, 2), (1 << 20, 1)])
def test_from_a_mebibyte_on_a_file_is_looked_up(tmp_path: Path, opened: list[str], size: int, reads: int) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"a" * size)
    assert of_file(tmp_path / "rows.jsonl") == of_file(tmp_path / "rows.jsonl")
    assert len(opened) == reads


def test_an_old_date_hides_no_change_of_a_moment_ago(tmp_path: Path, opened: list[str]) -> None:
    path = _large(tmp_path / "corpus.parquet")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert of_file(path) == of_file(path)
    assert opened == ["corpus.parquet"] * 2


@pytest.mark.usefixtures("later")
def test_a_file_that_changes_while_it_is_read_is_not_kept(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _large(tmp_path / "corpus.parquet")
    real = file_digests._read

    def read(file: Path) -> str:
        digest = real(file)
        file.write_bytes(b"b" * (LARGE + 1))
        return digest

    with monkeypatch.context() as patch:
        patch.setattr(file_digests, "_read", read)
        of_file(path)
    path.write_bytes(b"a" * LARGE)
    assert of_file(path) == hashlib.sha256(b"a" * LARGE).hexdigest()
    assert opened == ["corpus.parquet"] * 2


@pytest.mark.parametrize("size", [0, 10, 1 << 18, (1 << 18) + 1, 900_001])
def test_the_digest_of_a_video_is_that_of_its_size_and_three_blocks(tmp_path: Path, size: int) -> None:
    data = bytes(number * number % 251 for number in range(size))
    (tmp_path / "film.mkv").write_bytes(data)
    block = 1 << 18
    places = [max(begin, 0) for begin in (0, size // 2 - block // 2, size - block)]
    blocks = b"".join(data[begin : begin + block] for begin in places)
    expected = hashlib.blake2b(size.to_bytes(8, "little") + blocks, digest_size=16).hexdigest()
    assert file_digests.of_ends(tmp_path / "film.mkv") == expected
