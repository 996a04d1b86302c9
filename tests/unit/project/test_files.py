"""Files are read as hostile: what is no regular file, too large or not what it should be is one line that names it."""

import errno
import io
import os
import socket
import stat
import tracemalloc
from pathlib import Path

import pytest

from flagbench import BadData, BadInput, in_one_line, printable
from flagbench.files import (
    DEEPEST,
    MIB,
    check_file,
    check_links,
    check_name,
    inside,
    open_file,
    open_to_add,
    parse_json,
    read_bytes,
    read_json,
    read_text,
    shown_files,
    user_path,
)

FIX = "copy it again"


def test_a_file_and_what_a_link_leads_to_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": [1, 2.5, "\\u00e4\\ud83d\\ude00"]}')
    (tmp_path / "link").symlink_to("a.json")
    check_file(tmp_path / "link", FIX)
    assert read_json(tmp_path / "link", FIX) == {"a": [1, 2.5, "ä😀"]}
    with open_file(tmp_path / "a.json", FIX) as file:
        assert file.read(3) == b"\xef\xbb\xbf"


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_pipe, "is not a regular file"),
        (Path.mkdir, "is not a regular file"),
        (_socket, "cannot be read"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
        (lambda path: path.symlink_to(path), "cannot be read (Too many levels of symbolic links)"),
        (lambda path: None, "cannot be read (No such file or directory)"),
    ],
    ids=["pipe", "folder", "socket", "device", "loop", "absent"],
)
@pytest.mark.parametrize("read", [open_file, check_file, read_bytes, read_text, read_json])
def test_only_regular_files_are_opened(make, says, read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    make(Path("it"))
    with pytest.raises(BadData) as raised:
        read(Path("it"), FIX, error=BadData)
    assert str(raised.value).startswith(f"it {says}")
    assert str(raised.value).endswith(": copy it again")


def test_a_name_with_a_nul_or_too_long_is_one_line(tmp_path: Path) -> None:
    for name in ("a\0b", "a" * 300):
        with pytest.raises(BadInput, match="cannot be read"):
            read_bytes(tmp_path / name, FIX)


def test_no_more_is_read_than_the_bound(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(b"12345")
    assert read_bytes(tmp_path / "it", FIX, largest=5) == b"12345"
    with pytest.raises(BadInput, match="is larger than"):
        read_bytes(tmp_path / "it", FIX, largest=4)
    (tmp_path / "it").write_bytes(bytes(2 * MIB + 1))
    with pytest.raises(BadData) as raised:
        read_json(tmp_path / "it", FIX, largest=2 * MIB, error=BadData)
    assert str(raised.value) == (
        f"{tmp_path / 'it'} is larger than 2 MiB, the most that is read of such a file: copy it again"
    )


@pytest.mark.parametrize(
    ("cause", "says"),
    [(OSError(errno.EIO, os.strerror(errno.EIO)), "Input/output error"), (TimeoutError(), "TimeoutError")],
)
def test_bytes_that_the_disk_cannot_give_are_one_line(
    cause: OSError, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise cause

    monkeypatch.setattr("flagbench.files.open_file", lambda *_, **__: Failing())
    with pytest.raises(BadData) as raised:
        read_bytes(tmp_path / "it", FIX, error=BadData)
    assert str(raised.value) == f"{tmp_path / 'it'} cannot be read ({says}): copy it again"


def test_what_is_refused_or_read_leaves_no_file_open(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]", encoding="utf-8")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        check_file(tmp_path / "a.json", FIX)
        assert read_json(tmp_path / "a.json", FIX) == [1]
        with pytest.raises(BadInput, match="is not a regular file"):
            check_file(tmp_path, FIX)
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(BadInput, match="is not a regular file"):
            open_to_add(tmp_path / "pipe", FIX)
        (tmp_path / "pipe").unlink()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_path_of_a_user_begins_at_home_where_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~") == tmp_path
    assert user_path(Path("~/a")) == tmp_path / "a"
    assert user_path("a/~") == Path("a/~")
    with pytest.raises(BadInput) as raised:
        user_path("~nobody-of-this-name/a")
    assert str(raised.value) == "~nobody-of-this-name/a: there is no such home folder; give the whole path"
    with pytest.raises(BadInput) as raised:
        user_path("a\0b")
    assert str(raised.value) == r"'a\x00b' cannot be the name of a file (embedded null byte)"
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for there in ("file", "file/below", "absent/a"):
        assert user_path(tmp_path / there) == tmp_path / there
    loops = "Too many levels of symbolic links"
    for name, why in (("a" * 300, "File name too long"), ("loop", loops), ("loop/a", loops)):
        with pytest.raises(BadInput, match=rf"cannot be the name of a file \({why}\)$"):
            user_path(tmp_path / name)


def test_a_path_below_a_folder_that_may_not_be_entered_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refused)  # root may enter all of them
    with pytest.raises(BadInput, match=r"priv/in: a folder above it may not be entered \(Permission denied\)"):
        user_path("priv/in")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xef\xbb\xbfa = 1", "a = 1"),
        (b"a = 1", "a = 1"),
        (b"\xef\xbb\xbf", ""),
        (b"", ""),
        (b"\xef\xbb\xbf\xef\xbb\xbfa", "\ufeffa"),
        (b"a\xef\xbb\xbfb", "a\ufeffb"),
        (b"a\r\nb\xc3\xa4", "a\r\nbä"),
    ],
)
def test_a_byte_order_mark_at_the_beginning_is_none_of_the_text(content: bytes, text: str, tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(content)
    assert read_text(tmp_path / "it", FIX) == text
    assert read_bytes(tmp_path / "it", FIX) == content


def test_text_is_utf_8(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(b"ab\xffc")
    with pytest.raises(BadInput, match=r"is not UTF-8 \(invalid start byte at byte 2\): copy it again"):
        read_text(tmp_path / "it", FIX)


def _nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not JSON"),
        ("{", r"is not JSON \(Expecting property name enclosed in double quotes at column 2\)"),
        ('{"a": 1\n', r"is not JSON \(Expecting ',' delimiter at column 8\)"),
        ('{"a": 1,\n "b": x}\n', r"is not JSON \(Expecting value at line 2, column 7\)"),
        ('{"a": 1, "b": {"c": 2, "c": 2}}', "has the key 'c' twice in one object"),
        ("[NaN]", "holds NaN, which is no number of JSON"),
        ("[-Infinity]", "holds -Infinity, which is no number of JSON"),
        ("[1e400]", "holds the number 1e400, which is too large"),
        ("[-1e400]", "holds the number -1e400, which is too large"),
        (b'["\\ud800"]', "holds half a surrogate pair"),
        ("1" * 5000, "holds a whole number of more than 4,300 digits, which is too long"),
        (_nested(100_000), "is nested too deeply"),
        (_nested(DEEPEST + 2), "is nested too deeply"),
        ('{"a": ' * (DEEPEST + 2) + "1" + "}" * (DEEPEST + 2), "is nested too deeply"),
        ('["\\ud800"]', "holds half a surrogate pair"),
        ('{"\\udfff": 1}', "holds half a surrogate pair"),
        (b"\xff\xfe", "is not JSON"),
        (b'"\xff"', "is not JSON"),
    ],
)
def test_json_is_read_strictly(text: str | bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=says):
        parse_json(text)
    if isinstance(text, str):
        (tmp_path / "it.json").write_text(text, encoding="utf-8")
        with pytest.raises(BadInput, match=rf"it\.json {says}.*: copy it again$"):
            read_json(tmp_path / "it.json", FIX)


def test_constants_of_python_are_read_where_they_are_let_through() -> None:
    assert parse_json("[Infinity, -Infinity]", constants=True) == [float("inf"), float("-inf")]
    (value,) = parse_json("[NaN]", constants=True)
    assert value != value
    with pytest.raises(ValueError, match="holds the number 1e400, which is too large"):
        parse_json("[1e400]", constants=True)


def test_json_as_deep_as_the_bound_is_read() -> None:
    assert parse_json(_nested(DEEPEST + 1))


def test_what_is_printed_is_one_line_of_whole_characters() -> None:
    assert printable("a\nb\x1b[2J\udc80\u202e模 型") == "a�b�[2J��模 型"
    assert in_one_line(ValueError("a\n  b\x1b")) == "a b�"
    assert in_one_line(ValueError("")) == "ValueError"


@pytest.mark.parametrize("name", ["a.json", "flagbench/per_query/A.json", "a..b", "..a/b", "./a"])
def test_a_name_that_stays_in_its_folder(name: str, tmp_path: Path) -> None:
    assert check_name(name) == name
    assert inside(tmp_path, name, FIX) == tmp_path / name


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/../../b", "a/..", "/etc/passwd", "a\0b"])
def test_a_name_that_leads_out_of_its_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no name of a file in the folder"):
        check_name(name)
    with pytest.raises(BadData, match=f"is no name of a file in the folder: {FIX}"):
        inside(tmp_path, name, FIX, error=BadData)


def test_links_may_lead_about_a_folder_and_not_out_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "real"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "folder").symlink_to(folder)
    (folder / "within").symlink_to("sub")
    check_links(tmp_path / "folder")
    assert inside(tmp_path / "folder", "within/a", FIX) == tmp_path / "folder" / "within" / "a"
    for name, target in (
        ("up", ".."),
        ("away", "/"),
        ("sub/file", "/etc/passwd"),
        ("gone", "/no/such"),
        ("loop", "loop"),
    ):
        (folder / name).symlink_to(target)
        if name == "loop":
            inside(folder, name, FIX)
        else:
            with pytest.raises(BadData, match=f"is a link that leads out of .*: {FIX}$"):
                inside(tmp_path / "folder", f"{name}/a" if name == "up" else name, FIX, error=BadData)
            with pytest.raises(BadInput, match="remove it"):
                check_links(tmp_path / "folder")
        (folder / name).unlink()


def test_shown_files_are_all_below_a_folder_in_order_that_are_not_hidden(tmp_path: Path) -> None:
    for name in ("b/2", "b/.hidden", "b/.git/x", "a.json", ".top", "b/c/1", "elsewhere/3"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "away").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "b" / "one").symlink_to(tmp_path / "a.json")
    _pipe(tmp_path / "b" / "pipe")
    names = ["2", "away/3", "c/1", "one", "pipe"]
    assert shown_files(tmp_path / "b", FIX) == [tmp_path / "b" / name for name in names]
    for link, target in (("b/c/up", ".."), ("b/again", "../elsewhere"), ("b/itself", "../b")):
        (tmp_path / link).symlink_to(target)
        with pytest.raises(BadData, match=f" is a link to a folder that it lies in or .* twice: {FIX}$"):
            shown_files(tmp_path / "b", FIX, error=BadData)
        (tmp_path / link).unlink()


def test_a_file_to_add_to_is_made_or_opened_and_nothing_else(tmp_path: Path) -> None:
    for there in (b"", b"xyz"):
        handle = open_to_add(tmp_path / "a", FIX)
        assert os.read(handle, 9) == there
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, b"xyz" if not there else b"a")
        os.close(handle)
    assert (tmp_path / "a").read_bytes() == b"ayz"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) & 0o700 == 0o600
    os.mkfifo(tmp_path / "pipe")
    for path, said in (
        (tmp_path / "pipe", f"{tmp_path / 'pipe'} is not a regular file"),
        (tmp_path, f"cannot write {tmp_path} (Is a directory)"),
        (tmp_path / "no" / "a", f"cannot write {tmp_path / 'no' / 'a'} (No such file or directory)"),
        (tmp_path / "a\0b", f"cannot write {tmp_path / 'a'}\0b (embedded null byte)"),
    ):
        with pytest.raises(BadInput) as raised:
            open_to_add(path, FIX)
        assert str(raised.value) == f"{said}: {FIX}"


def test_halves_of_surrogate_pairs_are_read_where_a_model_may_have_written_them() -> None:
    assert parse_json('"\\ud800"', halves=True) == "\ud800"
    with pytest.raises(ValueError, match="half a surrogate pair"):
        parse_json('"\\ud800"')


def test_a_small_file_takes_little_memory_and_one_that_tells_no_size_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(b"12345")
    tracemalloc.start()
    try:
        assert read_bytes(tmp_path / "it", FIX) == b"12345"
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()
    status = Path("/proc/self/status")
    if status.exists():
        assert status.stat().st_size == 0
        assert read_bytes(status, FIX).startswith(b"Name:")
        assert len(read_bytes(status, FIX)) > 100
        with pytest.raises(BadInput, match="is larger than"):
            read_bytes(status, FIX, largest=5)
