"""Folders that are written whole or not at all."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flagbench.results.store import clear_abandoned, hold

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


@contextmanager
def unfinished_folder(output: Path, prefix: str) -> Iterator[Path]:
    """A new folder on the disk of an output, which is removed at the end; so are those that killed processes left.

    Args:
        output: Where something will be written; it need not be there.
        prefix: Of the names of such folders, all of one kind.

    Raises:
        OSError: It cannot be made.
    """
    nearest = next(each for each in (output, *output.absolute().parents) if each.is_dir())
    clear_abandoned(nearest, prefix)
    unfinished = Path(tempfile.mkdtemp(dir=nearest, prefix=prefix, suffix=".unfinished"))
    handle = os.open(unfinished, os.O_RDONLY)
    hold(handle)
    try:
        yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        os.close(handle)


def put_in_place(made: Path, target: Path, before: Path) -> None:
    """Put a folder in its place; what was there comes back if that fails.

    On Linux a kill at any instant leaves the one folder there or the other, and nobody who reads finds neither.

    Args:
        made: The folder; where one was replaced that one may lie here then.
        target: Where it belongs.
        before: Where the folder that is there now goes else: on the same disk, and nothing is there.

    Raises:
        OSError: It cannot be put there.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        if _exchanged(made, target):
            return
        target.rename(before)
    try:
        made.rename(target)
    except OSError:
        if before.exists():
            before.rename(target)
        raise


def _exchanged(one: Path, other: Path) -> bool:
    """Let two folders take each other's place in one step; tells whether the system could."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, TypeError, AttributeError):  # another system than Linux, or an old C library
        return False
    return bool(rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0)
