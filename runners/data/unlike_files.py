"""Which of the files of a split does not go with the others, after ``datasets`` could not join them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_OF_PICTURES = frozenset({"metadata.jsonl", "metadata.csv", "metadata.parquet"})
"""Files of rows beside pictures, which are files of the split as well (packaged_modules/folder_based_builder)."""

_NAME = "file_name"
_FILL = "name it, or remove the row"
_FIX = "give all files of a split the same columns, of the same types"


def unlike_file(listed: Callable[[], Sequence[Path]], tables: Callable[[Path], Iterator[pa.Table]]) -> str:
    """Describe the first file whose columns do not become those of the first file, as ``datasets`` makes them.

    Args:
        listed: Lists the files of a split, in the order in which they are read.
        tables: The tables of a file that is read alone.

    Returns:
        A line that names the file and the column, or the row of a folder of pictures that names none; empty where all
        files go together, or one cannot be read alone.
    """
    schema: pa.Schema | None = None
    try:
        files = listed()
        if rows := [file for file in files if file.name in _OF_PICTURES]:
            return next(filter(None, map(_nameless, rows)), "")
        for file in files:
            for table in tables(file):
                schema = table.schema if schema is None else schema
                if fault := _fault(table, schema):
                    return f"{file} cannot be read with {files[0].name}: {fault}; {_FIX}"
    except Exception:  # a file has a fault of another kind, which the error that led here tells of
        return ""
    return ""


def _nameless(path: Path) -> str:
    """The first row about a picture that does not name it; empty where all do."""
    from flagbench.runners.data.row_files import RowFile

    file = RowFile.of(path)
    for number, row in file.rows() if file else ():
        if named := next((name for name in row if name.endswith(_NAME) and not row[name]), ""):
            return (
                f"{file.place(number) if file else path} has nothing instead of the name of a file in {named}; {_FILL}"
            )
    return ""


def _fault(table: pa.Table, schema: pa.Schema) -> str:
    import pyarrow as pa
    from datasets.table import table_cast

    for field in table.schema:
        if field.name not in schema.names:
            return f"column '{field.name}' is in this file alone"
        wanted = schema.field(field.name)
        try:
            table_cast(table.select([field.name]), pa.schema([wanted]))
        except (pa.ArrowException, TypeError, ValueError):
            # A value keeps the column from its type: text that is no number, say.
            return f"column '{field.name}' is {field.type} in this file and {wanted.type} in that one"
    return ""
