"""A task of composed retrieval, read from its folder and held against the published counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import pyarrow as pa

from flagbench import AbsentData, BadData
from flagbench.models.inputs import Item, text_of
from flagbench.runners.benchmark import Loaded
from flagbench.runners.data.content import of_columns, of_labels, of_tables
from flagbench.runners.data.sources import Source
from flagbench.runners.data.verdict import Content, judge
from flagbench.runners.search.ranking import Texts
from flagbench.runners.task import Task
from flagbench.suites.composed import circo, cirr, fashioniq, mbeir, webqa
from flagbench.suites.composed.collection import FIX, LARGEST, Collection, Reading
from flagbench.suites.composed.options import ComposedOptions
from flagbench.suites.composed.registry import Row, row_of

_LAYOUTS: Mapping[str, ModuleType] = {
    "cirr": cirr,
    "fashioniq": fashioniq,
    "circo": circo,
    "webqa": webqa,
    "mbeir": mbeir,
}
_ROWS_A_CHUNK = 1_000


def load(task: Task, source: Source, options: ComposedOptions) -> Loaded:
    """Read a task's data.

    Args:
        task: One of this benchmark.
        source: Its folder.
        options: What the texts and the candidates are.

    Raises:
        BadData: A file is absent or cannot be read, or a row is faulty: the first fault.
    """
    row = row_of(task.name)
    collection = read(row, source, options, _refuse)
    found = {
        "queries": _content(collection.queries),
        "corpus": _content(collection.passages),
        **({} if collection.qrels is None else {"labels": of_labels(collection.qrels)}),
    }
    if collection.subsets:
        own = list(collection.subsets)
        found["sets"] = of_columns(
            {
                "query": own,
                "own": [collection.excluded[each] for each in own],
                "others": list(collection.subsets.values()),
            }
        )
    verdict = judge(found, _differences(row, collection, options), [source], task.revision, None)
    return Loaded(task, verdict, collection, notes=collection.notes)


def check(row: Row, source: Source, options: ComposedOptions) -> None:
    """See that the files of a task are there, without reading them.

    Args:
        row: Of the task.
        source: Its folder.
        options: What the candidates are.

    Raises:
        AbsentData: One is not.
        BadData: One is larger than what is read.
    """
    folder = source.card().resolve()
    ways: Sequence[Sequence[str]] = _LAYOUTS[row.layout].needed(row.part, options)
    lacking = [[name for name in files if not (folder / name).is_file()] for files in ways]
    if all(lacking):
        raise AbsentData(f"{row.name}: {folder} has no {lacking[0][0]}: put the data there as its authors publish it")
    for name in next(files for files, absent in zip(ways, lacking, strict=True) if not absent):
        size = (folder / name).stat().st_size
        if name.endswith(".json") and size > LARGEST:  # said at once, before its bytes are read for a digest
            raise BadData(f"{folder / name} has {size:,} bytes, and at most {LARGEST:,} are read: {FIX}")


def ready(row: Row, source: Source) -> list[str]:
    """The files of FlagEmbedding that a task is read from in place of its authors' annotations; empty for none.

    Raises:
        AbsentData: The folder is not there.
    """
    its: Sequence[str] = getattr(_LAYOUTS[row.layout], "ready", lambda part: [])(row.part)
    folder = source.card().resolve()
    return [*its] if all((folder / name).is_file() for name in its) else []


def read(
    row: Row, source: Source, options: ComposedOptions, report: Callable[[str], None], *, decode: bool = False
) -> Collection:
    """Read a task's data.

    Args:
        row: Of the task.
        source: Its folder.
        options: What the texts and the candidates are.
        report: Takes each fault of a row.
        decode: See ``Reading``.

    Raises:
        BadData: A file is absent or cannot be read.
    """
    faults = 0

    def counted(fault: str) -> None:
        nonlocal faults
        faults += 1
        report(fault)

    reading = Reading(source.card().resolve(), row.part, counted, decode)
    found: Collection = _LAYOUTS[row.layout].read(reading, options, labelled=row.labelled)
    # Not where rows are left out for faults of their own.
    if not faults and found.qrels is not None and not any(found.qrels.values()):
        report(f"{reading.folder}: no query of {row.part} has a relevant candidate: {FIX}")
    return found


def _differences(row: Row, collection: Collection, options: ComposedOptions) -> list[str] | None:
    """A line for each count that is not the published one; None where none is published."""
    counts = {"queries": (row.queries, collection.queries), "candidates": (row.passages, collection.passages)}
    known = {what: pair for what, pair in counts.items() if pair[0]}
    lines = [
        f"{what}: {len(texts.ids):,} instead of {wanted:,}"
        for what, (wanted, texts) in known.items()
        if len(texts.ids) != wanted
    ]
    return lines if known else None


def _content(texts: Texts) -> Content:
    """The ids, texts and images of queries or candidates."""
    return of_tables(_tables(texts), ["id", "text", "image"], ordered=False)


def _tables(texts: Texts) -> Iterator[pa.Table]:
    for begin in range(0, len(texts.ids), _ROWS_A_CHUNK):
        inputs: Sequence[Any] = list(texts.texts[begin : begin + _ROWS_A_CHUNK])
        yield pa.table(
            {
                "id": pa.array(texts.ids[begin : begin + _ROWS_A_CHUNK], pa.string()),
                "text": pa.array(map(text_of, inputs), pa.string()),
                "image": pa.array(
                    [each.images[0].key if isinstance(each, Item) else None for each in inputs], pa.binary()
                ),
            }
        )


def _refuse(fault: str) -> None:
    raise BadData(fault)
