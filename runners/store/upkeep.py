"""Upkeep of a store as a whole: list its contents, clear it, check every byte (``flagbench cache``)."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flagbench import BadInput
from flagbench.runners.store.folder import drop_if_empty, files, folders, read_identity, removed, strange
from flagbench.runners.store.shard_repair import cut, examine, rewrite
from flagbench.runners.store.shards import PARTIAL, SUFFIX, Reader

# A younger shard may be about to grow: an unfinished record at its end is no damage.
_SETTLED_SECONDS = 60.0


@dataclass(frozen=True)
class SpaceInfo:
    """One space on disk.

    Attributes:
        folder: Name of its folder.
        identity: What its vectors depend on; empty where that cannot be read.
        rows: Vectors that are kept, a text counted once for each time that it was.
        bytes: Size of its shards.
        shards: Their number.
        last_used: When one of them was last read or written, in seconds of the epoch; 0 without any.
    """

    folder: str
    identity: dict[str, Any]
    rows: int
    bytes: int
    shards: int
    last_used: float


@dataclass(frozen=True)
class Damage:
    """Something that was not as it was written.

    Attributes:
        path: The shard.
        offset: Where it begins.
        rows: Vectors that are lost; -1 where that is unknown.
        fixed: Whether the shard was replaced by what is good of it.
    """

    path: Path
    offset: int
    rows: int
    fixed: bool


@dataclass(frozen=True)
class Verified:
    """Result of a check of every byte.

    Attributes:
        records: Records that are good.
        bytes: Bytes read.
        damaged: What is damaged.
        torn: Unfinished records that were removed: a process was killed while it wrote.
        unread: Shards that were not read to their end, and may still be written: nothing is known of what is there.
        strange: What has a shard's name and is no regular file; the store neither reads nor changes it.
    """

    records: int
    bytes: int
    damaged: tuple[Damage, ...]
    torn: int
    unread: tuple[Path, ...] = ()
    strange: tuple[Path, ...] = ()


def inventory(root: Path) -> list[SpaceInfo]:
    """List the contents of a store, the space used last first.

    Raises:
        BadInput: The folder is not a store, or cannot be read.
    """
    found = []
    for folder in _spaces(root):
        rows, its = 0, files(folder, SUFFIX)
        for path, _ in its:
            with suppress(OSError):
                reader = Reader(path)
                rows += sum(record.rows for record, keys in reader.records() if keys is not None)
                reader.close()
        size, used = sum(status.st_size for _, status in its), max((s.st_mtime for _, s in its), default=0.0)
        found.append(SpaceInfo(folder.name, read_identity(folder), rows, size, len(its), used))
    return sorted(found, key=lambda info: -info.last_used)


def clear(root: Path) -> int:
    """Remove all spaces, and nothing else that lies there.

    Returns:
        Bytes of the files removed.

    Raises:
        BadInput: The folder is not a store, or something cannot be removed.
    """
    freed = 0
    for folder in _spaces(root):
        for path, status in files(folder, SUFFIX, PARTIAL):
            if not removed(path):
                raise BadInput(f"cannot remove {path}; see who owns it, or remove it by hand")
            freed += status.st_size
        drop_if_empty(folder)
    return freed


def verify(root: Path) -> Verified:
    """Check every byte of a store and fix what is damaged, as far as it can be written.

    What only may be damage, for another process may be writing it, is left where the shard is younger than a minute.

    Raises:
        BadInput: The folder is not a store, or cannot be read.
    """
    records = size = torn = 0
    damaged: list[Damage] = []
    unread: list[Path] = []
    odd: list[Path] = []
    for folder in _spaces(root):
        odd += strange(folder, SUFFIX)
        for path, status in files(folder, SUFFIX, PARTIAL):
            settled = time.time() - status.st_mtime > _SETTLED_SECONDS
            if path.suffix == PARTIAL:
                torn += settled and removed(path)
                continue
            try:
                reader = Reader(path)
            except FileNotFoundError:
                continue
            except OSError:
                damaged.append(Damage(path, 0, -1, fixed=False))
                continue
            report = examine(reader)
            reader.close()
            records += len(report.good)
            size += reader.size
            if not settled and (report.gaps or report.torn is not None):
                unread.append(path)
            losses = [*report.bad, *((gap, -1) for gap in report.gaps if settled)]
            fixed = False
            with suppress(OSError):
                if losses:
                    rewrite(path, report.good)
                    fixed = True
                elif report.torn is not None and settled:
                    cut(path, report.torn)
                    torn += 1
            damaged += [Damage(path, offset, rows, fixed) for offset, rows in sorted(losses)]
        drop_if_empty(folder)
    return Verified(records, size, tuple(damaged), torn, tuple(unread), tuple(odd))


def _spaces(root: Path) -> list[Path]:
    """The folders of a store that are spaces; there need be neither a store nor a space in it."""
    spaces = folders(root)
    if not spaces and root.exists() and any(not each.name.startswith(".") for each in root.iterdir()):
        raise BadInput(f"{root} is not an embedding cache, and nothing in it was touched; name another --store")
    return spaces
