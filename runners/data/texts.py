"""Inputs that need not fit into memory: columns of rows on disk, and some of the inputs of another sequence."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.models.inputs import Image, Input, Item

if TYPE_CHECKING:
    import pyarrow as pa  # below where it is needed: no encoder of texts in memory needs it

T = TypeVar("T", covariant=True)


class _Rows(Sequence[T]):
    """A sequence that has a way to one of its rows."""

    def _row(self, row: int) -> T:
        raise NotImplementedError

    @overload
    def __getitem__(self, row: int) -> T: ...

    @overload
    def __getitem__(self, row: slice) -> Picked[T]: ...

    def __getitem__(self, row: int | slice) -> T | Picked[T]:
        """What a row has, or those of a slice."""
        if isinstance(row, slice):
            return Picked(self, np.arange(len(self))[row])
        return self._row(range(len(self))[row])


class TextColumn(_Rows[str]):
    """A column of strings, read from disk when asked for.

    Args:
        column: Strings without nulls, usually memory-mapped.
    """

    def __init__(self, column: pa.ChunkedArray) -> None:
        self.arrow = column
        self._chunks = column.chunks
        self._ends = np.cumsum([len(chunk) for chunk in self._chunks], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __iter__(self) -> Iterator[str]:
        for chunk in self._chunks:
            for text in chunk:
                yield text.as_py()

    def _row(self, row: int) -> str:
        number = int(np.searchsorted(self._ends, row, side="right"))
        text: str = self._chunks[number][row - int(self._ends[number])].as_py()
        return text


class TitledTexts(_Rows[str]):
    """Texts behind their titles, then stripped.

    Args:
        texts: A column of them.
        titles: In step with the texts, empty for none; None where no text has a title.
        separator: What stands between the two.
    """

    def __init__(self, texts: TextColumn, titles: TextColumn | None = None, separator: str = " ") -> None:
        self._texts = texts
        self._titles = titles
        self._separator = separator

    def __len__(self) -> int:
        return len(self._texts)

    def __iter__(self) -> Iterator[str]:
        if self._titles is None:
            yield from (text.strip() for text in self._texts)
        else:
            yield from (self._joined(title, text) for title, text in zip(self._titles, self._texts, strict=True))

    def _row(self, row: int) -> str:
        return self._joined(self._titles[row] if self._titles is not None else "", self._texts[row])

    def _joined(self, title: str, text: str) -> str:
        return f"{title}{self._separator}{text}".strip() if title else text.strip()


def is_images(kind: pa.DataType) -> bool:
    """Whether a column of a type has images as ``datasets`` keeps them: ``struct<bytes: binary, path: string>``."""
    import pyarrow as pa

    if not pa.types.is_struct(kind) or {field.name for field in kind} != {"bytes", "path"}:
        return False
    stored = kind.field("bytes").type
    return bool(pa.types.is_binary(stored) or pa.types.is_large_binary(stored) or pa.types.is_null(stored))


class ImageColumn(_Rows[Image | None]):
    """A column of images, of which none is read before its bytes or its key are asked for; None in a row without one.

    Args:
        column: See ``is_images``: the bytes, else the path of the file that has them. Usually memory-mapped.
        where: Task and part of its data, for messages; empty for none.
    """

    def __init__(self, column: pa.ChunkedArray, where: str = "") -> None:
        self._stored = [chunk.field("bytes") for chunk in column.chunks]
        self._paths = [chunk.field("path") for chunk in column.chunks]
        self._kept = [_valid(chunk) & _valid(its) for chunk, its in zip(column.chunks, self._stored, strict=True)]
        self._there = [_valid(chunk) for chunk in column.chunks]
        self._ends = np.cumsum([len(chunk) for chunk in column.chunks], dtype=np.int64)
        self._where = where

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def _row(self, row: int) -> Image | None:
        number = int(np.searchsorted(self._ends, row, side="right"))
        at = row - int(self._ends[number]) + len(self._stored[number])
        path = self._paths[number][at].as_py() if self._there[number][at] else None
        where = f"{self._where}, row {row} (counted from 0)" if self._where else ""
        if self._kept[number][at]:
            return Image(_Cell(self._stored[number], at), name=path or "", where=where)
        return Image(Path(path), where=where) if path else None


class _Cell:
    """Reads the bytes of a cell."""

    __slots__ = ("_column", "_row")

    def __init__(self, column: pa.Array, row: int) -> None:
        self._column = column
        self._row = row

    def __call__(self) -> bytes:
        found: bytes = self._column[self._row].as_py()
        return found


def _valid(values: pa.Array) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = values.is_valid().to_numpy(zero_copy_only=False)
    return found


class ItemColumn(_Rows[Input]):
    """Items of one image each, read from disk when asked for; a row without an image is its text.

    Beside an image a blank text is none.

    Args:
        images: A column as ``ImageColumn`` takes it, or the images.
        texts: In step with the images; None for none.
    """

    def __init__(self, images: pa.ChunkedArray | Sequence[Image | None], texts: Sequence[str] | None = None) -> None:
        import pyarrow as pa

        self._images = ImageColumn(images) if isinstance(images, pa.ChunkedArray) else images
        self._texts = texts

    def __len__(self) -> int:
        return len(self._images)

    def _row(self, row: int) -> Input:
        text = self._texts[row] if self._texts is not None else ""
        image = self._images[row]
        return Item(text if text.strip() else "", (image,)) if image is not None else text


class Picked(_Rows[T]):
    """Some rows of a sequence, in an order of their own.

    Args:
        inputs: All of them, such as inputs of a model.
        rows: ``int64[n]``.
    """

    def __init__(self, inputs: Sequence[T], rows: NDArray[np.int64]) -> None:
        self._inputs = inputs
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def _row(self, row: int) -> T:
        return self._inputs[int(self._rows[row])]


def on_disk(batches: Iterable[pa.Table], schema: pa.Schema) -> pa.Table:
    """Rows as a table that is read from a temporary file when asked for; the file goes with the last reader.

    Args:
        batches: Tables of one schema.
        schema: Theirs.

    Raises:
        BadInput: The folder of temporary files is full.
    """
    import pyarrow as pa

    with tempfile.TemporaryDirectory(prefix="flagbench-") as folder:
        path = Path(folder) / "rows.arrow"
        try:
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
                for batch in batches:
                    writer.write_table(batch)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise  # of what gives the rows
            raise BadInput(
                f"{tempfile.gettempdir()} is full: free space there, or name another folder in the variable TMPDIR"
            ) from error
        # The mapping outlives the name of the file.
        mapped: Any = pa.memory_map(str(path))
        return pa.ipc.open_file(mapped).read_all()
