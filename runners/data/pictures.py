"""Images in rows that users bring, each of them checked: encoded in the row, or the name of a file beside the rows.

A row keeps an image as ``datasets`` does, as its bytes or as the path of its file (``IMAGE``), so that images of files
stay on disk until a model reads them (``runners/data/texts.py``).
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from flagbench import BadData
from flagbench.files import MIB, inside
from flagbench.models.inputs import Image
from flagbench.runners.data.image_checks import size_of
from flagbench.runners.data.texts import on_disk

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""An image of a row: its bytes, whose path is what they are called in messages, else the path of its file."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://|data:", re.IGNORECASE)
_LONGEST = 60  # characters of a name that are shown
_ROWS_A_BATCH = 10_000
_BYTES_A_BATCH = 16 * MIB


def stored_image(folder: Path, value: Any, *, decode: bool, place: str = "") -> dict[str, Any] | None:
    """A value of a column of images, as ``IMAGE`` has it.

    Args:
        folder: Names of files are relative to it.
        value: Bytes, the name of a file, or ``{"bytes": …, "path": …}`` with either; nothing, or an empty name, for no
            image.
        decode: Whether the picture is decoded, which finds a file that was cut off; else only its head is looked at.
        place: Of the row, by which an image that lies in it is called; empty where none does.

    Returns:
        None for no image.

    Raises:
        BadData: It is none of these, or no image that can be read; the object of a sentence whose subject is the row.
    """
    path = None
    if isinstance(value, Mapping):
        value, path = value.get("bytes"), value.get("path")
        value = path if value is None else value
    if value is None or value == "":
        return None
    if isinstance(value, bytes):
        _check(Image(value), "an image", decode=decode)
        return {"bytes": value, "path": place or None}
    if not isinstance(value, str):
        raise BadData(f"{value!r:.{_LONGEST}} instead of an image, which is its bytes or the name of a file")
    file = picture_at(folder, value)
    name = f"the image '{value:.{_LONGEST}}'"
    _check(Image(file), name, decode=decode)
    return {"bytes": None, "path": str(file)}


def picture_at(folder: Path, name: str) -> Path:
    """The file of an image by its name.

    Args:
        folder: That the name is relative to.
        name: Which neither leads out of the folder itself, nor through a link.

    Raises:
        BadData: It does, or names no regular file; as ``stored_image``.
    """
    shown = f"the image '{name:.{_LONGEST}}'"
    if _ADDRESS.match(name):
        raise BadData(f"{shown}, which is an address, and images are read from files below {folder}")
    try:
        path = inside(folder, name, "", error=BadData)
        mode = path.stat().st_mode
    except BadData as error:
        raise BadData(f"{shown}, which is not a file below {folder}") from error
    except FileNotFoundError as error:
        raise BadData(f"{shown}, and {folder} has no such file") from error
    except (OSError, ValueError) as error:
        raise BadData(f"{shown}, which cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if not stat.S_ISREG(mode):
        raise BadData(f"{shown}, which is no regular file")
    return path


def _check(image: Image, name: str, *, decode: bool) -> None:
    """See that an image can be read.

    Raises:
        BadData: It cannot; see ``stored_image``.
        BadInput: Pillow is not installed.
    """
    try:
        size_of(image)
        if decode:
            image.decoded()
    except BadData as error:
        raise BadData(f"{name} ({error})") from error


def kept(rows: Iterable[tuple[Any, ...]], schema: pa.Schema, *, large: bool = False) -> pa.Table:
    """Rows as a table: in memory, or in a temporary file that is read when asked for.

    Args:
        rows: A value for each column.
        schema: Of the table.
        large: Whether there are too many for memory, as of a corpus; with images there always are.
    """
    batches = _batches(iter(rows), schema)
    if IMAGE not in schema.types and not large:
        return pa.concat_tables(list(batches))
    return on_disk(batches, schema)


def _batches(rows: Iterator[tuple[Any, ...]], schema: pa.Schema) -> Iterator[pa.Table]:
    """Tables of so many rows, or of so many bytes of images."""
    batch: list[tuple[Any, ...]] = []
    size = 0
    places = [place for place, kind in enumerate(schema.types) if kind == IMAGE]
    for row in rows:
        batch.append(row)
        size += sum(len((row[place] or {}).get("bytes") or b"") for place in places)
        if len(batch) == _ROWS_A_BATCH or size > _BYTES_A_BATCH:
            yield _table(batch, schema)
            batch, size = [], 0
    yield _table(batch, schema)


def _table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)], schema=schema)
