"""Digests of the bytes of data files, kept for as long as the file system says that a file is unchanged.

Reading gigabytes to see that nothing has changed would take longer than a finished run. So the digest of a large file
is kept under its device, inode, size and times, in a small database of the user's cache, and so are those of the small
files of a folder, all of them in one row. The time of change is among them, which no program sets: a file that was
written anew under its old size and date has another.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from flagbench import BadData, BadInput
from flagbench.files import MIB, open_file, shown_files
from flagbench.models.inputs import MOST_BYTES
from flagbench.results.identity import settings_digest
from flagbench.runners.request import cache_folder

if TYPE_CHECKING:
    import sqlite3
    from io import BufferedReader

DATABASE = "file-digests.sqlite"

_FIX = "copy the data again, or change its rights"
_BLOCK = 1 << 18
_SMALL = MIB  # one alone is read sooner than looked up
_MOST_KEPT = 100_000  # small files of a folder, beyond which they are read each time
# File systems keep times in steps, of 2 s at most (FAT): a file that changed a moment ago may change again within one.
_STEP_NS = 2_000_000_000

_State = tuple[int, int, int, int, int]
"""Device, inode, size, and the times of modification and of change."""


def of_folder(folder: Path) -> str:
    """A digest of the names and bytes of all files below a folder, but for hidden ones, which are no data.

    Raises:
        BadData: As ``of_file`` and ``shown_files``.
    """
    paths = [path for path in shown_files(folder, "remove it", error=BadData) if path.is_file()]
    # As SQLite takes it: a folder may have a name that is no UTF-8.
    key = f"small files of {str(folder)!a}"
    before, after = _small_files(_with_database(lambda database: _find(database, key))), {}
    files: list[list[str]] = []
    for path in paths:
        name = path.relative_to(folder).as_posix()
        state = _state_of(path)
        kept = before.get(name)
        if state[2] >= _SMALL:
            digest = of_file(path)
        elif kept is not None and tuple(kept[:-1]) == state:
            digest, after[name] = kept[-1], kept
        else:
            now, digest = time.time_ns(), of_file(path)
            if _is_settled(path, state, now):
                after[name] = [*state, digest]
        files.append([name, digest])
    if after != before and len(after) <= _MOST_KEPT:
        _with_database(lambda database: _keep(database, key, json.dumps(after)))
    return settings_digest({"files": files})


def _small_files(kept: str | None) -> dict[str, list[Any]]:
    """States and digests of small files by name, as a row of the database has them; none where it has none."""
    try:
        found = json.loads(kept or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: its for name, its in found.items() if isinstance(its, list) and its and isinstance(its[-1], str)}


def marks_of_folder(folder: Path) -> str:
    """A digest of the names, sizes and times of all files below a folder, by which results once knew their data."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    marks = [[path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    return settings_digest({"files": marks})


def of_file(path: Path) -> str:
    """A digest of a file's bytes; of a video, or an image that is too large to be read at all, see ``of_ends``.

    Raises:
        BadData: It is no regular file, or may not be read.
    """
    try:
        state = _state(path)
        make = of_ends if _is_known_by_its_ends(path, state[2]) else _read
        if state[2] < _SMALL:
            return make(path)
        key = " ".join(map(str, (*state, *(["ends"] if make is of_ends else []))))
        known = _with_database(lambda database: _find(database, key))
        if known is not None:
            return known
        now, digest = time.time_ns(), make(path)
        if _is_settled(path, state, now):
            _with_database(lambda database: _keep(database, key, digest))
        return digest
    except OSError as error:
        raise BadData(f"{path} cannot be read ({error.strerror}): {_FIX}") from error


def _is_known_by_its_ends(path: Path, size: int) -> bool:
    kind = mimetypes.guess_type(path.name)[0] or ""
    return kind.startswith("video/") or (kind.startswith("image/") and size > MOST_BYTES)


def of_ends(path: Path) -> str:
    """A digest of a file's size and of 256 KiB each of its head, middle and tail.

    Not of all its bytes: a video of gigabytes is named in a millisecond. A file that was changed elsewhere only, at
    the same size, would pass for the same; encoders change the index at the head or tail with every change.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.blake2b(size.to_bytes(8, "little"), digest_size=16)
        for begin in (0, size // 2 - _BLOCK // 2, size - _BLOCK):
            file.seek(max(begin, 0))
            digest.update(file.read(_BLOCK))
    return digest.hexdigest()


def _is_settled(path: Path, state: _State, now: int) -> bool:
    """Whether a file that was read is still the one it was before, and would show a change by now."""
    return _state(path) == state and now - max(state[3:]) > _STEP_NS


def _state_of(path: Path) -> _State:
    try:
        return _state(path)
    except OSError as error:
        raise BadData(f"{path} cannot be read ({error.strerror}): {_FIX}") from error


def _state(path: Path) -> _State:
    state = path.stat()
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _read(path: Path) -> str:
    with open_file(path, _FIX, error=BadData) as file:
        return hashlib.file_digest(cast("BufferedReader", file), "sha256").hexdigest()


def _with_database(use: Callable[[sqlite3.Connection], str | None]) -> str | None:
    """Use the database; without one, such as where there is no home or it is damaged, files are read each time."""
    import sqlite3  # which a list of tasks does without

    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(folder / DATABASE, timeout=1)) as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS digests (state TEXT PRIMARY KEY, digest TEXT NOT NULL)")
            return use(database)
    except (OSError, sqlite3.Error, BadInput):
        return None


def _find(database: sqlite3.Connection, key: str) -> str | None:
    row = database.execute("SELECT digest FROM digests WHERE state = ?", (key,)).fetchone()
    return row[0] if row else None


def _keep(database: sqlite3.Connection, key: str, digest: str) -> None:
    database.execute("INSERT OR REPLACE INTO digests VALUES (?, ?)", (key, digest))
