"""Rows of parquet that a user brings, in bounded memory.

A file says little of what it unpacks to: a text is written once, in the dictionary of its column, and named by any
number of rows. So a few rows are read at once where the longest text of a dictionary would make many large.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flagbench import BadData, in_one_line
from flagbench.files import MIB, open_file

_ROWS_A_READ = 10_000
_BYTES_A_READ = 8 * MIB
_UNPACKED_A_READ = 64 * MIB  # if each value were the longest one
_VALUES_A_READ = 1_000_000
_LONGEST_LIST = 10_000_000
_UNKNOWN = float("inf")


@contextmanager
def parquet(path: Path, dictionaries: Sequence[str] = ()) -> Iterator[Any]:
    """A file of parquet as pyarrow reads it.

    Args:
        path: The file.
        dictionaries: Paths of columns whose texts stay in their dictionaries.

    Raises:
        BadData: It cannot be read, also within the context, or has two columns of one name.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open_file(path, "fix the data", error=BadData) as handle:
        try:
            # A buffer would keep all that was read.
            with pq.ParquetFile(handle, read_dictionary=list(dictionaries), pre_buffer=False) as file:
                names = file.schema_arrow.names
                if twice := next((name for name in names if names.count(name) > 1), None):
                    raise BadData(f"{path} has two columns '{twice}': fix the data")
                yield file
        # The last two: of values that Python does not have, such as texts of no characters and years beyond 9999.
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise BadData(f"{path} cannot be read as parquet ({in_one_line(error)}): copy it again") from error


def rows(path: Path, columns: Collection[str] | None = None) -> Iterator[Mapping[str, Any]]:
    """The rows of a file.

    Args:
        path: The file.
        columns: Those that are read, of which the file may lack some; None for all.

    Raises:
        BadData: As ``parquet``.
    """
    with parquet(path) as file:
        names = [name for name in file.schema_arrow.names if columns is None or name in columns]
        for group, size in enumerate(_sizes(path, file.metadata, names)):
            for batch in file.iter_batches(batch_size=size, row_groups=[group], columns=names):
                _check_lists(path, batch)
                yield from batch.to_pylist()


def _check_lists(path: Path, batch: Any) -> None:
    """See that no row has a list of very many values, which may be written in no space if they are alike.

    Raises:
        BadData: One has.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            most = pc.max(pc.list_value_length(column)).as_py() or 0
            if most > _LONGEST_LIST:
                raise _too_long(path, name)


def _too_long(path: Path, column: str) -> BadData:
    return BadData(f"{path} has a row with more than {_LONGEST_LIST:,} values in column {column}: fix the data")


def named_in(path: Path, column: str) -> Iterator[str]:
    """The texts of a column, or the paths of its images as ``datasets`` keeps them; no images are read.

    Raises:
        BadData: As ``rows``.
    """
    with parquet(path) as file:
        groups = list(_groups_of_texts(file, column))
        sizes = _sizes(path, file.metadata, [groups[0][1]]) if groups else []
        for group, name in groups:
            for batch in file.iter_batches(batch_size=sizes[group], row_groups=[group], columns=[name]):
                values = batch.column(0)
                values = values.field("path") if name != column else values
                yield from (value for value in values.to_pylist() if value is not None)


def _sizes(path: Path, metadata: Any, columns: Sequence[str]) -> list[int]:
    """How many rows of each row group are read at once: fewer where they are large, as images are."""
    leaves = {
        number: leaf.path
        for number in range(metadata.num_columns)
        for leaf in (metadata.schema.column(number),)
        if leaf.logical_type.type == "STRING" and any(f"{leaf.path}.".startswith(f"{name}.") for name in columns)
    }
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    values = [_values_a_row(path, group, columns) for group in groups]
    packed = [
        [group.column(number) for number in leaves if group.column(number).has_dictionary_page] for group in groups
    ]
    longest = _longest(path, columns, list(leaves.values()), [bool(chunks) for chunks in packed])
    sizes = []
    for group, chunks, length, many in zip(groups, packed, longest, values, strict=True):
        count = max(1, group.num_rows)
        stored = group.total_byte_size / count
        unpacked = length * sum(chunk.num_values for chunk in chunks) / count
        few = min(_BYTES_A_READ / max(1, stored), _UNPACKED_A_READ / max(1, unpacked), _VALUES_A_READ / max(1, many))
        sizes.append(max(1, min(_ROWS_A_READ, int(few))))
    return sizes


def _values_a_row(path: Path, group: Any, columns: Sequence[str]) -> float:
    """The values of each row of a row group on average, in the column that has most.

    Raises:
        BadData: They are so many that a row has too many of them, before any is read.
    """
    most = 0.0
    for chunk in map(group.column, range(group.num_columns)):
        name = next((name for name in columns if f"{chunk.path_in_schema}.".startswith(f"{name}.")), None)
        if name is not None:
            most = max(most, chunk.num_values / max(1, group.num_rows))
            if most > _LONGEST_LIST:
                raise _too_long(path, name)
    return most


def _longest(path: Path, columns: Sequence[str], leaves: Sequence[str], packed: Sequence[bool]) -> Iterator[float]:
    """Of each row group the bytes of the longest text in a dictionary; 0 without one.

    Args:
        path: Of the file.
        columns: Names of those that are read.
        leaves: Paths of the texts in them.
        packed: Whether a row group has dictionaries of them.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not any(packed):
        yield from [0.0] * len(packed)
        return
    with parquet(path, leaves) as file:
        for group, is_packed in enumerate(packed):
            if not is_packed:
                yield 0.0
                continue
            try:
                first = next(file.iter_batches(batch_size=1, row_groups=[group], columns=columns), None)
            except pa.ArrowNotImplementedError:  # one row has texts of a dictionary and others
                yield _UNKNOWN
                continue
            words = [words for column in (first.columns if first else ()) for words in _dictionaries(column)]
            yield max((pc.max(pc.binary_length(each)).as_py() or 0 for each in words), default=0)


def _dictionaries(array: Any) -> Iterator[Any]:
    """The dictionaries of texts in an array, at any depth."""
    import pyarrow as pa

    kind = array.type
    if pa.types.is_dictionary(kind):
        if pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type):
            yield array.dictionary
    elif pa.types.is_struct(kind):
        for number in range(kind.num_fields):
            yield from _dictionaries(array.field(number))
    elif pa.types.is_nested(kind):
        yield from _dictionaries(array.values)


def _groups_of_texts(file: Any, column: str) -> Iterator[tuple[int, str]]:
    """The row groups of parquet in which a column has texts, or images that lie elsewhere, each with what has them."""
    import pyarrow as pa

    if column not in file.schema_arrow.names:
        return
    kind = file.schema_arrow.field(column).type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield from ((group, column) for group in range(file.metadata.num_row_groups))
    if not pa.types.is_struct(kind) or {field.name for field in kind} != {"bytes", "path"}:
        return
    if not pa.types.is_string(kind.field("path").type):
        return
    for group in range(file.metadata.num_row_groups):
        chunks = map(file.metadata.row_group(group).column, range(file.metadata.num_columns))
        stored = next(chunk for chunk in chunks if chunk.path_in_schema == f"{column}.bytes")
        if stored.statistics is not None and stored.statistics.null_count == stored.num_values:
            yield group, f"{column}.path"
