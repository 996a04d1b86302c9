"""Inputs to vectors and pairs to scores: each distinct one is computed once and cached; NaN is refused.

Cached vectors are read. The rest goes through the adapter longest first, in chunks that are stored as soon
as they are there. Where a chunk ends depends on the texts in it alone, so a run that was killed goes on with the very
chunks, and the very numbers, that it would have had; the next chunk is tokenised while the model runs on this one. On
a GPU the model runs on the next chunk while this one is stored.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from flagbench import ModelFault
from flagbench.models.contract import DENSE, Adapter, Encoder, Part, Role, Scorer
from flagbench.models.device import make_current
from flagbench.models.embeddings import Embeddings
from flagbench.models.inputs import Input, Pair, cost, line, pair_key, readable, readable_pair
from flagbench.models.quantised import truncated
from flagbench.runners.data.texts import Picked
from flagbench.runners.encoding.ahead import ahead, lanes_of, stream_of
from flagbench.runners.encoding.cache import EmbeddingCache
from flagbench.runners.encoding.chunk_progress import ChunkProgress
from flagbench.runners.encoding.notes import EncodeCounts, VectorNotes
from flagbench.runners.encoding.wanted import Wanted
from flagbench.runners.encoding.work import chunks_of, work_of
from flagbench.runners.progress import Progress
from flagbench.runners.store.keys import as_keys, first_of_each, keys_of

# A chunk is what the adapter gets at once and what a kill can lose: at most so many texts, and so many characters. On
# the processor some seconds of a small model; on a GPU enough for several full forward passes.
_CHUNK_CPU = (1_024, 65_536)
_CHUNK_GPU = (16_384, 2_097_152)

_TEXTS: Mapping[Role, str] = {"query": "query texts", "passage": "passage texts", "symmetric": "texts"}
"""Inputs by their role, in the name of a stage."""

T = TypeVar("T")


class Distinct(NamedTuple):
    """Inputs, each once.

    Attributes:
        texts: ``m`` of them, in the order in which they first come.
        keys: ``V16[m]``, as the store has them.
        places: ``int64[n]`` which of them every input is.
    """

    texts: Sequence[Input]
    keys: NDArray[np.void]
    places: NDArray[np.int64]


class TextEncoder:
    """An encoder with the embedding cache, de-duplication, length-sorted chunks, progress and a check for NaN.

    Of dense vectors the first numbers are given alone where the view of the model's settings keeps no others; the
    cache has all of them.

    Attributes:
        adapter: The model.
        counts: What was encoded so far.
        notes: What is known of the vectors.
    """

    def __init__(
        self,
        adapter: Encoder,
        progress: Progress,
        cache: EmbeddingCache | None = None,
        notes: VectorNotes | None = None,
    ) -> None:
        """Set up.

        Args:
            adapter: The model.
            progress: The progress to report to.
            cache: The embedding cache; no cache when None.
            notes: Takes what is known of the vectors; None for new ones.
        """
        self.adapter = adapter
        self.counts = EncodeCounts()
        self.notes = VectorNotes() if notes is None else notes
        self._progress = progress
        self._cache = cache
        self._symmetric = 0

    @property
    def dimension(self) -> int | None:
        """Length of a vector, as far as it is kept; None before the first text."""
        return self.notes.dimension

    def encode(self, texts: Sequence[Input], *, role: Role, instruction: str = "") -> NDArray[np.float32]:
        """Dense vectors of inputs, ``float32[n, d]`` in their order; see ``encode_parts``."""
        dense = self.encode_parts(texts, role=role, instruction=instruction, parts=DENSE).dense
        return dense if dense is not None else np.empty((0, 0), dtype=np.float32)

    def encode_parts(
        self,
        texts: Sequence[Input],
        *,
        role: Role,
        instruction: str = "",
        parts: frozenset[Part],
        multi_vector_bytes: int | None = None,
    ) -> Embeddings:
        """Embed inputs.

        Args:
            texts: Any number of inputs.
            role: Their role in the task.
            instruction: Prefix of each.
            parts: What is wanted of the model's parts.
            multi_vector_bytes: Multi-vectors that may be kept; of texts that have more, none are. None for any number.

        Returns:
            The parts in the order of the texts. Equal texts get the identical values. Without texts, nothing.

        Raises:
            BadInput: An input has what the model does not take.
            BadData: An image cannot be read.
            ModelFault: The model gave a value that is not finite, or a wrong number of vectors.
        """
        distinct = self.distinct(texts)
        wanted = Wanted(parts)
        orders: list[NDArray[np.int64]] = []
        chunks: list[Embeddings] = []
        taken = 0
        for order, chunk in self.chunks(
            distinct.texts, role=role, instruction=instruction, parts=wanted, keys=distinct.keys
        ):
            taken += chunk.multi_vector.values.nbytes if chunk.multi_vector is not None else 0
            if multi_vector_bytes is not None and taken > multi_vector_bytes and "multi_vector" in wanted.parts:
                wanted.drop("multi_vector")
                chunks = [replace(each, multi_vector=None) for each in chunks]
            orders.append(order)
            chunks.append(chunk if "multi_vector" in wanted.parts else replace(chunk, multi_vector=None))
        if not chunks:
            return Embeddings()
        place_of = np.empty(len(distinct.texts), dtype=np.int64)
        place_of[np.concatenate(orders)] = np.arange(len(distinct.texts))
        return Embeddings.stack(chunks).take(place_of[distinct.places])

    def distinct(self, texts: Sequence[Input]) -> Distinct:
        """Each input once. The inputs count as asked for."""
        keys = keys_of(texts)
        rows, places = first_of_each(keys)
        self.counts.texts += len(texts)
        self.counts.distinct += len(rows)
        return Distinct(texts if len(rows) == len(texts) else Picked(texts, rows), keys[rows], places)

    def chunks(
        self,
        texts: Sequence[Input],
        *,
        role: Role,
        instruction: str = "",
        parts: frozenset[Part] | Wanted,
        keep: bool = True,
        keys: NDArray[np.void] | None = None,
    ) -> Generator[tuple[NDArray[np.int64], Embeddings]]:
        """Embed distinct inputs and give them away chunk by chunk, so that they need not fit into memory.

        First come those that the store has, in its order, then the others, longest first.

        Args:
            texts: Each one once.
            role: Their role in the task.
            instruction: Prefix of each.
            parts: What is wanted of the model's parts; as ``Wanted`` the caller may drop one on the way.
            keep: Whether the store takes what is encoded.
            keys: Of the texts, where they are known; making them reads every text.

        Yields:
            Row numbers of a chunk's texts, and their embeddings.

        Raises:
            BadInput: As ``encode_parts``; so are the others.
            ModelFault: As ``encode_parts``.
        """
        cached = self._cache.of(self.adapter.spec, role, instruction) if self._cache else None
        clock = _Clock(self.counts)
        wanted = parts if isinstance(parts, Wanted) else Wanted(parts)
        small = self.adapter.device == "cpu" or "multi_vector" in wanted.parts
        missing = np.arange(len(texts))
        keys = keys_of(texts) if cached and keys is None else keys
        if cached and keys is not None:
            self._progress.stage(f"reading {_TEXTS[role]} that are kept", len(texts))
            for rows, embeddings in clock.timing(cached.read(keys, wanted)):
                if embeddings is None:
                    missing = rows
                    break
                self._progress.advance(len(rows))
                yield rows, self._viewed(embeddings)

        costs = np.fromiter((cost(texts[int(row)]) for row in missing), dtype=np.int64, count=len(missing))
        chunks = chunks_of(missing, costs, *(_CHUNK_CPU if small else _CHUNK_GPU))
        lanes = lanes_of(self.adapter) if len(missing) else 1
        if len(missing):
            work = work_of(costs, self.adapter.spec.max_length(role))
            self._progress.stage(self._stage(role), len(missing), float(work.sum()))
        if len(missing) and (stream := stream_of(self.adapter)) is not None:
            rows = missing[np.argsort(-costs, kind="stable")]
            replies = stream(Picked(texts, rows), role=role, instruction=instruction, parts=wanted.parts)
            for places, embeddings in clock.timing(replies):
                chunk = rows[places]
                embeddings = self._checked(embeddings, [texts[int(row)] for row in chunk])
                if cached and keys is not None:
                    embeddings = cached.put(keys[chunk], embeddings) if keep else cached.rounded(embeddings)
                self.counts.encoded += len(chunk)
                self._progress.advance(len(chunk), float(work[np.searchsorted(missing, chunk)].sum()))
                yield chunk, self._viewed(embeddings)
            return
        told: dict[int, ChunkProgress] = {}

        def prepare(rows: NDArray[np.int64]) -> Callable[[], Embeddings]:
            call = self._prepared([texts[int(row)] for row in rows], role, instruction, wanted)
            part = ChunkProgress(self._progress, len(rows), float(work[np.searchsorted(missing, rows)].sum()))
            told[int(rows[0])] = part
            return functools.partial(part.run, call)

        for chunk, embeddings in clock.timing(
            ahead(chunks, prepare, lanes, beside=None if small else _on_gpu(self.adapter))
        ):
            if cached and keys is not None:
                embeddings = cached.put(keys[chunk], embeddings) if keep else cached.rounded(embeddings)
            self.counts.encoded += len(chunk)
            told.pop(int(chunk[0])).finish()
            yield chunk, self._viewed(embeddings)

    def _stage(self, role: Role) -> str:
        """What a stage is called; those of texts of one role, such as the two columns of pairs, are numbered."""
        if role != "symmetric":
            return f"encoding {_TEXTS[role]}"
        self._symmetric += 1
        return f"encoding {_TEXTS[role]}" + (f", part {self._symmetric}" if self._symmetric > 1 else "")

    def _prepared(
        self, texts: Sequence[Input], role: Role, instruction: str, wanted: Wanted
    ) -> Callable[[], Embeddings]:
        """The forward pass of one chunk, and the check of what it gives."""
        takes, name = self.adapter.modalities, self.adapter.spec.name
        texts = [readable(text, takes, name) for text in texts]
        ready = functools.partial(self.adapter.prepare, texts, role=role, instruction=instruction)
        first = wanted.parts
        run = ready(parts=first)

        def checked() -> Embeddings:
            now = wanted.parts  # the caller may have dropped one since
            return self._checked(run() if now == first else ready(parts=now)(), texts)

        return checked

    def _viewed(self, embeddings: Embeddings) -> Embeddings:
        """What is kept of the vectors."""
        if embeddings.dense is None:
            return embeddings
        dense = truncated(embeddings.dense, self.adapter.spec)
        self.notes.dimension = dense.shape[1]
        return embeddings if dense is embeddings.dense else replace(embeddings, dense=dense)

    def _checked(self, embeddings: Embeddings, texts: Sequence[Input]) -> Embeddings:
        if len(embeddings) != len(texts):
            raise ModelFault(f"{self.adapter.spec.name} gave {len(embeddings)} vectors for {len(texts)} texts")
        finite = embeddings.finite()
        if not finite.all():
            first = line(texts[int(np.argmin(finite))])[:40]
            broken = int((~finite).sum())
            raise ModelFault(
                f"{self.adapter.spec.name} gave NaN or infinite values for {broken} of {len(texts)} texts (first: "
                f"'{first}'); its weights are broken, or {self.adapter.spec.dtype} overflows (try --dtype fp32)"
            )
        return embeddings


def score_pairs(
    scorer: Scorer,
    pairs: Sequence[Pair],
    *,
    instruction: str,
    progress: Progress,
    cache: EmbeddingCache | None = None,
) -> NDArray[np.float32]:
    """Score pairs: each distinct one once, longest first, with the cache, progress and a check for NaN.

    Args:
        scorer: The model.
        pairs: ``(query, passage)``.
        instruction: Prefix of the queries.
        progress: The progress to report to.
        cache: The embedding cache; no cache when None.

    Returns:
        ``float32[n]`` in the order of the pairs.

    Raises:
        BadInput: A pair has what the model does not take.
        BadData: An image cannot be read.
        ModelFault: The model gave a score that is not finite, or a wrong number of scores.
    """
    rows: dict[Pair, int] = {}
    takes, name = scorer.modalities, scorer.spec.name
    places = [rows.setdefault(readable_pair(pair, takes, name), len(rows)) for pair in pairs]
    distinct = list(rows)
    scores = np.empty(len(distinct), dtype=np.float32)
    cached = cache.of(scorer.spec, "pair", instruction) if cache else None
    missing = np.arange(len(distinct))
    keys = as_keys(map(pair_key, distinct)) if cached else None
    if cached and keys is not None:
        progress.stage("reading pairs that are kept", len(distinct))
        for found, embeddings in cached.read(keys, Wanted(DENSE)):
            if embeddings is None or embeddings.dense is None:
                missing = found
                break
            scores[found] = embeddings.dense[:, 0]
            progress.advance(len(found))

    costs = np.array([sum(map(cost, distinct[row])) for row in missing], dtype=np.int64)
    lanes = lanes_of(scorer) if len(missing) else 1
    if len(missing):
        work = work_of(costs, scorer.spec.passage_max_length)
        progress.stage("scoring pairs", len(missing), float(work.sum()))
    if len(missing) and (stream := stream_of(scorer)) is not None:
        rows_sent = missing[np.argsort(-costs, kind="stable")]
        for places_sent, values in stream([distinct[row] for row in rows_sent], instruction=instruction):
            chunk = rows_sent[places_sent]
            values = _usable(values, len(chunk), scorer)
            if cached and keys is not None:
                cached.put(keys[chunk], Embeddings(dense=values[:, None]))
            scores[chunk] = values
            progress.advance(len(chunk), float(work[np.searchsorted(missing, chunk)].sum()))
        return scores[places]
    told: dict[int, ChunkProgress] = {}

    def prepare(chosen: NDArray[np.int64]) -> Callable[[], NDArray[np.float32]]:
        run = scorer.prepare([distinct[row] for row in chosen], instruction=instruction)
        part = ChunkProgress(progress, len(chosen), float(work[np.searchsorted(missing, chosen)].sum()))
        told[int(chosen[0])] = part
        return lambda: _usable(part.run(run), len(chosen), scorer)

    chunks = chunks_of(missing, costs, *(_CHUNK_CPU if scorer.device == "cpu" else _CHUNK_GPU))
    for chunk, values in ahead(chunks, prepare, lanes, beside=_on_gpu(scorer)):
        if cached and keys is not None:
            cached.put(keys[chunk], Embeddings(dense=values[:, None]))
        scores[chunk] = values
        told.pop(int(chunk[0])).finish()
    return scores[places]


def _on_gpu(adapter: Adapter) -> Callable[[], None] | None:
    """What makes another thread ready for a model that leaves the processor free; None for one that does not."""
    device = adapter.device
    return functools.partial(make_current, device) if device.startswith("cuda") else None


def _usable(scores: NDArray[np.float32], pairs: int, scorer: Scorer) -> NDArray[np.float32]:
    if len(scores) != pairs:
        raise ModelFault(f"{scorer.spec.name} gave {len(scores)} scores for {pairs} pairs")
    broken = int((~np.isfinite(scores)).sum())
    if broken:
        raise ModelFault(
            f"{scorer.spec.name} gave NaN or infinite scores for {broken} of {len(scores)} pairs; its weights are "
            f"broken, or {scorer.spec.dtype} overflows (try --dtype fp32)"
        )
    return scores


class _Clock:
    """Counts the time that an iterator takes, and not the time that its consumer does."""

    def __init__(self, counts: EncodeCounts) -> None:
        self._counts = counts

    def timing(self, items: Iterator[T]) -> Iterator[T]:
        """The items."""
        while True:
            started = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                self._counts.seconds += time.perf_counter() - started
            yield item
