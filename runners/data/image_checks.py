"""What images of rows must be, found out without decoding one: in their folder, and of a head that can be read."""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flagbench import BadData, BadInput, in_one_line, printable
from flagbench.files import inside
from flagbench.models.inputs import MOST_PIXELS, RUN_PROGRAMS, Image
from flagbench.runners.data.hub_files import in_hub_cache
from flagbench.runners.data.texts import is_images

if TYPE_CHECKING:
    from flagbench.runners.data.checks import Place

_ORIENTATION = 0x0112  # of EXIF; 5 to 8 lie on their side
_WIDTH, _HEIGHT = 256, 257  # of TIFF
_ON_THEIR_SIDE = frozenset(range(5, 9))
_MAY_BE_BEHIND = (b"eXIf", b"XML:com.adobe.xmp", b"Raw profile type exif")
"""Of PNG: kinds and names of parts that say how a picture lies, of which Pillow finds those behind it by decoding."""


def in_folder(table: pa.Table, folder: Path, where: str, begin: int) -> pa.Table:
    """Rows whose images in files are named by the paths of these, which lie in the folder of the dataset.

    A column of bytes is one of images that are called nothing: so do writers that know no ``datasets``.

    Args:
        table: Rows.
        folder: Of the dataset, absolute.
        where: Folder and split, for messages.
        begin: Number of the first row.

    Raises:
        BadData: A row names what is no regular file there, or a link that leads out.
    """
    for place, field in enumerate(table.schema):
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            table = table.set_column(place, field.name, _without_names(table.column(place).combine_chunks()))
            continue
        if not is_images(field.type):
            continue
        column = table.column(place).combine_chunks()
        stored = column.field("bytes")
        paths = column.field("path").to_pylist()
        in_files = [row for row, kept in enumerate(stored.is_valid().to_pylist()) if paths[row] and not kept]
        for row in in_files:
            name, paths[row] = paths[row], _path(folder, paths[row])
            if paths[row] is None:
                raise BadData(
                    f"{where} has the image '{printable(name):.80}' in column {field.name}, row {begin + row} (counted "
                    f"from 0), which is not a regular file in {folder}; fix the data"
                )
        if in_files:
            parts = [stored.cast(pa.binary()), pa.array(paths, pa.string())]
            kept = pa.StructArray.from_arrays(parts, ["bytes", "path"], mask=column.is_null())
            table = table.set_column(place, field.name, kept)
    return table


def _without_names(stored: pa.Array) -> pa.StructArray:
    parts = [stored.cast(pa.binary()), pa.nulls(len(stored), pa.string())]
    return pa.StructArray.from_arrays(parts, ["bytes", "path"], mask=stored.is_null())


def _path(folder: Path, name: str) -> str | None:
    """The path of a file of a dataset; None where there is none, or something else, or it lies elsewhere."""
    path = Path(os.path.normpath(folder / name))
    if "\0" in name or not path.is_relative_to(folder):
        return None
    # In the hub's cache, files of a snapshot are links to blobs of the same repository.
    home = folder.parents[1] if in_hub_cache(folder) else folder
    try:
        inside(home, path.relative_to(home), "", error=BadData)
        return str(path) if stat.S_ISREG(path.stat().st_mode) else None
    except (BadData, OSError):
        return None


def check_images(place: Place, column: str, images: Sequence[Image | None], *, absent: bool = False) -> None:
    """See that each row has an image whose head can be read.

    Args:
        place: Of the rows.
        column: Name.
        images: Its images.
        absent: Whether a row may have none.

    Raises:
        BadData: One is missing, or cannot be read.
    """
    for row, image in enumerate(images):
        if image is None:
            if absent:
                continue
            raise place.refuse("no image", column, row)
        try:
            size_of(image)
        except BadData as error:
            raise place.refuse(f"an image that cannot be read, {image.name} ({error}),", column, row) from error


def size_of(image: Image) -> tuple[int, int]:
    """Width and height of a picture as it is shown, by its head.

    Raises:
        BadData: It has no such head, too many pixels, or a format that runs another program; else as ``Image.read``.
        BadInput: Pillow is not installed.
    """
    try:
        import PIL.Image
    except ImportError:
        raise BadInput("Pillow reads images and is not installed: pip install 'flagbench[images]'") from None
    data = image.read()
    try:
        with warnings.catch_warnings(action="ignore"), PIL.Image.open(BytesIO(data)) as picture:  # the limit refuses
            if picture.format in RUN_PROGRAMS:
                raise BadData(f"{picture.format} is not read: convert it to PNG")
            width, height = _stored_size(picture)
            if width * height > MOST_PIXELS:
                raise BadData(f"it has {width * height:,} pixels, and at most {MOST_PIXELS:,} are decoded")
            if _may_be_turned(picture, data) and picture.getexif().get(_ORIENTATION) in _ON_THEIR_SIDE:
                width, height = height, width
    except PIL.UnidentifiedImageError as error:
        raise BadData("it is no image" if data else "it is empty") from error
    except BadData:
        raise
    except Exception as error:  # Pillow has no root for what its readers raise
        raise BadData(in_one_line(error)) from error
    return width, height


def _may_be_turned(picture: Any, data: bytes) -> bool:
    """Whether to ask Pillow how a picture lies: of a PNG it decodes the picture for that, unless its head has it."""
    return picture.format != "PNG" or "exif" in picture.info or any(mark in data for mark in _MAY_BE_BEHIND)


def _stored_size(picture: Any) -> tuple[int, int]:
    """Width and height as they are stored: of a TIFF, some versions of Pillow open it as it is shown."""
    if picture.format == "TIFF":
        return int(picture.tag_v2[_WIDTH]), int(picture.tag_v2[_HEIGHT])
    width, height = picture.size
    return width, height


def sizes_of(images: Sequence[Image | None]) -> Iterator[tuple[int, int]]:
    """Of all that are there."""
    return (size_of(image) for image in images if image is not None)
