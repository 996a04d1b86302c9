"""Files of FlagEmbedding's bundle ``long-llm``, as JSON lines whatever their ending says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from flagbench import AbsentData, BadData
from flagbench.files import inside
from flagbench.runners.data.row_files import RowFile
from flagbench.runners.data.sources import Source

FIX = "fix the data"
"""The end of a line about a fault."""

_BUNDLE = "long-llm"

Report = Callable[[str], None]
"""Takes a fault, a line; it may raise, else the row that has it is left out."""


def refuse(fault: str) -> None:
    """Raise the first fault.

    Raises:
        BadData: Always.
    """
    raise BadData(fault)


def bundle_file(source: Source, name: str) -> Path:
    """A file of the bundle, whose folder lies in that of the dataset, or whose content does.

    Args:
        source: Of the dataset that has it.
        name: Relative to the bundle's folder, such as ``lm/pg19.json``.

    Raises:
        AbsentData: It is not there.
    """
    folder = source.files(f"{_BUNDLE}/{name}")
    for each in (f"{_BUNDLE}/{name}", name):
        path = inside(folder, each, "remove the link", error=BadData)
        if path.is_file():
            return path
    raise AbsentData(
        f"{folder} has no {_BUNDLE}/{name}: put the folder {_BUNDLE} of {_BUNDLE}.tar.gz there, which has it"
    )


def bundle_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows of a file, each with its place for messages.

    Raises:
        BadData: It cannot be read, or a line is no JSON object.
    """
    file = RowFile(path, "jsonl", path.stem)
    for number, row in file.rows():
        yield file.place(number), row


def text_of(where: str, row: Mapping[str, Any], column: str, report: Report) -> str | None:
    """A text of a row with more than blanks in it; None for a fault, which is reported."""
    value = row.get(column)
    if isinstance(value, str) and value.strip() and "\0" not in value:
        return value
    report(f"{where} has {value!r:.60} instead of a text in {column}: {FIX}")
    return None
