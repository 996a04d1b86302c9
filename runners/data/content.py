"""Digests of the content of rows: what was scored, whatever files it was read from.

A value is brought to one form (a number to its shortest text, so that 1, 1.0 and a single-precision 1 are alike, and
4.2 in single and in double precision; numbers that single precision does not tell apart have their text of double
precision), a row to the lengths and forms of its values, and rows to BLAKE2b. Where the order of rows does not move a
score, each row is hashed alone and the hashes are added up, in four lanes of 64 bits: equal for the same rows in any
order, and for a row that is there twice another than for one that is there once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flagbench.runners.data.verdict import Content

_ROWS_A_CHUNK = 20_000
_LANES = 4


def of_tables(tables: Iterable[pa.Table], columns: Sequence[str], *, ordered: bool) -> Content:
    """The content of rows that come in pieces; how they are cut does not matter.

    Args:
        tables: With these columns, of any types that hold texts, numbers, or lists of them.
        columns: Those that the score depends on, in the order in which they count.
        ordered: Whether the order of rows moves the score.
    """
    rows = 0
    whole = hashlib.blake2b(digest_size=16)
    lanes = np.zeros(_LANES, dtype=np.uint64)
    for table in tables:
        for batch in table.select(columns).to_batches(max_chunksize=_ROWS_A_CHUNK):
            offsets, texts = _rows(batch)
            rows += len(batch)
            if ordered:
                whole.update(texts)
            else:
                hashes = b"".join(
                    hashlib.blake2b(texts[begin:end], digest_size=8 * _LANES).digest()
                    for begin, end in pairwise(offsets)
                )
                lanes += np.frombuffer(hashes, dtype="<u8").reshape(-1, _LANES).sum(axis=0, dtype=np.uint64)
    whole.update(f"{len(columns)} columns, {rows} rows ".encode() + lanes.astype("<u8").tobytes())
    return Content(rows, whole.hexdigest())


def of_columns(columns: Mapping[str, Sequence[Any]], *, ordered: bool = False) -> Content:
    """The content of columns in step that lie in memory or are read piece by piece.

    Args:
        columns: By name; only their order counts. Sequences that can be cut (``column[a:b]``).
        ordered: See ``of_tables``.
    """
    return of_tables(_cut(columns), list(columns), ordered=ordered)


def of_labels(qrels: Mapping[str, Mapping[str, float]]) -> Content:
    """The content of ``{query id: {passage id: relevance}}``."""
    return of_columns(
        {
            "query": [query for query, its in qrels.items() for _ in its],
            "passage": [passage for its in qrels.values() for passage in its],
            "relevance": [grade for its in qrels.values() for grade in its.values()],
        }
    )


def _cut(columns: Mapping[str, Sequence[Any]]) -> Iterator[pa.Table]:
    rows = len(next(iter(columns.values())))
    for begin in range(0, rows, _ROWS_A_CHUNK):
        yield pa.table({name: _array(list(its[begin : begin + _ROWS_A_CHUNK])) for name, its in columns.items()})


def _array(values: Sequence[Any]) -> pa.Array:
    """Values as Arrow has them; those that are not all of one type as JSON."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([_as_json(value) for value in values], type=pa.large_string())


def _rows(batch: pa.RecordBatch) -> tuple[list[int], memoryview]:
    """Each row in its one form, end to end, and where each begins; the last number is where all end."""
    parts: list[Any] = []
    for column in batch.columns:
        values = _forms(column)
        lengths = pc.cast(pc.binary_length(values), pa.large_string())
        parts += [pc.cast(pc.fill_null(lengths, "null"), pa.large_binary()), pc.fill_null(values, b"")]
    joined = pc.binary_join_element_wise(*parts, pa.scalar(b":", pa.large_binary()))
    _, offsets, texts = joined.buffers()
    begins = np.frombuffer(offsets, dtype=np.int64)[joined.offset : joined.offset + len(joined) + 1]
    first, last = int(begins[0]), int(begins[-1])
    return (begins - first).tolist(), memoryview(texts or b"")[first:last]


def _forms(column: Any) -> Any:
    """The values of an array in their one form, ``large_binary``; a null stays one."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _forms(column.dictionary_decode())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        return pc.cast(column, pa.large_binary())
    if pa.types.is_large_binary(kind) or pa.types.is_null(kind):
        return pc.cast(column, pa.large_binary())
    if pa.types.is_boolean(kind):
        column = pc.cast(column, pa.int8())
    elif pa.types.is_floating(kind):
        return pc.cast(_numbers(column), pa.large_binary())
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _lists(column)
    elif not pa.types.is_integer(kind):
        texts = [None if value is None else _as_json(value) for value in column.to_pylist()]
        return pc.cast(pa.array(texts, type=pa.large_string()), pa.large_binary())
    return pc.cast(pc.cast(column, pa.large_string()), pa.large_binary())


def _numbers(column: Any) -> Any:
    """Floating-point numbers as texts, ``large_string``.

    The shortest text of single precision, where the number is the one that single precision holds or the one that the
    text names; of all others, which it would round to these, the shortest of double precision.
    """
    double = pc.add(pc.cast(column, pa.float64()), 0.0)  # no -0
    single = pc.cast(double, pa.float32(), safe=False)
    texts = pc.cast(single, pa.large_string())
    kept = pc.or_(pc.equal(pc.cast(single, pa.float64()), double), pc.equal(pc.cast(texts, pa.float64()), double))
    kept = pc.or_(kept, pc.is_nan(double))
    if not pc.all(kept, min_count=0).as_py():
        texts = pc.if_else(kept, texts, pc.cast(double, pa.large_string()))
    return pc.replace_substring_regex(texts, r"\.0$", "")


def _lists(column: Any) -> Any:
    """Each list as the lengths and forms of its items."""
    offsets, texts = _rows(pa.record_batch({"items": column.flatten()}))
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    places = [offsets[end] for end in ends] if len(offsets) > 1 else [0] * len(ends)
    made = [bytes(texts[begin:end]) for begin, end in pairwise(places)]
    return pa.array(made, type=pa.large_binary(), mask=column.is_null().to_numpy(zero_copy_only=False))


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, sort_keys=True, default=str)
