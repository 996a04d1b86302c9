"""Rows of files through the datasets library, whose faults become one line."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from flagbench import BadData, BadInput
from flagbench.runners.data.unlike_files import unlike_file

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import IterableDataset

_ROWS_A_READ = 20_000
_COMPRESSIONS = {".gz", ".bz2", ".xz", ".zst"}
_OF_TAR = "__key__"
"""A column that the rows of tar files have (packaged_modules/webdataset)."""

_NAMES_FILE = re.compile(r"Failed to .*?'(.+?)' with error ")
"""What ``datasets`` logs of a file that it cannot read (packaged_modules/json/json.py, parquet/parquet.py in 4.x)."""

_Read = TypeVar("_Read")


def tables_of(stream: IterableDataset, rows: int = _ROWS_A_READ) -> Iterator[pa.Table]:
    """A stream of rows as tables of so many."""
    return (table for table in stream.with_format("arrow").iter(batch_size=rows) if len(table))


def tables_with_images(stream: IterableDataset, rows: int) -> Iterator[pa.Table]:
    """A stream of rows with images, none of which is decoded, as tables of so many."""
    if stream.features is None or _OF_TAR not in stream.features:
        yield from tables_of(stream, rows)
        return
    import pyarrow as pa

    # Of tar files datasets makes tables whose columns are in the order of each row's files, and cannot join them.
    schema = stream.features.arrow_schema.remove_metadata()
    for batch in stream.decode(False).iter(batch_size=rows):
        yield pa.Table.from_pydict(batch, schema=schema)


def read_or_refuse(folder: Path, read: Callable[[], _Read], files: Callable[[], Sequence[Path]] = lambda: ()) -> _Read:
    """Run a read of ``datasets`` and turn what it raises into one line, which names the file.

    That is the one that its log names, else the first of the files that does not go with those before it.
    """
    with _logged() as lines, _without_torch():
        try:
            return read()
        except BadInput:
            raise
        except Exception as error:  # datasets, pyarrow, pandas and fsspec each raise their own
            reason = str(error).strip().splitlines()
            message = reason[0] if reason else type(error).__name__
            named = [found[1] for found in map(_NAMES_FILE.match, lines) if found]
            unlike = "" if named else unlike_file(files, lambda file: tables_of(stream_files([file])))
            raise BadData(
                unlike or f"{named[0] if named else folder} cannot be read as a dataset: {message}"
            ) from error


@contextmanager
def _logged() -> Iterator[list[str]]:
    """What ``datasets`` logs, instead of its place on the terminal beside the line that says the same."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("datasets")
    before, logger.handlers = logger.handlers, [handler]
    try:
        yield lines
    finally:
        logger.handlers = before


@contextmanager
def _without_torch() -> Iterator[None]:
    """While it lasts, ``datasets`` imports no torch for rows that it streams: they are shared with no workers of it."""
    if "datasets" not in sys.modules:
        yield
        return
    import datasets

    there = datasets.config.TORCH_AVAILABLE
    datasets.config.TORCH_AVAILABLE = there and "torch" in sys.modules
    try:
        yield
    finally:
        datasets.config.TORCH_AVAILABLE = there


def stream_files(files: Sequence[Path]) -> IterableDataset:
    """The rows of the files of one split, read by the datasets module for their ending."""
    from datasets.load import load_dataset
    from datasets.packaged_modules import _EXTENSION_TO_MODULE

    endings = [suffix for suffix in files[0].suffixes if suffix not in _COMPRESSIONS]
    ending = endings[-1] if endings else ""
    if ending not in _EXTENSION_TO_MODULE:
        raise BadData(f"{files[0]}: rows in files of this kind are not read")
    module, options = _EXTENSION_TO_MODULE[ending]
    return load_dataset(module, data_files=[str(path) for path in files], split="train", streaming=True, **options)
