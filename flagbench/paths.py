"""Paths that a user names and at which nothing lies: what was meant is most often beside them."""

from __future__ import annotations

import os
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path, PurePath

from flagbench import BadInput, nearest, printable

_LOOKED_AT = 10_000
"""Names of a folder that are looked at."""

_ALIKE = 0.65


def check_there(path: Path, wanted: str, *, error: type[BadInput] = BadInput) -> None:
    """See that something lies at a path.

    Args:
        path: As the user names it.
        wanted: What to name instead, as the end of a sentence.
        error: The kind of error that is raised.

    Raises:
        BadInput: Nothing does.
    """
    if not os.path.lexists(path):
        raise error(f"{path} does not exist{near_by(path)}: {wanted}")


def check_folder(path: Path, wanted: str) -> None:
    """See that a folder lies at a path.

    Args:
        path: As the user names it.
        wanted: What to name instead, as the end of a sentence.

    Raises:
        BadInput: Nothing does, or no folder.
    """
    check_there(path, wanted)
    if not path.is_dir():
        raise BadInput(f"{path} is not a folder: {wanted}")


def near_by(path: str | Path, *, folders: bool = False) -> str:
    """What exists and is like a path that does not, for the middle of a message: `` (did you mean ./model?)``.

    The first part of the path that is not there is compared with what lies beside it.

    Args:
        path: As the user names it.
        folders: Whether a folder was meant.

    Returns:
        Nothing where nothing is like it.
    """
    parts = os.fspath(path).rstrip("/").split("/")
    at = next((at for at in range(len(parts)) if not _is_there("/".join(parts[: at + 1]) or "/")), None)
    if at is None:
        return ""
    before, after = parts[:at], parts[at + 1 :]
    try:
        with os.scandir(Path("/".join([*before, ""]) or ".").expanduser()) as entries:
            seen = islice(entries, _LOOKED_AT)
            names = [each.name for each in seen if each.is_dir() or not (folders or after)]
    except OSError:
        return ""
    hidden = parts[at].startswith(".")
    alike = nearest(parts[at], [each for each in names if each.startswith(".") == hidden])
    found = [each for each in alike if _is_like(parts[at], each)]
    beside = ["/".join([*before, each]) for each in found]
    whole = [each for each in ("/".join([name, *after]) for name in beside) if _is_there(each)]
    return f" (did you mean {' or '.join(map(printable, whole or beside))}?)" if found else ""


def _is_like(name: str, other: str) -> bool:
    """Whether one name may be meant by another: what a folder has is not a list to choose from."""
    if PurePath(name).suffix == PurePath(other).suffix:  # which most files of a folder have
        name, other = PurePath(name).stem, PurePath(other).stem
    name, other = name.lower(), other.lower()
    return name in other or SequenceMatcher(None, name, other).ratio() >= _ALIKE


def _is_there(path: str) -> bool:
    return os.path.lexists(Path(path).expanduser())
