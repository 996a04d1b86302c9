"""Rows in memory whose columns come as plain lists."""

from __future__ import annotations

from typing import Any, Self

import pyarrow as pa
from datasets import Dataset, Features
from datasets.fingerprint import generate_random_fingerprint
from datasets.table import InMemoryTable

CLUSTER = "cluster"
"""Column of queries that names what several are drawn together with, as questions on one document are."""


def unread(table: pa.Table) -> Dataset:
    """A table as ``datasets`` has it, of which nothing is read: for a fingerprint it would copy and hash all of it.

    Args:
        table: The rows; of a mapped one the columns stay on disk.
    """
    return Dataset(InMemoryTable(table), fingerprint=generate_random_fingerprint())


class InMemoryRows(Dataset):  # type: ignore[misc]
    """A ``datasets.Dataset`` that gives a column as a list, read once, instead of a lazy column, read row by row.

    mteb's classification code indexes label columns half a million times a task: TNews spends two thirds of its time
    there on a lazy column, and none on a list.
    """

    @classmethod
    def of(cls, table: pa.Table, features: Features | None) -> Self:
        """Wrap a table.

        Args:
            table: The rows.
            features: Types that the dataset declares; None takes those of the table.
        """
        dataset = unread(table)
        if features is not None and features != dataset.features:
            dataset = dataset.cast(features)
        return cls(dataset.data, info=dataset.info, fingerprint=generate_random_fingerprint())

    def __getitem__(self, key: Any) -> Any:
        """A column as a list for a name; rows as ever for anything else."""
        return super().__getitem__(key)[:] if isinstance(key, str) else super().__getitem__(key)

    def select(self, *arguments: Any, **named: Any) -> Self:
        """Chosen rows, whose columns are lists too: classification fits its probes to such, label by label."""
        rows = super().select(*arguments, **named)
        return type(self)(rows.data, rows.info, rows.split, rows._indices, rows._fingerprint)
