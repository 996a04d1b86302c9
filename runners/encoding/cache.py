"""Cached embeddings and scores of a model, by everything that they depend on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from flagbench import BadInput, ModelFault
from flagbench.models.contract import Part, Role
from flagbench.models.embeddings import Embeddings, MultiVectors
from flagbench.models.spec import ModelSpec
from flagbench.results.identity import former
from flagbench.runners.encoding.wanted import Wanted
from flagbench.runners.store.store import Space, Store

# Texts whose embeddings are read at once; fewer where there is a vector for each of their tokens.
_GROUP = 8_192
_GROUP_MULTI_VECTOR = 512


class EmbeddingCache:
    """A store, and the format of vectors in it.

    Attributes:
        store: Where.
        half: Keep dense and multi-vectors as float16. They are rounded before their first use too, so that a run with a
            warm store gives what the first one gave.
    """

    def __init__(self, store: Store, *, half: bool = False) -> None:
        self.store = store
        self.half = half

    def of(self, spec: ModelSpec, role: Role | Literal["pair"], instruction: str) -> CachedEmbeddings:
        """Open the cache of a model under a role (``pair`` for scores) and an instruction."""
        settings = spec.as_dict() if role == "pair" else spec.vector_settings(role)
        return CachedEmbeddings(self.store, settings, role, instruction, half=self.half and role != "pair")

    def probes(self, spec: ModelSpec) -> CachedEmbeddings:
        """Open what is kept of a few fixed texts that tell whether a model has changed, in full precision."""
        return CachedEmbeddings(self.store, spec.vector_settings("symmetric"), "probe", "", half=False)


class CachedEmbeddings:
    """The cached embeddings of one model, role and instruction. Scores of pairs are dense vectors of one number."""

    def __init__(self, store: Store, settings: Mapping[str, Any], role: str, instruction: str, *, half: bool) -> None:
        self._store = store
        self._half = half
        self._shapes: dict[Part, tuple[int, ...]] = {}  # of a vector that was read
        self._identity = {
            "model": settings,
            "role": role,
            "instruction": instruction,
            "dtype": "float16" if half else "float32",
        }

    def read(self, keys: NDArray[np.void], wanted: Wanted) -> Iterator[tuple[NDArray[np.int64], Embeddings | None]]:
        """The embeddings that are kept, in the order of the files, and last of all the rows that are not.

        Args:
            keys: ``V16[n]``, distinct.
            wanted: The parts; a text that lacks one of them is not cached. When one is dropped on the way, texts that
                lack no other come too.

        Yields:
            Row numbers and their embeddings; then the rows ``int64[m]`` that must be encoded, rising, and None.

        Raises:
            BadInput: Records hold vectors of unlike lengths.
        """
        missing = np.arange(len(keys))
        parts: frozenset[Part] = frozenset()
        while parts != wanted.parts:
            parts = wanted.parts
            places = {part: self._space(part).find(keys[missing]) for part in sorted(parts)}
            there = np.all([each >= 0 for each in places.values()], axis=0)
            lost = [missing[~there]]
            rows = np.flatnonzero(there)
            rows = rows[np.argsort(next(iter(places.values()))[rows], kind="stable")]
            size = _GROUP_MULTI_VECTOR if "multi_vector" in parts else _GROUP
            for start in range(0, len(rows), size):
                group = rows[start : start + size]
                read = [self._gather(part, its[group]) for part, its in places.items() if part in wanted.parts]
                intact = np.all([found >= 0 for found, _ in read], axis=0)
                lost.append(missing[group[~intact]])
                if intact.any():
                    merged = Embeddings()
                    for found, whole in read:
                        merged = _with(merged, whole.take(found[intact]))
                    yield missing[group[intact]], merged
            missing = np.sort(np.concatenate(lost))
        yield missing, None

    def put(self, keys: NDArray[np.void], embeddings: Embeddings) -> Embeddings:
        """Keep embeddings, and give them back as they will be read. A part that a text has already stays as it is.

        Args:
            keys: ``V16[n]``.
            embeddings: Of the same texts.

        Raises:
            ModelFault: A number is too large for float16.
            BadInput: The store cannot take them.
        """
        embeddings = self.rounded(embeddings)
        result = Embeddings()
        parts = list(_parts(embeddings))
        for part, one in parts:
            # A text that was asked for one part and not found cannot have it.
            result = _with(result, self._put(part, keys, one, all_lack_it=len(parts) == 1))
        return result

    def rounded(self, embeddings: Embeddings) -> Embeddings:
        """Embeddings as they are read after they were kept.

        Raises:
            ModelFault: A number is too large for float16.
        """
        if not self._half:
            return embeddings
        dense, multi = embeddings.dense, embeddings.multi_vector
        return replace(
            embeddings,
            dense=_half(dense) if dense is not None else None,
            multi_vector=MultiVectors(_half(multi.values), multi.offsets) if multi is not None else None,
        )

    def _put(self, part: Part, keys: NDArray[np.void], new: Embeddings, *, all_lack_it: bool) -> Embeddings:
        """Keep one part of those texts that lack it; the others have what they had."""
        space = self._space(part)
        values = np.float16 if self._half and part != "sparse" else np.float32
        places = np.full(len(keys), -1, dtype=np.int64) if all_lack_it else space.find(keys)
        row_of, old = self._gather(part, places)
        lacking = row_of < 0
        if lacking.all():
            space.put(keys, _arrays(new, values))
            return new
        space.put(keys[lacking], _arrays(new.take(np.flatnonzero(lacking)), values))
        return Embeddings.stack([new, old]).take(np.where(lacking, np.arange(len(keys)), len(keys) + row_of))

    def _space(self, part: Part) -> Space:
        identity = {**self._identity, "part": part}
        return self._store.space(identity, former(identity))

    def _gather(self, part: Part, places: NDArray[np.int64]) -> tuple[NDArray[np.int64], Embeddings]:
        """Read the records at some places; for each place its row in them, -1 where it is damaged."""
        row_of = np.full(len(places), -1, dtype=np.int64)
        pieces: list[Embeddings] = []
        read = 0
        for indices, arrays in self._space(part).blocks(places):
            row_of[indices] = np.arange(read, read + len(indices))
            read += len(indices)
            pieces.append(self._alike(part, _embeddings(part, arrays)))
        return row_of, Embeddings.stack(pieces)

    def _alike(self, part: Part, piece: Embeddings) -> Embeddings:
        """A record, whose vectors must be as long as those before it: its own checksum is right in any case.

        Raises:
            BadInput: They are not.
        """
        values = piece.multi_vector.values if piece.multi_vector is not None else piece.dense
        if values is None or not len(values):
            return piece
        shape = self._shapes.setdefault(part, values.shape[1:])
        if values.shape[1:] != shape or len(shape) != 1:
            lengths = " and ".join(
                " by ".join(map(str, each)) or "no" for each in dict.fromkeys([shape, values.shape[1:]])
            )
            raise BadInput(
                f"{self._space(part).folder} is damaged: it has vectors of {lengths} numbers, and those of one model "
                "are all of one length; remove the folder, and its texts are encoded again"
            )
        return piece


def _embeddings(part: Part, arrays: Mapping[str, NDArray[Any]]) -> Embeddings:
    values = arrays["values"].astype(np.float32, copy=False)
    if part == "dense":
        return Embeddings(dense=values)
    if part == "multi_vector":
        return Embeddings(multi_vector=MultiVectors(values, arrays["offsets"]))
    columns = arrays["columns"]
    width = int(columns.max(initial=0)) + 1
    shape = (len(arrays["offsets"]) - 1, width)
    return Embeddings(sparse=scipy.sparse.csr_array((values, columns, arrays["offsets"]), shape=shape))


def _arrays(embeddings: Embeddings, values: type[np.float16 | np.float32]) -> dict[str, NDArray[Any]]:
    """One part as it is kept; ``_embeddings`` is the way back."""
    if embeddings.dense is not None:
        return {"values": embeddings.dense.astype(values)}
    if embeddings.multi_vector is not None:
        return {"offsets": embeddings.multi_vector.offsets, "values": embeddings.multi_vector.values.astype(values)}
    matrix = embeddings.sparse
    assert matrix is not None
    columns, offsets = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int64)
    return {"offsets": offsets, "columns": columns, "values": matrix.data.astype(values)}


def _parts(embeddings: Embeddings) -> Iterator[tuple[Part, Embeddings]]:
    """Each part that is there, alone."""
    if embeddings.dense is not None:
        yield "dense", Embeddings(dense=embeddings.dense)
    if embeddings.sparse is not None:
        yield "sparse", Embeddings(sparse=embeddings.sparse)
    if embeddings.multi_vector is not None:
        yield "multi_vector", Embeddings(multi_vector=embeddings.multi_vector)


def _with(one: Embeddings, other: Embeddings) -> Embeddings:
    """The parts of both."""
    return Embeddings(
        dense=one.dense if other.dense is None else other.dense,
        sparse=one.sparse if other.sparse is None else other.sparse,
        multi_vector=one.multi_vector if other.multi_vector is None else other.multi_vector,
    )


def _half(values: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float16).astype(np.float32)
    if not np.isfinite(rounded).all():
        raise ModelFault("a number of its vectors is over 65,504, the largest in half precision: drop --store-fp16")
    return rounded
