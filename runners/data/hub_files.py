"""Whether the files of a folder are those of a commit of the hub, by what huggingface_hub kept of them there.

``hf download --local-dir`` keeps, in ``.cache/huggingface/download/<file>.metadata``, the commit and the hash that the
hub gave for a file; in the hub's cache, ``snapshots/<commit>/<file>`` is a link to ``blobs/<hash>``. The hash is
SHA-256 for large files and git's own for others. Both are computed anew here.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from flagbench import BadInput
from flagbench.files import MIB, open_file, read_text

COMMIT = re.compile(r"[0-9a-f]{40}")
_GIT_HASH, _SHA256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")
_SHARD = re.compile(r"(.*)-([0-9]{5})-of-([0-9]{5})(\..*)")
_METADATA = Path(".cache", "huggingface", "download")
_MOST_METADATA = 1 << 12  # bytes; it has three short lines
_UNREADABLE = "its content is not known"


def cached_snapshot(repo: str, commit: str) -> Path | None:
    """The folder of a dataset in the hub's cache at a commit; None where nothing of it is there."""
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE) / f"datasets--{repo.replace('/', '--')}" / "snapshots" / commit
    return folder if COMMIT.fullmatch(commit) and folder.is_dir() else None


def in_hub_cache(folder: Path) -> bool:
    """Whether a folder is a snapshot in the hub's cache, whose files are links to ``../../blobs``."""
    return folder.parent.name == "snapshots" and COMMIT.fullmatch(folder.name) is not None


def commit_of(folder: Path) -> str | None:
    """The commit that every file below a folder is of; None where one of them is not known to be.

    None as well where a folder is a link, whose files are not looked at, or where a shard of a file has gone: the rows
    of the others are not those of the commit.

    Args:
        folder: A snapshot in the hub's cache, or a folder that ``hf download --local-dir`` filled.
    """
    folder = folder.resolve()
    below = [path for path in sorted(folder.rglob("*")) if path.relative_to(folder).parts[0] != ".cache"]
    names = [path.relative_to(folder).as_posix() for path in below if path.is_file()]
    if any(path.is_symlink() and path.is_dir() for path in below) or not _whole(names):
        return None
    states = [(name, (folder / name).stat()) for name in names]
    marks = tuple((name, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns) for name, at in states)
    return _commit_of(folder, marks)


def _whole(names: Sequence[str]) -> bool:
    """Whether each file that says by its name that it is one of several shards has all the others beside it."""
    there: dict[tuple[str, int, str], set[int]] = {}
    for shard in filter(None, map(_SHARD.fullmatch, names)):
        there.setdefault((shard[1], int(shard[3]), shard[4]), set()).add(int(shard[2]))
    return all(numbers == set(range(count)) for (_, count, _), numbers in there.items())


@functools.lru_cache(maxsize=256)  # a task is loaded more than once, and the corpora of some have gigabytes
def _commit_of(folder: Path, marks: tuple[tuple[str, int, int, int, int], ...]) -> str | None:
    commits: set[str] = set()
    for name, *_ in marks:
        try:
            commit, etag = _in_cache(folder, name) or _in_metadata(folder, name)
            if not COMMIT.fullmatch(commit) or _hash(folder / name, etag) != etag:
                return None
        except BadInput:
            return None
        commits.add(commit)
        if len(commits) > 1:
            return None
    return commits.pop() if commits else None


def _in_cache(folder: Path, name: str) -> tuple[str, str] | None:
    """Commit and hash of a file that is a link from a snapshot of the hub's cache to a blob of the same repo."""
    blob = (folder / name).resolve()
    of_cache = in_hub_cache(folder) and blob.parent == folder.parent.parent / "blobs"
    return (folder.name, blob.name) if of_cache else None


def _in_metadata(folder: Path, name: str) -> tuple[str, str]:
    """Commit and hash of a file that was downloaded into a folder of the user."""
    text = read_text(folder / _METADATA / f"{name}.metadata", _UNREADABLE, largest=_MOST_METADATA)
    commit, etag, *_ = [*text.splitlines(), "", ""]
    return commit.strip(), etag.strip()


def _hash(path: Path, etag: str) -> str | None:
    """The hash of a file, of the kind that the hub's is; None where that is none."""
    if _SHA256.fullmatch(etag):
        digest = hashlib.sha256()
    elif _GIT_HASH.fullmatch(etag):
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    else:
        return None
    with open_file(path, _UNREADABLE) as file:
        while piece := file.read(MIB):
            digest.update(piece)
    return digest.hexdigest()
