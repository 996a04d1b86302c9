"""The checkpoints of a training run that are on disk at a moment, and which of them are whole."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flagbench import BadInput, in_one_line
from flagbench.models.loading.whole import check_whole

_NAME = re.compile(r"checkpoint-([0-9]{1,15})")

Files = tuple[tuple[str, int, int], ...]
"""Of each file of a checkpoint its path below it, its size, and its time of modification in nanoseconds."""


@dataclass(frozen=True)
class Sighting:
    """A checkpoint as it was at a moment.

    Attributes:
        step: Of the training, from its name.
        folder: ``RUNS/checkpoint-N``.
        files: Its files; None where some vanished while they were looked at, or may not be read.
    """

    step: int
    folder: Path
    files: Files | None

    @property
    def name(self) -> str:
        """``checkpoint-N``."""
        return self.folder.name


def look(runs: Path) -> list[Sighting]:
    """The checkpoints below a folder, by step; none where it does not exist yet.

    Trainers write to ``tmp-checkpoint-N`` and rename that, or write to ``checkpoint-N`` at once: only the latter is
    looked at, and it may be half written.

    Args:
        runs: The output folder of a training run.

    Raises:
        BadInput: It is no folder, or may not be read.
    """
    try:
        folders = [each for each in runs.iterdir() if _NAME.fullmatch(each.name)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BadInput(f"{runs} cannot be read as a folder ({error.strerror}): name that of a training run") from error
    found = [Sighting(step_of(folder.name), folder, _files(folder)) for folder in folders if folder.is_dir()]
    return sorted(found, key=lambda each: (each.step, each.name))


def step_of(name: str) -> int:
    """The step in the name of a checkpoint's folder; -1 where it has none."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else -1


def not_whole(checkpoint: Sighting) -> str:
    """Say what a checkpoint lacks; empty where it is whole."""
    if checkpoint.files is None:
        return "its files are changing, or may not be read"
    try:
        check_whole(checkpoint.folder)
    except (BadInput, OSError) as error:
        said = in_one_line(error).replace(f"{checkpoint.folder}/", "").replace(str(checkpoint.folder), checkpoint.name)
        # Without the fix: the trainer may still be at it.
        return said.removeprefix(f"{checkpoint.name} ").split("; ")[0].split(": ")[0]
    return ""


def _files(folder: Path) -> Files | None:
    try:
        return tuple(sorted(_below(folder, folder)))
    except OSError:  # it is being deleted, or may not be read
        return None


def _below(root: Path, folder: Path) -> Iterator[tuple[str, int, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                yield from _below(root, path)
            else:
                state = entry.stat(follow_symlinks=False)
                yield path.relative_to(root).as_posix(), state.st_size, state.st_mtime_ns
