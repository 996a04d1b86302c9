"""Mixed weights in a folder of the user's cache while a model is read from them.

Processes that read the same mixture at the same time share one folder: each holds a lock on it, and who lets go last
removes it. One that nobody holds is of a process that was killed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flagbench import BadInput
from flagbench.files import cache_folder
from flagbench.models.contract import Loading
from flagbench.models.loading.mixture import MixedCheckpoint
from flagbench.models.mixing.checkpoint import write_checkpoint
from flagbench.models.spec import ModelSpec

_LOCK, _PART = ".lock", ".part"
_FIX = "set XDG_CACHE_HOME to a folder that can be written"


@contextmanager
def mixed_folder(checkpoint: MixedCheckpoint, spec: ModelSpec, loading: Loading) -> Iterator[Path]:
    """A folder with a mixture as an ordinary checkpoint, gone when the last process that reads it is done.

    Args:
        checkpoint: The mixture.
        spec: Its settings.
        loading: What is allowed.

    Raises:
        BadInput: As ``write_checkpoint``; the cache cannot be written.
    """
    root = cache_folder() / "mixtures"
    folder = root / f"{spec.revision}{'-pickles' if loading.allow_pickle else ''}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        clear(root)
    except OSError as error:
        raise BadInput(f"{root} cannot be written ({error.strerror}): {_FIX}") from error
    handle = _held(folder, checkpoint, spec, loading)
    try:
        yield folder
    finally:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(folder)
        except BlockingIOError:  # another process still reads it
            pass
        os.close(handle)


def clear(root: Path) -> None:
    """Remove what processes that were killed have left.

    Args:
        root: The folder of all mixtures.
    """
    for path in root.iterdir():
        folder = path.with_name(
            path.name.removeprefix(".").partition("-merged-")[0].removesuffix(_PART).removesuffix(_LOCK)
        )
        handle = _try_lock(folder)
        if handle is not None:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            _remove(folder)
            os.close(handle)


def _held(folder: Path, checkpoint: MixedCheckpoint, spec: ModelSpec, loading: Loading) -> int:
    """The lock on a folder that is there, made by this process or another; shared with those that read it."""
    while True:
        handle = _lock(folder, fcntl.LOCK_SH)
        if folder.is_dir():
            return handle
        os.close(handle)
        handle = _lock(folder, fcntl.LOCK_EX)
        part = folder.with_name(folder.name + _PART)
        try:
            if not folder.is_dir():
                shutil.rmtree(part, ignore_errors=True)
                write_checkpoint(checkpoint, spec, part, loading, in_parts=True)
                part.rename(folder)
            # Between the two locks another process may get it, and remove the folder.
            fcntl.flock(handle, fcntl.LOCK_SH)
        except BaseException:
            _remove(folder)
            os.close(handle)
            raise
        if folder.is_dir():
            return handle
        os.close(handle)


def _lock_file(folder: Path) -> Path:
    return folder.with_name(folder.name + _LOCK)


def _lock(folder: Path, kind: int) -> int:
    """A lock on a folder, shared or exclusive, which is waited for."""
    while True:
        handle = os.open(_lock_file(folder), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(handle, kind)
        if _is_its_file(handle, folder):
            return handle
        os.close(handle)  # removed while it was waited for


def _try_lock(folder: Path) -> int | None:
    """An exclusive lock on a folder; None where another process has one."""
    handle = os.open(_lock_file(folder), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    if _is_its_file(handle, folder):
        return handle
    os.close(handle)
    return None


def _is_its_file(handle: int, folder: Path) -> bool:
    try:
        return os.fstat(handle).st_ino == _lock_file(folder).stat().st_ino
    except FileNotFoundError:
        return False


def _remove(folder: Path) -> None:
    for path in (folder, folder.with_name(folder.name + _PART)):
        shutil.rmtree(path, ignore_errors=True)
    _lock_file(folder).unlink(missing_ok=True)
