"""Whether the files of a folder are those of a commit of the hub, by what huggingface_hub kept of them there.

``hf download --local-dir`` keeps, in ``.cache/huggingface/download/<file>.metadata``, the commit and the hash that the
hub gave for a file; in the hub's cache, ``snapshots/<commit>/<file>`` is a link to ``blobs/<hash>``. The hash is
SHA-256 for large files and git's own for others. Both are computed anew here.
"""

from __future__ import annotations

import functools
import hashlib
import re
from pathlib import Path

from flagbench import BadInput
from flagbench.files import MIB, open_file, read_text

COMMIT = re.compile(r"[0-9a-f]{40}")
_GIT_HASH, _SHA256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")
_METADATA = Path(".cache", "huggingface", "download")
_MOST_METADATA = 1 << 12  # bytes; it has three short lines
_UNREADABLE = "its content is not known"


def commit_of(folder: Path) -> str | None:
    """The commit that every file below a folder is of; None where one of them is not known to be.

    Args:
        folder: A snapshot in the hub's cache, or a folder that ``hf download --local-dir`` filled.
    """
    folder = folder.resolve()
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != ".cache"
    )
    marks = tuple((path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    return _commit_of(folder, marks)


@functools.lru_cache(maxsize=256)  # a task is loaded more than once, and the corpora of some have gigabytes
def _commit_of(folder: Path, marks: tuple[tuple[str, int, int], ...]) -> str | None:
    commits: set[str] = set()
    for name, _, _ in marks:
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
    of_cache = folder.parent.name == "snapshots" and blob.parent == folder.parent.parent / "blobs"
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
