"""The one way to read what a user gives: a regular file, of a bounded size, whose content is what it should be.

A name in a folder says nothing of what lies there: a named pipe that nobody writes to is waited for without end, a
device has no end, and JSON has numbers that Python reads for minutes. Whatever is wrong is one line that names the
file. Nothing heavy is imported here.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
import sys
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, BinaryIO, NoReturn

from flagbench import BadInput

MIB = 1 << 20

LARGEST_TEXT = 256 * MIB
"""Bytes of the largest text file that is read whole: a tokenizer of 250,000 pieces has 17 MiB."""

DEEPEST = 64
"""Levels of the deepest JSON: what FlagBench and transformers write has fewer than 12."""


def open_file(path: Path, fix: str, *, error: type[BadInput] = BadInput) -> BinaryIO:
    """Open a file to read its bytes.

    Args:
        path: The file; links are followed.
        fix: What to do about a file that cannot be read, as the end of a sentence.
        error: The kind of error that is raised.

    Raises:
        BadInput: It is not there, no regular file, or may not be read.
    """
    try:
        # Without O_NONBLOCK, opening a named pipe waits for somebody who writes to it.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as cause:  # ValueError: a NUL in the name
        raise error(f"{path} cannot be read ({_reason(cause)}): {fix}") from cause
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise error(f"{path} is not a regular file: {fix}")
    return os.fdopen(handle, "rb")


def open_to_add(path: Path, fix: str) -> int:
    """Open a file to read it and to add to it, or begin it.

    Args:
        path: The file; links are followed.
        fix: What to do about a file that cannot be opened, as the end of a sentence.

    Returns:
        Its descriptor.

    Raises:
        BadInput: It is no regular file, or may not be written.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except (OSError, ValueError) as cause:
        raise BadInput(f"cannot write {path} ({_reason(cause)}): {fix}") from cause
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise BadInput(f"{path} is not a regular file: {fix}")
    return handle


def check_file(path: Path, fix: str, *, error: type[BadInput] = BadInput) -> None:
    """See that a file can be opened, before its path goes to a library that opens it itself.

    Raises:
        BadInput: As ``open_file``.
    """
    open_file(path, fix, error=error).close()


def read_bytes(path: Path, fix: str, *, largest: int = LARGEST_TEXT, error: type[BadInput] = BadInput) -> bytes:
    """The bytes of a file.

    Args:
        path: The file.
        fix: What to do about one that cannot be read.
        largest: More bytes than this are not read.
        error: The kind of error that is raised.

    Raises:
        BadInput: As ``open_file``; it is larger.
    """
    try:
        with open_file(path, fix, error=error) as file:
            chunks, left = [], largest + 1
            while left and (chunk := file.read(min(left, MIB))):  # as much memory is taken as is asked for
                chunks.append(chunk)
                left -= len(chunk)
    except OSError as cause:
        raise error(f"{path} cannot be read ({_reason(cause)}): {fix}") from cause
    content = b"".join(chunks)
    if len(content) > largest:
        raise error(f"{path} is larger than {largest // MIB:,} MiB, the most that is read of such a file: {fix}")
    return content


def read_text(path: Path, fix: str, *, largest: int = LARGEST_TEXT, error: type[BadInput] = BadInput) -> str:
    """The text of a UTF-8 file, without a byte order mark.

    Raises:
        BadInput: As ``read_bytes``; it is not UTF-8.
    """
    try:
        return read_bytes(path, fix, largest=largest, error=error).decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        raise error(f"{path} is not UTF-8 ({cause.reason} at byte {cause.start:,}): {fix}") from cause


def read_json(
    path: Path,
    fix: str,
    *,
    largest: int = LARGEST_TEXT,
    halves: bool = False,
    constants: bool = False,
    error: type[BadInput] = BadInput,
) -> Any:
    """The value in a JSON file.

    Args:
        path: The file.
        fix: What to do about one that cannot be read.
        largest: More bytes than this are not read.
        halves: See ``parse_json``.
        constants: See ``parse_json``.
        error: The kind of error that is raised.

    Raises:
        BadInput: As ``read_text``; it is not what ``parse_json`` reads.
    """
    text = read_text(path, fix, largest=largest, error=error)
    try:
        return parse_json(text, halves=halves, constants=constants)
    except ValueError as cause:
        raise error(f"{path} {cause}: {fix}") from cause


def user_path(text: str | Path) -> Path:
    """A path as a user names it, with ``~`` for a home folder; nothing need lie there.

    Raises:
        BadInput: No file can have this name, there is no such home folder, or the user may not enter a folder above.
    """
    try:
        path = Path(text).expanduser()
        path.stat()
    except RuntimeError as cause:
        raise BadInput(f"{text}: there is no such home folder; give the whole path") from cause
    except ValueError as cause:
        raise BadInput(f"{str(text)!r:.80} cannot be the name of a file ({cause})") from cause
    except OSError as cause:
        if cause.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise BadInput(f"{str(text)!r:.80} cannot be the name of a file ({_reason(cause)})") from cause
        if cause.errno == errno.EACCES:
            raise BadInput(f"{text}: a folder above it may not be entered ({_reason(cause)})") from cause
    return path


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """FlagBench's folder in the user's cache.

    Raises:
        BadInput: There is no home to have a cache in.
    """
    cache = Path(environment.get("XDG_CACHE_HOME", ""))
    # Its specification has a relative XDG_CACHE_HOME ignored.
    return at_home((cache if cache.is_absolute() else Path("~/.cache")) / "flagbench")


def at_home(folder: Path) -> Path:
    """A folder of the user's; ``~`` is their home.

    Raises:
        BadInput: There is none.
    """
    try:
        return folder.expanduser()
    except RuntimeError as error:
        raise BadInput(
            f"{folder}: no such home folder; name a folder for the embedding cache with --store or $FLAGBENCH_STORE"
        ) from error


@lru_cache(maxsize=1 << 12)  # runs have files of the same names
def check_name(name: str) -> str:
    """See that a name from a file, such as ``flagbench/per_query/A.json``, stays in the folder that it is relative to.

    Returns:
        The name.

    Raises:
        ValueError: It is absolute, has ``..`` in it, names nothing or is no name that a file can have.
    """
    path = PurePath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise ValueError(f"{name!r:.200} is no name of a file in the folder")
    return name


def inside(folder: Path, name: str | Path, fix: str, *, error: type[BadInput] = BadInput) -> Path:
    """The path of a file below a folder, which neither its name nor a link may lead out of.

    Args:
        folder: The folder; it may itself be reached through links.
        name: Relative to it, from a file or found there.
        fix: What to do about one that leads out, as the end of a sentence.
        error: The kind of error that is raised.

    Raises:
        BadInput: As ``check_name``; a link on the way leads out of the folder.
    """
    try:
        path = folder / check_name(str(name))
    except ValueError as cause:
        raise error(f"{folder}: {cause}: {fix}") from cause
    if not _leads_to(path).is_relative_to(_leads_to(folder)):
        raise error(f"{path} is a link that leads out of {folder}: {fix}")
    return path


def check_links(folder: Path) -> None:
    """See that no link below a folder leads out of it, before something is written there.

    Raises:
        BadInput: One does.
    """
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent) / name
            if path.is_symlink() and not _leads_to(path).is_relative_to(_leads_to(folder)):
                raise BadInput(
                    f"{path} is a link that leads out of {folder}: remove it, or put what it names in its place"
                )


def shown_files(folder: Path, fix: str, *, error: type[BadInput] = BadInput) -> list[Path]:
    """All that lies below a folder and is no folder, by name; what is hidden, or in a hidden folder, is left out.

    Links to folders are followed, so that what is read through them is looked at.

    Args:
        folder: The folder.
        fix: What to do about a link that cannot be followed, as the end of a sentence.
        error: The kind of error that is raised.

    Raises:
        BadInput: A link leads to a folder around it, or to one that another link leads to: there would be no end.
    """
    found: list[Path] = []
    followed: set[Path] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(parent, name) for name in folders):
            if path.is_symlink():
                target = _leads_to(path)
                if target in followed or _leads_to(Path(parent)).is_relative_to(target):
                    raise error(f"{path} is a link to a folder that it lies in or that is linked twice: {fix}")
                followed.add(target)
        found += [Path(parent, name) for name in files if not name.startswith(".")]
    return sorted(found)


def _leads_to(path: Path) -> Path:
    # Not Path.resolve, which raises where links go in a circle.
    return Path(os.path.realpath(path))


def parse_json(text: str | bytes, *, halves: bool = False, constants: bool = False) -> Any:
    """The value of a JSON text, read strictly: each key once, finite numbers, whole characters, bounded depth.

    Args:
        text: JSON; bytes are UTF-8.
        halves: Halves of surrogate pairs are let through: what a model writes may hold them.
        constants: ``NaN`` and ``Infinity`` are read as Python writes them, which is no JSON: mteb does so for a metric
            that it cannot take.

    Raises:
        ValueError: It is none; the message goes on from the file's name: "is not JSON (…)", "has the key 'a' twice".
    """
    try:
        read_constant = float if constants else _not_a_number
        value = json.loads(text, object_pairs_hook=_once, parse_constant=read_constant, parse_float=_finite)
    except _StrictError:
        raise
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON ({error.msg} at {_place(error)})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"is not JSON ({error})") from error
    except ValueError as error:  # of int
        digits = sys.get_int_max_str_digits()
        raise ValueError(f"holds a whole number of more than {digits:,} digits, which is too long") from error
    _check_depth(value)
    if not halves and "\\u" in (text if isinstance(text, str) else text.decode("utf-8", "replace")):
        _check_characters(value)
    return value


def as_number(value: object) -> float | None:
    """A value of a file as a number; None for one that is none, as ``true`` is, or that no float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # JSON and TOML have whole numbers of any length
        return None
    return number if math.isfinite(number) else None


def _place(error: json.JSONDecodeError) -> str:
    """Where JSON ends to be some: of one line the column alone, for who reads lines knows which it is."""
    text = error.doc.rstrip()
    place = min(error.pos, len(text))
    column = f"column {place - text.rfind(chr(10), 0, place)}"
    return f"line {text.count(chr(10), 0, place) + 1}, {column}" if "\n" in text else column


class _StrictError(ValueError):
    """What Python's parser reads and FlagBench does not."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise _StrictError(f"has the key {twice!r:.80} twice in one object")
    return made


def _not_a_number(constant: str) -> NoReturn:
    raise _StrictError(f"holds {constant}, which is no number of JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise _StrictError(f"holds the number {digits:.40}, which is too large")
    return number


def _check_depth(value: Any) -> None:
    level = [value] if type(value) in (dict, list) else []
    for _ in range(DEEPEST + 1):
        level = [
            child
            for parent in level
            for child in (parent.values() if type(parent) is dict else parent)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return
    raise _StrictError(f"is nested too deeply (more than {DEEPEST} levels)")


def _check_characters(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise _StrictError("holds half a surrogate pair, which is no character") from error


def _reason(cause: OSError | ValueError) -> str:
    return cause.strerror or type(cause).__name__ if isinstance(cause, OSError) else str(cause)
