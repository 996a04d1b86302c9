"""Inputs that need not fit into memory: columns of rows on disk, and some of the inputs of another sequence."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.models.inputs import Image, Input, Item

T = TypeVar("T", bound=Input, covariant=True)


class _Rows(Sequence[T]):
    """A sequence that has a way to one of its inputs."""

    def _row(self, row: int) -> T:
        raise NotImplementedError

    @overload
    def __getitem__(self, row: int) -> T: ...

    @overload
    def __getitem__(self, row: slice) -> Picked[T]: ...

    def __getitem__(self, row: int | slice) -> T | Picked[T]:
        """The input of a row, or those of a slice."""
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


class ItemColumn(_Rows[Input]):
    """Items of one image each, read from disk when asked for; a row without an image is its text.

    Args:
        images: ``struct<bytes: binary, path: string>``, as datasets keeps images: the bytes, else the file that has
            them. Usually memory-mapped.
        texts: In step with the images; None for none.
    """

    def __init__(self, images: pa.ChunkedArray, texts: Sequence[str] | None = None) -> None:
        self._images = images
        self._texts = texts

    def __len__(self) -> int:
        return len(self._images)

    def _row(self, row: int) -> Input:
        text = self._texts[row] if self._texts is not None else ""
        image = image_of(self._images[row])
        return text if image is None else Item(text, (image,))


def image_of(stored: pa.Scalar) -> Image | None:
    """The image of a row, of which a file is not opened; None for none.

    Args:
        stored: See ``ItemColumn``.
    """
    its = stored.as_py() or {}
    if its.get("bytes") is not None:
        return Image(its["bytes"])
    return Image(Path(its["path"])) if its.get("path") else None


class Picked(_Rows[T]):
    """Some rows of a sequence of inputs, in an order of their own.

    Args:
        inputs: All of them.
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
