"""The runs among several that can be read: one that is damaged is named and left out, and takes no other with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flagbench import BadInput, in_one_line, printable
from flagbench.results.interning import Interned
from flagbench.results.runs import Run, labelled, read_run, run_files


@dataclass(frozen=True)
class Unreadable:
    """A run that cannot be shown.

    Attributes:
        path: Where it lies.
        reason: Why, in one line.
    """

    path: str
    reason: str


def find_readable(paths: Sequence[Path], look: Callable[[Run], object]) -> tuple[list[Run], list[Unreadable]]:
    """The runs at several paths that can be read, and those among them that cannot.

    Args:
        paths: As ``find_all``.
        look: Reads what else is needed of a run, and raises BadInput where that cannot be read.

    Returns:
        Runs as ``find_all`` gives them; runs that are left out, of folders that hold others as well.

    Raises:
        BadInput: A path has no runs, or a run that is named on its own cannot be read, or none can.
    """
    files = run_files(paths)
    found_in = Counter(files.values())
    runs, faults = _read_all(files, look)
    for file, fault in faults.items():
        within = files[file]
        if not runs or within is None or found_in[within] == 1:
            raise fault
    return runs, [_unreadable(file, files[file], fault) for file, fault in faults.items()]


def readable(files: Sequence[Path], within: Path, look: Callable[[Run], object]) -> tuple[list[Run], list[Unreadable]]:
    """The runs below a folder that can be read, and those that cannot.

    Args:
        files: Each run.json.
        within: The folder.
        look: See ``find_readable``.
    """
    runs, faults = _read_all(dict.fromkeys(files, within), look)
    return runs, [_unreadable(file, within, fault) for file, fault in faults.items()]


def _read_all(
    files: Mapping[Path, Path | None], look: Callable[[Run], object]
) -> tuple[list[Run], dict[Path, BadInput]]:
    interned = Interned()
    runs: list[Run] = []
    faults: dict[Path, BadInput] = {}
    for file, within in files.items():
        try:
            run = read_run(file, within, interned)
            look(run)
            runs.append(run)
        except BadInput as fault:
            faults[file] = fault
    return labelled(runs), faults


def _unreadable(file: Path, within: Path | None, fault: BadInput) -> Unreadable:
    folder = (file.relative_to(within) if within else file).parent.parent
    return Unreadable(printable(folder), in_one_line(fault))


def check_values(run: Run) -> None:
    """Read the values by query of all tasks.

    Raises:
        BadInput: A file of them is gone, damaged or of a later version.
    """
    for task in run.record.tasks:
        run.values(task)
