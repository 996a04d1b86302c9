"""Rows with images, on disk and as they are stored: none is decoded, and none lies in memory."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features
from datasets import Image as ImageFeature
from datasets.table import InMemoryTable
from numpy.typing import NDArray

from flagbench.models.inputs import Image
from flagbench.runners.data.texts import ImageColumn, Picked, is_images

ROWS_A_READ = 256
"""Rows with images that are read at once."""


class ImageRows(Dataset):  # type: ignore[misc]
    """A ``datasets.Dataset`` whose images are ``Image``, read when they are asked for; its other columns come as lists.

    What is mapped lies on disk again: mteb's code that brings a dataset into its form copies each image to a new row.

    Attributes:
        where: Task and part of its data, for messages.
        called: Names that columns had in the data, by those that they got since; those that are not there have kept it.
    """

    where: str = ""
    called: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def of(cls, rows: Dataset | pa.Table, where: str = "", features: Features | None = None) -> Self:
        """Wrap rows.

        Args:
            rows: A dataset, of which chosen rows stay chosen, or a table.
            where: See above.
            features: Types that the dataset declares beside those of images; None takes those of the table.
        """
        table = rows.data.table if isinstance(rows, Dataset) else rows
        features = rows.features if isinstance(rows, Dataset) else features
        known = dict(features or Features.from_arrow_schema(table.schema.remove_metadata()))
        declared = Features(
            {
                name: ImageFeature(decode=False) if is_images(table.schema.field(name).type) else known[name]
                for name in table.column_names
            }
        )
        made = cls(InMemoryTable(table.replace_schema_metadata(None)), fingerprint=secrets.token_hex(8))
        made._info.features = declared
        made._indices = rows._indices if isinstance(rows, Dataset) else None
        made.where = where
        return made

    @property
    def images(self) -> Sequence[str]:
        """The columns of images."""
        return [name for name in self.column_names if is_images(self.data.schema.field(name).type)]

    @property
    def chosen(self) -> NDArray[np.int64] | None:
        """``int64[n]`` which rows of the table these are; None for all of them as they lie."""
        if self._indices is None:
            return None
        places: NDArray[np.int64] = self._indices.column(0).to_numpy().astype(np.int64)
        return places

    def images_in(self, column: str) -> Sequence[Image | None]:
        """The images of a column, of which none is read."""
        where = f"{self.where}, column {self.called.get(column, column)}" if self.where else ""
        every = ImageColumn(self.data.table.column(column), where)
        chosen = self.chosen
        return every if chosen is None else Picked(every, chosen)

    def __getitem__(self, key: Any) -> Any:
        """A column for a name: images, else a list. Rows as ever for anything else, their images as stored."""
        if not isinstance(key, str) or self._format_type is not None:
            return super().__getitem__(key)
        return self.images_in(key) if key in self.images else super().__getitem__(key)[:]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Rows, with images as of a column."""
        if self._format_type is not None or not (images := self.images):
            yield from super().__iter__()
            return
        columns = {name: self.images_in(name) for name in images}
        others = [name for name in self.column_names if name not in columns]
        rows = super().select_columns(others) if others else ({} for _ in range(len(self)))
        for number, row in enumerate(rows):
            yield {**row, **{name: column[number] for name, column in columns.items()}}

    def select(self, *arguments: Any, **named: Any) -> Self:
        """Chosen rows; no image moves."""
        return self._as(super().select(*arguments, **named))

    def rename_column(self, original_column_name: str, new_column_name: str, *arguments: Any, **named: Any) -> Self:
        """The same rows with another name of a column, as mteb renames each that it encodes."""
        made = self._as(super().rename_column(original_column_name, new_column_name, *arguments, **named))
        named_so = self.called.get(original_column_name, original_column_name)
        made.called = {**self.called, new_column_name: named_so}
        return made

    def map(self, *arguments: Any, **named: Any) -> Self:
        """Mapped rows, on disk, made in this process: another would be sent all that the function knows."""
        with tempfile.TemporaryDirectory(prefix="flagbench-") as folder:
            named |= {
                "num_proc": None,
                "load_from_cache_file": False,
                "cache_file_name": str(Path(folder) / "rows.arrow"),
                "new_fingerprint": secrets.token_hex(8),  # without it datasets hashes all that the function knows
            }
            # The mapping outlives the name of the file.
            return self._as(super().map(*arguments, **named))

    def _as(self, rows: Dataset) -> Self:
        """Rows made of these."""
        made = type(self).of(rows, self.where)
        made.called = {**self.called}
        return made


def is_of_images(rows: Any) -> bool:
    """Whether a dataset has a column of images."""
    return isinstance(rows, Dataset) and any(is_images(field.type) for field in rows.data.schema)
