"""Where the files of long-context tasks lie: in the datasets of the hub, their archives, and FlagEmbedding's bundle.

The bundle is the folder ``long-llm`` of long-llm.tar.gz in the hub's dataset namespace-Pt/projects, unpacked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flagbench import AbsentData, BadData
from flagbench.files import inside
from flagbench.runners.data.row_files import RowFile

if TYPE_CHECKING:
    from flagbench.runners.data.snapshots import Snapshots
    from flagbench.runners.data.sources import Source
    from flagbench.suites.longctx.registry import Row

BUNDLE = "namespace-Pt/projects"
_FIX = "fix the data"
_SUITE_OF_BUNDLE = {"longbench": "longbench", "infinitebench": "infbench"}
_ARCHIVE = "data.zip"
_MOST = 10**15  # of a count


@dataclass(frozen=True)
class Checked:
    """Checks of one row, each of which reports a fault and gives None.

    Attributes:
        row: As it was read.
        place: File and line, for messages.
        report: Takes a fault, a line.
    """

    row: Mapping[str, Any]
    place: str
    report: Callable[[str], None]

    def fault(self, what: str) -> None:
        """Report a fault of the row."""
        self.report(f"{self.place}: {what}: {_FIX}")

    def text(self, *names: str) -> str | None:
        """The text of the first of some columns that is there."""
        name = next((each for each in names if each in self.row), names[0])
        value = self.row.get(name)
        if isinstance(value, str):
            return value
        self.fault(f"'{name}' is not a text" if name in self.row else f"it has no '{name}'")
        return None

    def texts(self, name: str) -> tuple[str, ...] | None:
        """The texts of a column that is a list of one or more."""
        value = self.row.get(name)
        if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            return tuple(value)
        self.fault(f"'{name}' is not a list of texts")
        return None

    def count(self, name: str) -> int | None:
        """The whole number of a column, from 0 on."""
        value = self.row.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST:
            return value
        self.fault(f"'{name}' is not a whole number from 0 to 10**15")
        return None


def names_of(row: Row) -> tuple[str, ...]:
    """Names that the file of a task of LongBench or InfiniteBench may have in the folder of its data."""
    file = f"{row.part}.jsonl"
    suite = _SUITE_OF_BUNDLE[row.kind]
    return (f"data/{file}", file, f"long-llm/{suite}/{file}", f"{suite}/{file}")


def file_of(row: Row, source: Source) -> RowFile:
    """The file of a task of LongBench or InfiniteBench.

    Raises:
        AbsentData: There is none.
        BadData: The archive cannot be read, or a link leads out of the folder.
    """
    names = names_of(row)
    folder = source.files(*names, _ARCHIVE)
    for name in names:
        path = inside(folder, name, "remove the link", error=BadData)
        if path.is_file():
            found = RowFile.of(path)
            assert found is not None
            return found
    archive = inside(folder, _ARCHIVE, "remove the link", error=BadData)
    if archive.is_file() and (found := RowFile.in_archive(archive, names[0])):
        return found
    raise AbsentData(
        f"{row.name}: {folder} has neither {names[0]} nor {names[1]}, nor an archive {_ARCHIVE} with it: put the data "
        "there as the hub has it"
    )


def source_of(row: Row, snapshots: Snapshots) -> Source:
    """The source of a task's data: FlagEmbedding's bundle where the task's own dataset is not among the snapshots."""
    own = snapshots.source(row.dataset, "main")
    root = snapshots.root
    if root is None or row.kind not in _SUITE_OF_BUNDLE or (root / row.dataset).is_dir():
        return own
    there = any((root / BUNDLE / name).is_file() for name in names_of(row))
    return snapshots.source(BUNDLE, "main") if there else own


def refused(fault: str) -> None:
    """Raise a fault.

    Raises:
        BadData: Always.
    """
    raise BadData(fault)


def checked_rows(file: RowFile, fault: Callable[[str], None] | None) -> Iterator[Checked]:
    """The rows of a file, each to be checked.

    Args:
        file: Of a task.
        fault: Takes the faults of rows; None has the first one raised.

    Raises:
        BadData: The file cannot be read.
    """
    for number, row in file.rows():
        yield Checked(row, file.place(number), fault or refused)


def differences(row: Row, found: int) -> Sequence[str] | None:
    """A line where a task has not its published number of rows; None where none is published."""
    if not row.rows:
        return None
    return [f"{row.part}: {found:,} rows instead of {row.rows:,}"] if found != row.rows else []
