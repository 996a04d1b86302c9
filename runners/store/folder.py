"""Layout of a store on disk: ``<root>/<space>/`` with ``space.json`` and shards; other files are not the store's."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from flagbench import BadInput
from flagbench.files import read_json
from flagbench.runners.store.shards import PARTIAL, SUFFIX

_DESCRIPTION = "space.json"
_NAME = re.compile(r"[0-9a-f]{32}")


def name_of(identity: Mapping[str, Any]) -> str:
    """The name of the folder of a space: a hash of its identity, in which the order of keys is no matter."""
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def folders(root: Path) -> list[Path]:
    """The folders that are spaces.

    Raises:
        BadInput: The root cannot be read.
    """
    try:
        return [each for each in sorted(root.iterdir()) if _NAME.fullmatch(each.name) and _is_space(each)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BadInput(f"cannot read the embedding cache {root}: {error.strerror}; name another --store") from error


def _is_space(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    names = []
    with suppress(FileNotFoundError):
        names = [each.name for each in folder.iterdir()]
    return not names or any(name == _DESCRIPTION or name.endswith(SUFFIX) for name in names)


def files(folder: Path, *suffixes: str) -> list[tuple[Path, os.stat_result]]:
    """Regular files of a space, by name; those that vanish meanwhile are left out."""
    return [(path, state) for path, state in _named(folder, *suffixes) if stat.S_ISREG(state.st_mode)]


def strange(folder: Path, *suffixes: str) -> list[Path]:
    """What has the name of a file of a space and is none: links, which may lead anywhere, pipes, folders."""
    return [path for path, state in _named(folder, *suffixes) if not stat.S_ISREG(state.st_mode)]


def _named(folder: Path, *suffixes: str) -> Iterator[tuple[Path, os.stat_result]]:
    with suppress(FileNotFoundError):
        for path in sorted(folder.iterdir()):
            with suppress(FileNotFoundError):
                if path.suffix in suffixes:
                    yield path, path.lstat()


def removed(path: Path) -> bool:
    """Remove a file; whether it is gone."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def drop_if_empty(folder: Path) -> None:
    """Remove the folder of a space that has no files but its description."""
    with suppress(OSError):
        if {each.name for each in folder.iterdir()} <= {_DESCRIPTION}:
            (folder / _DESCRIPTION).unlink(missing_ok=True)
            folder.rmdir()


def describe(folder: Path, identity: Mapping[str, Any]) -> None:
    """Write the identity of a space down, whole or not at all, where it is not there yet.

    Raises:
        OSError: It cannot be written.
    """
    if (folder / _DESCRIPTION).exists():
        return
    text = json.dumps(identity, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    partial = folder / f"{_DESCRIPTION}.{os.getpid()}{PARTIAL}"
    try:
        with partial.open("wb") as file:
            # A lone surrogate cannot be written as UTF-8, but as the escape that JSON has for it.
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / _DESCRIPTION)
    finally:
        with suppress(OSError):
            partial.unlink()


def read_identity(folder: Path) -> dict[str, Any]:
    """The identity that is written down; empty where it cannot be read."""
    with suppress(BadInput):
        identity = read_json(folder / _DESCRIPTION, "leave it", halves=True)
        return identity if isinstance(identity, dict) else {}
    return {}
